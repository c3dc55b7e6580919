"""Which unknown attempts an export tells the fate of. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from nexscout_cli.engine.book_types import AttemptRow
from nexscout_cli.engine.reconcile.export import Line, bare

_SLACK = timedelta(minutes=2)
"""How far a provider's clock and ours may be apart, and when in a call it takes the time."""


class Settled(NamedTuple):
    """A request whose unknown attempts are known now: what they cost in all, in nano-dollars, and how that is known."""

    request_id: str
    cost: int
    hold: int
    how: str


def settled(attempts: Sequence[AttemptRow], lines: Iterable[Line], model_of: Callable[[str], str]) -> list[Settled]:
    """The unknown attempts that one row of an export is surely of: by the provider's id, or because there is no other row
    and no other attempt that it could be. ``model_of`` gives the provider's name of a catalog's model.

    A request is settled when all its unknown attempts are; what costs more than is held is not taken for it.
    """
    rows = [line for line in lines if line.key and line.cost is not None]
    by_key = {line.key: line for line in rows}
    found: dict[tuple[str, int], tuple[Line, str]] = {}
    taken: set[str] = set()
    for attempt in attempts:
        if attempt.provider_id and (line := by_key.get(attempt.provider_id)):
            taken.add(line.key)
            if attempt.state == "unknown":
                found[attempt.request_id, attempt.n] = line, "the provider's id"
    # Posted attempts without an id may be what a row is of, so they claim rows as unknown ones do.
    open_ = [one for one in attempts if not one.provider_id and (one.request_id, one.n) not in found]
    free = [line for line in rows if line.key not in taken]
    claims = {(one.request_id, one.n): [line for line in free if _may_be(one, line, model_of)] for one in open_}
    wanted: defaultdict[str, int] = defaultdict(int)
    for mine in claims.values():
        for line in mine:
            wanted[line.key] += 1
    for one in open_:
        mine = claims[one.request_id, one.n]
        if one.state == "unknown" and len(mine) == 1 and wanted[mine[0].key] == 1:
            found[one.request_id, one.n] = mine[0], "the only row that it can be"
    return _whole_requests(attempts, found)


def _may_be(attempt: AttemptRow, line: Line, model_of: Callable[[str], str]) -> bool:
    since, until = (
        datetime.fromisoformat(text) for text in (attempt.created_at, attempt.settled_at or attempt.created_at)
    )
    return (
        since - _SLACK <= line.at <= until + _SLACK
        and bare(line.model) == bare(model_of(attempt.model))
        and (line.cost or 0) <= attempt.hold
        and (attempt.actual is None or attempt.actual == line.cost)
    )


def _whole_requests(attempts: Sequence[AttemptRow], found: dict[tuple[str, int], tuple[Line, str]]) -> list[Settled]:
    requests: defaultdict[str, list[AttemptRow]] = defaultdict(list)
    for one in attempts:
        if one.state == "unknown":
            requests[one.request_id].append(one)
    settled = []
    for request_id, unknown in requests.items():
        rows = [found.get((request_id, one.n)) for one in unknown]
        known = [row for row in rows if row is not None]
        hold = sum(one.hold for one in unknown)
        cost = sum(line.cost or 0 for line, _ in known)
        if len(known) == len(unknown) and cost <= hold:
            settled.append(Settled(request_id, cost, hold, known[0][1]))
    return settled
