"""What a query gives, whichever database answered it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol


class Record(Protocol):
    """A row. Its values are had by name, by position, or as a slice; it iterates over values, and ``dict`` takes it."""

    def __getitem__(self, key: Any, /) -> Any:
        """The value of a column, by its name or position; a tuple for a slice."""

    def __iter__(self) -> Iterator[Any]:
        """The values."""

    def __len__(self) -> int:
        """How many there are."""

    def keys(self) -> Sequence[str]:
        """The names."""


class Results(Protocol):
    """What a statement came to."""

    @property
    def rowcount(self) -> int:
        """How many rows were written."""

    def fetchone(self) -> Any:
        """The next row, None after the last."""

    def fetchall(self) -> list[Any]:
        """The rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one by one."""


class Execute(Protocol):
    """Runs a statement. Values are bound to ``?`` in order or to ``:name``."""

    def __call__(self, sql: str, values: Any = (), /) -> Results:
        """Raises what the store calls broken where the database refuses the statement."""


class ExecuteMany(Protocol):
    """Runs a statement once for each of the values; ``rowcount`` counts what all of them wrote."""

    def __call__(self, sql: str, values: Any, /) -> Results:
        """Raises as :class:`Execute` does."""
