"""What SQLite and PostgreSQL say in different words. All other SQL of the books is written once, and both understand it."""

from __future__ import annotations

from typing import NamedTuple


class Dialect(NamedTuple):
    """One database's words. The methods return SQL; ``column`` holds JSON, and names of its fields are constants of ours."""

    greatest: str
    """The function for the greater one of two values."""
    bytes_of: str
    """The bytes of a text column, whose name stands for ``{}``."""
    fields_of: str
    """Rows ``j`` (key, value) of the whole-number fields of a JSON column, whose name stands for ``{}``."""
    packed: str
    """A text with a JSON object of keys and numbers, two columns that stand for ``{}`` and ``{}``: an aggregate."""
    place: str
    """The column in whose order ``imported_usage`` is gone through without sorting."""
    is_postgres: bool = False

    def field(self, column: str, name: str) -> str:
        """A field's text or number. Of an object or list: its JSON. Fields of fields: ``doubt.score``."""
        if self.is_postgres:
            return f"(CAST({column} AS jsonb) #>> '{{{name.replace('.', ',')}}}')"
        return f"json_extract({column}, '$.{name}')"

    def number(self, column: str, name: str) -> str:
        """A field that is a number."""
        return f"CAST({self.field(column, name)} AS double precision)" if self.is_postgres else self.field(column, name)

    def whole(self, column: str, name: str) -> str:
        """A field that is a whole number."""
        return f"CAST({self.field(column, name)} AS bigint)" if self.is_postgres else self.field(column, name)

    def is_true(self, column: str, name: str) -> str:
        """Whether a field is there and true."""
        if self.is_postgres:
            return f"(coalesce({column} ->> '{name}', 'false') = 'true')"
        return f"coalesce(json_extract({column}, '$.{name}'), 0)"

    def has(self, column: str, name: str) -> str:
        """Whether a field is there."""
        return (
            f"({column} -> '{name}') IS NOT NULL"
            if self.is_postgres
            else f"json_type({column}, '$.{name}') IS NOT NULL"
        )

    def without(self, column: str, *names: str) -> str:
        """The column's JSON without those fields."""
        if self.is_postgres:
            return column + "".join(f" - '{name}'" for name in names)
        paths = ", ".join(f"'$.{name}'" for name in names)
        return f"json_remove({column}, {paths})"

    def seconds(self, start: str, end: str) -> str:
        """How many seconds lie between two columns of times."""
        if self.is_postgres:
            return f"extract(epoch FROM CAST({end} AS timestamptz) - CAST({start} AS timestamptz))"
        return f"((julianday({end}) - julianday({start})) * 86400)"

    def delivered(self, column: str) -> str:
        """The column's JSON with ``delivered`` true and ``warnings`` as the JSON that is bound here."""
        if self.is_postgres:
            return f"{column} || jsonb_build_object('delivered', true, 'warnings', CAST(? AS jsonb))"
        return f"json_set({column}, '$.delivered', json('true'), '$.warnings', json(?))"


SQLITE = Dialect(
    greatest="max",
    bytes_of="length(CAST({} AS BLOB))",
    fields_of="json_each({}) j",
    packed="json_group_object(CAST({} AS text), {})",
    place="rowid",
)
POSTGRES = Dialect(
    greatest="greatest",
    bytes_of="octet_length({})",
    fields_of="LATERAL (SELECT key, CAST(value AS bigint) AS value FROM jsonb_each_text(CAST({} AS jsonb))) j",
    packed="CAST(json_object_agg({}, {}) AS text)",
    place="key",
    is_postgres=True,
)
