"""Over PostgreSQL what a request leaves lies in tables of the month in which it began, and an archived month goes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.asked import new_id
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres import groups, schema
from nexscout_cli.store.postgres.connections import SCHEMA_VERSION
from nexscout_cli.store.postgres.store import PostgresStore
from tests.contract.books import PostgresBooks
from tests.support.clock import SettableClock
from tests.support.postgres import as_application, as_login, new_database
from tests.support.steps import Steps

TABLES = ("attempts", "ledger_entries", "ai_cost_predictions", "ai_model_usage")
NOVEMBER, DECEMBER = datetime(2026, 11, 10, 12, tzinfo=UTC), datetime(2026, 12, 2, 12, tzinfo=UTC)
READER = f"reader_{os.getpid()}"


class Place:
    """Books of ada's with tables for October to December of 2026, their owner's connection, and the application at them."""

    def __init__(self) -> None:
        self.url = new_database()
        self.clock, self.settings = SettableClock(), Settings().with_values(tiers__elite__energy=10**6)
        self.store = PostgresStore(self.url, self.clock, store_rules(self.settings), "ada")
        self.owner = psycopg.connect(self.url, autocommit=True)
        self.owner.execute("SET search_path = nexscout, pg_temp")
        for month in ("2026-10-01", "2026-11-01", "2026-12-01"):
            self.owner.execute("SELECT make_month(%s)", (month,))
        self.app = PostgresStore(as_application(self.url), self.clock, store_rules(self.settings), "ada")
        self.ada = Steps(self.app, "ada", self.clock, self.settings, self.url)

    def paid(self, **changes: Any) -> str:
        """The name of a call that was paid for now."""
        name = new_id(self.clock)
        self.ada.post(self.ada.sent(request_id=name, **changes))
        return name

    def found(self, sql: str, *values: object) -> list[Any]:
        rows = self.owner.execute(sql.encode(), values or None).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def tables(self) -> set[str]:
        return set(
            self.found("SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE c.relkind = 'r'")
        )

    def lies_in(self, request: str) -> set[str]:
        """The tables in which rows of a request lie."""
        return {
            name
            for table in TABLES
            for name in self.found(
                f"SELECT tableoid::regclass::text FROM {table} "
                f"WHERE {'of_request' if table == 'ledger_entries' else 'request_id'} = %s",
                request,
            )
        }

    def close(self) -> None:
        self.owner.close()
        self.app.close()
        self.store.close()


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


def of(month: str) -> set[str]:
    return {f"{table}_{month}" for table in TABLES}


def test_there_are_tables_for_this_month_and_the_next_and_for_what_has_no_month(place: Place) -> None:
    (now,) = place.found("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
    (after,) = place.found(
        "SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM')"
    )
    assert of(now) | of(after) | of("rest") | {"ledger_entries_grants"} <= place.tables()
    # One that is missing is made by the next program that begins, and what lies elsewhere meanwhile is moved there.
    for table in TABLES:
        place.owner.execute(f"DROP TABLE {table}_{after}".encode())
    place.clock.time = place.found("SELECT date_trunc('month', now()) + interval '40 days'")[0]
    name = place.paid()
    assert place.lies_in(name) == of("rest") and place.found("SELECT months_due()") == [True]
    place.app.recovery.recover("ada")
    assert place.lies_in(name) == of(after) and place.found("SELECT months_due()") == [False]
    assert place.ada.check() == []


def test_what_a_request_leaves_lies_in_its_month_and_grants_stay(place: Place) -> None:
    assert place.lies_in(place.paid()) == of("2026_11")
    place.clock.time = DECEMBER
    name = place.paid()
    assert place.lies_in(name) == of("2026_12")
    assert place.found("SELECT DISTINCT tableoid::regclass::text FROM ledger_entries WHERE attempt IS NULL") == [
        "ledger_entries_grants"
    ]
    place.ada.post(place.ada.sent(request_id="odd"))
    assert place.lies_in("odd") == of("rest") and place.ada.check() == []


def test_a_month_that_gets_its_tables_late_gets_its_rows_too(place: Place) -> None:
    place.clock.time = datetime(2027, 3, 31, 23, 59, 59, tzinfo=UTC)
    name = place.paid()
    before = place.found("SELECT id, attempt, account, kind, amount FROM ledger_entries ORDER BY id")
    assert place.lies_in(name) == of("rest")
    place.owner.execute("SELECT make_month('2027-03-01'), make_month('2027-04-01')")
    assert place.lies_in(name) == of("2027_03")
    assert place.found("SELECT id, attempt, account, kind, amount FROM ledger_entries ORDER BY id") == before
    assert place.ada.check() == []  # and no trigger stayed off


def test_what_is_unique_is_so_over_all_months(place: Place) -> None:
    place.ada.sent(request_id=new_id(place.clock), cache_key="same")
    (claim,) = place.found("SELECT claim FROM attempts")
    place.clock.time = DECEMBER
    name = place.paid()
    copied = "INSERT INTO attempts SELECT (jsonb_populate_record(t, jsonb_build_object('id', 0) || %s)).* FROM attempts t WHERE"
    for sql, values in (
        (copied + " request_id = %s", ('{"claim": null}', name)),
        (copied + " request_id = %s", (f'{{"claim": "{claim}", "n": 2}}', name)),
        (
            "INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at, of_request) "
            "SELECT attempt, account, kind, amount, actor, created_at, of_request FROM ledger_entries WHERE of_request = %s",
            (name,),
        ),
        (
            "INSERT INTO ai_model_usage (request_id, n, user_id, feature, model_used, outcome, mode, routing_reason, created_at) "
            "SELECT request_id, n, user_id, feature, model_used, outcome, mode, routing_reason, created_at FROM ai_model_usage "
            "WHERE request_id = %s",
            (name,),
        ),
    ):
        with pytest.raises(psycopg.errors.UniqueViolation):
            place.owner.execute(sql.encode(), values)
    (attempt,) = place.found("SELECT id FROM attempts WHERE request_id = %s", name)
    with pytest.raises(psycopg.errors.CheckViolation, match="a second hold"):
        place.owner.execute("SELECT hold_accounts(%s, '[]', 'ada', '')", (attempt,))
    assert place.ada.check() == []
    # Under another request's name there is no such attempt.
    place.owner.execute(
        b"INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at, of_request) "
        b"SELECT attempt, account, kind, amount, actor, created_at, 'other' FROM ledger_entries WHERE attempt = %s",
        (attempt,),
    )
    assert "is of an attempt or an account that is not there" in str(place.ada.check())


def test_a_step_opens_the_tables_of_its_month_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, opened = groups.asked, []
    query = b"""SELECT DISTINCT i.indrelid::regclass::text FROM pg_locks l JOIN pg_index i ON i.indexrelid = l.relation
        WHERE l.pid = pg_backend_pid()"""

    def ask(connection: Any, function: str, value: Any) -> Any:
        connection.execute("BEGIN")
        told = asked(connection, function, value)
        opened.append({row[0] for row in connection.execute(query)} & place.tables())
        connection.execute("COMMIT")
        return told

    place.paid()
    monkeypatch.setattr(groups, "asked", ask)
    place.paid()
    assert len(opened) >= 2 and set().union(*opened) == of("2026_11")


def test_a_login_that_reads_cannot_read_a_month_past_the_policies(place: Place) -> None:
    place.paid()
    with closing(psycopg.connect(place.url, autocommit=True)) as owner:
        owner.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{READER}' IN ROLE nexscout_member".encode())
        owner.execute("INSERT INTO nexscout.members VALUES (%s, 'nobody')", (READER,))
    with closing(psycopg.connect(as_login(place.url, READER), autocommit=True)) as reader:
        for table in [*sorted(place.tables()), "claims", "leaving_months"]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(f"SELECT * FROM nexscout.{table}".encode())
        for table in sorted(place.tables()):  # nor where somebody gave it the right
            place.owner.execute(f"GRANT SELECT ON {table} TO {READER}".encode())
            assert reader.execute(f"SELECT * FROM nexscout.{table}".encode()).fetchall() == []


def silent(month: str, what: str) -> None:
    """Nobody listens."""


def used(place: Place) -> tuple[str, str]:
    """A month with calls, one of them over its end: the names of one and of that one."""
    pytest.importorskip("pyarrow", reason="archives are not installed: nexscout[archive]")
    names = [place.paid() for _ in range(3)]
    place.clock.time = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    over = place.ada.sent(request_id=new_id(place.clock))
    place.clock.move(seconds=5)
    place.ada.post(over)
    place.clock.time = DECEMBER
    place.paid()
    place.app.recovery.recover("ada")
    return names[0], over.request_id


def test_a_month_that_is_archived_goes_with_its_tables_and_what_stays_of_it_is_kept(
    place: Place, tmp_path: Path
) -> None:
    name, over = used(place)
    books = PostgresBooks(lambda: place.url)
    accounts = books.listed("accounts", "owner", "kind", "period", "granted", "held", "spent")
    (made,) = place.store.maintenance.archive("ada", "2026-12-01", tmp_path / "old", silent)
    assert (made.month, made.requests, made.attempts, made.usage) == ("2026-11", 3, 3, 3)
    assert not of("2026_10") & place.tables() and not of("2026_11") & place.tables()
    assert place.lies_in(name) == set() and place.lies_in(over) == of("rest")
    assert books.listed("accounts", "owner", "kind", "period", "granted", "held", "spent") == accounts
    assert Steps(place.store, "ada", place.clock, place.settings, place.url).check() == []
    place.paid()
    place.clock.time = datetime(2027, 1, 5, 12, tzinfo=UTC)
    place.app.recovery.recover("ada")
    (made,) = place.store.maintenance.archive("ada", "2027-01-01", tmp_path / "old", silent)
    assert (made.requests, place.lies_in(over)) == (3, set()) and not of("2026_12") & place.tables()
    assert place.ada.check() == []


def test_a_month_stays_whole_where_somebody_changes_a_row_of_it_unseen(place: Place, tmp_path: Path) -> None:
    name, _ = used(place)
    rows = place.found("SELECT count(*) FROM ledger_entries")

    def late(month: str, what: str) -> None:
        if what == "committing":  # a program whose clock is behind
            with closing(psycopg.connect(place.url, autocommit=True)) as other:
                other.execute("UPDATE nexscout.ai_model_usage SET metadata = '{}' WHERE request_id = %s", (name,))

    with pytest.raises(StoreError) as told:
        place.store.maintenance.archive("ada", "2026-12-01", tmp_path / "old", late)
    assert told.value.code == "busy" and place.found("SELECT count(*) FROM ledger_entries") == rows
    assert place.lies_in(name) == of("2026_11")


BEFORE = """
SET search_path = nexscout;
INSERT INTO users (user_id, tier, role, daily_token_budget, created_at) VALUES ('ada', 'free', 'admin', 1, '2026-11-10');
INSERT INTO accounts (id, owner, kind, period, granted) VALUES (1, 'ada', 'usd', '2026-11-10', 5);
INSERT INTO requests SELECT name, 'ada', 'ai_message', NULL, '', 'open', NULL, '2026-11-10'
  FROM (VALUES ('{november}'), ('{december}'), ('odd')) x(name);
