"""The man page, made from the same help as ``--help``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typer.main import get_command

from nexscout_cli import __version__
from nexscout_cli.errors import StoreError

_SECTIONS = (
    (
        "EXIT STATUS",
        (
            "0 done, 2 usage, 3 blocked by the firewall, a budget or a cap, 4 not enough energy, 5 every provider failed, "
            "6 database or configuration, 7 some rows failed, 8 not permitted, 9 in progress or unknown, 130 interrupted.",
        ),
    ),
    (
        "ENVIRONMENT",
        (
            "NEXSCOUT_HOME: a folder for data and configuration. NEXSCOUT_DB: the database. NEXSCOUT_USER, NEXSCOUT_ACTOR: "
            "who a request is for, who acts. NEXSCOUT_*: any setting. The providers' own variables hold their keys.",
        ),
    ),
)


def page(app: Any) -> str:
    """The man page in roff: every command of the program with its options."""
    group: Any = get_command(app)
    context = group.context_class(group, info_name="nexscout")
    lines = [f'.TH NEXSCOUT 1 "" "nexscout {__version__}" "User Commands"', ".SH NAME"]
    first, rest = _parts(group.help)
    lines += [rf"nexscout \- {_text(first)}", ".SH SYNOPSIS", ".B nexscout", "COMMAND [OPTIONS] [ARGUMENTS]"]
    lines += [".SH DESCRIPTION", *_told(rest), ".SH OPTIONS", *_options(group, context), ".SH COMMANDS"]
    for name in group.list_commands(context):
        lines += _command(group.get_command(context, name), f"nexscout {name}", context)
    for title, paragraphs in _SECTIONS:
        lines += [f".SH {title}", *(line for text in paragraphs for line in (".PP", _text(text)))]
    return "\n".join(lines) + "\n"


def install(app: Any) -> Path:
    """Write the man page where ``man`` looks for a person's own; returns its path. Raises StoreError."""
    base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    target = base / "man" / "man1" / "nexscout.1"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(app), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}", "set XDG_DATA_HOME to another folder") from error
    return target


def _command(command: Any, path: str, parent: Any) -> list[str]:
    context = command.context_class(command, info_name=path.rpartition(" ")[2], parent=parent)
    first, rest = _parts(command.help)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f".SS {_text(path)}", ".B", f"{_text(path)} {_text(usage)}", ".PP", _text(first), *_told(rest)]
    lines += _options(command, context)
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            lines += _command(command.get_command(context, name), f"{path} {name}", context)
    return lines


def _options(command: Any, context: Any) -> list[str]:
    lines: list[str] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            names, about = record
            lines += [".TP", rf"\fB{_text(names)}\fR", _text(" ".join(about.split()))]
    return lines


def _parts(help_text: Any) -> tuple[str, str]:
    """The first sentence or paragraph of a help, and the rest."""
    first, _, rest = str(help_text or "").strip().partition("\n\n")
    return " ".join(first.split()), rest


def _told(text: str) -> list[str]:
    """Paragraphs; one that begins with ``\\b`` keeps its lines."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        own = paragraph.strip("\n")
        if own.lstrip().startswith("\b"):
            lines += [".PP", ".nf", *(_text(line.strip("\b")) for line in own.splitlines() if line.strip("\b ")), ".fi"]
        elif own.strip():
            lines += [".PP", _text(" ".join(own.split()))]
    return lines


def _text(text: str) -> str:
    """Text as roff takes it: no line begins a request, no backslash an escape, a hyphen stays one."""
    safe = text.replace("\\", r"\e").replace("-", r"\-")
    safe = "".join(c if c.isascii() else rf"\[u{ord(c):04X}]" for c in safe)
    return rf"\&{safe}" if safe[:1] in (".", "'") else safe
