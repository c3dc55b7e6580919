"""Opening what other tools keep: files of rows, folders of them, llm's database; and the prices of the models in it."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from nexscout_cli import system
from nexscout_cli.engine.imported import llm
from nexscout_cli.engine.imported.record import Imported, Left, Row, Tally, records
from nexscout_cli.engine.imported.rows import rows
from nexscout_cli.engine.imported.sources import DATABASE, ENDINGS, ENDINGS_ELSE, MARKS, Wanted, parse_of
from nexscout_cli.engine.usage import Rates
from nexscout_cli.errors import UsageError

_DATE = 11
"""Characters of a date behind a model's name: -2024-07-18; Anthropic's are -20240718."""


def files_of(path: Path, source: str) -> list[Path]:
    """The file, or those of a folder that the source may have, by name. Raises UsageError where there is none."""
    if not path.is_dir():
        return [path]
    endings = ENDINGS.get(source, ENDINGS_ELSE)
    found = sorted(one for one in path.rglob("*") if one.name.endswith(endings) and one.is_file())
    if not found:
        raise UsageError(f"{path} has no file that ends with {' or '.join(endings)}", "name the file itself")
    return found


def records_of(files: list[Path], wanted: Wanted, tally: Tally) -> Iterator[Imported]:
    """The records of files, one file after the other. Raises UsageError for a file that is none of that source."""
    for path in files:
        if wanted.source == DATABASE:
            yield from _of_database(path, wanted, tally)
        else:
            with _opened(path) as file:
                found = rows(file, path.name, MARKS.get(wanted.source, (b"",)))
                yield from records(found, parse_of(wanted), tally)


def rows_of(path: Path) -> Iterator[Row | Left]:
    """The rows of one file. Raises UsageError."""
    with _opened(path) as file:
        yield from rows(file, path.name)


def _of_database(path: Path, wanted: Wanted, tally: Tally) -> Iterator[Imported]:
    from nexscout_cli.store.sqlite.foreign import reading

    with _open(path):
        pass  # says what is wrong with a file that cannot be opened
    with reading(path, "llm's database") as database:
        if not database.has(llm.TABLES):
            raise UsageError(
                f"{path.name} is not llm's database: it has no table of responses", "check the name and --from"
            )
        reads = wanted._replace(message=lambda key: database.one(llm.PARENT, key))
        yield from records(database.rows(llm.TABLES, llm.COLUMNS), parse_of(reads), tally)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file while it is read. Raises UsageError, also where it turns out to be damaged half-way."""
    with _open(path) as file:
        try:
            yield file
        except (OSError, EOFError, zlib.error) as error:
            said = getattr(error, "strerror", None) or "it is damaged, or not packed as its name says"
            raise UsageError(f"cannot read {path.name[:300]}: {said}", "check the file") from error


def _open(path: Path) -> BinaryIO:
    """A regular file to read; one that ends with .gz is unpacked on the way. Raises UsageError."""
    try:
        # Opening a FIFO nobody writes to must not wait.
        fd = system.opened(path, os.O_RDONLY, waits=False)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise UsageError(f"{path} is not a regular file", "name a file, or a folder of files")
        file = os.fdopen(fd, "rb")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {str(path)[:300]}: {getattr(error, 'strerror', None) or error}", "check the name"
        ) from error
    return cast("BinaryIO", gzip.GzipFile(fileobj=file)) if path.name.endswith(".gz") else file


def rates_of(provider: str, model: str) -> Rates | None:
    """The price of a model in LiteLLM's table, by its own name, its provider's, or without a date or a variant behind it."""
    from nexscout_cli.providers.prices import lookup

    short = model.partition(":")[0]
    names = [model, short, _undated(short)]
    for name in dict.fromkeys(names):
        for full in (f"{provider}/{name}", name) if provider else (name,):
            listing = lookup(full)
            if listing is not None:
                return Rates(listing.price_in, listing.price_out, listing.class_prices)
    return None


def _undated(model: str) -> str:
    tail = model[-_DATE:]
    if len(model) > _DATE and tail[0] == "-" and tail[1:].replace("-", "").isdigit() and tail.count("-") == 3:
        return model[:-_DATE]
    head, _, last = model.rpartition("-")
    return head if head and len(last) == 8 and last.isdigit() else model
