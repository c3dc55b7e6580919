"""What posted calls teach about tokens: the length of answers, level by level, and how a provider counts the input."""

from __future__ import annotations

import json
import sqlite3

from nexscout_cli.engine.length.learning import Level, learned
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.names import EVERYONE
from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.planning.predict import FOREIGN_FACTOR, scopes

FACTOR_SAMPLES, FACTOR_MARGIN = 20, 1.1
"""Usage reports before a model's learned input factor bounds a hold, and the slack on the most that was seen."""
FACTOR_WEIGHT = 3.0
"""How many reports our own count is worth in the factor that is expected."""

_STATE = f"[{', '.join(['%.9g'] * len(Level._fields))}]"
"""A level as JSON."""


def levels(c: sqlite3.Connection, user_id: str, feature: str) -> dict[tuple[str, str], Level]:
    """What is known of a feature's answers, by (user or EVERYONE, model or "" for all models)."""
    rows = c.execute(
        "SELECT user_id, model, state FROM output_lengths WHERE feature = ? AND user_id IN (?, ?)",
        (feature, user_id, EVERYONE),
    )
    return {(owner, model): Level(*json.loads(state)) for owner, model, state in rows}


def learn(c: sqlite3.Connection, plan: Plan, output_tokens: int) -> None:
    """Fold an answer's length into the levels of its plan: the feature's, the model's there, and the user's."""
    request, forecast = plan.request, plan.forecast
    known = levels(c, request.user_id, request.feature)
    above = output_tokens > forecast.p90_output_tokens
    c.executemany(
        "INSERT OR REPLACE INTO output_lengths (feature, user_id, model, state) VALUES (?, ?, ?, ?)",
        [
            (
                request.feature,
                *level,
                _STATE
                % learned(known.get(level, Level()), forecast.shipped, forecast.output_tokens, output_tokens, above),
            )
            for level in scopes(request.user_id, plan.model.name)
        ],
    )


def factors(c: sqlite3.Connection) -> dict[str, tuple[float, float]]:
    """By model: a provider's input tokens ÷ our count as expected, shrunk toward 1, and what bounds it in a hold."""
    return {
        model: (
            (FACTOR_WEIGHT + n * mean) / (FACTOR_WEIGHT + n),
            most * FACTOR_MARGIN if n >= FACTOR_SAMPLES else max(most, FOREIGN_FACTOR),
        )
        for model, n, mean, most in c.execute("SELECT model, n, mean, most FROM input_factors")
    }


def learn_factor(c: sqlite3.Connection, model: Model, counted: int, reported: int) -> None:
    """Fold what a provider reports for an input into its factor over our count."""
    if counted <= 0 or reported <= 0:
        return
    c.execute(
        """INSERT INTO input_factors VALUES (:model, 1, :value, :value)
           ON CONFLICT DO UPDATE SET mean = mean + (:value - mean) / (n + 1), most = max(most, :value), n = n + 1""",
        {"model": model.name, "value": reported / counted},
    )
