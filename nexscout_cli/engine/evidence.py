"""What answers were worth, by what became of them: audits, and answers that were not as asked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nexscout_cli.engine.request import Json
    from nexscout_cli.engine.snapshot import Verdicts


class Evidence(NamedTuple):
    """One answer that something is known of: which model's, and whether it was good."""

    model: str
    good: bool


def evidence(rows: Iterable[tuple[str, dict[str, Json]]]) -> list[Evidence]:
    """What rows of usage (the model, what was kept of a doubt) say of models: audits, and answers not as their schema says."""
    found = []
    for model, doubt in rows:
        if doubt.get("unfit"):
            found.append(Evidence(model, False))
        elif doubt.get("agrees") is not None and "audit" in doubt:
            found.append(Evidence(str(doubt["audit"]), bool(doubt["agrees"])))
    return found


def with_evidence(verdicts: Verdicts, seen: Iterable[Evidence]) -> Verdicts:
    """Verdicts with what audits and failures say, which counts for prompts of every difficulty."""
    added = dict(verdicts)
    for each in seen:
        good, bad = added.get((each.model, None), (0, 0))
        added[each.model, None] = (good + each.good, bad + (not each.good))
    return added
