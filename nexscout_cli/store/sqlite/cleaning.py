"""Letting go of kept answers: what has expired, what does not fit, what somebody wants gone. In short transactions, so that
writers get their turn in between however many there are.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from nexscout_cli.engine.request import Json
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import cache
from nexscout_cli.store.sqlite.store import OWN_OR_ADMIN, Store, stamp

_BATCH = 1_000
"""Answers that one transaction removes."""
_HOUR = len("2026-01-01T00")
_MEGABYTE = 1_000_000


def clean_expired_cache(store: Store, *, dry_run: bool = False) -> int:
    """Remove what has expired, everyone's; returns how many answers that were (or would be)."""
    with store.db.read() as c:
        now = {"now": stamp(store.now(c))}
        expired = c.execute("SELECT count(*) FROM cached_ai_responses WHERE expires_at <= :now", now).fetchone()[0]
    removed = 0
    while not dry_run and removed < expired:
        with store.db.write() as c:
            store.touch(c)
            done = c.execute(
                "DELETE FROM cached_ai_responses WHERE id IN (SELECT id FROM cached_ai_responses "
                "WHERE expires_at <= :now LIMIT :most)",
                now | {"most": _BATCH},
            ).rowcount
        if not done:
            break
        removed += done
    return int(expired) if dry_run else removed


def evict(store: Store, *, dry_run: bool = False) -> int:
    """Remove the least recently used answers until their texts fit into ``cache.max_mb``; returns how many.

    Two passes over the table: one adds up bytes by the hour of last use, so that the second knows which hours go
    entirely and which one in part. Memory is that of one hour's answers.
    """
    most = store.settings["cache.max_mb"]
    if most is None:
        return 0
    sizes: Counter[str] = Counter()
    for _, used, size in _answers(store):
        sizes[used[:_HOUR]] += size
    room = most * _MEGABYTE
    for hour in sorted(sizes, reverse=True):
        if sizes[hour] > room:
            break
        room -= sizes[hour]
    else:
        return 0
    partly = sorted((used, number, size) for number, used, size in _answers(store) if used.startswith(hour))
    for _, _, size in reversed(partly):
        room -= size
        if room < 0:
            break
        partly.pop()
    doomed = [number for number, used, _ in _answers(store) if used[:_HOUR] < hour]
    doomed += [number for _, number, _ in partly]
    return len(doomed) if dry_run else _remove(store, doomed)


def clear(store: Store, user_id: str | None, feature: str | None, *, dry_run: bool = False) -> int:
    """Remove answers the actor may see, of one user or feature or all; returns how many."""
    where = f"{OWN_OR_ADMIN} AND (:user IS NULL OR user_id = :user) AND (:feature IS NULL OR feature = :feature)"
    values = {"actor": store.actor, "user": user_id, "feature": feature}
    if not dry_run:
        return _remove(store, [number for number, _, _ in _answers(store, where, values)])
    with store.db.read() as c:
        return int(c.execute(f"SELECT count(*) FROM cached_ai_responses WHERE {where}", values).fetchone()[0])


def forget(store: Store, request_id: str) -> int:
    """Remove the answer that a request left in the cache, or was given from it; returns how many that were.

    Raises UsageError when the actor may see no such request.
    """
    with store.db.write() as c:
        store.touch(c)
        values = {"actor": store.actor, "request": request_id}
        while row := c.execute(
            f"""SELECT json_extract(metadata, '$.cached_from') AS source FROM ai_model_usage
                WHERE request_id = :request AND {OWN_OR_ADMIN} ORDER BY n LIMIT 1""",
            values,
        ).fetchone():
            if row["source"] is None:
                break
            values["request"] = row["source"]
        if row is None:
            raise UsageError(f"there is no request {request_id!r}", "`nexscout log` lists them")
        return c.execute(
            f"DELETE FROM cached_ai_responses WHERE request_id = :request AND {OWN_OR_ADMIN}", values
        ).rowcount


def _answers(store: Store, where: str = "1", values: Mapping[str, Json] | None = None) -> Iterator[sqlite3.Row]:
    """Number, time of last use and bytes of text of the answers for which ``where`` holds, a bounded part at a time."""
    return cache.in_parts(
        store,
        f"""SELECT id, last_used_at, length(CAST(response_text AS BLOB)) FROM cached_ai_responses
            WHERE id > :first AND id <= :last AND {where} ORDER BY id""",
        values or {},
    )


def _remove(store: Store, numbers: Sequence[int]) -> int:
    for start in range(0, len(numbers), _BATCH):
        with store.db.write() as c:
            store.touch(c)
            c.executemany(
                "DELETE FROM cached_ai_responses WHERE id = ?", [(n,) for n in numbers[start : start + _BATCH]]
            )
    return len(numbers)
