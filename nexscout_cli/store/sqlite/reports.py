"""Reports: where the money went. Money is in dollars, exact; shares and rates are in 0..1.

Every figure is a sum over ``ai_model_usage`` (of ``ai_cost_predictions`` in ``accuracy``) in the window. A request
counts once, with its first row: where a later attempt of it was billed to another day or model, that row adds calls,
tokens and cost there, and no request, so that rows add up to the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from nexscout_cli.config import Settings
from nexscout_cli.engine.money import NANO, usd
from nexscout_cli.store.sqlite.store import OWN_OR_ADMIN, Store, stamp
from nexscout_cli.store.sqlite.usage import SUMS, baseline_model
from nexscout_cli.store.sqlite.windows import Reader, Row, Window

Report = dict[str, Any]

DAYS_A_MONTH = Decimal("30.4375")
"""Days of an average month, by which a monthly price is shared out over a window."""
TOP = 5
"""How many models, features and users the overview names."""

_FIGURES = (
    "requests",
    "calls",
    "hits",
    "failures",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cost_usd",
    "energy",
    "hit_rate",
    "avg_cost_usd",
    "cost_share",
    "token_share",
)
_PREDICTIONS = (
    "n",
    "predicted_tokens",
    "actual_tokens",
    "mape",
    "mdape",
    "bias",
    "p90_coverage",
    "prediction_accuracy",
    "formula_tokens",
    "formula_mape",
    "formula_mdape",
    "formula_bias",
)

COLUMNS: dict[str, tuple[str, ...]] = {
    "overview": ("day", *_FIGURES),
    "models": ("model_used", *_FIGURES),
    "features": ("feature", *_FIGURES),
    "users": ("user_id", "tier", *_FIGURES),
    "days": ("day", *_FIGURES),
    "accuracy": ("feature", "recommended_model", *_PREDICTIONS),
    "savings": (
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
    ),
    "cache": ("feature", "requests", "hits", "hit_rate", "tokens_saved", "avoided_usd", "answers"),
    "unprofitable": (
        "user_id",
        "tier",
        "requests",
        "total_tokens",
        "cost_usd",
        "revenue_usd",
        "margin_usd",
        "ratio",
        "unprofitable",
    ),
}
"""The columns of each report's rows, in order."""


def build(store: Store, name: str, window: Window, user: str | None = None) -> Report:
    """The report of that name (a key of COLUMNS) over what the actor may see, or over one user.

    Raises NotPermitted for another user's figures, UsageError for a user there is not.
    """
    with store.db.read() as c:
        reader = Reader(store, c, window, user)
        body = _BUILDERS[name](reader, store.settings)
    return {
        "report": name,
        "since": stamp(window.since),
        "until": stamp(window.until),
        "tz": str(window.tz),
        "user": reader.user,
        **body,
    }


def _total(rows: Iterable[Row]) -> Row:
    total = dict.fromkeys(SUMS, 0)
    for row in rows:
        for name in SUMS:
            total[name] += row[name]
    return total


def _ratio(part: float, whole: float, places: int = 6) -> float:
    return round(part / whole, places) if whole else 0.0


def _tokens(sums: Row) -> int:
    return int(sums["input_tokens"] + sums["output_tokens"])


