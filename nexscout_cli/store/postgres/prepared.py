"""Statements that are prepared once for a connection and run by the server's library alone, without psycopg's conversions.

Nobody can interrupt the wait: it is not for the main thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.pq.abc import PGresult

    from nexscout_cli.store.postgres.connections import Connection

_WHOLE = (int(psycopg.pq.ExecStatus.TUPLES_OK), int(psycopg.pq.ExecStatus.COMMAND_OK))


def ran(connection: Connection, query: bytes, values: Sequence[bytes | None]) -> PGresult:
    """What a statement with numbered values comes to. Raises psycopg.Error."""
    server, prepared = connection.pgconn, connection.prepared
    if prepared is None:
        return whole(server.exec_params(query, values))
    name = prepared.get(query)
    if name is None:
        name = b"nexscout_%d" % len(prepared)
        whole(server.prepare(name, query))
        prepared[query] = name
    result = server.exec_prepared(name, values)  # type: ignore[arg-type]  # None is NULL, as above
    return result if result.status in _WHOLE else whole(result)


def whole(result: PGresult) -> PGresult:
    """A result, unless it is an error. Raises psycopg.Error."""
    if result.status not in _WHOLE:
        raise psycopg.errors.error_from_result(result)
    return result
