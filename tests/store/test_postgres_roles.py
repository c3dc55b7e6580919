"""Who may do what with plain SQL: the application owns nothing, and a person's login reads its own rows and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from nexscout_cli.config import Settings
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import NotPermitted, StoreError, UsageError
from nexscout_cli.store.postgres.store import PostgresStore
from tests.contract.books import PostgresBooks
from tests.support.clock import SettableClock
from tests.support.postgres import as_login, binaries, new_database, own_server
from tests.support.postgres import url as url_of
from tests.support.steps import Steps

_SUFFIX = os.getpid()
SERVICE, ALICE, MALLORY = f"svc_{_SUFFIX}", f"alice_{_SUFFIX}", f"mallory_{_SUFFIX}"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Books of ada's with rows of alice and bob, and three logins beside the owner's."""
    url = new_database()
    clock, rules = SettableClock(), store_rules(Settings())
    store = PostgresStore(url, clock, rules, "ada")
    ada = Steps(store, "ada", clock, Settings(), url)
    for name in ("alice", "bob"):
        store.users.set_tier("ada", name, "pro")
        ada.post(ada.sent(ada.plan(user=name)))
    ada.post(ada.sent())
    with closing(psycopg.connect(url, autocommit=True)) as owner:
        for login, role in ((SERVICE, "nexscout_service"), (ALICE, "nexscout_member"), (MALLORY, "nexscout_member")):
            owner.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{login}' IN ROLE {role}".encode())
        owner.execute("INSERT INTO nexscout.members VALUES (%s, 'alice'), (%s, 'mallory')", (ALICE, MALLORY))
    yield url
    store.close()


@pytest.fixture
def books(url: str) -> PostgresBooks:
    return PostgresBooks(lambda: url)