def _figures(sums: Row, total: Row) -> Row:
    """The common figures of a row, with its shares of the total."""
    requests, cost = sums["requests"], sums["cost_usd"]
    return {
        "requests": requests,
        "calls": sums["calls"],
        "hits": sums["hits"],
        "failures": sums["failures"],
        "input_tokens": sums["input_tokens"],
        "output_tokens": sums["output_tokens"],
        "total_tokens": _tokens(sums),
        "cost_usd": usd(cost),
        "energy": sums["energy"],
        "hit_rate": _ratio(sums["hits"], requests),
        "avg_cost_usd": usd((2 * cost + requests) // (2 * requests) if requests else 0),
        "cost_share": _ratio(cost, total["cost_usd"]),
        "token_share": _ratio(_tokens(sums), _tokens(total)),
    }


def _by(reader: Reader, key: str) -> tuple[list[Row], Row]:
    """The window by one key, dearest first, and its total as sums."""
    rows = sorted(reader.sums(key), key=lambda row: (-row["cost_usd"], -_tokens(row), -row["requests"], row[key]))
    total = _total(rows)
    return [{key: row[key], **_figures(row, total)} for row in rows], total


def _models(reader: Reader, settings: Settings) -> Report:
    rows, total = _by(reader, "model_used")
    return {"rows": rows, "totals": _figures(total, total)}


def _features(reader: Reader, settings: Settings) -> Report:
    rows, total = _by(reader, "feature")
    return {"rows": rows, "totals": _figures(total, total)}


def _tiers(reader: Reader) -> dict[str, str]:
    rows = reader.select(f"SELECT user_id, tier FROM users WHERE {OWN_OR_ADMIN} AND (:user IS NULL OR user_id = :user)")
    return {row["user_id"]: row["tier"] for row in rows}


def _users(reader: Reader, settings: Settings) -> Report:
    rows, total = _by(reader, "user_id")
    tiers = _tiers(reader)
    return {
        "rows": [{"user_id": row["user_id"], "tier": tiers.get(row["user_id"]), **row} for row in rows],
        "totals": _figures(total, total),
    }


def _days(reader: Reader, settings: Settings) -> Report:
    rows = reader.days()
    total = _total(rows)
    return {"rows": [{"day": row["day"], **_figures(row, total)} for row in rows], "totals": _figures(total, total)}


def _overview(reader: Reader, settings: Settings) -> Report:
    """Days as rows, the whole window as totals, and the dearest models, features and users."""
    models, total = _by(reader, "model_used")
    features, users = _by(reader, "feature")[0], _by(reader, "user_id")[0]
    figures = _figures(total, total)
    saved = total["baseline_usd"] - total["cost_usd"]
    return {
        "rows": _days(reader, settings)["rows"],
        "totals": figures
        | {
            "baseline_usd": usd(total["baseline_usd"]),
            "saved_usd": usd(saved),
            "saved_share": _ratio(saved, total["baseline_usd"]),
            "users": len(users),
            "top_model": models[0]["model_used"] if models else None,
            "top_feature": features[0]["feature"] if features else None,
        },
        "baseline": baseline_model(settings, reader.c)[0],
        "top": {"models": models[:TOP], "features": features[:TOP], "users": users[:TOP]},
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
        "saved_share": _ratio(saved, sums["baseline_usd"]),
    }


def _savings(reader: Reader, settings: Settings) -> Report:
    rows = sorted(reader.sums("feature"), key=lambda row: (row["cost_usd"] - row["baseline_usd"], row["feature"]))
    return {
        "rows": [{"feature": row["feature"], **_saved(row)} for row in rows],
        "totals": _saved(_total(rows)),
        "baseline": baseline_model(settings, reader.c)[0],
    }


def _cache(reader: Reader, settings: Settings) -> Report:
    """Hits by feature, with the answers that are kept now; tokens saved by hits alone, not by compression."""
    mine = f"{OWN_OR_ADMIN} AND (:user IS NULL OR user_id = :user)"
    kept: dict[str, int] = dict(
        tuple(row)
        for row in reader.select(
            f"SELECT feature, count(*) FROM cached_ai_responses WHERE expires_at > :now AND {mine} GROUP BY feature"
        )
    )
    only = "AND user_id = :user" if reader.user is not None else ""
    tokens: dict[str, int] = dict(
        tuple(row)
        for row in reader.select(
            f"SELECT feature, sum(tokens_saved) FROM ai_model_usage WHERE created_at >= :since AND created_at < :until "
            f"AND outcome = 'hit' AND {OWN_OR_ADMIN} {only} GROUP BY feature"
        )
    )
    sums = {row["feature"]: row for row in reader.sums("feature")}

    def line(part: Row, saved: int, answers: int) -> Row:
        return {
            "requests": part["requests"],
            "hits": part["hits"],
            "hit_rate": _ratio(part["hits"], part["requests"]),
            "tokens_saved": saved,
            "avoided_usd": usd(part["avoided_usd"]),
            "answers": answers,
        }

    rows = [
        {"feature": name, **line(sums.get(name) or _total(()), tokens.get(name, 0), kept.get(name, 0))}
        for name in sums.keys() | kept.keys()
    ]
    return {
        "rows": sorted(rows, key=lambda row: (-row["hits"], row["feature"])),
        "totals": line(_total(sums.values()), sum(tokens.values()), sum(kept.values())),
    }


def _accuracy(reader: Reader, settings: Settings) -> Report:
    """Predictions whose actual tokens are known, by feature and model, beside the characters-by-four formula."""
    keys = ("feature", "recommended_model")
    rows = [{**{key: part[key] for key in keys}, **_errors(part)} for part in _predictions(reader, keys)]
    return {"rows": rows, "totals": _errors(next(iter(_predictions(reader, ())), None))}


def _predictions(reader: Reader, keys: tuple[str, ...]) -> list[Row]:
    """Sums over predictions by those keys, most first. Errors are of total tokens, absolute, as shares of what was used."""
    only = "AND user_id = :user" if reader.user is not None else ""
    group = ", ".join(keys)
    part = f"PARTITION BY {group}" if keys else ""
    by = f"GROUP BY {group} ORDER BY n DESC, {group}" if keys else "HAVING count(*) > 0"
    middle = "avg(CASE WHEN {rank} IN ((many + 1) / 2, (many + 2) / 2) THEN {of} END)"
    found = reader.select(
        f"""WITH known AS (
              SELECT *, abs(predicted_tokens - actual_tokens) * 1.0 / actual_tokens AS error,
                     abs(formula_tokens - actual_tokens) * 1.0 / actual_tokens AS formula_error
              FROM ai_cost_predictions
              WHERE created_at >= :since AND created_at < :until AND actual_tokens > 0 AND {OWN_OR_ADMIN} {only}),
            ranked AS (
              SELECT *, count(*) OVER ({part}) AS many, row_number() OVER ({part} ORDER BY error) AS rank,
                     row_number() OVER ({part} ORDER BY formula_error) AS formula_rank FROM known)
            SELECT {group or "1"}, count(*) AS n, sum(predicted_tokens) AS predicted, sum(actual_tokens) AS actual,
                   sum(formula_tokens) AS formula, avg(prediction_accuracy) AS accuracy,
                   avg(error) AS error, {middle.format(rank="rank", of="error")} AS middle,
                   avg(formula_error) AS formula_error,
                   {middle.format(rank="formula_rank", of="formula_error")} AS formula_middle,
                   avg(actual_tokens <= predicted_tokens_p90) AS covered
            FROM ranked {by}"""
    )
    return [dict(row) for row in found]


def _errors(part: Row | None) -> Row:
    """The figures of a part; ``p90_coverage`` is None where no prediction had a P90."""
    if part is None:
        return dict.fromkeys(_PREDICTIONS, 0) | {"p90_coverage": None}
    return {
        "n": part["n"],
        "predicted_tokens": part["predicted"],
        "actual_tokens": part["actual"],
        "mape": round(part["error"], 6),
        "mdape": round(part["middle"], 6),
        "bias": _ratio(part["predicted"], part["actual"]),
        "p90_coverage": None if part["covered"] is None else round(part["covered"], 6),
        "prediction_accuracy": round(part["accuracy"], 6),
        "formula_tokens": part["formula"],
        "formula_mape": round(part["formula_error"], 6),
        "formula_mdape": round(part["formula_middle"], 6),
        "formula_bias": _ratio(part["formula"], part["actual"]),
    }


def _unprofitable(reader: Reader, settings: Settings) -> Report:
    """Users who cost more than their tier pays for that time, worst first; the totals are over all users."""
    window = reader.window
    days = Decimal(str((window.until - window.since).total_seconds())) / 86_400
    sums, tiers = {row["user_id"]: row for row in reader.sums("user_id")}, _tiers(reader)
    empty, rows, revenues = _total(()), [], 0
    for user in sorted(sums.keys() | tiers.keys()):
        tier = tiers.get(user)
        revenue = _revenue(Decimal(str(settings[f"tiers.{tier}.price"])), days) if tier else 0
        revenues += revenue
        part = sums.get(user, empty)
        if part["cost_usd"] > revenue:
            rows.append((part["cost_usd"] - revenue, {"user_id": user, "tier": tier, **_margin(part, revenue)}))
    rows.sort(key=lambda row: (-row[0], row[1]["user_id"]))
    return {
        "rows": [row for _, row in rows],
        "totals": _margin(_total(sums.values()), revenues)
        | {"users": len(sums.keys() | tiers.keys()), "unprofitable_users": len(rows), "days": round(float(days), 6)},
    }


def _revenue(price: Decimal, days: Decimal) -> int:
    """Nano-dollars that a monthly price brings in over that many days."""
    return int((price * NANO * days / DAYS_A_MONTH).to_integral_value())


def _margin(sums: Row, revenue: int) -> Row:
    cost = sums["cost_usd"]
    return {
        "requests": sums["requests"],
        "total_tokens": _tokens(sums),
        "cost_usd": usd(cost),
        "revenue_usd": usd(revenue),
        "margin_usd": usd(revenue - cost),
        "ratio": _ratio(cost, revenue) if revenue else None,
        "unprofitable": cost > revenue,
    }


_BUILDERS: dict[str, Callable[[Reader, Settings], Report]] = {
    "overview": _overview,
    "models": _models,
    "features": _features,
    "users": _users,
    "days": _days,
    "accuracy": _accuracy,
    "savings": _savings,
    "cache": _cache,
    "unprofitable": _unprofitable,
}
