"""``db check``: the schema is ours, the books balance, what is kept twice agrees, every value has its form.

One module for each kind of rule. What a rule cannot read is a finding; nothing ends the check.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from nexscout_cli.store.sqlite.checking import (
    archives,
    bases,
    books,
    folds,
    integrity,
    meta,
    objects,
    rollups,
    seals,
    settlements,
    shapes,
    twice,
)
from nexscout_cli.store.sqlite.checking.files import file_modes
from nexscout_cli.store.sqlite.checking.findings import examined, told, unread
from nexscout_cli.store.sqlite.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from nexscout_cli.engine.book_types import Problem, Seal
    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules


def problems(t: Transaction, path: Path, kept: Sequence[Seal] = ()) -> list[Problem]:
    """Everything that is wrong with the database at ``path``, as the transaction sees it; empty when it is sound.

    ``kept``: seals that were kept elsewhere, which the database's must be.
    Raises StoreError where the file cannot be read at all.
    """
    connection = t.connection
    before, connection.text_factory = connection.text_factory, _any_text
    try:
        return [*_inside(t, kept), *file_modes(path)]
    finally:
        connection.text_factory = before


def first_fault(path: Path, clock: Clock, store_rules: StoreRules) -> Problem | None:
    """The first thing that is wrong with the schema or with what rows look like, or None: what a command stumbled over.

    The file is only read. Sums and files are not looked at.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as connection:  # ro skips CHECKs
        connection.row_factory, connection.text_factory = sqlite3.Row, _any_text
        t = Transaction(connection, "", store_rules, clock)
        rules: tuple[tuple[str, Callable[[], Iterator[Problem]]], ...] = (
            ("schema", lambda: objects.problems(t)),
            ("meta", lambda: meta.problems(t, clock.now())),
            ("values", lambda: shapes.problems(t)),
            ("integrity", lambda: iter(told("integrity", integrity.faults(t)))),
        )
        for name, make in rules:
            try:
                if (fault := next(make(), None)) is not None:
                    return fault
            except Exception as error:  # noqa: BLE001 - what cannot be read is the fault
                return unread(name, error)
    return None


def _inside(t: Transaction, kept: Sequence[Seal]) -> list[Problem]:
    file = list(integrity.faults(t))
    found = told("integrity", file)
    if not all(map(integrity.is_of_a_value, file)):
        return found  # rows that an index has lost would be told as missing, and so on
    found += _kept("schema", lambda: objects.problems(t))
    return found + of_books(t, t.clock.now(), kept)


def of_books(t: Transaction, now: datetime, kept: Sequence[Seal] = ()) -> list[Problem]:
    """Everything that is wrong with what tables hold, whichever database keeps them. ``now``: the clock's time."""
    found = _kept("meta", lambda: meta.problems(t, now))
    found += _kept("values", lambda: shapes.problems(t))
    for rule in (*books.RULES, *twice.RULES, *rollups.rules(), *folds.rules(t.sql)):
        found += _kept(rule.name, lambda rule=rule: iter(examined(t, rule)))  # type: ignore[misc]
    found += told("settlements", settlements.faults(t))
    found += told("accounts", bases.faults(t))
    found += told("seals", seals.faults(t, kept), seals.FIX)
    found += told("archives", archives.faults(t))
    return found


def _kept(name: str, make: Callable[[], Iterator[Problem]]) -> list[Problem]:
    """What a kind of rule finds; that it came to no end is one more finding."""
    found: list[Problem] = []
    try:
        found.extend(make())
    except Exception as error:  # noqa: BLE001 - the other rules still have something to say
        found.append(unread(name, error))
    return found


def _any_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
