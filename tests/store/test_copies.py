"""``db copy``: all books from a file to a server and back, and the same there."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nexscout_cli import assemble
from nexscout_cli.errors import NotPermitted, StoreError, UsageError
from nexscout_cli.store.copying import TABLES
from nexscout_cli.store.postgres import copies
from nexscout_cli.store.postgres.store import PostgresStore
from nexscout_cli.store.sqlite.folds import FOLDS
from nexscout_cli.store.sqlite.rollups import ROLLUPS
from tests.contract.books import PostgresBooks, SqliteBooks
from tests.contract.conftest import Shop
from tests.contract.conftest import shop as shop
from tests.support.postgres import new_database

KINDS = (
    "accounts",
    "attempts",
    "requests",
    "entries",
    "usage",
    "predictions",
    "cached",
    "users",
    "profiles",
    "lengths",
)


@pytest.fixture
def busy(shop: Shop) -> Any:
    """A store in which everything has happened once."""
    ada = shop.actor("ada")
    ada.store.users.set_tier("ada", "bob", "pro")
    bob = shop.actor("bob")
    attempt = ada.sent()
    ada.post(attempt)
    ada.store.feedback.record("ada", attempt.request_id, "good", "nice; it's fine \\u0000 é 👍")
    found = ada.ledger.cached("ada", "ada", f"key {attempt.request_id}")
    assert found is not None
    ada.hit(ada.request(), found)
    ada.unknown()
    bob.post(bob.sent())
    bob.hold()
    return ada


def copied(shop: Shop, at: Any, tmp_path: Path) -> Any:
    """The books of a copy in the other kind of store, and its place."""
    to = str(tmp_path / "copy.db") if shop.kind.name == "postgres" else new_database()
    rows, problems = assemble.copy_store(at.store, "ada", to, lambda table, n: None)
    assert problems == [] and set(rows) == set(TABLES)
    return SqliteBooks(Path(to)) if shop.kind.name == "postgres" else PostgresBooks(lambda: to), to


def plain(books: Any, kind: str) -> list[Any]:
    """A kind's rows. One column of JSON is left as text where it is kept as text."""
    rows = getattr(books, kind)()
    for row in rows:
        if isinstance(row.get("token_classes"), str):
            row["token_classes"] = json.loads(row["token_classes"])
    return list(rows)


def test_a_copy_holds_what_the_books_hold(shop: Shop, busy: Any, tmp_path: Path) -> None:
    books, _ = copied(shop, busy, tmp_path)
    for kind in (*KINDS, "models", "verdicts"):
        assert plain(books, kind) == plain(shop.books, kind), kind


def test_there_and_back_nothing_is_lost(shop: Shop, busy: Any, tmp_path: Path) -> None:
    if shop.kind.name == "postgres":
        pytest.skip("the way there is a file's")
    _, url = copied(shop, busy, tmp_path)
    on_server = PostgresStore(url, shop.clock, busy.store.rules, "ada")
    assemble.copy_store(on_server, "ada", str(tmp_path / "back.db"), lambda table, n: None)
    on_server.close()
    back = SqliteBooks(tmp_path / "back.db")
    for kind in KINDS:
        assert plain(back, kind) == plain(shop.books, kind), kind


def test_a_copy_goes_on_where_the_books_were(shop: Shop, busy: Any, tmp_path: Path) -> None:
    if shop.kind.name == "postgres":
        pytest.skip("ids go on by themselves in a file")
    books, url = copied(shop, busy, tmp_path)
    from tests.support.steps import Steps

    store = PostgresStore(url, shop.clock, busy.store.rules, "ada")
    ada = Steps(store, "ada", shop.clock, busy.settings, "copy")
    ada.post(ada.sent())
    assert ada.check() == []
    assert books.count("usage") == shop.books.count("usage") + 1
    store.close()


def test_books_are_never_copied_over_others(shop: Shop, busy: Any, tmp_path: Path) -> None:
    _, to = copied(shop, busy, tmp_path)
    with pytest.raises(UsageError):
        assemble.copy_store(busy.store, "ada", to, lambda table, n: None)


def test_who_is_no_admin_copies_nothing(shop: Shop, busy: Any, tmp_path: Path) -> None:
    with pytest.raises(NotPermitted):
        assemble.copy_store(busy.store, "bob", str(tmp_path / "mine.db"), lambda table, n: None)
    assert not (tmp_path / "mine.db").exists()


