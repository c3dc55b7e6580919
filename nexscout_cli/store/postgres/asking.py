"""Asking a function of the database: a JSON value there, a JSON value back."""

from __future__ import annotations

import json
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from nexscout_cli import waiting
from nexscout_cli.jsontext import plain
from nexscout_cli.store.postgres.prepared import ran
from nexscout_cli.store.postgres.records import json_without_nul

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.store.postgres.connections import Connection


def asked(connection: Connection, function: str, value: Any) -> Any:
    """What a function tells of a value. Raises psycopg.Error; ValueError for what JSON has no place for."""
    if _may_be_interrupted():
        query = f"SELECT nexscout.{function}(%s::jsonb)".encode()
        row = connection.execute(query, (json_without_nul(value),), prepare=True).fetchone()
        return None if row is None or row[0] is None else json.loads(row[0])
    # psycopg's own wait and its conversions take five times the processor time of the call itself.
    write, read = _fast()
    told = ran(connection, _query(function), [write(value)]).get_value(0, 0)
    return None if told is None else read(told)


def text_writer() -> Callable[[Any], str]:
    """What writes JSON text of a value that holds no Decimal, as fast as can be here."""
    return plain if _may_be_interrupted() else _text


class _Thread(threading.local):
    """The calling thread; ``is_first``: the one that an interrupt stops."""

    def __init__(self) -> None:
        self.is_first = threading.current_thread() is threading.main_thread()


_thread = _Thread()


def _may_be_interrupted() -> bool:
    """Whether this is a command's own thread, whose waits an interrupt must end at once, and which makes one call."""
    return _thread.is_first and waiting.here() is None


@cache
def _query(function: str) -> bytes:
    return f"SELECT nexscout.{function}($1::jsonb)".encode()


@cache
def _fast() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """What writes and reads JSON at a fifth of the time. A command of one call has no use for it: to load it takes longer."""
    import orjson

    def write(value: Any) -> bytes:
        try:
            data = orjson.dumps(value, _plain)
            if b"\\u0000" not in data:
                return data
        except TypeError:  # half a pair of surrogates, a number of more than 64 bits, a key that is no text
            pass
        return json_without_nul(value).encode()

    return write, orjson.loads


def _text(value: Any) -> str:
    import orjson

    try:
        return orjson.dumps(value).decode()
    except TypeError:  # as above
        return plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):  # one with names
        return tuple(value)
    raise TypeError
