"""How well tokens were predicted, beside what the formula of four characters to a token says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.reports.figures import Row, ratio

if TYPE_CHECKING:
    from nexscout_cli.engine.report_port import ReportReader

_FIGURES = (
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
_KEYS = ("feature", "recommended_model")
COLUMNS = (*_KEYS, *_FIGURES)


def accuracy(reader: ReportReader) -> Row:
    """Predictions whose actual tokens are known, by feature and model."""
    rows = [{**{key: part[key] for key in _KEYS}, **_errors(part)} for part in reader.predictions(*_KEYS)]
    return {"rows": rows, "totals": _errors(next(iter(reader.predictions()), None))}


def _errors(part: Row | None) -> Row:
    """The figures of a part; ``p90_coverage`` is None where no prediction had a P90."""
    if part is None:
        return dict.fromkeys(_FIGURES, 0) | {"p90_coverage": None}
    return {
        "n": part["n"],
        "predicted_tokens": part["predicted"],
        "actual_tokens": part["actual"],
        "mape": round(part["error"], 6),
        "mdape": round(part["median_error"], 6),
        "bias": ratio(part["predicted"], part["actual"]),
        "p90_coverage": None if part["covered"] is None else round(part["covered"], 6),
        "prediction_accuracy": round(part["accuracy"], 6),
        "formula_tokens": part["formula"],
        "formula_mape": round(part["formula_error"], 6),
        "formula_mdape": round(part["formula_median_error"], 6),
        "formula_bias": ratio(part["formula"], part["actual"]),
    }