def test_the_application_does_all_its_work_and_owns_nothing(url: str, books: PostgresBooks) -> None:
    clock, values = SettableClock(), Settings()
    clock.move(days=40)
    store = PostgresStore(as_login(url, SERVICE), clock, store_rules(values), "ada")
    ada = Steps(store, "ada", clock, values, "service")
    attempt = ada.sent()
    ada.post(attempt)
    found = ada.ledger.cached("ada", "ada", f"key {attempt.request_id}")
    assert found is not None
    ada.hit(ada.request(), found)
    ada.store.feedback.record("ada", attempt.request_id, "bad")
    ada.unknown()
    store.users.set_tier("ada", "carol", "pro")
    store.users.set_role("ada", "carol", "reader")
    store.energy.grant("ada", "carol", 5, "welcome")
    store.profiles.set_panic("ada", True)
    store.profiles.set_panic("ada", False)
    store.cache.clear("ada", "ada", None)
    store.users.forget("ada", "bob")
    assert ada.check() == []
    owned = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = %s"
    with closing(psycopg.connect(url)) as owner:
        assert owner.execute(owned, (SERVICE,)).fetchone() == (0,)
        roles = owner.execute(
            "SELECT bool_or(rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb) FROM pg_roles WHERE rolname = ANY(%s)",
            ([SERVICE, ALICE, MALLORY, "nexscout_service", "nexscout_member"],),
        ).fetchone()
        assert roles == (False,)
    store.close()


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM ledger_entries",
        "UPDATE ledger_entries SET amount = 0",
        "TRUNCATE ledger_entries",
        "DELETE FROM attempts",
        "DELETE FROM requests",
        "INSERT INTO archives SELECT '2026-01', '2999-01-01', '', '', 0, 0, 0, 0, 0, 0, '', '', 1, '', ''",
        "INSERT INTO closings SELECT id, '2026-01', 1, 0 FROM accounts",
        "DELETE FROM accounts",
        "DELETE FROM ai_model_usage",
        "UPDATE usage_by_user_day SET cost_usd = 0",
        "INSERT INTO usage_by_user_day SELECT * FROM usage_by_user_day",
        "UPDATE attempts SET state = 'held' WHERE state = 'posted'",
        "ALTER TABLE ledger_entries DISABLE TRIGGER ALL",
        "ALTER TABLE ledger_entries NO FORCE ROW LEVEL SECURITY",
        "DROP TABLE ledger_entries",
        "SET session_replication_role = replica",
        "SELECT * FROM members",
        "INSERT INTO members VALUES (session_user, 'ada')",
        "CREATE TABLE nexscout.mine (a int)",
        "DELETE FROM migrations",
        "SELECT post('{}')",
        "SELECT change_accounts('[[1, -1000, 0, 0]]', 'NX001')",
        "SELECT settle(1, '{}', '', '{}', '')",
        "INSERT INTO ledger_entries (account, kind, amount, actor, created_at) VALUES (1, 'grant', 1000000, 'ada', '2026')",
        "COPY ledger_entries (account, kind, amount, actor, created_at) FROM STDIN",
        "UPDATE accounts SET granted = granted + 1000000",
        "UPDATE accounts SET held = 0",
        "INSERT INTO accounts (owner, kind, period, granted) VALUES ('eve', 'energy', 'prepaid', 1000000)",
        "UPDATE attempts SET actual = 1",
        "UPDATE attempts SET reason = 'x'",
        "INSERT INTO attempts SELECT * FROM attempts",
        "UPDATE requests SET state = 'voided'",
        "UPDATE ai_model_usage SET cost_usd = 0",
        "INSERT INTO ai_model_usage (request_id, n, user_id, feature, model_used, outcome, mode, routing_reason, created_at) "
        "VALUES ('r', 1, 'alice', 'x', 'm', 'posted', 'auto', 'x', '2026')",
        "UPDATE ai_cost_predictions SET actual_cost_usd = 0",
        "UPDATE users SET role = 'admin'",
        "UPDATE budgets SET cap = 1000000",
        "INSERT INTO budgets VALUES ('*user:alice', 'usd', 'day', 'name', 1000000)",
        "DELETE FROM tier_history",
        "SELECT enter_grant(1, 'grant', 1000000, '', 'ada', '2026')",
        "SELECT enter_usage('[]')",
        "SELECT grant_energy(1, 'grant', 1000000, '', 'alice', '2026')",
        "SELECT grant_energy(id, 'grant', 1000000, '', 'ada', '2026') FROM accounts WHERE kind = 'usd'",
        "SELECT grant_month('alice', id, 1000000, left(created_at, 7), 'alice', created_at) "
        "FROM accounts, users WHERE owner = 'alice' AND kind = 'energy' AND user_id = 'alice'",
        "SELECT grant_month('alice', id, 1000000, '9999-01', 'alice', '9999-01') FROM accounts WHERE owner = 'bob'",
        "SELECT set_cap(id, 0, 1000000, 'ada', '2026') FROM accounts WHERE kind = 'energy'",
        "SELECT hold_accounts(a.id, jsonb_build_array(jsonb_build_array(c.id, -5)), 'ada', '2026') FROM attempts a, accounts c",
        "SELECT settle_accounts(id, '{\"usd\": 0, \"tokens\": 0}', '', 'ada', '2026') FROM attempts",
        "SELECT settle_accounts(id, '{\"usd\": null, \"tokens\": null}', '', 'ada', '2026') FROM attempts",
        "SELECT settle_accounts(id, jsonb_build_object('usd', actual, 'tokens', -1), '', 'ada', '2026') FROM attempts",
        "SELECT move_attempt(id, 'sent', NULL, NULL, NULL, NULL, NULL, false) FROM attempts",
        "SELECT move_request(request_id, 'voided') FROM requests",
        'SELECT enter_attempt(to_jsonb(a) || \'{"state": "posted", "n": 9}\') FROM attempts a',
        'SELECT record_usage(\'{"outcome": "posted", "request_id": "r", "n": 1, "cost_usd": 5}\')',
        'SELECT record_usage(\'{"outcome": "failed", "request_id": "r", "n": 1, "cost_usd": 5}\')',
        "SELECT deliver_usage(request_id, n, 0, 0, 0, '[]') FROM ai_model_usage",
        "SELECT set_tier('alice', 'enterprise', 1, 1, 'alice', '2026')",
        "SELECT set_role('alice', 'admin', false, 'alice')",
        "SELECT set_budget('*user:alice', 'usd', 'day', 'name', 1000000, 'alice')",
        "SELECT set_budget('*key:none', 'usd', 'day', 'key', 1000000, 'alice')",
        "SELECT forget_texts('ada', 'alice')",
        "UPDATE limits SET value = '1000000'",
        "INSERT INTO limits VALUES ('caps.usd.total_day', '1000000', 'ada', '2026')",
        "DELETE FROM limits",
        "UPDATE ai_model_configs SET input_price = 0",
        "UPDATE deployments SET input_price = 0",
        "UPDATE api_keys SET user_id = 'ada'",
        "INSERT INTO api_keys (id, hash, user_id, created_at, created_by) VALUES ('k', 'h', 'ada', '2026', 'ada')",
        "SELECT set_limit('caps.usd.total_day', '1000000', 'alice', '2026')",
        "SELECT put_model(to_jsonb(m) || '{\"input_price\": 0}', 'alice') FROM ai_model_configs m",
        "SELECT put_row('users', '{user_id}', '{}')",
        "SELECT put_deployment('{}', 'alice')",
        "SELECT enter_key('{\"user_id\": \"ada\"}', 'alice')",
    ],
)
def test_the_application_cannot_undo_the_books(url: str, query: str) -> None:
    with closing(psycopg.connect(as_login(url, SERVICE), autocommit=True)) as service:
        service.execute("SET search_path = nexscout")
        with pytest.raises(psycopg.Error) as refused:
            service.execute(query.encode())
    assert isinstance(refused.value, psycopg.errors.InsufficientPrivilege | psycopg.errors.CheckViolation), (
        refused.value
    )


