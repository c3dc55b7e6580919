"""Who costs more than they pay. A tier's price comes in evenly over each billing month, for the tier a user had at the time.

The owner and the other admins, and the users that ``billing.internal`` names, pay nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.engine.money import NANO, usd
from nexscout_cli.engine.report_values import Person
from nexscout_cli.engine.reports.figures import Row, ratio, tokens, total
from nexscout_cli.months import next_month

if TYPE_CHECKING:
    from nexscout_cli.engine.report_port import ReportReader

UNPROFITABLE = (
    "user_id",
    "tier",
    "requests",
    "total_tokens",
    "cost_usd",
    "revenue_usd",
    "margin_usd",
    "ratio",
    "unprofitable",
)
_MICROSECOND = timedelta(microseconds=1)


def unprofitable(reader: ReportReader, settings: Settings) -> Row:
    """Users whose loss is above ``billing.min_loss``, worst first; the totals are over all who are billed.

    ``tier`` is the present one, None for a user whom nobody keeps any more.
    """
    billed, left_out = _billed(reader, settings)
    since, until = _span(reader)
    least = Decimal(str(settings["billing.min_loss"])) * NANO
    losing = [one for one in billed if one.sums["cost_usd"] - one.revenue > least]
    losing.sort(key=lambda one: (one.revenue - one.sums["cost_usd"], one.user))
    return {
        "rows": [{"user_id": one.user, "tier": one.tier, **_margin(one.sums, one.revenue)} for one in losing],
        "totals": _margin(total(one.sums for one in billed), sum(one.revenue for one in billed))
        | {
            "users": len(billed),
            "unprofitable_users": len(losing),
            "left_out_users": left_out,
            "days": round((until - since) / timedelta(days=1), 6),
        },
        "currency": settings["billing.currency"],
    }


class _Billed(NamedTuple):
    """Somebody who is billed: the present tier, sums of usage, and nano-dollars that they bring in."""

    user: str
    tier: str | None
    sums: Row
    revenue: int


def margins(reader: ReportReader, settings: Settings) -> dict[str, Row]:
    """What each user who is billed costs and brings in, as in ``unprofitable``."""
    return {one.user: _margin(one.sums, one.revenue) for one in _billed(reader, settings)[0]}


def _billed(reader: ReportReader, settings: Settings) -> tuple[list[_Billed], int]:
    """Everybody who is billed, and how many are left out."""
    people = {person.user_id: person for person in reader.people()}
    out = {*settings["billing.internal"], *(name for name, person in people.items() if person.is_admin)}
    sums = {row["user_id"]: row for row in reader.sums("user_id") if row["user_id"] not in out}
    (since, until), nothing = _span(reader), total(())
    found = []
    for user in sorted(sums.keys() | people.keys() - out):
        person = people.get(user)
        tiers = person.tiers if person else []
        revenue = revenue_of(person, since, until, settings, reader.window.tz) if person and tiers else 0
        found.append(_Billed(user, tiers[-1][1] if tiers else None, sums.get(user, nothing), revenue))
    return found, len(out)


def _span(reader: ReportReader) -> tuple[datetime, datetime]:
    """The part of the window that has passed."""
    return reader.window.since, max(reader.window.since, min(reader.window.until, reader.now))


def revenue_of(person: Person, since: datetime, until: datetime, settings: Settings, tz: tzinfo) -> int:
    """Nano-dollars that a user's tiers bring in from ``since`` up to ``until``; nothing before their first day."""
    revenue = Decimal(0)
    ends = [start for start, _ in person.tiers[1:]]
    for (start, tier), end in zip(person.tiers, [*ends, until], strict=True):
        price = Decimal(str(settings[f"tiers.{tier}.price"])) * Decimal(str(settings["billing.usd_per_unit"])) * NANO
        if price:
            share = _months(max(start, since), min(end, until), settings["billing.day"], tz)
            revenue += sum(price * part / whole for part, whole in share)
    return int(revenue.to_integral_value())


def _months(start: datetime, end: datetime, day: int, tz: tzinfo) -> Iterator[tuple[int, int]]:
    """The time from ``start`` to ``end`` by billing months: microseconds of it in each, and of the whole month."""
    while start < end:
        first, following = _month(start, day, tz)
        stop = min(end, following)
        yield (stop - start) // _MICROSECOND, (following - first) // _MICROSECOND
        start = stop


def _month(moment: datetime, day: int, tz: tzinfo) -> tuple[datetime, datetime]:
    """The billing month that a moment lies in: from midnight of its day to midnight of that day in the next month."""
    local = moment.astimezone(tz).date()
    first = local.replace(day=day) if local.day >= day else (local.replace(day=1) - timedelta(days=1)).replace(day=day)
    following = next_month(first).replace(day=day)
    # In UTC, as a day of a local month may be an hour longer or shorter.
    return tuple(datetime.combine(each, time(), tz).astimezone(moment.tzinfo) for each in (first, following))  # type: ignore[return-value]


def _margin(sums: Row, revenue: int) -> Row:
    cost = sums["cost_usd"]
    return {
        "requests": sums["requests"],
        "total_tokens": tokens(sums),
        "cost_usd": usd(cost),
        "revenue_usd": usd(revenue),
        "margin_usd": usd(revenue - cost),
        "ratio": ratio(cost, revenue) if revenue else None,
        "unprofitable": cost > revenue,
    }
