"""The tables by month: those of this month and the next are there before anything comes to lie in them; see migration 0029."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors

from nexscout_cli.store.postgres.connections import unusable

if TYPE_CHECKING:
    from nexscout_cli.store.postgres.connections import Connections


def make_ahead(connections: Connections) -> None:
    """Make the parts of this month and the next, where they are not there. Where others are in the way that waits for another
    time: until then their rows lie in the parts for what has no month. Raises StoreError where the server can't be asked.
    """
    try:
        with connections.one() as connection:
            due = connection.execute("SELECT nexscout.months_due()").fetchone()
            if due is not None and due[0]:
                with suppress(errors.LockNotAvailable, errors.DeadlockDetected, errors.CheckViolation):
                    connection.execute("SELECT nexscout.make_months()")
    except psycopg.Error as error:
        raise unusable(error) from error
