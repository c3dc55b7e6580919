"""In a database as Supabase sets it up: its roles, its schema auth, and people who come through its service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.store.postgres.store import PostgresStore
from tests.support.clock import SettableClock
from tests.support.postgres import own_server
from tests.support.postgres import url as url_of
from tests.support.steps import Steps

ALICE, MALLORY = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SETUP = """
CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN; CREATE ROLE service_role NOLOGIN;
CREATE ROLE authenticator LOGIN NOINHERIT;
GRANT anon, authenticated, service_role TO authenticator;
CREATE ROLE mallory LOGIN;
CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Books of ada's, with a call of alice's, in such a database."""
    server = own_server()
    with closing(psycopg.connect(server.dsn, autocommit=True)) as root:
        root.execute(SETUP.encode())
    url = url_of(server.dsn)
    clock, values = SettableClock(), Settings()
    store = PostgresStore(url, clock, store_rules(values), "ada")
    ada = Steps(store, "ada", clock, values, url)
    store.users.set_tier("ada", "alice", "pro")
    store.users.set_tier("ada", "mallory", "pro")
    ada.post(ada.sent(ada.plan(user="alice")))
    ada.post(ada.sent())
    with closing(psycopg.connect(url, autocommit=True)) as root:
        root.execute(
            "INSERT INTO nexscout.members VALUES (%s, 'alice'), (%s, 'mallory'), ('mallory', 'mallory')",
            (ALICE, MALLORY),
        )
        root.execute("GRANT nexscout_member TO mallory")
    yield url
    store.close()
    server.remove()


def through_the_service(url: str, sub: str | None, role: str = "authenticated") -> Any:
    """A connection as the service makes one for a person whose token it has verified."""
    connection = psycopg.connect(url.replace("postgresql://postgres@", "postgresql://authenticator@"), autocommit=True)
    connection.execute("SELECT set_config('request.jwt.claims', %s, false)", (json.dumps({"sub": sub, "role": role}),))
    connection.execute(f"SET ROLE {role}".encode())
    return closing(connection)


def users_seen(connection: Any) -> list[str]:
    return [row[0] for row in connection.execute("SELECT DISTINCT user_id FROM nexscout.ai_model_usage ORDER BY 1")]


def test_a_person_who_comes_through_the_service_reads_what_is_theirs(url: str) -> None:
    with through_the_service(url, ALICE) as alice:
        assert users_seen(alice) == ["alice"]
    with through_the_service(url, MALLORY) as mallory:
        assert users_seen(mallory) == []
        assert mallory.execute("SELECT count(*) FROM nexscout.ai_model_configs").fetchone()[0] > 0


def test_somebody_who_is_no_member_and_somebody_without_a_name_read_nothing(url: str) -> None:
    with through_the_service(url, "33333333-3333-4333-8333-333333333333") as stranger:
        assert users_seen(stranger) == []
    with through_the_service(url, None, "anon") as nobody, pytest.raises(psycopg.errors.InsufficientPrivilege):
        users_seen(nobody)


def test_claims_that_a_login_of_its_own_sets_are_not_believed(url: str) -> None:
    with closing(
        psycopg.connect(url.replace("postgresql://postgres@", "postgresql://mallory@"), autocommit=True)
    ) as mallory:
        mallory.execute("SELECT set_config('request.jwt.claims', %s, false)", (json.dumps({"sub": ALICE}),))
        assert users_seen(mallory) == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT nexscout.step('{}')",
        "SELECT nexscout.steps('{}')",
        "UPDATE nexscout.accounts SET granted = 10",
        "INSERT INTO nexscout.members VALUES ('x', 'alice')",
        "SELECT * FROM nexscout.members",
    ],
)
def test_a_person_who_comes_through_the_service_changes_nothing(url: str, query: str) -> None:
    with through_the_service(url, MALLORY) as mallory, pytest.raises(psycopg.errors.InsufficientPrivilege):
        mallory.execute(query.encode())


def test_the_service_role_does_the_applications_work(url: str) -> None:
    with through_the_service(url, None, "service_role") as service:
        assert users_seen(service) == ["ada", "alice"]
