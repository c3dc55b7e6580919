"""Asking a function of the database: a JSON value there, a JSON value back."""

from __future__ import annotations

import json
import threading
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import psycopg

from nexscout_cli.store.postgres.connections import is_shared
from nexscout_cli.store.postgres.records import json_without_nul

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.pq.abc import PGresult

    from nexscout_cli.store.postgres.connections import Connection

_prepared: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()
_OK, _ROWS = psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK


def asked(connection: Connection, function: str, value: Any) -> Any:
    """What a function tells of a value. Raises psycopg.Error; ValueError for what JSON has no place for."""
    if threading.current_thread() is threading.main_thread():  # whose wait an interrupt must end at once
        query = f"SELECT nexscout.{function}(%s::jsonb)".encode()
        row = connection.execute(query, (json_without_nul(value),), prepare=True).fetchone()
        return None if row is None or row[0] is None else json.loads(row[0])
    # The library's own wait and its conversions take five times the processor time of the call itself.
    server, name = connection.pgconn, f"nexscout_{function}".encode()
    write, read = _json()
    if is_shared(connection):
        result = server.exec_params(_query(function), [write(value)])
    else:
        if function not in (known := _prepared.setdefault(connection, set())):
            _whole(server.prepare(name, _query(function)), _OK)
            known.add(function)
        result = server.exec_prepared(name, [write(value)])
    _whole(result, _ROWS)
    told = result.get_value(0, 0)
    return None if told is None else read(told)


def _query(function: str) -> bytes:
    return f"SELECT nexscout.{function}($1::jsonb)".encode()


def _whole(result: PGresult, status: psycopg.pq.ExecStatus) -> None:
    if result.status != status:
        raise psycopg.errors.error_from_result(result)


def _slow(value: Any) -> bytes:
    return json_without_nul(value).encode()


@cache
def _json() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """What writes JSON and what reads it: orjson where it is installed, at a fifth of the time. A command of one call does not
    load it: that takes longer than it saves.
    """
    try:
        import orjson
    except ImportError:
        return _slow, json.loads

    def fast(value: Any) -> bytes:
        try:
            data = orjson.dumps(value, _plain)
        except TypeError:  # half a pair of surrogates, a number of more than 64 bits, a key that is no text
            return _slow(value)
        return _slow(value) if b"\\u0000" in data else data

    return fast, orjson.loads


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):  # one with names
        return tuple(value)
    raise TypeError
