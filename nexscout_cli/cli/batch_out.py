"""Where a batch's answers go: a file of whole lines, whatever happens, and beside it what its keys begin with."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path

from nexscout_cli import files, jsontext, system
from nexscout_cli.cli import batch_file
from nexscout_cli.engine.money import to_nano
from nexscout_cli.errors import NexScoutError, UsageError

_RESUME = "make room; the same line with --resume goes on, and what was paid is not paid again"


class Answers:
    """A batch's ``--out``. Raises UsageError for a file that exists, without ``append``; StoreError where there is no room."""

    def __init__(self, out: Path, *, append: bool) -> None:
        self.path = out
        try:
            if out.exists() and not append:
                raise UsageError(f"{out} exists", "add --resume to continue it, or name another file")
            self._fd = system.opened(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except (OSError, ValueError) as error:
            raise files.cannot_write(out, error, "check the folder") from error

    def write(self, line: str) -> None:
        """Add a line, whole or not at all. Raises StoreError, UsageError."""
        data = memoryview(f"{line}\n".encode())
        end = os.fstat(self._fd).st_size
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            with contextlib.suppress(OSError):  # a pipe or a device has no length
                os.ftruncate(self._fd, end)
            raise files.cannot_write(self.path, error, _RESUME) from error

    def close(self) -> None:
        """No more lines."""
        os.close(self._fd)


def _nonce_file(out: Path) -> Path:
    return out.with_name(f".{out.name}.batch")


def forget_nonce(out: Path) -> None:
    """Every row is answered: the keys are not needed any more."""
    _nonce_file(out).unlink(missing_ok=True)


def nonce(out: Path, *, append: bool) -> str:
    """What this batch's keys begin with, kept beside ``out`` until every row is answered, for --resume after a crash."""
    path = _nonce_file(out)
    try:
        known = path.read_text(errors="replace") if append and path.is_file() else ""
        if not known:
            known = os.urandom(8).hex()
            replace(path, known)
    except OSError as error:
        raise files.cannot_write(path, error, "make room, or check the folder; nothing was sent") from error
    return known


def replace(path: Path, text: str) -> None:
    """Write a file so that it is the old one or the new one, and never half of it. Raises OSError."""
    files.remove_left_over(path.parent, ".tmp", lambda name: name == path.name)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def taken(finished: Counter[tuple[str, str]], row: tuple[str, str]) -> bool:
    """Whether a row was answered; each of the answers that are there stands for one row."""
    if not finished[row]:
        return False
    finished[row] -= 1
    return True


def keep_finished(out: Path) -> tuple[Counter[tuple[str, str]], int]:
    """The rows that were answered, and their cost; failed ones and a torn last line leave the file: they are asked again."""
    if not out.exists():
        return Counter(), 0
    spent = 0
    kept: list[tuple[tuple[str, str], str]] = []
    *lines, last = files.read_text(out, batch_file.MAX_BYTES).split("\n")
    for line in (*lines, last):
        try:
            row = jsontext.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            if line is last:
                continue
            raise _not_answers(out) from None
        if line.strip() and not (isinstance(row, dict) and "success" in row):
            raise _not_answers(out)
        if isinstance(row, dict) and row.get("success") and "id" in row:
            kept.append(((str(row["id"]), str(row.get("row"))), line))
            spent += _cost(row, out)
    try:
        replace(out, "".join(line + "\n" for _, line in kept))
    except OSError as error:
        raise files.cannot_write(out, error, f"{_RESUME}; nothing was sent") from error
    return Counter(row for row, _ in kept), spent


def _cost(row: dict[str, object], out: Path) -> int:
    known = row.get("metadata") or {}
    try:
        return to_nano(known.get("cost_usd", 0))  # type: ignore[attr-defined]
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        raise _not_answers(out) from None


def _not_answers(out: Path) -> NexScoutError:
    return UsageError(f"{out} has lines that are not answers", "name another file")
