"""Values as people read them on a page. The exact ones stand beside them, in ``value`` attributes and hover texts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from markupsafe import Markup

from nexscout_cli.engine.money import usd
from nexscout_cli.engine.reports.figures import SHARES

HEADS = {
    "model_used": "model",
    "recommended_model": "model",
    "user_id": "user",
    "failures": "failed",
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
    "total_tokens": "tokens",
    "cost_usd": "cost",
    "avg_cost_usd": "each",
    "cost_share": "share of cost",
    "token_share": "share of tokens",
    "n": "predictions",
    "mape": "error",
    "mdape": "median error",
    "p90_coverage": "below P90",
    "prediction_accuracy": "accuracy",
    "predicted_tokens": "predicted",
    "actual_tokens": "actual",
    "formula_tokens": "formula",
    "formula_mape": "formula’s error",
    "formula_mdape": "formula’s median",
    "formula_bias": "formula’s bias",
    "baseline_usd": "baseline",
    "avoided_usd": "avoided",
    "caching_saved_usd": "by caching",
    "routing_saved_usd": "by routing",
    "compression_saved_usd": "by compression",
    "saved_usd": "saved",
    "saved_share": "share saved",
    "revenue_usd": "revenue",
    "margin_usd": "margin",
    "hit_rate": "hit rate",
    "tokens_saved": "tokens saved",
    "ratio": "cost ÷ revenue",
    "answers": "answers kept",
    "error_rate": "share failed",
    "refused_key": "key refused",
    "latency_p50_ms": "p50 ms",
    "latency_p95_ms": "p95 ms",
}
"""Columns whose name says less than a reader needs."""


def head(column: str) -> str:
    """A column's name for people."""
    return HEADS.get(column, column.replace("_", " "))


def money(amount: Decimal) -> str:
    """Dollars: to the cent from one dollar on, else to the places that say something, to the millionth at most."""
    size = abs(amount)
    places = 2 if size >= 1 or not size else 4 if size >= Decimal("0.01") else 6
    return f"{'−' if amount < 0 else ''}${size:,.{places}f}"


def nano(amount: float) -> str:
    """Nano-dollars as dollars for people."""
    return money(usd(round(amount)))


def exact_nano(amount: float) -> str:
    """Nano-dollars as dollars, exact, without zeros at the end."""
    return f"${usd(round(amount)).normalize():f}"


def axis_nano(amount: float) -> str:
    """Nano-dollars beside a line of a chart's grid: round numbers, below a cent in cents, which are shorter."""
    dollars = round(amount / 1e9, 9)
    if 0 < dollars < 0.01:
        return f"{dollars * 100:.4g}¢"
    if dollars == int(dollars):
        return f"${dollars:,.0f}"
    return f"${dollars:.2f}" if round(dollars, 2) == dollars else f"${dollars:.9f}".rstrip("0")


def whole(value: float) -> str:
    """A number in full, to two places where it is none of the whole ones."""
    return f"{value:,.2f}".removesuffix(".00")


def percent(value: float) -> str:
    """A share in 0..1, beside a line of a chart's grid."""
    return f"{value:.1%}".replace(".0%", "%")


def share(value: float) -> str:
    """A share in 0..1."""
    return f"{value:.1%}"


def count(value: float) -> str:
    """A number, short from ten thousand on: 12.3k, 4.56M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            size = value / (1e3 if unit == "k" else limit)
            return (
                f"{size:.0f}" if size >= 100 else f"{size:.{2 if size < 10 else 1}f}".rstrip("0").rstrip(".")
            ) + unit
    return f"{value:,.0f}"


def seconds(value: float | None) -> str:
    """A time that something took."""
    return "–" if value is None else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def text_of(column: str, value: Any) -> str:
    """A value of a column as text for a person."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{'−' if value < 0 else ''}${abs(value):,.{6 if column == 'avg_cost_usd' else 4}f}"
    if column in SHARES:
        return share(value)
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def exact(value: Any) -> str:
    """A value as ``--json`` gives it, without quotes."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def figure(column: str, value: Any, *, alone: bool = False) -> Markup:
    """A value as an element whose ``value`` is the exact one; text and what is not there as text.

    In a column amounts have the same places, so that they stand below each other; one that stands ``alone`` is shorter.
    """
    if alone and value is not None and column.endswith("_ms"):
        shown = seconds(value / 1000)
    else:
        shown = money(value) if alone and isinstance(value, Decimal) else text_of(column, value)
    if value is None or isinstance(value, str | bool):
        return Markup("{}").format(shown)
    return Markup('<data value="{}">{}</data>').format(exact(value), shown)