INSERT INTO attempts (id, request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, claim,
  created_at) SELECT row_number() OVER (), request_id, 1, 'mini', '{{}}', 1, 1, 1, 'sent', 'o', '2027', '{{}}',
  CASE request_id WHEN 'odd' THEN 'ada/key' ELSE request_id || '/1' END, '2026-11-10' FROM requests ORDER BY request_id;
SELECT setval('attempts_id_seq', 7);
INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at)
  SELECT id, 1, 'hold', 1, 'ada', '2026-11-10' FROM attempts UNION ALL SELECT NULL, 1, 'grant', 5, 'ada', '2026-11-10';
INSERT INTO ai_model_usage (request_id, n, user_id, feature, model_used, outcome, input_tokens, mode, routing_reason, created_at)
  SELECT request_id, 0, 'ada', 'ai_message', 'mini', 'failed', 3, 'auto', 'x', '2026-11-10' FROM requests;
INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_output_tokens, predicted_cost_usd,
  max_cost_usd, predicted_energy, formula_tokens, recommended_model, routing_reason, approved, created_at)
  SELECT request_id, 'ada', 'ai_message', 1, 1, 1, 1, 1, 1, 'mini', 'x', 1, '2026-11-10' FROM requests;
"""


def test_books_of_before_are_laid_into_their_months(monkeypatch: pytest.MonkeyPatch) -> None:
    url, clock = new_database(), SettableClock()
    november = new_id(clock)
    clock.time = DECEMBER
    december = new_id(clock)
    with psycopg.connect(url, autocommit=True) as connection:
        with monkeypatch.context() as earlier:
            earlier.setattr(schema, "SCHEMA_VERSION", 28)
            schema.migrate(connection, lambda: None)
        connection.execute(BEFORE.format(november=november, december=december).encode())
        schema.migrate(connection, lambda: None)

        def found(sql: str) -> Any:
            return connection.execute(sql.encode()).fetchall()

        assert found("SELECT max(number) FROM migrations") == [(SCHEMA_VERSION,)]
        for table in TABLES:
            key = "of_request" if table == "ledger_entries" else "request_id"
            lies = dict(found(f"SELECT {key}, tableoid::regclass::text FROM {table}"))
            assert lies.pop("", "ledger_entries_grants") == "ledger_entries_grants"
            assert lies == {november: f"{table}_2026_11", december: f"{table}_2026_12", "odd": f"{table}_rest"}
        assert found("SELECT claim, request_id, n FROM claims") == [("ada/key", "odd", 1)]
        assert found("SELECT nextval('attempts_id_seq'), (SELECT sum(total_tokens) FROM ai_model_usage)") == [(8, 9)]
        assert found(
            "SELECT attempt, of_request FROM ledger_entries e WHERE NOT EXISTS (SELECT 1 FROM attempts t "
            "WHERE t.id = e.attempt AND t.request_id = e.of_request)"
        ) == [(None, "")]