def test_a_copy_that_is_cut_short_leaves_nothing(shop: Shop, busy: Any, tmp_path: Path) -> None:
    def stop(table: str, rows: int) -> None:
        if table == "ai_model_usage":
            raise KeyboardInterrupt

    to = str(tmp_path / "copy.db") if shop.kind.name == "postgres" else new_database()
    with pytest.raises(KeyboardInterrupt):
        assemble.copy_store(busy.store, "ada", to, stop)
    if shop.kind.name == "postgres":
        assert not list(tmp_path.glob("copy.db*"))
    copied_at_last, problems = assemble.copy_store(busy.store, "ada", to, lambda table, n: None)
    assert problems == [] and copied_at_last["users"] == 2


def test_a_copy_to_a_server_goes_on_where_it_was_cut_short(shop: Shop, busy: Any, tmp_path: Path) -> None:
    url = new_database()

    def stop(table: str, rows: int) -> None:
        if table == "ai_cost_predictions":
            raise KeyboardInterrupt

    written: list[str] = []
    monkeypatch = pytest.MonkeyPatch()
    books = copies._NewBooks.write

    def write(self: Any, table: str, *rest: Any) -> None:
        written.append(table)
        books(self, table, *rest)

    monkeypatch.setattr(copies._NewBooks, "write", write)
    try:
        with pytest.raises(KeyboardInterrupt):
            assemble.copy_store(busy.store, "ada", url, stop)
        before, after = [*written], TABLES[TABLES.index("ai_cost_predictions") + 1 :]
        with pytest.raises(StoreError) as told:  # nobody works with half of the books
            PostgresStore(url, shop.clock, busy.store.rules, "ada")
        assert told.value.code == "unfinished"
        written.clear()
        rows, problems = assemble.copy_store(busy.store, "ada", url, lambda table, n: None)
        assert problems == [] and [*rows] == [*TABLES]
        assert written == [*after] and "ledger_entries" in before
    finally:
        monkeypatch.undo()
    for kind in KINDS:
        assert plain(PostgresBooks(lambda: url), kind) == plain(shop.books, kind), kind


def test_a_copy_of_books_that_have_changed_since_it_was_cut_short_begins_anew(shop: Shop, busy: Any) -> None:
    url = new_database()

    def stop(table: str, rows: int) -> None:
        if table == "ai_cost_predictions":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assemble.copy_store(busy.store, "ada", url, stop)
    shop.clock.move(seconds=2)
    busy.post(busy.sent())
    _, problems = assemble.copy_store(busy.store, "ada", url, lambda table, n: None)
    assert problems == []
    for kind in KINDS:
        assert plain(PostgresBooks(lambda: url), kind) == plain(shop.books, kind), kind


def test_every_table_is_copied_or_made_again(shop: Shop, busy: Any) -> None:
    if shop.kind.name == "postgres":
        with psycopg.connect(shop.books._url()) as connection:  # type: ignore[attr-defined]
            found = connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'nexscout'::regnamespace AND relkind IN ('r', 'p') "
                "AND NOT relispartition"
            ).fetchall()
        of_its_own = {"migrations", "members", "lessons", "workers", "folding", "key_requests", "claims", "leaving_months"}
    else:
        with sqlite3.connect(shop.books._path) as connection:  # type: ignore[attr-defined]
            found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        of_its_own = {"_sqlite_migrations", "folding"}
    assert {row[0] for row in found} - of_its_own == {*TABLES, *ROLLUPS, "fold_marks", *(fold.table for fold in FOLDS)}


def test_a_copy_that_differs_is_taken_back(
    busy: Any, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nexscout_cli.store.copying import Totals
    from nexscout_cli.store.postgres import copies as on_servers
    from nexscout_cli.store.sqlite import copies as in_files

    for books in (on_servers._Books, in_files._File):
        monkeypatch.setattr(books, "totals", lambda self, table, columns: Totals(0, {}))
    to = str(tmp_path / "copy.db") if shop.kind.name == "postgres" else new_database()
    with pytest.raises(StoreError, match="rows left"):
        assemble.copy_store(busy.store, "ada", to, lambda table, n: None)
