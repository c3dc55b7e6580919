"""What a request and its user's settings ask for, resolved once: model, mode, policy, compression."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.compression.choice import CompressionChoice, compression_choice
from nexscout_cli.engine.routing import policy, rules

if TYPE_CHECKING:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.snapshot import Snapshot


class Resolved(NamedTuple):
    """``forced``: the model that the request names. ``mode``: the mode in force. ``policy``: how a model is chosen.

    ``by_difficulty``: whether the prompt's difficulty has a say. ``policy_in_key`` is what the policy adds to the key of a
    cached answer.
    """

    forced: Model | None
    mode: str
    policy: str
    by_difficulty: bool
    policy_in_key: str
    compression: CompressionChoice


def resolve(request: AIRequest, snapshot: Snapshot, settings: Settings) -> Resolved:
    """What is in force for a request.

    Raises UsageError for a model, mode or policy there is not, NotPermitted for what the tier or the actor may not have,
    Blocked for a model that cannot be called.
    """
    name = policy.effective_policy(request, snapshot.profile, settings)
    if name == "cascade" and (not request.wants_text or request.options.service_tier == "batch"):
        name = "learned"  # a cascade judges an answer by its text, while it can still ask further
    mode = rules.effective_mode(request, snapshot)
    by_difficulty = policy.governs(name, request, mode)
    return Resolved(
        forced=rules.permit(request, snapshot, settings),
        mode=mode,
        policy=name,
        by_difficulty=by_difficulty,
        policy_in_key=f"{name} {settings['routing.quality_target']:g}" if by_difficulty else "",
        compression=compression_choice(request, settings),
    )
