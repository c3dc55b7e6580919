"""Asking a function of the database: a JSON value there, a JSON value back."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from nexscout_cli.store.postgres.prepared import ran
from nexscout_cli.store.postgres.records import json_without_nul

if TYPE_CHECKING:
    from nexscout_cli.store.postgres.connections import Connection


def asked(connection: Connection, function: str, value: Any) -> Any:
    """What a function tells of a value. Raises psycopg.Error; ValueError for what JSON has no place for."""
    if threading.current_thread() is threading.main_thread():  # whose wait an interrupt must end at once
        query = f"SELECT nexscout.{function}(%s::jsonb)".encode()
        row = connection.execute(query, (json_without_nul(value),), prepare=True).fetchone()
        return None if row is None or row[0] is None else json.loads(row[0])
    import orjson  # a fifth of the time of json; a command of one call does not load it: that takes longer than it saves

    # psycopg's own wait and its conversions take five times the processor time of the call itself.
    told = ran(connection, f"SELECT nexscout.{function}($1::jsonb)".encode(), [_written(value)]).get_value(0, 0)
    return None if told is None else orjson.loads(told)


def _written(value: Any) -> bytes:
    import orjson

    try:
        data = orjson.dumps(value, _plain)
        if b"\\u0000" not in data:
            return data
    except TypeError:  # half a pair of surrogates, a number of more than 64 bits, a key that is no text
        pass
    return json_without_nul(value).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):  # one with names
        return tuple(value)
    raise TypeError
