"""Requests and snapshots for tests of the engine: made by hand, with the seeded catalog."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nexscout_cli.engine.catalog.seed import EMBEDDED, seeded
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.snapshot import Limit, Profile, Snapshot

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OPENAI = ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini-high")
ANTHROPIC = ("claude-3-haiku", "claude-3-sonnet", "claude-3-opus")
QUESTION = "Ana saves 35 dollars a week for 9 weeks and then spends 120 dollars. How much has she left?"
RIGHT = "She saves 35 * 9 = 315 dollars. She has 315 - 120 = 195 dollars left. #### 195"
WRONG = "She saves 35 * 9 = 325 dollars. She has 325 - 120 = 215 dollars left. #### 215"
"""An easy question with an answer that a check lets pass, and one whose sums it finds wrong."""
_OPTIONS = set(Options._fields)


def catalog() -> tuple[Model, ...]:
    """The six and the embedded one; the retired ones pointed at something that lives."""
    return tuple(model._replace(retired=False) for model in seeded())


def model(name: str) -> Model:
    """One of them."""
    return next(m for m in catalog() if m.name == name)


def snapshot(
    tier: str = "elite", *, names: tuple[str, ...] = (*OPENAI, *ANTHROPIC, EMBEDDED), **changes: Any
) -> Snapshot:
    """A world in which the models of ``names`` can be called and there is energy enough."""
    models = catalog()
    base = Snapshot(
        now=NOW,
        actor="ada",
        user_id="ada",
        tier=tier,
        is_admin=True,
        profile=Profile(),
        energy=5_000,
        limits=(Limit("tokens", "user", "day", 1_000_000, 1_000_000),),
        panic=False,
        surge_milli=1000,
        models=models,
        available=frozenset(names),
        missing={m.name: "no key" for m in models if m.name not in names},
        input_factors={},
        output_lengths={},
        tokens_today=0,
        version=1,
    )
    return base._replace(**changes)


def request(prompt: str = "Write a haiku", feature: str = "ai_message", **changes: Any) -> AIRequest:
    """A request of ada's; options may be given beside the fields."""
    options = Options(**{name: changes.pop(name) for name in list(changes) if name in _OPTIONS})
    return AIRequest(changes.pop("user_id", "ada"), feature, prompt, options=options, **changes)


def count(text: str, litellm_model: str) -> tuple[int, bool]:
    """A tokenizer that takes four characters for a token; exact for OpenAI's models."""
    return len(text) // 4, not litellm_model.startswith("anthropic/")