def test_no_table_of_money_is_open_to_the_applications_own_statements(url: str) -> None:
    tables = (
        "ledger_entries",
        "accounts",
        "attempts",
        "requests",
        "ai_cost_predictions",
        "ai_model_usage",
        "users",
        "budgets",
    )
    rights = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    with closing(psycopg.connect(as_login(url, SERVICE), autocommit=True)) as service:
        for table in (
            *tables,
            "tier_history",
            "limits",
            "ai_model_configs",
            "deployments",
            "usage_by_user_day",
            "usage_by_model_day",
            "migrations",
        ):
            for right in rights:
                columns = ", has_any_column_privilege(%s, %s)" if right in ("INSERT", "UPDATE") else ", false"
                query = f"SELECT has_table_privilege(%s, %s){columns}"
                values = [f"nexscout.{table}", right]
                found = service.execute(query.encode(), values * (2 if "any" in columns else 1)).fetchone()
                assert found == (False, False), (table, right)


def test_every_function_has_a_fixed_search_path_and_only_the_application_may_call_those_that_write(url: str) -> None:
    with closing(psycopg.connect(url)) as owner:
        rows = owner.execute(
            "SELECT proname, prosecdef, coalesce(proconfig @> ARRAY['search_path=nexscout, pg_temp'], false), "
            "has_function_privilege('nexscout_service', oid, 'EXECUTE'), "
            "has_function_privilege('nexscout_member', oid, 'EXECUTE') "
            "FROM pg_proc WHERE pronamespace = 'nexscout'::regnamespace"
        ).fetchall()
    assert {row[0] for row in rows if not row[2]} == set()
    assert {row[0] for row in rows if row[4]} == {"me"}
    assert {row[0] for row in rows if row[3] and not row[1]} == set()


def member(url: str, login: str = MALLORY) -> Any:
    connection = psycopg.connect(as_login(url, login), autocommit=True)
    connection.execute("SET search_path = nexscout, public")
    return closing(connection)


PERSONAL = (
    "users",
    "user_efficiency_profiles",
    "requests",
    "attempts",
    "accounts",
    "ledger_entries",
    "ai_cost_predictions",
    "ai_model_usage",
    "cached_ai_responses",
    "usage_by_user_day",
    "user_energy",
    "feedback",
)


def test_a_person_reads_what_is_theirs(url: str) -> None:
    with member(url, ALICE) as alice:
        for table in PERSONAL[:-1]:
            assert alice.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0, table
        assert {row[0] for row in alice.execute("SELECT DISTINCT user_id FROM ai_model_usage")} == {"alice"}
        assert alice.execute("SELECT count(*) FROM ai_model_configs").fetchone()[0] == 7


