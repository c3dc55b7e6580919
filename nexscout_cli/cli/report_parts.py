"""What a reader sees of a report: its tables with their columns and heads, its lines of words, amounts and shares as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from nexscout_cli.cli import output
from nexscout_cli.engine.failures import LABELS
from nexscout_cli.engine.report_window import Window
from nexscout_cli.engine.reports.build import COLUMNS
from nexscout_cli.engine.reports.figures import SHARES, TEXT

_BAR = 8
_EIGHTHS = " ▏▎▍▌▋▊▉"

_SHOWN: dict[str, tuple[str, ...]] = {
    "usage": ("requests", "hits", "failures", "total_tokens", "cost_usd", "energy", "cost_share"),
    "accuracy": (
        "feature",
        "recommended_model",
        "n",
        "mape",
        "mdape",
        "bias",
        "p90_coverage",
        "formula_mape",
        "formula_mdape",
        "formula_bias",
    ),
    "savings": (
        "feature",
        "requests",
        "baseline_usd",
        "cost_usd",
        "caching_saved_usd",
        "routing_saved_usd",
        "compression_saved_usd",
        "saved_usd",
        "saved_share",
    ),
    "cache": ("feature", "requests", "hits", "tokens_saved", "avoided_usd", "answers", "hit_rate"),
    "providers": (
        "model_used",
        "provider",
        "calls",
        "errors",
        "error_rate",
        *LABELS,
        "retries",
        "fallbacks",
        "latency_p50_ms",
        "latency_p95_ms",
    ),
    "unprofitable": ("user_id", "tier", "requests", "total_tokens", "cost_usd", "revenue_usd", "margin_usd", "ratio"),
}
_DEPLOYMENTS = (
    "model_used",
    "deployment",
    "calls",
    "share",
    "errors",
    "error_rate",
    "cost_usd",
    "latency_p50_ms",
    "latency_p95_ms",
)
HEADS = {
    "model_used": "model",
    "recommended_model": "model",
    "user_id": "user",
    "failures": "failed",
    "total_tokens": "tokens",
    "cost_usd": "cost",
    "by_day": "cost by day",
    "cost_share": "share",
    "token_share": "of tokens",
    "mape": "error",
    "mdape": "median error",
    "p90_coverage": "below P90",
    "formula_mape": "formula's error",
    "formula_mdape": "its median",
    "formula_bias": "its bias",
    "prediction_accuracy": "accuracy",
    "baseline_usd": "baseline",
    "avoided_usd": "avoided",
    "caching_saved_usd": "caching",
    "routing_saved_usd": "routing",
    "compression_saved_usd": "compression",
    "saved_usd": "saved",
    "saved_share": "share",
    "revenue_usd": "revenue",
    "margin_usd": "margin",
    "hit_rate": "hit rate",
    "tokens_saved": "tokens saved",
    "ratio": "cost ÷ revenue",
    "error_rate": "of calls",
    "refused_key": "key refused",
    "too_long": "too long",
    "latency_p50_ms": "P50 ms",
    "latency_p95_ms": "P95 ms",
}
BARRED = {"cost_share", "token_share", "saved_share", "hit_rate"}


class Section(NamedTuple):
    """One table of a report: a title or none, column names, rows, and the totals where there are any."""

    title: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    totals: dict[str, Any] | None


def caption(result: dict[str, Any], window: Window) -> str:
    """What a report is, of whom, and of when: the first line of everything that a person reads."""
    ends = (window.since, window.until)
    if "archived" in result:  # which made it wider
        ends = (datetime.fromisoformat(result["since"]), datetime.fromisoformat(result["until"]))
    since, until = (moment.astimezone(window.tz) for moment in ends)
    of_whom = f" of {result['user']}" if result["user"] else ""
    of_whom += "".join(f", {what} {name}" for what, name in window.only.named().items())
    return f"{result['report']}{of_whom}, {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} ({window.tz})"


def remarks(result: dict[str, Any]) -> list[str]:
    """What has to be known to read a report's figures, below its tables."""
    return [*_remarks(result), *_of_archives(result.get("archived", ()))]


def _of_archives(months: Sequence[dict[str, str]]) -> list[str]:
    if not months:
        return []
    span = " to ".join(dict.fromkeys((months[0]["month"], months[-1]["month"])))
    return [
        f"of {span} the sums are kept, the calls are archived in {', '.join(dict.fromkeys(one['folder'] for one in months))}: "
        "medians and percentiles are rounded, audits and calls by deployment are those of later"
    ]


def _remarks(result: dict[str, Any]) -> list[str]:
    name, totals = result["report"], result["totals"]
    if name == "savings":
        cache = result["prompt_cache"]
        kept = (
            f"providers' prompt caches: {cache['read_tokens']:,} tokens read, {cache['written_tokens']:,} written; they saved "
            f"{money(cache['saved_usd'])} at the prices of today, which is in the costs already"
        )
        audits = result["audits"]
        checked = (
            f"{audits['audits']:,} cheap answers were audited for {money(audits['cost_usd'])}: the strong model gave the same "
            f"answer to {audits['same']:,}, another one to {audits['other']:,}; {audits['not_compared']:,} cannot be compared"
        )
        return [
            *([checked] if audits["audits"] else []),
            *([kept] if cache["read_tokens"] or cache["written_tokens"] else []),
            f"baseline: what {result['baseline']} would have cost (report.baseline); each call is counted by the baseline "
            "of its day; what was not delivered, or came from a model below routing.floor, saved nothing",
        ]
    if name == "unprofitable":
        left_out = f"; not billed and left out: {totals['left_out_users']:,}" if totals["left_out_users"] else ""
        return [
            f"{totals['unprofitable_users']:,} of {totals['users']:,} users; a tier's price ({result['currency']}) comes in "
            f"evenly over each billing month, from a user's first day on{left_out}"
        ]
    if name == "providers":
        return [*_refused(result["refused_keys"]), "P50, P95: from the hold to the post; errors gave no answer"]
    return []


