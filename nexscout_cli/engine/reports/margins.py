"""Who costs more than they pay. A tier's price comes in evenly over each billing month, for the tier a user had at the time.

The owner and the other admins, and the users that ``billing.internal`` names, pay nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING

from nexscout_cli.config import Settings
from nexscout_cli.engine.money import NANO, usd
from nexscout_cli.engine.report_values import Person
from nexscout_cli.engine.reports.figures import Row, ratio, tokens, total

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
    people = {person.user_id: person for person in reader.people()}
    out = {*settings["billing.internal"], *(name for name, person in people.items() if person.is_admin)}
    sums = {row["user_id"]: row for row in reader.sums("user_id") if row["user_id"] not in out}
    since, until = reader.window.since, max(reader.window.since, min(reader.window.until, reader.now))
    least = Decimal(str(settings["billing.min_loss"])) * NANO
    nothing, rows, revenues = total(()), [], 0
    billed = sorted(sums.keys() | people.keys() - out)
    for user in billed:
        person = people.get(user)
        revenue = revenue_of(person, since, until, settings, reader.window.tz) if person and person.tiers else 0
        revenues += revenue
        part = sums.get(user, nothing)
        loss = part["cost_usd"] - revenue
        if loss > least:
            tier = person.tiers[-1][1] if person and person.tiers else None
            rows.append((loss, {"user_id": user, "tier": tier, **_margin(part, revenue)}))
    rows.sort(key=lambda row: (-row[0], row[1]["user_id"]))
    return {
        "rows": [row for _, row in rows],
        "totals": _margin(total(sums.values()), revenues)
        | {
            "users": len(billed),
            "unprofitable_users": len(rows),
            "left_out_users": len(out),
            "days": round((until - since) / timedelta(days=1), 6),
        },
        "currency": settings["billing.currency"],
    }


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
    following = (first.replace(day=28) + timedelta(days=4)).replace(day=day)
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
