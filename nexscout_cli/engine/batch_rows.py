"""A request from the fields of a batch line: what is missing comes from defaults, what is wrong is said."""

from __future__ import annotations

from collections.abc import Callable

from nexscout_cli.engine.money import to_nano
from nexscout_cli.engine.request import AIRequest, Attachment, Json, Options
from nexscout_cli.errors import UsageError
from nexscout_cli.terms import MODES

FIELDS = ("id", "user", "user_id", "feature", "prompt", "goal", "tone", "context", "attachments", "options")
_OPTIONS: dict[str, type | tuple[type, ...]] = {
    "allow_cache": bool,
    "force_model": str,
    "mode": str,
    "skip_energy_charge": bool,
    "max_tokens": int,
    "max_cost": (int, float, str),
    "system": str,
    "temperature": (int, float),
    "idempotency_key": str,
    "policy": str,
    "compress": str,
    "keep": (int, float),
}

ReadAttachment = Callable[[str], Attachment]


def parse(row: Json, defaults: AIRequest, attach: ReadAttachment) -> AIRequest:
    """The request a line stands for. Raises UsageError with the field that is wrong."""
    if not isinstance(row, dict):
        raise UsageError("the line is no JSON object", 'for instance {"id": "1", "prompt": "…"}')
    if unknown := [str(name) for name in row if name not in FIELDS]:
        raise UsageError(f"there is no field {unknown[0]!r:.80}", f"fields: {', '.join(FIELDS)}")
    texts = {name: _text(row, name) for name in ("user", "user_id", "feature", "prompt", "goal", "tone")}
    if texts["prompt"] is None:
        raise UsageError("the line has no prompt", 'for instance {"id": "1", "prompt": "…"}')
    names = [] if row.get("attachments") is None else row["attachments"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError("attachments is a list of file names", 'for instance ["notes.txt"]')
    return defaults._replace(
        user_id=next((name for name in (texts["user"], texts["user_id"]) if name is not None), defaults.user_id),
        feature=defaults.feature if texts["feature"] is None else texts["feature"],
        prompt=texts["prompt"],
        goal=texts["goal"],
        tone=texts["tone"],
        context=row.get("context"),
        attachments=tuple(attach(name) for name in names),
        options=_options(row.get("options") or {}, defaults.options),
    )


def _text(row: dict[str, Json], name: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{name} is text, not {type(value).__name__}", "put it in quotes")
    return value


def _options(given: Json, defaults: Options) -> Options:
    if not isinstance(given, dict):
        raise UsageError("options is a JSON object", 'for instance {"max_tokens": 200}')
    for name, value in given.items():
        kind = _OPTIONS.get(name)
        if kind is None:
            raise UsageError(f"there is no option {name!r:.80}", f"options: {', '.join(_OPTIONS)}")
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise UsageError(f"option {name} cannot be {value!r:.80}", 'see the README, "Batch"')
    given = {name: value for name, value in given.items() if value is not None}
    if "mode" in given and given["mode"] not in MODES:
        raise UsageError(f"there is no mode {given['mode']!r:.80}", f"modes: {', '.join(MODES)}")
    if "max_cost" in given:
        try:
            given["max_cost"] = to_nano(given["max_cost"])
        except ValueError as error:
            raise UsageError(f"option max_cost: {str(error)[:120]}", "an amount in dollars") from error
    return defaults._replace(**given)
