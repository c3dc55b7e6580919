"""Pairs of prompts that differ in form alone: blanks, line ends, layout, composition of letters, spelling of numbers."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator

LINES = [
    "The harbour was built by the town, and the pilots paid for the lamp above it.",
    "é is a letter of the café beside the river, where old Zoë sells her naïve pictures.",
    "Nobody came, so the keeper shut the door and went to bed before nine.",
]
VERSE = ["Over the hills and away", "  we went with the tide,", "    and never a word", "  came back to the side."]
CODE = ["def main():", "    for name in names:", "        print(name)", "", "    return None"]
SETTINGS = ["server:", "  host: localhost", "  ports:", "    - 80", "    - 81", "  name: harbour"]
TABLE = ["name      mills   mayor", "Oakham    3       Ann", "Lindmouth 12      Bob", "Stoneham  7       Cleo"]
HUNK = ["@@ -1,3 +1,3 @@", " keep this", "-hello world", "+hello there", " and this"]
MARKDOWN = ["# Harbour", "", "A line that ends", "and goes on.", "", "## Mills", "", "- one", "- two"]
TEXTS = {
    "prose": LINES,
    "verse": VERSE,
    "code": CODE,
    "settings": SETTINGS,
    "table": TABLE,
    "hunk": HUNK,
    "markdown": MARKDOWN,
}
CHANGES = {
    "trailing blanks": lambda line: line + "   ",
    "a hard break": lambda line: line + "  ",
    "a blank doubled": lambda line: line.replace(" ", "  ", 1) if " " in line else line + " ",
    "a tab for a blank": lambda line: line.replace(" ", "\t", 1) if " " in line else line + "\t",
    "a fixed blank": lambda line: line.replace(" ", "\u00a0", 1) if " " in line else line + "\u00a0",
    "other indentation": lambda line: " " + line,
    "CRLF": lambda line: line + "\r",
    "an empty line more": lambda line: line + "\n",
    "two empty lines more": lambda line: line + "\n\n",
    "please": lambda line: "Please " + line,
}
BULK = "\n\n" + "\n".join(f"Remark {n}: the keeper wrote the weather down and went home again." for n in range(120))
VALUE = {"name": "Oakham", "mills": [1, 2, 3], "mayor": {"name": "Ann", "since": 1911}}
ASKING = [
    "Is this JSON indented with 2 or 4 spaces?",
    "Which line has the mayor?",
    "How many characters are these?",
    "Is it pretty-printed?",
    "Wie ist das eingerückt?",
    "Wie viele Zeilen sind das?",
    "Stehen da Tabulatoren?",
    "Combien d'espaces y a-t-il ?",
    "Comment est la mise en page ?",
    "¿Cuántas líneas tiene?",
    "¿Hay sangría?",
    "Keep it as is and add a town.",
]


def pairs() -> Iterator[tuple[str, str, str]]:
    """What the pair is, and two prompts."""
    for name, lines in TEXTS.items():
        for change, made in CHANGES.items():
            for at, line in enumerate(lines):
                for bulk in ("", BULK) if at == 1 else ("",):
                    texts = ["\n".join([*lines[:at], one, *lines[at + 1 :]]) + bulk for one in (line, made(line))]
                    what = f"{change} in {name}, line {at}{', long' * bool(bulk)}"
                    yield what, f"See:\n\n{texts[0]}", f"See:\n\n{texts[1]}"
    for at, line in enumerate(LINES):
        yield f"NFD, line {at}", f"{line} é", unicodedata.normalize("NFD", f"{line} é")
    for question in ASKING:
        for indent in (2, 4):
            texts = [f"{question}\n\n{json.dumps(VALUE, indent=one)}" for one in (indent, indent + 1)]
            yield f"{question} {indent}", texts[0], texts[1]
    for old, new in (
        ("1911", "1911.0"),
        ("1911", "1.911e3"),
        ('"name"', '"Name"'),
        ("Ann", "A\\u006en"),
        ("[1", "[1.0"),
    ):
        for question in ("Who is mayor?", "Since when?"):
            text = json.dumps(VALUE)
            yield f"{old} as {new}, {question}", f"{question}\n\n{text}", f"{question}\n\n{text.replace(old, new, 1)}"
    for one in ('{"a":1,"a":2}', '{"a":1,"b":2}'):
        yield "names in another order", f"What is a?\n\n{one}", 'What is a?\n\n{"b":2,"a":1}'
