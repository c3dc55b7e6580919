"""What compression left out of a prompt, for a person to read: sentence by sentence, what stays only around a change."""

from __future__ import annotations

import difflib
import textwrap

from nexscout_cli.cli import output
from nexscout_cli.engine.compression.difference import sentences

_WIDTH = 100
_STYLES = {"-": "red", "+": "green", "@": "cyan"}


def lines(given: str, sent: str) -> list[str]:
    """A unified diff by sentences, long ones wrapped; empty where both texts say the same in the same way."""
    result: list[str] = []
    for row in difflib.unified_diff(sentences(given), sentences(sent), "as written", "as sent", n=1, lineterm=""):
        if row.startswith(("---", "+++", "@@")):
            result.append("@@" if row.startswith("@@") else row)
            continue
        wrapped = textwrap.wrap(row[1:], _WIDTH, drop_whitespace=False, replace_whitespace=False) or [""]
        result += [f"{row[0]} {part}" for part in wrapped]
    return result


def show(given: str, sent: str) -> None:
    """Print the difference; in colours where a person looks and wants them."""
    from rich.text import Text

    console = output.console()
    with console.capture() as captured:
        for line in lines(given, sent) or ["nothing is left out"]:
            console.print(Text(output.harmless(line), style=_STYLES.get(line[:1], "")), soft_wrap=True)
    output.rendered(captured.get())
