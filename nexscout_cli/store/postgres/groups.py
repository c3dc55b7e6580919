"""Sending steps to the database: alone, or several of them in one commit where many come at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg

from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres.records import json_without_nul

if TYPE_CHECKING:
    from nexscout_cli.store.postgres.connections import Connections
    from nexscout_cli.store.postgres.steps import Step


class Groups:
    """Steps on their way. Thread-safe."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def make(self, step: Step) -> Any:
        """What a step's function tells; the number of its error as text; None where it may have been made or not."""
        return self._call(step["step"], step)

    def _call(self, function: str, value: Any) -> Any:
        try:
            with self._connections.one() as connection:
                query = f"SELECT nexscout.{function}(%s::jsonb)".encode()
                row = connection.execute(query, (json_without_nul(value),), prepare=True).fetchone()
        except (psycopg.DataError, UnicodeError):
            return "NX001"
        except psycopg.Error as error:
            return error.sqlstate if error.sqlstate and not error.sqlstate.startswith(("08", "57")) else None
        except StoreError:
            return None
        assert row is not None
        return json.loads(row[0])
