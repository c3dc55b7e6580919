"""What finished hours and days are folded into for reports: which sums, of what, by which keys.

Each fold has a table of its name with ``owner`` (a user, or ``*`` for everyone's), ``hours`` (1: an hour, 24: a day of UTC),
``period`` (2026-11-03T14, or 2026-11-03), its keys and its sums. A packed one has ``counts`` in place of its last key and its
sum: how often each value occurs, as JSON. A value a row would be nearly as many rows as there are calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.percentiles import ERRORS as OFF
from nexscout_cli.engine.percentiles import LATENCY as TOOK
from nexscout_cli.engine.percentiles import Rounding
from nexscout_cli.engine.sums import SUMS

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.dialect import Dialect

EVERYONE = "*"
HOUR, DAY = 1, 24
_MOST_BITS = 45
"""Values of more bits are rounded as those of so many are: no number of milliseconds or millionths has as many."""


class Rows(NamedTuple):
    """Which rows a source gives: ``span``, a condition on ``created_at``; ``only``, what narrows them to a user (``AND
    user_id = …``); ``exact``: whether measured values stay as they are.
    """

    span: str
    only: str = ""
    exact: bool = False


Source = Callable[["Dialect", Rows], str]


class Fold(NamedTuple):
    """One table. ``source`` makes SQL whose rows have owner, at (a stamp), the keys, model and feature among them, and the sums.
    Days are folded for everyone and each owner; hours for everyone, and if ``own_hourly`` for each owner as well.
    """

    table: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    source: Source
    own_hourly: bool = False
    packed: bool = False

    @property
    def group(self) -> tuple[str, ...]:
        """The columns that tell the table's rows apart."""
        return ("owner", "hours", "period", *(self.keys[:-1] if self.packed else self.keys))

    @property
    def values(self) -> tuple[str, ...]:
        """Its other columns."""
        return ("counts",) if self.packed else self.sums

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns."""
        return self.group + self.values


def rounded(value: str, rounding: Rounding) -> str:
    """SQL that rounds a whole number ≥ 0 as ``percentiles.rounded`` does."""
    steps = {1 << n: rounding.step((1 << n) - 1) for n in range(rounding.bits, _MOST_BITS)}
    ends = [end for end, step in steps.items() if step < steps.get(end * 2, 0)]
    arms = "".join(f" WHEN {value} < {end} THEN {value} / {steps[end]} * {steps[end]}" for end in ends)
    most = steps[1 << _MOST_BITS - 1]
    return f"(CASE{arms} ELSE {value} / {most} * {most} END)"


_COUNTED = (
    "NOT EXISTS (SELECT 1 FROM ai_model_usage e WHERE e.request_id = a.request_id AND e.id < a.id)",
    *(f"outcome = '{outcome}'" for outcome in ("posted", "hit", "failed")),
)
_USAGE = ", ".join(
    (*(f"CASE WHEN {of} THEN 1 ELSE 0 END AS {name}" for of, name in zip(_COUNTED, SUMS, strict=False)), *SUMS[4:])
)


def _usage(sql: Dialect, rows: Rows) -> str:
    """A request counts with its first row."""
    return f"""SELECT user_id AS owner, created_at AS at, model_used AS model, feature, {_USAGE},
        CASE WHEN outcome = 'hit' THEN tokens_saved ELSE 0 END AS hit_tokens
        FROM ai_model_usage a WHERE {rows.span} {rows.only}"""


def _latency(sql: Dialect, rows: Rows) -> str:
    """Milliseconds from hold to post. What was posted by age, or by hand, has a reason: how long it took nobody knows."""
    took = f"CAST(round({sql.seconds('a.created_at', 'a.settled_at')} * 1000) AS bigint)"
    value = "took" if rows.exact else rounded("took", TOOK)
    # Else SQLite works out the time for each arm of the rounding.
    return f"""WITH timed AS MATERIALIZED (
        SELECT u.user_id AS owner, u.created_at AS at, u.model_used AS model, u.feature,
        {sql.greatest}(coalesce({took}, 0), 0) AS took
        FROM (SELECT * FROM ai_model_usage WHERE {rows.span} AND outcome = 'posted' {rows.only}) u
        JOIN attempts a USING (request_id, n) WHERE a.failure IS NULL AND a.reason IS NULL)
        SELECT owner, at, model, feature, {value} AS took, 1 AS calls FROM timed"""


def _known(rows: Rows) -> str:
    return f"FROM ai_cost_predictions WHERE {rows.span} AND actual_tokens > 0 {rows.only}"


def _off(tokens: str) -> str:
    """SQL for |tokens − actual| ÷ actual, in millionths."""
    return f"((abs({tokens} - actual_tokens) * 1000000 + actual_tokens / 2) / actual_tokens)"


def _predictions(sql: Dialect, rows: Rows) -> str:
    """Predictions whose actual tokens are known; errors and accuracy in millionths."""
    return f"""SELECT user_id AS owner, created_at AS at, feature, recommended_model AS model, 1 AS n,
        predicted_tokens AS predicted, actual_tokens AS actual, formula_tokens AS formula,
        coalesce(predicted_tokens_p90, predicted_tokens) AS p90, {_off("predicted_tokens")} AS error,
        {_off("formula_tokens")} AS formula_error,
        CAST(round(coalesce(prediction_accuracy, 0) * 1000000) AS bigint) AS accuracy,
        CASE WHEN predicted_tokens_p90 IS NOT NULL THEN 1 ELSE 0 END AS bounded,
        CASE WHEN actual_tokens <= predicted_tokens_p90 THEN 1 ELSE 0 END AS covered {_known(rows)}"""


def _errors(sql: Dialect, rows: Rows) -> str:
    """How often each error occurs, ours and the formula's."""
    value = "off" if rows.exact else rounded("off", OFF)
    both = " UNION ALL ".join(
        f"""SELECT user_id AS owner, created_at AS at, feature, recommended_model AS model, '{of}' AS of_what,
        {_off(tokens)} AS off {_known(rows)}"""
        for of, tokens in (("ours", "predicted_tokens"), ("formula", "formula_tokens"))
    )
    return f"SELECT owner, at, feature, model, of_what, {value} AS error, 1 AS n FROM ({both}) each_error"


