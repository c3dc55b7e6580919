"""A text cut into lines and sentences, in any language, such that no quotation, bracket or link is cut in two."""

from __future__ import annotations

import re
from typing import NamedTuple

from nexscout_cli.engine.compression.blocks import blocks

_BREAK = re.compile(r"(?<![.!?…])[.!?…]+[\"”»’')\]]*\s+|[。！？｡]+[」』”）]*\s*|[।॥؟۔]+\s*")
_PAIRED = re.compile(r"[\"“”«»„()\[\]{}`「」『』（）]")
_OPENS, _CLOSES, _TOGGLES = set("“«„([{「『（"), set("”»)]}」』）"), set('"`')
_ABBREVIATED = """
    mr mrs ms dr prof st no nos art vs etc approx fig vol jr sr inc ltd co corp gen col sgt lt gov sen rep rev hon
    capt jan feb mar apr jun jul aug sep sept oct nov dec ca bzw usw evtl ggf inkl nr str tel sog vgl hr fr geb gest
    av bd sra ud uds dra núm pág mme mlle mm cf env ex sig dott ecc pag dhr mevr bijv г гг в вв ул им тыс млн руб см
    др пр
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_THAI_PAUSE = re.compile(r"(?<=[\u0e00-\u0e7f]) +(?=[\u0e00-\u0e7f])")
_LABEL = re.compile(
    r"\s*(?:[^\n()\[\]]{0,30}\[\d{1,4}\] ?\((?:[^()\n]|\([^()\n]*\)){0,300}\) ?"
    r"|(?:(?:[-*•]|\d{1,3}[.)]) )?[^\s:.!?|\"“()\[\]]{1,30}(?: [^\s:.!?|\"“()\[\]]{1,30}){0,4}: )"
)
_HEADING = re.compile(r"\s*(?:#{1,6} .*|(={2,6}).+\1\s*|\*\*[^*]+\*\*:?\s*)\Z")
_MAX_HEADING = 80
_TERMINAL = ".!?…。！？।؟:"
_MAX_JOINED = 600  # a mark that is never closed holds the sentences after it together no longer than this
_WRAPPED = range(45, 101)  # columns at which text is wrapped by hand


class Line(NamedTuple):
    """A paragraph as it stands on one line, or on several that are one when wrapped by hand. Offsets into the text.

    ``kind``: prose, heading, or fixed (code, JSON: never cut). ``start``–``label`` is what names it (a speaker, a title),
    ``ends`` where its sentences end, the blanks after each included. ``block`` counts the paragraphs between blank lines.
    """

    kind: str
    start: int
    label: int
    ends: tuple[int, ...]
    block: int


def lines(text: str) -> list[Line]:
    """The lines of a text, blank ones left out."""
    found: list[Line] = []
    at = paragraph = 0
    for block in blocks(text):
        if block.kind == "blank":
            paragraph += 1
        elif block.kind == "json" or (block.kind == "verbatim" and _is_code(block.text)):
            found.append(Line("fixed", at, at, (at + len(block.text),), paragraph))
        else:
            found += _prose(text, at, at + len(block.text), paragraph)
        at += len(block.text) + 1
    return [
        line._replace(kind="heading") if line.kind == "prose" and _is_heading(text, found, i) else line
        for i, line in enumerate(found)
    ]


def _is_code(block: str) -> bool:
    """Fenced or indented code; quoted lines and tables are text by lines."""
    return block.lstrip(" ").startswith(("```", "~~~")) or all(
        line.startswith(("    ", "\t")) or not line.strip() for line in block.split("\n")
    )


def _prose(text: str, start: int, end: int, paragraph: int) -> list[Line]:
    rows = text[start:end].split("\n")
    full = sum(len(row.rstrip()) in _WRAPPED and row.rstrip()[-1] not in _TERMINAL for row in rows[:-1])
    wrapped = full > 0.6 * (len(rows) - 1)
    found: list[Line] = []
    at = first = start
    for row, following in zip(rows, [*rows[1:], ""], strict=True):
        at += len(row) + 1
        if following and (wrapped or following[:1].islower()) and not row.rstrip().endswith((":", "|")):
            continue
        found.append(_line(text, first, at - 1, paragraph))
        first = at
    return found


def _line(text: str, start: int, end: int, paragraph: int) -> Line:
    label = _LABEL.match(text, start, end)
    after = label.end() if label else start
    return Line("prose", start, after, tuple(_ends(text, after, end)), paragraph)


def _ends(text: str, start: int, end: int) -> list[int]:
    """Where the sentences between two offsets end."""
    ends: list[int] = []
    begin = start
    for match in _BREAK.finditer(text, start, end):
        stop = match.end()
        if stop >= end:
            break
        mark = match.start()
        if text[mark] in ".…" and (text[stop].islower() or _abbreviated(text[max(begin, mark - 12) : mark])):
            continue
        if stop - begin < _MAX_JOINED and _open(text[begin:stop]):
            continue
        ends.append(stop)
        begin = stop
    if not ends and end - start > _MAX_HEADING:
        ends = _pauses(text, start, end)
    return [*ends, end]


def _abbreviated(before: str) -> bool:
    words = before.split()
    word = words[-1] if words and before[-1:].strip() else ""
    return (
        (len(word) == 1 and word.isalpha())
        or (len(word) <= 2 and word.isdigit())
        or "." in word[1:]
        or word.lower().lstrip('("“') in _ABBREVIATIONS
    )


def _open(sentence: str) -> bool:
    """True when a quotation or bracket is begun in the sentence and not ended."""
    depth, toggled = 0, False
    for mark in _PAIRED.findall(sentence):
        if mark in _TOGGLES:
            toggled = not toggled
        elif mark in _OPENS:
            depth += 1
        elif depth:
            depth -= 1
    return toggled or depth > 0


def _pauses(text: str, start: int, end: int) -> list[int]:
    """Thai ends its sentences, and nothing else but clauses, with a blank."""
    ends: list[int] = []
    begin = start
    for match in _THAI_PAUSE.finditer(text, start, end):
        length = match.end() - begin
        if length >= _MAX_JOINED or (length >= _MAX_HEADING and not _open(text[begin : match.start()])):
            ends.append(match.end())
            begin = match.end()
    return ends


def _is_heading(text: str, found: list[Line], at: int) -> bool:
    line = found[at]
    row = text[line.start : line.ends[-1]]
    if _HEADING.match(row):
        return True
    if len(row) > _MAX_HEADING or at + 1 == len(found) or len(line.ends) > 1 or not row[:1].strip():
        return False
    alone = at == 0 or found[at - 1].block != line.block
    following = found[at + 1]
    return (
        alone
        and row.rstrip()[-1:] not in ".!?:,;…。！？،|"
        and not row.startswith(("-", "*", "•"))
        and following.ends[-1] - following.start > 2 * len(row)
    )
