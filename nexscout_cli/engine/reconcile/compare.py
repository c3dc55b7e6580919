"""The ledger beside an export, by day and model: what differs, and what explains it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from decimal import Decimal
from typing import NamedTuple

from nexscout_cli.engine.money import dollars
from nexscout_cli.engine.reconcile.export import Line, bare

EVERY = "everything"
"""The model of an export that names none: then whole days are compared."""


class Sums(NamedTuple):
    """What one side says of a day and a model; None where it says nothing. Costs in nano-dollars."""

    requests: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: int | None = None
    cached: int = 0

    def plus(self, other: Sums) -> Sums:
        """Both added up; what neither says stays None."""
        return Sums(*(_plus(a, b) for a, b in zip(self, other, strict=True)))


def _plus(a: int | None, b: int | None) -> int:
    # A pair in which one side is None is that side's silence, not a zero: the other's figure stands.
    return b if a is None else a if b is None else a + b  # type: ignore[return-value]


class Unknowns(NamedTuple):
    """Unknown attempts of a day and a model: how many, and what they hold, in nano-dollars."""

    n: int = 0
    hold: int = 0


class Difference(NamedTuple):
    """A day and a model of both sides. ``why`` explains the difference, "" where nothing does; ``within`` the tolerance."""

    day: str
    model: str
    ledger: Sums
    export: Sums
    within: bool
    why: str

    @property
    def cost(self) -> int:
        """How much more the export says, in nano-dollars."""
        return (self.export.cost or 0) - (self.ledger.cost or 0)


class Found(NamedTuple):
    """The outcome. ``off`` is what is not explained, as a share of the larger side; ``measure`` what it is counted in."""

    lines: list[Difference]
    measure: str
    off: Decimal
    credits: int
    ours: bool

    def within(self, tolerance: Decimal) -> bool:
        """Whether what is not explained lies within the tolerance."""
        return self.off <= tolerance


Key = tuple[str, str]


def exported(lines: Iterable[Line], tz: tzinfo) -> tuple[dict[Key, Sums], int, bool]:
    """An export's sums by day and model; what it gave back in credits (nano-dollars), and whether costs are our own."""
    sums: defaultdict[Key, Sums] = defaultdict(Sums)
    credits, ours = 0, False
    for line in lines:
        if line.cost is not None and line.cost < 0:
            credits -= line.cost
            continue
        key = line.at.astimezone(tz).date().isoformat(), bare(line.model)
        sums[key] = sums[key].plus(Sums(line.requests, line.tokens_in, line.tokens_out, line.cost, line.cached))
        ours = ours or (line.ours and line.cost is not None)
    return dict(sums), credits, ours


def compare(
    ledger: Mapping[Key, Sums],
    export: Mapping[Key, Sums],
    unknowns: Mapping[Key, Unknowns],
    tolerance: Decimal,
    credits: int = 0,
    ours: bool = False,
) -> Found:
    """Both sides line by line. Costs are compared where the export has them, else tokens."""
    if any(model == EVERY for _, model in export):
        ledger, export, unknowns = _by_day(ledger), _by_day(export), _unknown_days(unknowns)
    measure = "cost" if any(sums.cost is not None for sums in export.values()) else "tokens"
    found = []
    for key in sorted(ledger.keys() | export.keys()):
        ours_, theirs = ledger.get(key, Sums(0, 0, 0, 0)), export.get(key, Sums())
        off, whole = _off(ours_, theirs, measure)
        within = off <= tolerance * whole and _alike(ours_, theirs, tolerance)
        why = "" if within else _why(ours_, theirs, unknowns.get(key, Unknowns()), measure)
        found.append(Difference(*key, ours_, theirs, within, why))
    found = _shifted(found, measure, tolerance)
    unexplained = sum(_off(one.ledger, one.export, measure)[0] for one in found if not one.within and not one.why)
    whole = max(_total((one.ledger for one in found), measure), _total((one.export for one in found), measure))
    share = Decimal(unexplained) / whole if whole else Decimal(0)
    return Found(found, measure, share, credits, ours)


def _by_day(sides: Mapping[Key, Sums]) -> dict[Key, Sums]:
    days: defaultdict[Key, Sums] = defaultdict(Sums)
    for (day, _), sums in sides.items():
        days[day, EVERY] = days[day, EVERY].plus(sums)
    return dict(days)


def _unknown_days(unknowns: Mapping[Key, Unknowns]) -> dict[Key, Unknowns]:
    days: defaultdict[Key, Unknowns] = defaultdict(Unknowns)
    for (day, _), one in unknowns.items():
        days[day, EVERY] = Unknowns(days[day, EVERY].n + one.n, days[day, EVERY].hold + one.hold)
    return dict(days)


def _amount(sums: Sums, measure: str) -> int:
    return (sums.cost or 0) if measure == "cost" else (sums.tokens_in or 0) + (sums.tokens_out or 0)


def _off(ledger: Sums, export: Sums, measure: str) -> tuple[int, int]:
    a, b = _amount(ledger, measure), _amount(export, measure)
    return abs(a - b), max(a, b)


def _total(sides: Iterable[Sums], measure: str) -> int:
    return sum(_amount(sums, measure) for sums in sides)


def _alike(ledger: Sums, export: Sums, tolerance: Decimal) -> bool:
    """Whether tokens agree too, where the export has them."""
    pairs = ((ledger.tokens_in, export.tokens_in), (ledger.tokens_out, export.tokens_out))
    return all(b is None or abs((a or 0) - b) <= tolerance * max(a or 0, b) for a, b in pairs)


def _why(ledger: Sums, export: Sums, unknown: Unknowns, measure: str) -> str:
    more = _amount(export, measure) - _amount(ledger, measure)
    requests = None if export.requests is None else export.requests - (ledger.requests or 0)
    few = requests is None or 0 <= requests <= unknown.n
    if unknown.n and few and more > 0 and (measure != "cost" or more <= unknown.hold):
        return f"{unknown.n} unknown attempts hold ${dollars(unknown.hold)}"
    same = export.tokens_in == ledger.tokens_in and export.tokens_out == ledger.tokens_out
    # At most the cached share of what all the input would have cost.
    most = (ledger.cost or 0) * export.cached
    if measure == "cost" and more < 0 and same and -more * (ledger.tokens_in or 0) <= most:
        return f"{export.cached:,} tokens were read from the provider's cache, at a lower price"
    return ""


def _shifted(found: list[Difference], measure: str, tolerance: Decimal) -> list[Difference]:
    """Differences of a model that cancel out over neighbouring days are the days' beginnings, not money."""
    models: defaultdict[str, list[int]] = defaultdict(list)
    for at, one in enumerate(found):
        if not one.within and not one.why:
            models[one.model].append(at)
    for places in models.values():
        off = sum(_amount(found[at].export, measure) - _amount(found[at].ledger, measure) for at in places)
        whole = sum(_off(found[at].ledger, found[at].export, measure)[1] for at in places)
        if len(places) > 1 and abs(off) <= tolerance * whole:
            for at in places:
                found[at] = found[at]._replace(
                    why="the same in all over these days: the export's begin at another hour (--tz)"
                )
    return found
