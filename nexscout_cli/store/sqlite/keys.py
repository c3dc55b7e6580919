"""Keys of the server and the budgets that admins set. A key itself is never kept, only its hash."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from nexscout_cli.engine.budgets import Budget, owner_of
from nexscout_cli.errors import NotPermitted, UsageError
from nexscout_cli.store.sqlite import users
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, parse_stamp, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work

_TOUCH_AFTER = timedelta(minutes=1)
"""How old a key's last use may be before it is written again."""
MOVED = "UPDATE meta SET value = CAST(CAST(value AS bigint) + 1 AS text) WHERE key = 'world_version'"
"""Plans that were made before a budget changed are made again."""


def drawn_on(t: Transaction, owners: Sequence[str]) -> list[Budget]:
    """The budgets that admins have set for these owners of accounts."""
    rows = t.execute(
        f'SELECT unit, scope, "window", cap, owner FROM budgets WHERE owner IN ({", ".join("?" * len(owners))})', owners
    )
    return [Budget(*row) for row in rows]


class SqliteKeys:
    """The keys of the server."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def create(self, actor: str, key: ApiKey, digest: str, budgets: Sequence[Budget] = ()) -> None:
        """Enter a key of a user, whom the actor may act for, with its budgets."""
        with self._store.write(actor) as t:
            users.ensure(t, key.user_id)
            if t.execute("SELECT 1 FROM api_keys WHERE id = ?", (key.id,)).fetchone():
                raise UsageError(f"there is a key {key.id!r} already", "give it another name")
            row = {
                "id": key.id,
                "hash": digest,
                "user_id": key.user_id,
                "models": json.dumps(list(key.models)),
                "rpm": key.rpm,
                "created_at": t.stamp,
                "expires_at": key.expires_at and stamp(key.expires_at),
                "created_by": t.actor,
            }
            if t.by_function("enter_key", row, t.actor) is None:
                t.execute(
                    f"INSERT INTO api_keys ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
                )
            for budget in budgets:
                _set(t, budget)

    def listing(self, actor: str) -> list[ApiKey]:
        """The keys of users that the actor may see, by user and name."""
        with self._store.read(actor) as t:
            rows = t.execute(f"SELECT * FROM api_keys WHERE {OWN_OR_ADMIN} ORDER BY user_id, id", {"actor": actor})
            return [_key(row) for row in rows]

    def revoke(self, actor: str, key_id: str) -> None:
        """End a key for good."""
        with self._store.write(actor) as t:
            _require(t, key_id)
            t.execute("UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (t.stamp, key_id))

    def rotate(self, actor: str, key_id: str, digest: str) -> None:
        """Give a key another secret; the old one ends at once. Raises UsageError for one that was revoked."""
        with self._store.write(actor) as t:
            if _require(t, key_id)["revoked_at"]:
                raise UsageError(f"key {key_id} was revoked", "`nexscout keys create` makes a new one")
            t.execute("UPDATE api_keys SET hash = ? WHERE id = ?", (digest, key_id))

    def find(self, digest: str) -> ApiKey | None:
        """The key with that hash that is valid now; None where there is none."""
        with self._store.read("") as t:
            row = t.execute("SELECT * FROM api_keys WHERE hash = ?", (digest,)).fetchone()
            key = _key(row) if row else None
            ended = key is not None and (key.revoked_at or (key.expires_at and key.expires_at <= t.now))
        if key is None or ended:
            return None
        return key

    def used(self, key: ApiKey) -> None:
        """Remember that a key was used now; once a minute is enough, and nobody waits for it."""

        def touch(t: Transaction) -> None:
            t.execute("UPDATE api_keys SET last_used_at = ? WHERE id = ?", (t.stamp, key.id))

        if key.last_used_at is None or self._store.clock.now() - key.last_used_at > _TOUCH_AFTER:
            self._store.soon(key.user_id, touch, key.user_id)


class SqliteBudgets:
    """Budgets of users, keys and tags."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def set(self, actor: str, budget: Budget) -> None:
        """Set a budget, or take it away where its cap is None. Admins only."""
        with self._store.write(actor) as t:
            t.require_admin("set a budget")
            _set(t, budget)

    def listing(self, actor: str) -> list[Budget]:
        """The budgets there are: an admin sees all, others those of their own name and keys."""
        with self._store.read(actor) as t:
            found = [
                Budget(*row)
                for row in t.execute(
                    'SELECT unit, scope, "window", cap, owner FROM budgets ORDER BY owner, unit, "window"'
                )
            ]
            if t.is_admin():
                return found
            own = {owner_of("name", actor)}
            keys = t.execute("SELECT id FROM api_keys WHERE user_id = ?", (actor,))
            own |= {owner_of("key", row[0]) for row in keys}
            return [budget for budget in found if budget.owner in own]


def _set(t: Transaction, budget: Budget) -> None:
    t.execute(MOVED)
    place = (budget.owner, budget.unit, budget.window)
    if t.by_function("set_budget", *place, budget.scope, budget.cap, t.actor) is not None:
        return
    if budget.cap is None:
        t.execute('DELETE FROM budgets WHERE owner = ? AND unit = ? AND "window" = ?', place)
        return
    t.execute(
        'INSERT INTO budgets (owner, unit, "window", scope, cap) VALUES (?, ?, ?, ?, ?) '
        'ON CONFLICT (owner, unit, "window") DO UPDATE SET cap = excluded.cap',
        (*place, budget.scope, budget.cap),
    )


def _require(t: Transaction, key_id: str) -> Record:
    row: Record | None = t.execute("SELECT * FROM api_keys WHERE id = ?", (key_id,)).fetchone()
    if row is not None and not t.is_admin() and row["user_id"] != t.actor:
        raise NotPermitted(f"key {key_id} is not yours", "an admin may")
    if row is None:
        raise UsageError(f"there is no key {key_id!r:.60}", "`nexscout keys list` shows them")
    return row


def _key(row: Record) -> ApiKey:
    times = (row["created_at"], row["expires_at"], row["revoked_at"], row["last_used_at"])
    from nexscout_cli.engine.book_types import ApiKey

    return ApiKey(
        row["id"],
        row["user_id"],
        tuple(json.loads(row["models"])),
        row["rpm"],
        *(time and parse_stamp(time) for time in times),
    )