@pytest.mark.parametrize("table", PERSONAL)
def test_a_person_does_not_read_what_is_anothers(url: str, table: str) -> None:
    with member(url) as mallory:
        assert mallory.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


FORGERIES = (
    "SET ROLE nexscout_service",
    "SET SESSION AUTHORIZATION alice",
    "SET app.user_id = 'alice'",
    "SET nexscout.user_id = 'alice'",
    """SET request.jwt.claims = '{"sub": "alice", "role": "service_role"}'""",
    "SET row_security = off",
    "SET search_path = pg_temp, nexscout",
    "CREATE TEMP TABLE members AS SELECT session_user::text AS login, 'alice'::text AS user_id",
    "CREATE TEMP TABLE users AS SELECT 'mallory'::text AS user_id, 'admin'::text AS role",
    "CREATE FUNCTION pg_temp.me() RETURNS text LANGUAGE sql AS $$ SELECT 'alice'::text $$",
    "CREATE TEMP VIEW mine AS SELECT * FROM nexscout.ai_model_usage",
    "CREATE OPERATOR pg_temp.= (leftarg = text, rightarg = text, function = textne)",
    "PREPARE mine AS SELECT count(*) FROM nexscout.ai_model_usage",
    "DECLARE mine CURSOR WITH HOLD FOR SELECT * FROM nexscout.ai_model_usage",
    "SET ROLE NONE",
    "SET SESSION AUTHORIZATION DEFAULT",
    "CREATE FUNCTION pg_temp.leak(text) RETURNS bool COST 0.0001 LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$",
)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_forgery_shows_anothers_rows(url: str, forgery: str) -> None:
    with member(url) as mallory:
        told: list[str] = []
        mallory.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
        try:
            mallory.execute(forgery)
        except psycopg.Error:
            return
        for query in (
            "SELECT count(*) FROM nexscout.ai_model_usage",
            "SELECT count(*) FROM mine",
            "EXECUTE mine",
            "FETCH ALL FROM mine",
            "SELECT count(*) FROM nexscout.users WHERE user_id OPERATOR(pg_temp.=) 'x'",
            "SELECT length(query_to_xml('SELECT * FROM nexscout.ai_model_usage', true, true, '')::text) / 10",
            "SELECT count(*) FROM pg_stats WHERE schemaname = 'nexscout'",
            "SELECT count(*) FROM pg_stat_activity WHERE usename <> session_user AND query ~ 'nexscout'",
        ):
            try:
                assert mallory.execute(query).fetchone() in (None, (0,)), query
            except psycopg.Error:
                continue
        with suppress(psycopg.Error):
            mallory.execute("SELECT * FROM nexscout.users WHERE pg_temp.leak(user_id)").fetchall()
        assert told == []


