"""What goes where: data to stdout, notes and errors to stderr, text from models and files made harmless for a terminal."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from nexscout_cli import jsontext
from nexscout_cli.errors import NexScoutError

_CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: window titles, links, clipboard
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]"  # CSI and two-byte sequences
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


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
    """Write to stdout at once; raises BrokenPipeError when nobody reads it."""
    sys.stdout.write(harmless(text) if stdout_is_terminal() else text)
    sys.stdout.flush()


def out(text: str, end: str = "\n") -> None:
    """Write to stdout. A reader who has gone away is no failure: the rest goes nowhere."""
    rendered((harmless(text) if stdout_is_terminal() else text) + end)


def rendered(text: str) -> None:
    """Write what Rich made to stdout, colours and all."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _nobody_reads()


def emit(value: Any) -> None:
    """One JSON document on stdout."""
    out(jsontext.dumps(value, indent=2))


def _nobody_reads() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def note(text: str) -> None:
    """Write a line to stderr."""
    try:
        sys.stderr.write(harmless(text) + "\n")
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        return


def failure(error: NexScoutError, as_json: bool) -> None:
    """An error: two lines at most on stderr, and under ``--json`` the document that carries it on stdout."""
    note("nexscout: " + " ".join(error.message.split()))
    if error.suggestion:
        note("  " + " ".join(error.suggestion.split()))
    if as_json:
        emit({"success": False, "result": None, "error": error.as_json(), "metadata": {}})


def finish(status: int) -> int:
    """Flush; where the reader has gone away leave quietly instead of letting the interpreter complain at exit."""
    try:
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        _nobody_reads()
    return status


def console(*, stderr: bool = False, width: int | None = None) -> Any:
    """A Rich console without markup, emoji codes or highlighting: text is text. Imports Rich."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False, width=width)
