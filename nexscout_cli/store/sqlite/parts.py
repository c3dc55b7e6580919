"""All kept answers, a bounded part at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nexscout_cli.engine.request import Json
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.work import Work

PART = 20_000
"""Answers that one read looks at."""


def of_kept_answers(store: Work, sql: str, values: Mapping[str, Json]) -> Iterator[Record]:
    """Rows of a query over kept answers with id > :first and ≤ :last: a bounded part in each read, so that writers get
    their turn in between. Whose rows they may be stands in the query.
    """
    with store.read("") as t:
        most = t.execute("SELECT coalesce(max(id), 0) FROM cached_ai_responses").fetchone()[0]
    for first in range(0, most, PART):
        with store.read("") as t:
            rows = t.execute(sql, {**values, "first": first, "last": first + PART}).fetchall()
        yield from rows
