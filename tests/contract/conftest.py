"""The stores that must keep the contract. A store is a way to open itself at a place of its own, and a reader of its books."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.ports import Clock
from nexscout_cli.engine.store_ports import Store
from nexscout_cli.engine.store_rules import StoreRules, store_rules
from nexscout_cli.store.postgres.store import PostgresStore
from nexscout_cli.store.sqlite.books import fill
from nexscout_cli.store.sqlite.store import SqliteStore
from tests.contract.books import Books, PostgresBooks, SqliteBooks
from tests.support.clock import SettableClock
from tests.support.postgres import as_application, binaries, emptied_database, give_back
from tests.support.steps import Steps


class Kind(NamedTuple):
    """A kind of store: how one is opened (made where there is none) for a place, and how its books are read."""

    name: str
    open: Callable[[Path, Clock, StoreRules, str], Store]
    books: Callable[[Path], Books]


_databases: dict[Path, str] = {}
"""The PostgreSQL database of each place."""


def _open_postgres(place: Path, clock: Clock, rules: StoreRules, owner: str) -> PostgresStore:
    """As the application's login, which owns nothing; what the owner's alone is, new books, is done by the owner."""
    if place not in _databases:
        _databases[place], has_schema = emptied_database()
        as_owner = PostgresStore(_databases[place], clock, rules, owner)
        if has_schema:
            with as_owner.write(owner) as t:
                fill(t)
        as_owner.close()
    return PostgresStore(as_application(_databases[place]), clock, rules, owner)


KINDS = [
    Kind(
        "sqlite", lambda place, *how: SqliteStore(place / "nexscout.db", *how), lambda p: SqliteBooks(p / "nexscout.db")
    ),
    Kind("postgres", _open_postgres, lambda place: PostgresBooks(lambda: _databases[place])),
]


class Shop:
    """One place with a store, and the people at it. ``ada`` made it: she is its admin."""

    def __init__(self, kind: Kind, place: Path) -> None:
        self.kind = kind
        self.place = place
        self.clock = SettableClock()
        self.books = kind.books(place)
        self._opened: list[Store] = []

    def actor(self, name: str = "ada", **settings: Any) -> Steps:
        """A person at a connection of their own."""
        values = Settings().with_values(**settings)
        store = self.kind.open(self.place, self.clock, store_rules(values), name)
        self._opened.append(store)
        return Steps(store, name, self.clock, values, self.place)

    def owner(self, name: str = "ada") -> Steps:
        """A person with the login that owns the tables."""
        if self.kind.name != "postgres":
            return self.actor(name)
        values = Settings()
        store = PostgresStore(_databases[self.place], self.clock, store_rules(values), name)
        self._opened.append(store)
        return Steps(store, name, self.clock, values, self.place)

    def at(self, place: str) -> Steps:
        """``ada`` at other books, of the same time: a file's name, or the URL of a database."""
        values = Settings()
        rules = store_rules(values)
        there = place.startswith("postgres")
        store: Store = (
            PostgresStore(place, self.clock, rules, "ada")
            if there
            else SqliteStore(Path(place), self.clock, rules, "ada")
        )
        self._opened.append(store)
        return Steps(store, "ada", self.clock, values, place)

    def close(self) -> None:
        """Close every connection."""
        for store in self._opened:
            store.close()
        if self.place in _databases:
            give_back(_databases.pop(self.place))


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A new store of each kind."""
    if request.param.name == "postgres":
        monkeypatch.setenv("PATH", str(binaries()), prepend=os.pathsep)  # where pg_dump is that fits the server
    monkeypatch.chdir(tmp_path)
    shop = Shop(request.param, tmp_path)
    yield shop
    shop.close()


@pytest.fixture
def ada(shop: Shop) -> Steps:
    """The admin."""
    return shop.actor("ada")


@pytest.fixture
def books(shop: Shop, ada: Steps) -> Books:
    """The books of the store that ada has opened."""
    return shop.books


@pytest.fixture
def bob(shop: Shop, ada: Steps) -> Steps:
    """A user who is no admin, with 200 energy."""
    ada.store.users.set_tier("ada", "bob", "free")
    ada.store.energy.set_balance("ada", "bob", 200, "for the test")
    return shop.actor("bob")
