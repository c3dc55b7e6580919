"""What was saved, what the cache gave, and who costs more than they pay."""

from __future__ import annotations

from decimal import Decimal

from nexscout_cli.config import Settings
from nexscout_cli.engine.money import NANO, usd
from nexscout_cli.engine.reports.figures import Row, ratio, tokens, total
from nexscout_cli.engine.store_ports import ReportReader

DAYS_A_MONTH = Decimal("30.4375")
"""Days of an average month, by which a monthly price is shared out over a window."""

SAVINGS = (
    "feature",
    "requests",
    "calls",
    "hits",
    "baseline_usd",
    "cost_usd",
    "caching_saved_usd",
    "routing_saved_usd",
    "compression_saved_usd",
    "saved_usd",
    "saved_share",
)
CACHE = ("feature", "requests", "hits", "hit_rate", "tokens_saved", "avoided_usd", "answers")
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


def savings(reader: ReportReader, baseline: str) -> Row:
    """What was saved against the baseline model, by feature, most first."""
    rows = sorted(reader.sums("feature"), key=lambda row: (row["cost_usd"] - row["baseline_usd"], row["feature"]))
    return {
        "rows": [{"feature": row["feature"], **_saved(row)} for row in rows],
        "totals": _saved(total(rows)),
        "baseline": baseline,
    }


def _saved(sums: Row) -> Row:
    """What was saved against the baseline, and by what. Routing is what caching and compression leave to explain."""
    saved = sums["baseline_usd"] - sums["cost_usd"]
    caching, compression = sums["avoided_usd"], sums["compression_saved_usd"]
    return {
        "requests": sums["requests"],
        "calls": sums["calls"],
        "hits": sums["hits"],
        "baseline_usd": usd(sums["baseline_usd"]),
        "cost_usd": usd(sums["cost_usd"]),
        "caching_saved_usd": usd(caching),
        "routing_saved_usd": usd(saved - caching - compression),
        "compression_saved_usd": usd(compression),
        "saved_usd": usd(saved),
        "saved_share": ratio(saved, sums["baseline_usd"]),
    }


def cache(reader: ReportReader) -> Row:
    """Hits by feature, with the answers that are kept now; tokens saved by hits alone, not by compression."""
    kept, saved = reader.kept_answers(), reader.tokens_saved_by_hits()
    sums = {row["feature"]: row for row in reader.sums("feature")}
    rows = [
        {"feature": name, **_hits(sums.get(name) or total(()), saved.get(name, 0), kept.get(name, 0))}
        for name in sums.keys() | kept.keys()
    ]
    return {
        "rows": sorted(rows, key=lambda row: (-row["hits"], row["feature"])),
        "totals": _hits(total(sums.values()), sum(saved.values()), sum(kept.values())),
    }


def _hits(sums: Row, saved: int, answers: int) -> Row:
    return {
        "requests": sums["requests"],
        "hits": sums["hits"],
        "hit_rate": ratio(sums["hits"], sums["requests"]),
        "tokens_saved": saved,
        "avoided_usd": usd(sums["avoided_usd"]),
        "answers": answers,
    }


def unprofitable(reader: ReportReader, settings: Settings) -> Row:
    """Users who cost more than their tier pays for that time, worst first; the totals are over all users."""
    window = reader.window
    days = Decimal(str((window.until - window.since).total_seconds())) / 86_400
    sums, tiers = {row["user_id"]: row for row in reader.sums("user_id")}, reader.tiers()
    nothing, rows, revenues = total(()), [], 0
    for user in sorted(sums.keys() | tiers.keys()):
        tier = tiers.get(user)
        revenue = revenue_of(Decimal(str(settings[f"tiers.{tier}.price"])), days) if tier else 0
        revenues += revenue
        part = sums.get(user, nothing)
        if part["cost_usd"] > revenue:
            rows.append((part["cost_usd"] - revenue, {"user_id": user, "tier": tier, **_margin(part, revenue)}))
    rows.sort(key=lambda row: (-row[0], row[1]["user_id"]))
    return {
        "rows": [row for _, row in rows],
        "totals": _margin(total(sums.values()), revenues)
        | {"users": len(sums.keys() | tiers.keys()), "unprofitable_users": len(rows), "days": round(float(days), 6)},
    }


def revenue_of(price: Decimal, days: Decimal) -> int:
    """Nano-dollars that a monthly price brings in over that many days."""
    return int((price * NANO * days / DAYS_A_MONTH).to_integral_value())


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
