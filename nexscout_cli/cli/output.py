"""What goes where: data to stdout, notes and errors to stderr, text from models and files made harmless for a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from typing import Any

from nexscout_cli import jsontext, provider_keys
from nexscout_cli.errors import NexScoutError

_CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: window titles, links, clipboard
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]"  # CSI and two-byte sequences
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
# Compiled when they are first asked, by an error's text: a command that does well starts without them.
_TELLING_NAME = r"(?i)KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH"
_IN_URL = r"\w+://[^/@:]*:([^/@]+)@"
_RANDOM = r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_.+=-]{20,}"
_lost = False
_MAX_LINE = 1_000
"""Characters of an error's line: it may repeat what it was given."""


def prepare() -> None:
    """Make stdout and stderr take any text: what their encoding lacks is escaped, and a closed one takes it nowhere."""
    global _lost
    _lost = False
    while (
        free := os.open(os.devnull, os.O_RDWR)
    ) <= 2:  # else a database would be opened where somebody writes messages
        os.set_inheritable(free, True)
    os.close(free)
    for name in ("stdout", "stderr"):
        file = getattr(sys, name)
        if file is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for the whole run
        elif hasattr(file, "reconfigure"):
            file.reconfigure(errors="backslashreplace")


def without_secrets(text: str) -> str:
    """Text without the values of environment variables that are named like a secret or look like one."""
    secrets = {
        value.strip()
        for name, value in os.environ.items()
        if len(value) > 5 and (re.search(_TELLING_NAME, name) or re.fullmatch(_RANDOM, value.strip()))
    } | provider_keys.loaded()
    secrets |= {found[1] for value in os.environ.values() if (found := re.match(_IN_URL, value))}
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def harmless(text: str) -> str:
    """Text without control sequences, C0 and C1 controls (but for newline and tab) and bidirectional overrides."""
    return _CONTROL.sub("", text)


def stdout_is_terminal() -> bool:
    """Whether answers are read by a person."""
    return sys.stdout.isatty()


def stderr_is_terminal() -> bool:
    """Whether notes are read by a person."""
    return sys.stderr.isatty()


def stream(text: str) -> None:
    """Write to stdout at once; raises BrokenPipeError when nobody reads it or there is no room."""
    try:
        sys.stdout.write(harmless(text) if stdout_is_terminal() else text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BrokenPipeError(error.strerror) from error


def out(text: str, end: str = "\n") -> None:
    """Write to stdout. A reader who has gone away is not an error: the rest is dropped."""
    rendered((harmless(text) if stdout_is_terminal() else text) + end)


def rendered(text: str) -> None:
    """Write what Rich made to stdout, colours and all. Where there is no room that is said once on stderr."""
    global _lost
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _nobody_reads()
    except (OSError, ValueError) as error:
        _nobody_reads()
        if not _lost:
            _lost = True
            note(f"nexscout: cannot write to stdout: {getattr(error, 'strerror', None) or error}")
            note("  what was done and charged is in the books: `nexscout log` shows it")


def stdout_is_lost() -> bool:
    """Whether something that was to be printed had no room."""
    return _lost


def emit(value: Any) -> None:
    """One JSON document on stdout, in escapes where the encoding is not a Unicode one."""
    text = jsontext.dumps(value, indent=2)
    if "utf" not in (sys.stdout.encoding or "utf-8").lower():
        text = re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text)
    out(text)


def _nobody_reads(stream: Any = None) -> None:
    """Let the rest of a stream go nowhere: the interpreter flushes it at its end, and would complain."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, (stream or sys.stdout).fileno())
        os.close(null)


def note(text: str) -> None:
    """Write a line to stderr."""
    try:
        sys.stderr.write(harmless(text) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        _nobody_reads(sys.stderr)


def failure(error: NexScoutError, as_json: bool) -> None:
    """An error: two lines at most on stderr, and under ``--json`` the document that carries it on stdout."""
    note("nexscout: " + _line(error.message))
    if error.suggestion:
        note("  " + _line(error.suggestion))
    if as_json:
        with contextlib.suppress(NexScoutError):
            emit({"success": False, "result": None, "error": error.as_json(), "metadata": {}})


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LINE else line[:_MAX_LINE] + "…"


def finish(status: int) -> int:
    """Flush; where the reader has gone away leave quietly instead of letting the interpreter complain at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _nobody_reads()
    return status


def console(*, stderr: bool = False, width: int | None = None) -> Any:
    """A Rich console without markup, emoji codes or highlighting: text is text. Imports Rich."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False, width=width)
