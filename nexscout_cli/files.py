"""Reading what people hand over as files and pipes: regular text files, capped in size before they are read."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

from nexscout_cli.engine.types import Attachment
from nexscout_cli.errors import Blocked, UsageError

MAX_JSON_DEPTH = 100


def read_text(path: Path, limit: int, *, within: Path | None = None) -> str:
    """A regular text file's content, at most ``limit`` bytes. ``within`` refuses files outside that folder, links resolved.

    Raises UsageError for what is missing, not a regular file or not UTF-8; Blocked for what is too large.
    """
    if within is not None and not path.resolve().is_relative_to(within.resolve()):
        raise UsageError(f"{path} lies outside {within}", "a batch file may only name files in its own folder")
    try:
        # O_NONBLOCK: opening a FIFO nobody writes to must not wait; its kind is refused below.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}", "check the name"
        ) from error
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise UsageError(f"{path} is not a regular file", "give a text file")
        if about.st_size > limit:
            raise Blocked(
                f"{path} has {about.st_size:,} bytes; the limit is {limit:,}",
                "split your input into smaller parts",
                code="too_many_bytes",
            )
        return decode(file.read(limit + 1), str(path), limit)


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
        raise UsageError(f"{name} has a NUL character: it is no text", "give a text file")
    return text


def read_stdin(limit: int) -> str:
    """All of standard input as text."""
    return decode(sys.stdin.buffer.read(limit + 1), "standard input", limit)


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
    """A JSON value, not too deep, without NaN. Raises UsageError."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{name} is not valid JSON: {str(error)[:120]}", "check it with `python -m json.tool`"
        ) from error
    if _depth(value) > MAX_JSON_DEPTH:
        raise UsageError(f"{name} is nested more than {MAX_JSON_DEPTH} deep", "flatten it")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


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
