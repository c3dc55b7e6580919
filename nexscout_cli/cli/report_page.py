"""``nexscout report --html``: every report and its charts as one file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nexscout_cli.cli import output
from nexscout_cli.files import cannot_write

if TYPE_CHECKING:
    from nexscout_cli.cli.session import Session
    from nexscout_cli.engine.report_window import Window

_HEAD = 4_096
"""Bytes of a page in which its mark stands."""


def write_page(session: Session, window: Window, user: str | None, where: str, *, if_changed: bool = False) -> int:
    """Write the page into the file ``where``, or to stdout for -.

    With ``if_changed`` a file that shows the same figures already stays as it is, with its time. Raises UsageError where the
    file cannot be written.
    """
    from nexscout_cli.pages.facts import gather
    from nexscout_cli.pages.page import figures_mark, report_page

    facts = gather(session.store, session.actor, window, session.settings, user)
    if if_changed and _holds(Path(where).expanduser(), figures_mark(facts)):
        return 0
    page = report_page(facts)
    put(session, page, where)
    return 0


def put(session: Session, page: str, where: str) -> None:
    """Write a page into the file ``where``, or to stdout for -. Raises UsageError where the file cannot be written."""
    if where == "-":
        output.rendered(page)
        return
    path = Path(where).expanduser()
    try:
        _replace(path, page.encode())
    except (OSError, ValueError) as error:
        raise cannot_write(where, error, "name a file in a folder that you may write to and that has room") from error
    if output.stderr_is_terminal() and not session.quiet:
        output.note(f"wrote {path}")


def _holds(path: Path, mark: str) -> bool:
    """Whether a file begins with a page of that mark."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as opened:
            return mark.encode() in opened.read(_HEAD)
    except (OSError, ValueError):
        return False


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old page or the new one, and never half of it."""
    if path.exists() and not path.is_file():  # a device or a pipe is written to as it is
        path.write_bytes(content)
        return
    path = path.resolve()  # what a link leads to is written, and the link stays
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