WRITES = (
    "INSERT INTO ledger_entries (account, kind, amount, actor, created_at) VALUES (1, 'grant', 1000000, 'ada', '2026')",
    "UPDATE accounts SET granted = 1000000",
    "UPDATE users SET role = 'admin'",
    "INSERT INTO users (user_id, daily_token_budget, created_at, role) VALUES ('mallory', 1, '2026', 'admin')",
    "UPDATE budgets SET cap = 1000000",
    "DELETE FROM budgets",
    "UPDATE ai_model_configs SET input_price = 0",
    "INSERT INTO ai_model_usage (request_id, n, user_id, feature, model_used, outcome, mode, routing_reason, created_at) "
    "VALUES ('r', 1, 'mallory', 'x', 'm', 'posted', 'auto', 'x', '2026')",
    "DELETE FROM cached_ai_responses",
    "UPDATE meta SET value = '1' WHERE key = 'panic'",
    "INSERT INTO members VALUES ('x', 'alice')",
    "UPDATE members SET user_id = 'alice'",
    "SELECT * FROM members",
    "SELECT * FROM api_keys",
    "SELECT * FROM budgets",
    "SELECT * FROM usage_by_model_day",
    "SELECT cost_usd, requests FROM archives",
    "SELECT * FROM lessons",
    "SELECT * FROM workers",
    "SELECT last_value FROM attempts_id_seq",
    "SELECT table_to_xml('nexscout.members', true, false, '')",
    "SELECT * FROM ai_model_usage FOR UPDATE",
    "SELECT 1 FROM users FOR KEY SHARE",
    "MERGE INTO users u USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET role = 'admin'",
    "SELECT resolve('{}')",
    "SELECT recover('{}')",
    "SELECT lives('x', '', '2026-01-01T00:00:00.000000Z', '1s')",
    "BEGIN; LOCK TABLE ledger_entries IN ROW SHARE MODE",
    "BEGIN; LOCK TABLE members IN ACCESS SHARE MODE",
    "SELECT add_to_sums(NULL, 'm', 'f')",
    "SELECT step('{}')",
    "SELECT steps('{}')",
    "SELECT hold('{}')",
    "SELECT post('{}')",
    "SELECT change_accounts('[[1, -1000, 0, 0]]', 'NX001')",
    "SELECT profile_of('alice', '')",
    "COPY ai_model_usage TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM pg_authid",
    "GRANT nexscout_service TO CURRENT_USER",
    "ALTER TABLE ai_model_usage DISABLE ROW LEVEL SECURITY",
    "DROP POLICY own ON ai_model_usage",
    "CREATE POLICY all_of_it ON ai_model_usage USING (true)",
    "CREATE TABLE nexscout.mine (a int)",
    "CREATE TRIGGER t AFTER INSERT ON ai_model_usage EXECUTE FUNCTION usage_entered()",
    "LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE",
)


def test_a_login_that_comes_back_with_a_role_of_its_own_wish_has_it_not(url: str) -> None:
    with member(url) as mallory:
        mallory.execute("ALTER ROLE CURRENT_USER SET role = 'nexscout_service'")
    try:
        with member(url) as mallory:
            assert mallory.execute("SELECT current_user").fetchone() == (MALLORY,)
            assert mallory.execute("SELECT count(*) FROM ai_model_usage").fetchone() == (0,)
    finally:
        with closing(psycopg.connect(url, autocommit=True)) as owner:
            owner.execute(f"ALTER ROLE {MALLORY} RESET ALL".encode())


def test_a_copy_of_a_table_holds_ones_own_rows(url: str) -> None:
    def copied(login: str, what: str) -> set[str]:
        with member(url, login) as person, person.cursor().copy(f"COPY {what} TO STDOUT".encode()) as rows:
            return set(b"".join(bytes(row) for row in rows).decode().split())

    for table in ("requests", "(SELECT user_id FROM ai_model_usage)"):
        assert copied(MALLORY, table) == set()
    assert copied(ALICE, "requests (user_id)") == copied(ALICE, "(SELECT user_id FROM ai_model_usage)") == {"alice"}


@pytest.mark.parametrize("query", WRITES)
def test_a_person_changes_nothing_and_reads_no_secret(url: str, query: str) -> None:
    with member(url) as mallory, pytest.raises(psycopg.Error):
        mallory.execute(query)


def test_a_persons_command_line_reads_and_is_told_where_to_go_to_spend(url: str) -> None:
    clock, values = SettableClock(), Settings()
    store = PostgresStore(as_login(url, ALICE), clock, store_rules(values), "alice")
    assert [row.user_id for row in store.users.listing("alice")] == ["alice"]
    assert len(store.log.latest("alice")) == 1
    assert store.maintenance.archives("alice") == []
    with pytest.raises(UsageError, match="there is no request"):
        store.log.show("alice", "0190000000")
    with pytest.raises(NotPermitted):
        store.profiles.set_mode("alice", "alice", "fast")
    store.close()


def test_a_login_that_may_not_make_the_schema_is_told_so(url: str) -> None:
    empty = new_database()
    with pytest.raises((StoreError, NotPermitted)) as told:
        PostgresStore(as_login(empty, SERVICE), SettableClock(), store_rules(Settings()), "ada")
    assert told.value.code == "not_owner"


