"""What people type: one word of several, a whole number, yes or no."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from nexscout_cli.cli import output
from nexscout_cli.errors import UsageError


def one_of(word: str, words: Iterable[str], what: str) -> str:
    """The word, when it is one of ``words``. Raises UsageError with the nearest."""
    known = list(words)
    if word in known:
        return word
    from difflib import get_close_matches

    near = get_close_matches(word.lower(), known, 1)
    raise UsageError(
        f"there is no {what} {word!r}", f"did you mean {near[0]}?" if near else f"one of: {', '.join(known)}"
    )


def whole(text: str, what: str) -> int:
    """A whole number; ``1_000`` and ``1,000`` are understood. Raises UsageError."""
    digits = text.replace("_", "").replace(",", "")
    if not (digits.removeprefix("-").isascii() and digits.removeprefix("-").isdigit() and len(digits) < 20):
        raise UsageError(f"{what} is a whole number, not {text[:40]!r}", "for instance 500")
    return int(digits)


def confirmed(question: str, yes: bool) -> bool:
    """Whether the person agrees. Raises UsageError where there is no terminal to ask on."""
    if yes:
        return True
    if not (sys.stdin.isatty() and output.stderr_is_terminal()):
        raise UsageError(
            "there is no terminal to ask on, and this removes things", "add --yes; --dry-run shows what would go"
        )
    return asked(question)


def asked(question: str, default: bool = False) -> bool:
    """What the person at the terminal answers, yes or no. An end of input or Ctrl-C ends the command."""
    import typer

    return typer.confirm(question, default=default, err=True)
