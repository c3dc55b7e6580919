"""Where people's texts are kept, and how they are removed: of one person, or of everyone in a copy."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from nexscout_cli.store.sqlite.dialect import SQLITE, Dialect

if TYPE_CHECKING:
    from pathlib import Path

    from nexscout_cli.store.sqlite.transaction import Transaction

_FORGET = {
    "cached_answers": "DELETE FROM cached_ai_responses WHERE {whose}",
    "kept_answers": "UPDATE requests SET answer = NULL, key = NULL WHERE {whose} AND answer IS NOT NULL",
    "failures": "UPDATE attempts SET reason = NULL WHERE reason IS NOT NULL AND request_id IN "
    "(SELECT request_id FROM requests WHERE {whose})",
    "messages": "UPDATE ai_model_usage SET metadata = {metadata_without_messages} "
    "WHERE {whose} AND ({has_message} OR {has_warnings})",
    "turns": "DELETE FROM conversation_turns WHERE conversation IN (SELECT id FROM conversations WHERE {whose})",
    "conversations": "DELETE FROM conversations WHERE {whose}",
    "jobs": "UPDATE job_rows SET request = NULL, body = NULL, answer = NULL WHERE {whose} "
    "AND (request IS NOT NULL OR answer IS NOT NULL)",
    "verdicts": "DELETE FROM feedback WHERE {whose}",
    "decisions": "UPDATE ai_cost_predictions SET decision = {decision_without_weighed} WHERE {whose} AND {has_weighed}",
    "doubts": "UPDATE ai_model_usage SET metadata = {metadata_without_doubt} WHERE {whose} AND {has_doubt}",
    "profiles": "UPDATE user_efficiency_profiles SET writing_style_profile = '{{}}', common_patterns = '[]', "
    "pattern_counts = '{{}}', peak_usage_hours = '[]', prompt_heads = '[]' WHERE {whose}",
    # What a prompt was can be guessed and hashed. Where an idempotency key still stands, so must what it is for.
    "fingerprints": "UPDATE requests SET fingerprint = '' WHERE {whose} AND key IS NULL AND fingerprint <> ''",
}
"""What is removed of a person's text, by what it is called. Money stays in the books."""
_OWN_NOTES = "UPDATE feedback SET note = NULL WHERE actor = :user AND note IS NOT NULL"
"""A person's notes on other people's answers."""
_UNSAID = ("fingerprints", "turns")
_IN_A_COPY = _FORGET | {"verdicts": "UPDATE feedback SET note = NULL WHERE {whose}"}
_HELD = (
    "SELECT 1 FROM cached_ai_responses WHERE user_id = ?",
    "SELECT 1 FROM requests WHERE user_id = ? AND (answer IS NOT NULL OR fingerprint <> '')",
    "SELECT 1 FROM attempts WHERE reason IS NOT NULL AND request_id IN (SELECT request_id FROM requests WHERE user_id = ?)",
    "SELECT 1 FROM user_efficiency_profiles WHERE user_id = ? AND (writing_style_profile, common_patterns, pattern_counts, "
    "prompt_heads) <> ('{}', '[]', '{}', '[]')",
    "SELECT 1 FROM feedback WHERE user_id = ? AND note IS NOT NULL",
)
_HELD_LATER = {
    "conversations": "SELECT 1 FROM conversations WHERE user_id = ?",
    "job_rows": "SELECT 1 FROM job_rows WHERE user_id = ? AND (request IS NOT NULL OR answer IS NOT NULL)",
}
"""The same of tables that older copies do not have."""


def _words(sql: Dialect) -> dict[str, str]:
    """What the statements above leave open."""
    return {
        "metadata_without_messages": sql.without("metadata", "message", "warnings"),
        "metadata_without_doubt": sql.without("metadata", "doubt"),
        "decision_without_weighed": sql.without("decision", "weighed"),
        **{f"has_{name}": sql.has("metadata", name) for name in ("message", "warnings", "doubt")},
        "has_weighed": sql.has("decision", "weighed"),
    }


def forget(t: Transaction, user_id: str) -> dict[str, int]:
    """Remove a person's texts; returns how many rows lost some, by what it was."""
    words = _words(t.sql) | {"whose": "user_id = :user"}
    forgotten = t.by_function("forget_texts", user_id, t.actor)
    gone: dict[str, int] = {} if forgotten is None else json.loads(forgotten.fetchone()[0])
    for name, sql in _FORGET.items():
        if name not in gone:
            gone[name] = t.execute(sql.format(**words), {"user": user_id}).rowcount
    t.execute(_OWN_NOTES, {"user": user_id})
    return {name: gone[name] for name in _FORGET if name not in _UNSAID}


def remove_all(file: Path) -> None:
    """Remove everyone's texts from a copy of the database, its free pages included."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        words = _words(SQLITE) | {"whose": "1"}
        for sql in _IN_A_COPY.values():
            connection.execute(sql.format(**words))
        connection.execute("COMMIT")
        connection.execute("VACUUM")


def in_copy(file: Path, user_id: str) -> bool:
    """Whether a copy holds texts of a person's; one that cannot be read may."""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            held = (*_HELD, *(sql for table, sql in _HELD_LATER.items() if table in tables))
            return any(connection.execute(f"{sql} LIMIT 1", (user_id,)).fetchone() for sql in held)
    except sqlite3.Error:
        return True
