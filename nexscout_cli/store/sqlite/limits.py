"""Limits that admins have written: rows of ``limits``. What is in force beside them is for the configuration to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.jsontext import loads, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexscout_cli.engine.request import Json
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work


class SqliteLimits:
    """Limits by the names of their settings. Everyone may read them; admins alone write them."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def read(self, actor: str) -> tuple[dict[str, Json], bool]:
        """The limits, and whether the actor is an admin."""
        with self._store.read(actor) as t:
            rows = t.execute("SELECT name, value FROM limits").fetchall()
            return {row[0]: loads(row[1]) for row in rows}, t.is_admin()

    def set(self, actor: str, name: str, value: Json) -> None:
        """Write a limit. Raises NotPermitted."""
        with self._store.write(actor) as t:
            t.require_admin("set a limit")
            enter(t, {name: value})

    def remove(self, actor: str, name: str) -> None:
        """Let the default hold again. Raises NotPermitted."""
        with self._store.write(actor) as t:
            t.require_admin("remove a limit")
            if t.by_function("set_limit", name, None, t.actor, t.stamp) is None:
                t.execute("DELETE FROM limits WHERE name = ?", (name,))


def enter(t: Transaction, limits: Mapping[str, Json]) -> None:
    """Insert or replace limits."""
    for name, value in limits.items():
        row = (name, plain(value), t.actor, t.stamp)
        if t.by_function("set_limit", *row) is None:
            t.execute(
                "INSERT INTO limits (name, value, set_by, set_at) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "value = excluded.value, set_by = excluded.set_by, set_at = excluded.set_at",
                row,
            )
