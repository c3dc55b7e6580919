"""What stands beside a request of any protocol: headers and metadata that say how it is run, and which model it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.catalog.aliases import model_named
from nexscout_cli.engine.options import OPTIONS, from_json
from nexscout_cli.engine.request import AIRequest, Caller, Options
from nexscout_cli.errors import NotPermitted, UsageError
from nexscout_cli.terms import MODES, YES_OR_NO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey

AUTO = "auto"
NAMES = (
    "feature",
    "goal",
    "tone",
    "policy",
    "compress",
    "max-cost",
    "tags",
    "run",
    "run-max-cost",
    "cache",
    "fallback",
)
"""What ``X-NexScout-…`` headers, and entries of ``metadata`` under the same names, may say."""
_OURS = "x-nexscout-"
_TAG = re.compile(r"[\w.:/-]{1,64}")


def said(headers: Mapping[str, str], metadata: Any) -> dict[str, str]:
    """What a request says of itself beside the protocol; a header counts for more than metadata. Raises UsageError."""
    found: dict[str, str] = {}
    for header in headers:
        if (
            header.startswith(_OURS) and header[len(_OURS) :] not in NAMES
        ):  # a bound that is not known would bind nothing
            raise UsageError(f"there is no header {header:.60}", f"known are: {_OURS}{', '.join(NAMES)}")
    if metadata is not None and not isinstance(metadata, dict):
        raise UsageError("metadata is not a JSON object", 'for instance {"feature": "ai_message"}')
    for name in NAMES:
        value: Any = headers.get(f"x-nexscout-{name}")
        if value is None and metadata:
            value = metadata.get(name, metadata.get(name.replace("-", "_")))
        if value is not None:
            found[name] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return found


def build(
    key: ApiKey, model: str, beside: Mapping[str, str], settings: Settings, options: dict[str, Any], **fields: Any
) -> AIRequest:
    """The engine's request. ``options`` are those of the protocol. Raises UsageError, NotPermitted."""
    feature = beside.get("feature") or settings["feature"]
    model, _, named = model.partition("/") if model.startswith(f"{AUTO}/") else (model, "", "")
    if model != AUTO and model not in MODES:
        model = model_named(model, settings)
        if key.models and model not in key.models:
            raise NotPermitted(f"this key may not use {model}", f"it may use: {', '.join(key.models)}")
        options["force_model"] = model
    elif model != AUTO:
        options["mode"] = model
    for name in ("policy", "compress"):
        if name in beside:
            options[name] = beside[name]
    if "max-cost" in beside:
        options["max_cost"] = _dollars(beside["max-cost"], "X-NexScout-Max-Cost")
    if not _switched(beside, "cache", True):
        options["allow_cache"] = False
    if _switched(beside, "fallback", False):
        options["allow_fallback"] = True
    return AIRequest(
        user_id=key.user_id,
        feature=named or feature,
        goal=beside.get("goal"),
        tone=beside.get("tone"),
        options=Options(**options),
        caller=_caller(key, beside),
        **fields,
    )


def _switched(beside: Mapping[str, str], name: str, usual: bool) -> bool:
    """What a request says of a switch. Raises UsageError."""
    if name not in beside:
        return usual
    found = YES_OR_NO.get(beside[name].strip().lower())
    if found is None:
        raise UsageError(f"{name} cannot be {beside[name]!r:.40}", "on or off")
    return found


def _caller(key: ApiKey, beside: Mapping[str, str]) -> Caller:
    tags = tuple(dict.fromkeys(tag.strip() for tag in beside.get("tags", "").split(",") if tag.strip()))
    for tag in (*tags, *([beside["run"]] if "run" in beside else [])):
        if not _TAG.fullmatch(tag):
            raise UsageError(f"{tag!r:.80} is no name of a tag or a run", "up to 64 letters, digits and ._:/-")
    cost = beside.get("run-max-cost")
    if cost is not None and "run" not in beside:
        raise UsageError("X-NexScout-Run-Max-Cost needs X-NexScout-Run", "name the run")
    return Caller(key.id, tags, beside.get("run"), None if cost is None else _dollars(cost, "X-NexScout-Run-Max-Cost"))


def _dollars(text: str, name: str) -> int:
    amount: int = from_json(OPTIONS["max_cost"], text, name)
    return amount
