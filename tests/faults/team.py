"""A desk whose books are on a server, and what its books must say afterwards."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.contract.books import PostgresBooks
from tests.faults.conftest import Desk, Done, _clean
from tests.support.fault_server import FaultServer
from tests.support.postgres import as_application

END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = 'nexscout' AND datname = current_database()"
)
"""Ends every connection of a program's to the database."""
APP = f"app_{os.getpid()}"
"""The application's login."""


class Team:
    """A desk whose books are on a server, as the application's login."""

    def __init__(self, folder: Path, place: str, provider: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        _clean(monkeypatch.setenv, monkeypatch.delenv)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("NEXSCOUT_HOME", str(folder / "home"))
        monkeypatch.setenv("NEXSCOUT_STORE_LOCK_TIMEOUT", "0.3")
        self._env = monkeypatch
        self.desk = Desk(folder / "home")
        self.place, self.provider = place, provider
        self.at(place)
        assert self.desk("models", "set", "gpt-4o", "--api-base", provider.url).status == 0
        self.at(as_application(place))

    def at(self, url: str) -> None:
        self.url = url
        self._env.setenv("NEXSCOUT_DB", url)

    def root(self, *statements: str) -> None:
        with closing(psycopg.connect(self.place, autocommit=True)) as root:
            for sql in statements:
                root.execute(sql.encode())

    def ask(self, prompt: str = "Hello") -> Done:
        return self.desk("run", "-m", "gpt-4o", "--json", prompt)

    def refuses(self, code: str) -> Done:
        """A call is refused with that code, and nothing reaches the provider."""
        before = self.provider.hits
        done = self.ask()
        assert (done.status, done.code) == (6, code), done
        assert self.provider.hits == before
        return done

    def states(self) -> list[str]:
        return PostgresBooks(lambda: self.place).listed("attempts", "state")

    def settled(self, *states: str) -> None:
        """The attempts are in those states, what was posted is there once, and nothing is wrong."""
        books = PostgresBooks(lambda: self.place)
        assert tuple(self.states()) == states
        assert books.count("usage", outcome="posted") == states.count("posted")
        assert books.total("usage", "cost_usd") == books.total("attempts", "actual")
        assert self.desk("db", "check").status == 0
