"""A PostgreSQL database of an older schema is brought to the newest one, with what is in it."""

from __future__ import annotations

import re

import psycopg
import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres import schema
from nexscout_cli.store.postgres.connections import SCHEMA_VERSION
from nexscout_cli.store.postgres.store import PostgresStore
from tests.support.postgres import as_application, new_database

OLD = """
SET search_path = nexscout;
INSERT INTO users (user_id, tier, role, daily_token_budget, created_at)
  VALUES ('ada', 'elite', 'admin', 1, '2026-11-10T12:00:00.000000Z');
INSERT INTO ai_model_configs (model, litellm_model, type, input_price, output_price, max_tokens, quality, speed, best_for,
  class_prices) VALUES ('mini', 'openai/gpt-4o-mini', 'small', 150000, 600000, 1000, 0.5, 0.5, 'x', '{"cached": 75000}');
INSERT INTO requests VALUES ('r1', 'ada', 'ai_message', NULL, '', 'voided', NULL, '2026-11-10T12:00:00.000000Z');
INSERT INTO attempts (request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, created_at)
  VALUES ('r1', 1, 'mini', '{"output": 2, "input": 1}', 1, 1, 1, 'voided', 'o', '2026', '{}', '2026-11-10T12:00:00.000000Z');
INSERT INTO ai_model_usage (request_id, n, user_id, feature, model_used, outcome, mode, routing_reason, created_at)
  VALUES ('r1', 0, 'ada', 'ai_message', 'mini', 'failed', 'auto', 'x', '2026-11-10T12:00:00.000000Z');
"""


def test_a_database_of_schema_3_gets_its_history_its_labels_and_its_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        monkeypatch.setattr(schema, "SCHEMA_VERSION", 3)
        schema.migrate(connection, lambda: None)
        connection.execute(OLD)
        monkeypatch.undo()
        store = PostgresStore(url, None, store_rules(Settings()), "ada")
        store.close()

        def found(sql: str) -> object:
            return connection.execute(sql.encode()).fetchall()

        assert found("SELECT max(number) FROM migrations") == [(SCHEMA_VERSION,)]
        assert found("SELECT user_id, since, tier FROM tier_history") == [
            ("ada", "2026-11-10T12:00:00.000000Z", "elite")
        ]
        assert found("SELECT failure FROM attempts") == [("other",)]
        assert found("SELECT class_prices::jsonb, refused_options FROM ai_model_configs") == [
            (
                {"cached": 75000, "priority_input": 250000, "priority_output": 1000000, "priority_cached": 125000},
                "[]",
            )
        ]
        assert found("SELECT token_classes FROM ai_model_usage") == [("{}",)]


def test_a_login_that_may_not_bring_older_books_up_to_date_hears_of_their_schema(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection, monkeypatch.context() as earlier:
        earlier.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION - 1)
        schema.migrate(connection, lambda: None)
    with pytest.raises(StoreError, match=f"have schema {SCHEMA_VERSION - 1}, this nexscout needs {SCHEMA_VERSION}"):
        PostgresStore(as_application(url), None, store_rules(Settings()), "ada")


def test_every_table_is_guarded_and_check_says_which_trigger_was_turned_off() -> None:
    url = new_database()
    store = PostgresStore(url, None, store_rules(Settings()), "ada")
    try:
        assert store.maintenance.check("ada") == []
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER TABLE nexscout.ledger_entries DISABLE TRIGGER entries_stay")
            connection.execute("ALTER TABLE nexscout.seals NO FORCE ROW LEVEL SECURITY")
        told = [problem.message for problem in store.maintenance.check("ada")]
        assert [bool(re.search("entries_stay.* is turned off|seals is not forced", one)) for one in told] == [
            True,
            True,
        ]
    finally:
        store.close()


def test_no_two_migrations_have_one_number_and_the_last_is_the_programs() -> None:
    numbers = [number for number, _ in schema.migrations()]
    assert numbers == [*range(1, SCHEMA_VERSION + 1)]
