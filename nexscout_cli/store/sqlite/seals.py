"""Seals: what a day's books hash to, with all the days before, so that a history that is rewritten shows.

A seal is the SHA-256 of ``["nexscout 1", DAY, SEAL BEFORE]`` and of each row that was written since the seal before, one
JSON list and a line feed each: ledger entries by id, then usage, then predictions; then the archives that were made since.
Only what never changes is in it: who forgets a user, cleans up or decides an attempt late changes no seal. Such decisions are
entries of the day they were made.

Rows are counted by their ids, which only grow, and not by their times: what was entered for an earlier day, after the
clock was set back, is in the next seal.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.book_types import Seal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.store.sqlite.transaction import Transaction

_FORM = "nexscout 1"
_ENTRIES = """SELECT e.id, e.kind, e.amount, e.reason, e.actor, e.created_at, a.owner, a.kind, a.period,
    t.request_id, t.n, t.model, t.price, t.estimate, t.hold, t.hold_tokens, t.created_at, r.user_id, r.feature
    FROM ledger_entries e LEFT JOIN accounts a ON a.id = e.account LEFT JOIN attempts t ON t.id = e.attempt
    LEFT JOIN requests r ON r.request_id = t.request_id WHERE e.id > ? AND e.id <= ? ORDER BY e.id"""
_USAGE = """SELECT id, request_id, n, user_id, feature, model_used, outcome, input_tokens, output_tokens, cost_usd, mode,
    routing_reason, compression_applied, cached_response, prediction_accuracy, avoided_usd, compression_saved_usd,
    tokens_saved, cache_match, token_classes, provider_cost_usd, created_at
    FROM ai_model_usage WHERE id > ? AND id <= ? ORDER BY id"""
_PREDICTIONS = """SELECT id, request_id, user_id, feature, predicted_tokens, predicted_output_tokens, predicted_tokens_p90,
    predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens, recommended_model, routing_reason, approved,
    rejected_reason, created_at FROM ai_cost_predictions WHERE id > ? AND id <= ? ORDER BY id"""
_ARCHIVES = """SELECT 'archive', month, until, hash, closings_hash, cost_usd, archived_at, archived_by FROM archives
    WHERE archived_at > ? AND archived_at < ? ORDER BY month"""
_BOOKS = (("ledger_entries", _ENTRIES), ("ai_model_usage", _USAGE), ("ai_cost_predictions", _PREDICTIONS))
_LINE = json.JSONEncoder(separators=(",", ":")).encode


class Upto(NamedTuple):
    """The last row of each book that a seal covers."""

    entry: int = 0
    usage: int = 0
    prediction: int = 0


class Day(NamedTuple):
    """A day's seal, and how far it reaches."""

    day: str
    hash: str
    upto: Upto


NOTHING = Day("", "", Upto())
"""What stands before the first seal."""


def days(t: Transaction) -> Iterator[Day]:
    """The seals that the database keeps, oldest first."""
    for row in t.execute(
        "SELECT day, hash, last_entry, last_usage, last_prediction FROM seals ORDER BY day"
    ).fetchall():
        yield Day(row[0], row[1], Upto(*row[2:]))


def kept(t: Transaction) -> list[Seal]:
    """The same as people keep them."""
    return [Seal(day.day, day.hash) for day in days(t)]


def worked_out(t: Transaction, day: str, before: Day, upto: Upto) -> str:
    """The hash of a day that reaches up to those rows, after the one before it. Rows are streamed."""
    digest = hashlib.sha256(_LINE([_FORM, day, before.hash]).encode() + b"\n")
    for (_, sql), after, last in zip(_BOOKS, before.upto, upto, strict=True):
        for row in t.stream(sql, (after, last)):
            digest.update(_LINE(tuple(row)).encode() + b"\n")
    for row in t.execute(_ARCHIVES, (before.day and f"{before.day}T~", f"{day}T~")).fetchall():
        digest.update(_LINE(tuple(row)).encode() + b"\n")
    return digest.hexdigest()


def due(t: Transaction) -> list[Day]:
    """The seals of the finished days that have none, in order; a day on which nothing was written has none."""
    before = NOTHING
    for before in days(t):  # noqa: B007 - the last one is wanted
        pass
    last = [
        dict(
            t.execute(
                f"SELECT substr(created_at, 1, 10), max(id) FROM {table} WHERE id > ? GROUP BY 1", (after,)
            ).fetchall()
        )
        for (table, _), after in zip(_BOOKS, before.upto, strict=True)
    ]
    found = []
    for day in sorted({day for of_book in last for day in of_book if before.day < day < t.day}):
        reached = (
            max([after, *(number for of, number in of_book.items() if of <= day)])
            for of_book, after in zip(last, before.upto, strict=True)
        )
        upto = Upto(*reached)
        before = Day(day, worked_out(t, day, before, upto), upto)
        found.append(before)
    return found


def keep(t: Transaction, made: list[Day]) -> list[Seal]:
    """Enter seals, and return those that nobody else has entered meanwhile."""
    entered = []
    for day in made:
        row = t.execute(
            "INSERT INTO seals VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (day.day, day.hash, *day.upto, t.stamp, t.actor),
        )
        if row.rowcount:
            entered.append(Seal(day.day, day.hash))
    return entered
