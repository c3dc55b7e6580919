"""Archives: what took the place of entries is what was entered then, and no archive is left open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.store.sqlite.archives import closings, closings_hash, month_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.store.sqlite.transaction import Transaction


def faults(t: Transaction) -> Iterator[str]:
    """Archives that say something else than what they left behind."""
    rows = t.execute("SELECT month, until, entries, closings_hash, is_open FROM archives ORDER BY month").fetchall()
    for row in rows:
        left = closings(t.execute, row["month"])
        if row["is_open"]:
            yield f"the archive of {row['month']} was left open: its entries can be removed"
        if row["until"] != month_after(row["month"]):
            yield f"the archive of {row['month']} ends on {row['until']}"
        if (
            sum(one.entries for one in left.values()) != row["entries"]
            or closings_hash(t.execute, left) != row["closings_hash"]
        ):
            yield f"what the accounts had spent by entries of {row['month']} is not what was entered when they were archived"
