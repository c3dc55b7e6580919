"""Reading what people hand over as files and pipes: regular text files, capped in size before they are read."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from nexscout_cli import system
from nexscout_cli.engine.request import Attachment
from nexscout_cli.errors import Blocked, NexScoutError, StoreError, UsageError

MAX_JSON_DEPTH = 100
_SHOWN = 300
"""Characters of a name that an error repeats."""
_YOUNG = 60.0
_PID_DIGITS = 9
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_text(path: Path, limit: int, *, within: Path | None = None) -> str:
    """A regular text file's content, at most ``limit`` bytes. ``within`` refuses files outside that folder, links resolved.

    Raises UsageError for what is missing, not a regular file or not UTF-8; Blocked for what is too large.
    """
    try:
        if within is not None and not path.resolve().is_relative_to(within.resolve()):
            raise UsageError(f"{path} lies outside {within}", "a batch file may only name files in its own folder")
        data = read_regular(path, limit)
    # ValueError: a NUL in the name. RuntimeError: links that lead in a circle.
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"cannot read {str(path)[:_SHOWN]}: {getattr(error, 'strerror', None) or error}", "check the name"
        ) from error
    return decode(data, str(path), limit)


def read_regular(path: Path, limit: int) -> bytes:
    """A regular file's bytes. Raises OSError, UsageError for what is not a regular file, Blocked for what is too large."""
    # Opening a FIFO nobody writes to must not wait.
    fd = system.opened(path, os.O_RDONLY, waits=False)
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise UsageError(f"{path} is not a regular file", "give a text file")
        if about.st_size > limit:
            raise Blocked(
                f"{path} has {about.st_size:,} bytes; the limit is {limit:,}",
                "split your input into smaller parts",
                code="too_many_bytes",
            )
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(limit + 1)
    finally:
        os.close(fd)


def cannot_write(path: Path | str, error: Exception, suggestion: str) -> NexScoutError:
    """What it means that a file could not be written: no room is the machine's trouble, all else is the name's."""
    why = getattr(error, "strerror", None) or str(error)
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return StoreError(f"cannot write {str(path)[:_SHOWN]}: {why}", suggestion, code="disk_full")
    return UsageError(f"cannot write {str(path)[:_SHOWN]}: {why}", suggestion)


def remove_left_over(folder: Path, suffix: str, of: Callable[[str], bool]) -> None:
    """Remove half-made files, named NAME.PID and the suffix, of processes that are gone. ``of`` says which names are ours.

    One that was written to in the last minute stays: it may be of a process that cannot be seen from here.
    """
    for left in folder.glob(f"*{suffix}"):
        name, _, pid = left.name.removesuffix(suffix).rpartition(".")
        if not (pid.isdecimal() and len(pid) < _PID_DIGITS and of(name)):
            continue
        with suppress(OSError):
            if time.time() - left.lstat().st_mtime < _YOUNG:
                continue
            if not system.lives(int(pid)):
                left.unlink()


def decode(data: bytes, name: str, limit: int) -> str:
    """UTF-8 text without a byte-order mark. Raises UsageError, Blocked."""
    if len(data) > limit:
        raise Blocked(
            f"{name} has more than {limit:,} bytes", "split your input into smaller parts", code="too_many_bytes"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text (byte {error.start})", "convert it to UTF-8 first") from error
    if "\0" in text:
        raise UsageError(f"{name} has a NUL character: it is not text", "give a text file")
    return text


def read_stdin(limit: int) -> str:
    """All of standard input as text."""
    try:
        data = sys.stdin.buffer.read(limit + 1) if sys.stdin is not None else b""
    except OSError as error:
        raise UsageError(f"cannot read standard input: {error.strerror}", "give a PROMPT, or @FILE") from error
    return decode(data, "standard input", limit)


def stdin_is_piped() -> bool:
    """Whether something was piped or redirected in: a pipe or a file, never a terminal or a device."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def attachment(path: Path, limit: int, *, within: Path | None = None) -> Attachment:
    """A text file as an attachment, under its own name."""
    return Attachment(path.name, read_text(path, limit, within=within))


def parse_json(text: str, name: str) -> Any:
    """A JSON value: not too deep, of valid text, no key twice, no number beyond a float. Raises UsageError."""
    try:
        text.encode()
        if _SURROGATE.search(text):
            json.dumps(json.loads(text), ensure_ascii=False).encode()
        value = _strict().decode(text)
    except UnicodeEncodeError as error:
        raise UsageError(f"{name} has a lone surrogate, which is not valid Unicode", "send valid Unicode") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{name} is not valid JSON: {str(error)[:120]}", "check it with `python -m json.tool`"
        ) from error
    if _depth(value) > MAX_JSON_DEPTH:
        raise UsageError(f"{name} is nested more than {MAX_JSON_DEPTH} deep", "flatten it")
    return value


@cache
def _strict() -> json.JSONDecoder:
    return json.JSONDecoder(parse_constant=_number, parse_float=_number, object_pairs_hook=_object)


def _number(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text[:40]} is not a JSON number, or is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:40]!r} stands there twice")
    return value


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= MAX_JSON_DEPTH + 1:
        depth += 1
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth
