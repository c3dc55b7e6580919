"""Putting the parts together: the system's clock, the store on disk, the real providers and tokenizer."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nexscout_cli import config, system, waiting
from nexscout_cli.config import Settings
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import NotPermitted, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.engine.book_types import Problem
    from nexscout_cli.engine.interrupts import Interrupts
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.planning.texts import Count
    from nexscout_cli.engine.ports import Clock, Observer
    from nexscout_cli.engine.store_ports import Store


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        if (loop := waiting.here()) is not None:
            loop.sleep(seconds)
        else:
            time.sleep(seconds)


def login_name() -> str:
    """Who is at the keyboard: ``NEXSCOUT_ACTOR``, else the login name."""
    if name := os.environ.get("NEXSCOUT_ACTOR", "").strip():
        return name
    return system.login()


def open_store(
    settings: Settings | None = None,
    actor: str | None = None,
    path: Path | None = None,
    clock: Clock | None = None,
    *,
    makes: bool = True,
) -> Store:
    """Open the database, made when there is none: then the actor owns it. Raises StoreError.

    ``path``: a file, whatever NEXSCOUT_DB says. ``clock`` None: the machine's, or the server's where a server has the books.
    ``makes`` False: on a server books are not made: a read must leave nothing in a database that is somebody else's.
    """
    rules = store_rules(settings or config.load())
    url = config.db_url()
    if path is None and url is not None:
        _need_psycopg()
        from nexscout_cli.store.postgres.store import PostgresStore

        return PostgresStore(url, clock, rules, actor or login_name(), config.data_dir(), makes=makes)
    from nexscout_cli.store.sqlite.store import SqliteStore

    return SqliteStore(path or config.db_path(), clock or SystemClock(), rules, actor or login_name())


def copy_store(
    store: Store, actor: str, target: str, tell: Callable[[str, int], None]
) -> tuple[dict[str, int], list[Problem]]:
    """Copy all books into a new file or an empty PostgreSQL database; how many rows of each table, and what is wrong there.

    Raises NotPermitted for who is no admin, UsageError where there are books, StoreError.
    """
    settings = config.load()
    timeout = store_rules(settings).lock_timeout
    if not store.users.is_admin(actor):
        raise NotPermitted("only an admin may copy the whole database", "ask the person who owns this installation")
    if (kind := config.other_url(target)) is not None:
        raise UsageError(f"--to is a URL of {kind}, which nexscout can't use", "give a file or postgresql://…")
    if config.is_url(target):
        _need_psycopg()
        from nexscout_cli.store.postgres import copies as on_servers
        from nexscout_cli.store.postgres.store import PostgresStore

        rows = store.maintenance.copy_to(on_servers.making(target, timeout), tell)
        copy: Store = PostgresStore(target, None, store_rules(settings), actor)
    else:
        from nexscout_cli.store.sqlite import copies as in_files

        file = Path(os.path.expanduser(target))  # noqa: PTH111 - a name that nobody has stays as it is
        rows = store.maintenance.copy_to(in_files.making(file, timeout), tell)
        copy = open_store(settings, actor, file)
    try:
        return rows, copy.maintenance.check(actor)
    finally:
        copy.close()


def opened(
    asked: Settings, actor: str, path: Path | None = None, clock: Clock | None = None, *, makes: bool = True
) -> tuple[Store, Settings]:
    """The database as :func:`open_store` opens it, and the settings as its limits allow them; what is not used is in
    ``Settings.ignored``. Raises StoreError.
    """
    from nexscout_cli.config.limits import within

    store = open_store(asked, actor, path, clock, makes=makes)
    rows, is_admin = store.limits.read(actor)
    settings = within(asked, rows, is_admin=is_admin)
    store.rules = store_rules(settings)
    return store, settings


def kept_steps() -> list[tuple[Path, int, bool]]:
    """Files of steps of calls that PostgreSQL has not taken, how many are in each, and whether it has refused them for good."""
    if config.db_url() is None:
        return []
    from nexscout_cli.store.postgres.journal import ASIDE, lines_in

    folder = config.data_dir()
    return [(folder / name, steps, name.startswith(ASIDE)) for name, steps in lines_in(folder).items()]


def store_version() -> tuple[str, str]:
    """What keeps the books, and its version; no store is opened. Of a server: what talks to it."""
    if config.db_url() is not None:
        _need_psycopg()
        import importlib.metadata

        return "psycopg", importlib.metadata.version("psycopg")
    from nexscout_cli.store.sqlite.maintenance import engine_version

    return engine_version()


def newest_schema() -> int:
    """The schema that this program brings a store to."""
    if config.db_url() is not None:
        _need_psycopg()
        from nexscout_cli.store.postgres import connections

        return connections.SCHEMA_VERSION
    from nexscout_cli.store.sqlite.database import SCHEMA_VERSION

    return SCHEMA_VERSION


def schema_version() -> int | None:
    """The schema of the database, which is not changed; None where there is none, 0 for one that cannot be read."""
    url = config.db_url()
    if url is not None:
        _need_psycopg()
        from nexscout_cli.store.postgres import connections

        return connections.present_schema(url)
    from nexscout_cli.store.sqlite.database import schema_version

    return schema_version(config.db_path())


def require_books() -> None:
    """Raises StoreError where the server that NEXSCOUT_DB names has no books."""
    url = config.db_url()
    assert url is not None
    if schema_version() is None:
        from nexscout_cli.store.postgres import connections

        raise connections.missing(url)


def _need_psycopg() -> None:
    """Raises StoreError where the driver is not installed."""
    from importlib.util import find_spec

    if find_spec("psycopg") is None:
        raise StoreError(
            "PostgreSQL needs a driver that is not installed", "pip install 'nexscout[postgres]'", code="no_driver"
        )


def bad_row() -> StoreError | None:
    """What a command has stumbled over in the database, if it has: a row or a schema that no program of ours left so."""
    from nexscout_cli.store.sqlite import checking

    if config.db_url() is not None:  # a server holds to types and rules itself
        return None
    try:
        path = config.db_path()
        found = checking.first_fault(path, SystemClock(), store_rules(config.load())) if path.exists() else None
    except Exception:  # noqa: BLE001 - the failure that is being told of matters more
        return None
    if found is None:
        return None
    return StoreError(
        f"the database cannot be used as it is: {found.message}",
        "`nexscout db check` says what else, and what to do",
        code="corrupt",
    )


def tokenizer() -> Count:
    """Tokens of a text for a litellm model, and whether its provider counts the same way."""
    counters: list[object] = []

    @lru_cache(maxsize=64)
    def count(text: str, encoding: str) -> int:
        from nexscout_cli.providers.tokens import TokenCounter

        if not counters:
            counters.append(TokenCounter(config.cache_dir()))
        counter = counters[0]
        assert isinstance(counter, TokenCounter)
        return counter.count(text, encoding)

    def counted(text: str, litellm_model: str) -> tuple[int, bool]:
        from nexscout_cli.providers.tokens import encoding_for

        encoding, exact = encoding_for(litellm_model)
        return count(text, encoding), exact

    return counted


def build_engine(
    store: Store,
    settings: Settings,
    actor: str,
    observer: Observer | None = None,
    *,
    clock: Clock | None = None,
    interrupts: Interrupts | None = None,
    writes: bool = True,
) -> Engine:
    """An engine over an open store; one that ``writes`` first settles what dead processes left behind."""
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.providers import Providers

    if writes:
        store.recovery.recover(actor)
    provider = Providers(config.data_dir())
    engine = Engine(store.ledger, provider, settings, clock or SystemClock(), tokenizer(), actor, observer, interrupts)
    engine.lets_others_go_on = store.lets_others_go_on
    return engine