def _classes(sql: Dialect, rows: Rows) -> str:
    """Tokens that are not plain."""
    return f"""SELECT user_id AS owner, created_at AS at, model_used AS model, feature, j.key AS class, j.value AS tokens
        FROM (SELECT * FROM ai_model_usage WHERE {rows.span} AND token_classes <> '{{}}' {rows.only}) u,
        {sql.fields_of.format("token_classes")}"""


def _failures(sql: Dialect, rows: Rows) -> str:
    """Attempts that gave no answer, and whether the next one was the same model or another."""
    return f"""SELECT r.user_id AS owner, a.created_at AS at, a.model AS model, r.feature AS feature, a.failure AS label, 1 AS n,
        CASE WHEN b.model = a.model THEN 1 ELSE 0 END AS retries, CASE WHEN b.model <> a.model THEN 1 ELSE 0 END AS fallbacks
        FROM (SELECT * FROM attempts WHERE {rows.span} AND failure IS NOT NULL) a
        JOIN (SELECT request_id, user_id, feature FROM requests WHERE 1 = 1 {rows.only}) r ON r.request_id = a.request_id
        LEFT JOIN attempts b ON b.request_id = a.request_id AND b.n = a.n + 1"""


USAGE = Fold("folded_usage", ("model", "feature"), (*SUMS, "hit_tokens"), _usage, own_hourly=True)
LATENCY = Fold("folded_latency", ("model", "feature", "took"), ("calls",), _latency, packed=True)
PREDICTIONS = Fold(
    "folded_predictions",
    ("feature", "model"),
    ("n", "predicted", "actual", "formula", "p90", "error", "formula_error", "accuracy", "bounded", "covered"),
    _predictions,
)
ERRORS = Fold("folded_errors", ("feature", "model", "of_what", "error"), ("n",), _errors, packed=True)
CLASSES = Fold("folded_classes", ("model", "feature", "class"), ("tokens",), _classes)
FAILURES = Fold("folded_failures", ("model", "feature", "label"), ("n", "retries", "fallbacks"), _failures)
FOLDS = (USAGE, LATENCY, PREDICTIONS, ERRORS, CLASSES, FAILURES)