def _refused(keys: list[dict[str, Any]]) -> list[str]:
    return [
        f"{each['provider']} refused its key on {each['day']}: {each['errors']:,} calls; `nexscout doctor --keys` tests keys"
        for each in keys
    ]


def sections(result: dict[str, Any]) -> list[Section]:
    """A report as the tables that a reader sees of it."""
    name, rows, totals = result["report"], result["rows"], result["totals"]
    if name == "overview":
        top = result["top"]
        parts = (("models", "model_used"), ("features", "feature"), ("users", "user_id"))
        return [
            Section("", ("figure", "value"), _headline(result), None),
            *(Section(f"top {what}", _usage(key, totals), top[what], None) for what, key in parts if top[what]),
        ]
    if name == "providers":
        seen = tuple(c for c in _SHOWN[name] if c not in LABELS or totals[c])
        places = result["deployments"]
        more = [Section("deployments", _DEPLOYMENTS, places, None)] if places else []
        return [Section("", seen, rows, totals), *more]
    if name in _SHOWN:
        return [Section("", _SHOWN[name], rows, totals)]
    keys = tuple(column for column in COLUMNS[name] if column in TEXT)
    return [Section("", _usage(keys[0], totals, keys[1:]), rows, totals)]


def _usage(key: str, totals: dict[str, Any], more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The columns of usage; shares are of the cost, and of the tokens where nothing cost anything."""
    *figures, share = _SHOWN["usage"]
    return (key, *more, *figures, share if totals["cost_usd"] else "token_share")


def _headline(result: dict[str, Any]) -> list[dict[str, Any]]:
    t = result["totals"]
    of_which = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in result["token_classes"].items())
    lines = {
        "cost": money(t["cost_usd"]),
        "saved": f"{money(t['saved_usd'])}, {t['saved_share']:.1%} of the {money(t['baseline_usd'])} that "
        f"{result['baseline']} would have cost",
        "requests": f"{t['requests']:,}, {money(t['avg_cost_usd'])} each",
        "calls": f"{t['calls']:,} posted, {t['hits']:,} from the cache ({t['hit_rate']:.1%}), {t['failures']:,} failed",
        **_troubles(result["providers"]),
        "tokens": f"{t['total_tokens']:,}: {t['input_tokens']:,} in, {t['output_tokens']:,} out",
        **({"of which": of_which} if of_which else {}),
        "energy": f"{t['energy']:,}",
        "days with use": f"{len(result['rows']):,}",
    }
    return [{"figure": figure, "value": value} for figure, value in lines.items()]


def _troubles(providers: dict[str, Any]) -> dict[str, str]:
    """The line on providers' failures, and one for each day on which a key was refused; nothing where all went well."""
    if not providers["errors"]:
        return {}
    kinds = ", ".join(f"{n:,} {HEADS.get(label, label)}" for label, n in providers["kinds"].items())
    line = f"{providers['errors']:,} ({providers['error_rate']:.1%}): {kinds}; {providers['fallbacks']:,} went on elsewhere"
    days = "; ".join(
        f"{each['provider']} on {each['day']} ({each['errors']:,} calls)" for each in providers["refused_keys"]
    )
    return {"errors": line, **({"dead keys": days} if days else {})}


def money(amount: Decimal, digits: int | None = None) -> str:
    """Dollars as people read them: to the millionth where they are few, to the cent where they are many."""
    digits = digits_for([amount]) if digits is None else digits
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{digits}f}"


def digits_for(amounts: list[Decimal]) -> int:
    """How many decimals a column of amounts needs: by the largest, so that all stand under each other."""
    largest = max(map(abs, amounts), default=Decimal(0))
    return 2 if largest >= 100 else 4 if largest >= 1 else 6 if largest >= Decimal("0.000001") or not largest else 9


def column(part: Section, name: str) -> list[str]:
    """A column's cells as text for a person, with its total last where there are totals."""
    values = [row[name] for row in part.rows]
    total = part.totals.get(name, "") if part.totals is not None and name != part.columns[0] else "total"
    every = [*values, total] if part.totals is not None else values
    # By the rows: beside a large total a small loss would be shown as none.
    digits = digits_for([value for value in values or every if isinstance(value, Decimal)])
    return [" ".join(output.harmless(_cell(name, value, digits)).splitlines()) for value in every]


def _cell(name: str, value: Any, digits: int) -> str:
    if value is None:
        return "–"
    if isinstance(value, Decimal):
        return money(value, digits)
    if isinstance(value, str):
        return value
    if name in SHARES:
        return f"{value:.1%}"
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}"


def bar(share: float, unicode: bool = True) -> str:
    """A share in 0..1 as a small bar."""
    eighths = round(min(max(share, 0.0), 1.0) * _BAR * 8)
    if not unicode:
        return "#" * round(eighths / 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
