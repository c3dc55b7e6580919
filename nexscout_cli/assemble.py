"""Putting the parts together: the system's clock, the store on disk, the real providers and tokenizer."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nexscout_cli import config
from nexscout_cli.config import Settings
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import StoreError

if TYPE_CHECKING:
    from nexscout_cli.engine.interrupts import Interrupts
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.planning.texts import Count
    from nexscout_cli.engine.ports import Clock, Observer
    from nexscout_cli.engine.store_ports import Store
    from nexscout_cli.store.sqlite.store import SqliteStore


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
        time.sleep(seconds)


def login_name() -> str:
    """Who is at the keyboard: ``NEXSCOUT_ACTOR``, else the login name."""
    if name := os.environ.get("NEXSCOUT_ACTOR", "").strip():
        return name
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def open_store(
    settings: Settings | None = None,
    actor: str | None = None,
    path: Path | None = None,
    clock: Clock | None = None,
) -> SqliteStore:
    """Open the database, made when there is none: then the actor owns it. Raises StoreError."""
    from nexscout_cli.store.sqlite.store import SqliteStore

    rules = store_rules(settings or config.load())
    return SqliteStore(path or config.db_path(), clock or SystemClock(), rules, actor or login_name())


def opened(
    asked: Settings, actor: str, path: Path | None = None, clock: Clock | None = None
) -> tuple[SqliteStore, Settings]:
    """The open database, and the settings as its limits allow them; what is not used is in ``Settings.ignored``.

    Raises StoreError.
    """
    from nexscout_cli.config.limits import within

    store = open_store(asked, actor, path, clock)
    rows, is_admin = store.limits.read(actor)
    settings = within(asked, rows, is_admin=is_admin)
    store.rules = store_rules(settings)
    return store, settings


def store_version() -> tuple[str, str]:
    """What keeps the books, and its version; no store is opened."""
    from nexscout_cli.store.sqlite.maintenance import engine_version

    return engine_version()


def newest_schema() -> int:
    """The schema that this program brings a store to."""
    from nexscout_cli.store.sqlite.database import SCHEMA_VERSION

    return SCHEMA_VERSION


def schema_version(path: Path) -> int | None:
    """The schema of a database file, which is not changed; None where there is none, 0 for one that cannot be read."""
    from nexscout_cli.store.sqlite.database import schema_version

    return schema_version(path)


def bad_row() -> StoreError | None:
    """What a command has stumbled over in the database, if it has: a row or a schema that no program of ours left so."""
    from nexscout_cli.store.sqlite import checking

    path = config.db_path()
    try:
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
    return Engine(store.ledger, provider, settings, clock or SystemClock(), tokenizer(), actor, observer, interrupts)