def test_the_copy_of_a_member_is_no_way_out(url: str, tmp_path: Path) -> None:
    from nexscout_cli import assemble

    store = PostgresStore(as_login(url, MALLORY), SettableClock(), store_rules(Settings()), "ada")
    with pytest.raises((NotPermitted, StoreError)):
        assemble.copy_store(store, "ada", str(tmp_path / "copy.db"), lambda table, n: None)
    store.close()


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[str]:
    """A database on a server of its own, owned by a login that is no superuser and may make roles."""
    server = own_server()
    with closing(psycopg.connect(server.dsn, autocommit=True)) as root:
        root.execute("CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'keeper'")
        root.execute("CREATE DATABASE books OWNER keeper")
        root.execute("CREATE DATABASE more OWNER keeper")
    yield as_login(url_of(make_conninfo(server.dsn, dbname="books")), "keeper")
    server.remove()


def test_who_may_do_more_than_the_roles_is_told_by_check(url: str, books: PostgresBooks) -> None:
    store = PostgresStore(url, SettableClock(), store_rules(Settings()), "ada")
    books.change(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA nexscout TO {ALICE}; GRANT TRUNCATE ON requests TO PUBLIC")
    try:
        told = [problem.message for problem in store.maintenance.check("ada") if problem.name == "rights"]
        assert len(told) == 2 and told[0] == "everybody may change requests"
        assert told[1].startswith(f"{ALICE} may call ") and " step, " in told[1]
    finally:
        books.change(
            f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM {ALICE}; REVOKE TRUNCATE ON requests FROM PUBLIC"
        )
        store.close()


def test_locks_and_files_are_closed_to_people_as_the_page_says(owned: str) -> None:
    clock, values = SettableClock(), Settings()
    store = PostgresStore(owned, clock, store_rules(values), "ada")
    page = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text()
    (block,) = [part for part in page.split("```") if "pg_(try_)?advisory" in part]
    root = owned.replace("keeper:keeper@", "postgres@")
    with closing(psycopg.connect(root, autocommit=True)) as superuser:
        superuser.execute("CREATE ROLE ana LOGIN PASSWORD 'ana' IN ROLE nexscout_member")
        superuser.execute("CREATE ROLE app LOGIN PASSWORD 'app' IN ROLE nexscout_service")
        superuser.execute(block.removeprefix("sql").encode())
    with member(owned, "ana") as ana:
        for query in (
            "SELECT pg_advisory_lock(1853358082, 0)",
            "SELECT pg_try_advisory_xact_lock_shared(1853358082, 0)",
            "SELECT count(pg_advisory_lock(7, n)) FROM generate_series(1, 200000) n",
            "SELECT lo_create(0)",
            "CREATE TEMP TABLE filler AS SELECT generate_series(1, 1000000)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ana.execute(query.encode())
    served = PostgresStore(as_login(owned, "app"), clock, store_rules(values), "ada")
    ada = Steps(served, "ada", clock, values, "served")
    ada.post(ada.sent())
    served.recovery.resolve("ada", ada.unknown().request_id, 5)
    served.users.set_tier("ada", "carol", "pro")
    assert ada.check() == []
    served.close()
    store.close()


def test_an_owner_without_more_rights_sets_up_uses_copies_and_backs_up_the_books(
    owned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nexscout_cli import assemble

    monkeypatch.setenv("PATH", str(binaries()), prepend=os.pathsep)
    clock, values = SettableClock(), Settings()
    store = PostgresStore(owned, clock, store_rules(values), "ada")
    ada = Steps(store, "ada", clock, values, "owned")
    ada.post(ada.sent())
    assert ada.check() == []
    assert store.maintenance.backup("ada", tmp_path / "books.dump").stat().st_size > 1000
    rows, problems = assemble.copy_store(store, "ada", str(tmp_path / "copy.db"), lambda table, n: None)
    assert problems == [] and rows["ai_model_usage"] == 1
    back = assemble.open_store(Settings(), "ada", tmp_path / "copy.db", clock)
    more = owned.replace("/books?", "/more?")
    assert assemble.copy_store(back, "ada", more, lambda table, n: None) == (rows, [])
    back.close()
    store.close()
