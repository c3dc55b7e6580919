"""What was saved, and what the cache gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.money import PICO_PER_NANO, usd
from nexscout_cli.engine.reports.figures import Row, ratio, total

if TYPE_CHECKING:
    from nexscout_cli.engine.report_port import ReportReader

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


def savings(reader: ReportReader, baseline: str) -> Row:
    """What was saved against the baseline model, by feature, most first."""
    rows = sorted(reader.sums("feature"), key=lambda row: (row["cost_usd"] - row["baseline_usd"], row["feature"]))
    return {
        "rows": [{"feature": row["feature"], **_saved(row)} for row in rows],
        "totals": _saved(total(rows)),
        "baseline": baseline,
        "prompt_cache": _prompt_cache(reader),
        "audits": _audits(reader),
    }


def _audits(reader: ReportReader) -> Row:
    """What audits cost, and found: whether the strong model came to the cheap one's answer."""
    audits, same, other, cost = reader.audits()
    return {
        "audits": audits,
        "same": same,
        "other": other,
        "not_compared": audits - same - other,
        "cost_usd": usd(cost),
    }


def _prompt_cache(reader: ReportReader) -> Row:
    """What providers' caches of prompts saved, at the prices of today: it is part of the costs, and of no other saving."""
    found = reader.prompt_caches()
    read = [one for one in found if one.name == "cached"]
    written = [one for one in found if one.name != "cached"]
    saved = sum((one.plain - one.price) * one.tokens for one in read) // PICO_PER_NANO
    paid = sum((one.price - one.plain) * one.tokens for one in written) // PICO_PER_NANO
    return {
        "read_tokens": sum(one.tokens for one in read),
        "written_tokens": sum(one.tokens for one in written),
        "read_saved_usd": usd(saved),
        "written_extra_usd": usd(paid),
        "saved_usd": usd(saved - paid),
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
