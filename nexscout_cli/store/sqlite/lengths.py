"""What posted calls teach about tokens: the length of answers, level by level, and how a provider counts the input."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from nexscout_cli.engine.length.learning import Level
from nexscout_cli.engine.names import EVERYONE

if TYPE_CHECKING:
    from nexscout_cli.engine.settlement import Settlement
    from nexscout_cli.store.sqlite.transaction import Transaction

_STATE = f"[{', '.join(['%.9g'] * len(Level._fields))}]"
"""A level as JSON."""
LEARNED = "what is learned of all"
"""Who writes down what answers teach of all users' has this to itself."""


@lru_cache(maxsize=1_000)
def _level(state: str) -> Level:
    return Level(*json.loads(state))


def levels(t: Transaction, user_id: str, feature: str) -> dict[tuple[str, str], Level]:
    """What is known of a feature's answers, by (user or EVERYONE, model or "" for all models)."""
    rows = t.execute(
        "SELECT user_id, model, state FROM output_lengths WHERE feature = ? AND user_id IN (?, ?)",
        (feature, user_id, EVERYONE),
    )
    return {(owner, model): _level(state) for owner, model, state in rows}


def learn(t: Transaction, settlement: Settlement, output_tokens: int) -> None:
    """Fold an answer's length into the levels it teaches: the feature's, the model's there, and the user's."""
    t.learn(_fold_lengths, (settlement.user_id, settlement.feature), (settlement, output_tokens))


def _fold_lengths(t: Transaction, key: tuple[str, str], lessons: list[tuple[Settlement, int]]) -> None:
    user_id, feature = key
    t.alone(LEARNED, shared=False)
    known, taught = levels(t, user_id, feature), dict[tuple[str, str], Level]()
    for settlement, output_tokens in lessons:
        for scope in settlement.length_scopes:
            known[scope] = taught[scope] = settlement.length_after(known.get(scope, Level()), output_tokens)
    t.executemany(
        "INSERT INTO output_lengths (feature, user_id, model, state) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (feature, user_id, model) DO UPDATE SET state = excluded.state",
        [(feature, *scope, _STATE % level) for scope, level in taught.items()],
    )


def factors(t: Transaction) -> dict[str, tuple[int, float, float]]:
    """By model, of a provider's input tokens ÷ our count: reports, mean and maximum."""
    return {
        model: (n, mean, most) for model, n, mean, most in t.execute("SELECT model, n, mean, most FROM input_factors")
    }


def thinking(t: Transaction) -> dict[str, tuple[int, float, float]]:
    """By model, of the tokens that its answers took for thinking: answers, mean and maximum."""
    return {model: (n, mean, most) for model, n, mean, most in t.execute("SELECT model, n, mean, most FROM thinking")}


def learn_thinking(t: Transaction, model: str, tokens: int) -> None:
    """Fold an answer's tokens of thinking into its model's running mean and maximum."""
    t.learn(_fold_means, ("thinking", model), float(tokens))


def learn_factor(t: Transaction, model: str, ratio: float | None) -> None:
    """Fold a provider's input tokens ÷ our count into its model's running mean and maximum; None teaches nothing."""
    if ratio is not None:
        t.learn(_fold_means, ("input_factors", model), ratio)


def _fold_means(t: Transaction, key: tuple[str, str], values: list[float]) -> None:
    table, model = key
    t.alone(LEARNED, shared=False)
    t.executemany(
        f"""INSERT INTO {table} (model, n, mean, most) VALUES (?, 1, ?, ?)
            ON CONFLICT (model) DO UPDATE SET mean = {table}.mean + (excluded.mean - {table}.mean) / ({table}.n + 1),
            most = {t.sql.greatest}({table}.most, excluded.most), n = {table}.n + 1""",
        [(model, value, value) for value in values],
    )
