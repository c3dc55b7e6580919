"""Rows in Parquet files, by pyarrow: heavy, and imported only where months are archived."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli import system
from nexscout_cli.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_GROUP = 20_000
"""Rows of a group: what lies in memory at a time."""


class Column(NamedTuple):
    """A column's name and kind: int, float or text. Any may be null."""

    name: str
    kind: str


def need() -> None:
    """Raises StoreError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise StoreError(
            "archives are Parquet files, and pyarrow, which writes them, is not installed",
            'pip install "nexscout[archive]"',
            code="missing_extra",
        ) from error


def write(path: Path, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows to a new file that only its owner can read, and see that they outlast a power cut.

    Raises StoreError, also for text that is no Unicode.
    """
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"int": pa.int64(), "float": pa.float64(), "text": pa.string()}
    schema = pa.schema([(column.name, kinds[column.kind]) for column in columns])
    try:
        fd = system.opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(fd, "wb") as file:
            with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
                for group in _groups(rows):
                    values = zip(*group, strict=True)
                    arrays = [pa.array(each, field.type) for each, field in zip(values, schema, strict=True)]
                    writer.write_table(pa.table(arrays, schema))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}", "check the folder, and its space"
        ) from error
    except (pa.ArrowException, UnicodeError) as error:
        raise StoreError(f"{path.name}: a row cannot be written: {error}", "`nexscout db check` says more") from error


def read(path: Path) -> Iterator[tuple[Any, ...]]:
    """The rows of a file, in order. Raises StoreError for what is no such file, or is damaged."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_GROUP):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot read {path}: {error}", "archive that month into another folder") from error


def columns(path: Path) -> list[Column]:
    """The columns of a file. Raises StoreError for what is no such file."""
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"int64": "int", "double": "float"}
    try:
        return [Column(field.name, kinds.get(str(field.type), "text")) for field in parquet.read_schema(path)]
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot read {path}: {error}", "archive that month into another folder") from error


def _groups(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    group: list[Sequence[Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group
