"""Statements that are prepared once for a connection and run by the server's library alone, without psycopg's conversions.

A coroutine lets others go on meanwhile; a thread blocks, and nobody can interrupt it: it is not for the main thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from nexscout_cli import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.pq.abc import PGconn, PGresult

    from nexscout_cli.store.postgres.connections import Connection
    from nexscout_cli.waiting import Loop

_WHOLE = (psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK)


def ran(connection: Connection, query: bytes, values: Sequence[bytes | None]) -> PGresult:
    """What a statement with numbered values comes to. Raises psycopg.Error."""
    server, prepared, loop = connection.pgconn, connection.prepared, waiting.here()
    if prepared is None:  # another session has what is prepared in this one
        if loop is None:
            return whole(server.exec_params(query, values))
        return _awaited(loop, server, server.send_query_params, query, values)
    name = prepared.get(query)
    if name is None:
        name = b"nexscout_%d" % len(prepared)
        if loop is None:
            whole(server.prepare(name, query))
        else:
            _awaited(loop, server, server.send_prepare, name, query)
        prepared[query] = name
    if loop is not None:
        return _awaited(loop, server, server.send_query_prepared, name, values)
    result = server.exec_prepared(name, values)  # type: ignore[arg-type]  # None is NULL, as above
    return result if result.status in _WHOLE else whole(result)


def ran_plain(connection: Connection, query: bytes) -> None:
    """Run a statement without values that tells nothing. Raises psycopg.Error."""
    server, loop = connection.pgconn, waiting.here()
    if loop is None:
        whole(server.exec_(query))
    else:
        _awaited(loop, server, server.send_query, query)


def whole(result: PGresult) -> PGresult:
    """A result, unless it is an error. Raises psycopg.Error."""
    if result.status not in _WHOLE:
        raise psycopg.errors.error_from_result(result)
    return result


def _awaited(loop: Loop, server: PGconn, send: Callable[..., None], *values: Any) -> PGresult:
    """What a statement comes to that ``send`` sends, while other coroutines go on. Raises psycopg.Error."""
    send(*values)  # psycopg's connections don't block: what the socket does not take at once, it keeps
    while server.flush():
        loop.until_ready(server.socket, writable=True)
        server.consume_input()
    result = None
    while True:
        while server.is_busy():
            loop.until_ready(server.socket)
            server.consume_input()
        more = server.get_result()
        if more is None:
            break
        result = more
    if result is None:
        raise psycopg.OperationalError("the server told nothing")
    return whole(result)
