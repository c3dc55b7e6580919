"""The blocks of a text: prose, JSON, and what a compressor must leave alone. All linear."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

MAX_FAILURES = 50  # lines that look like JSON and are not; each costs a scan of the whole text inside json's error
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_VERBATIM = re.compile(
    r"(?: {4}|\t|\s*>|\s*[{}\[\]\"<]|\s*(?:def|class|import|from|return|function|const|let|var|public|private"
    r"|#include|SELECT)\b)"
    r"|.*(?:\||\t|[{};]\s*$)"
)
_RUN = re.compile(r"(?<=\S) {2,}(?=\S)")
_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


class Block(NamedTuple):
    """Consecutive lines of one kind: ``prose``, ``json``, ``blank`` or ``verbatim`` (code, quotes, tables)."""

    kind: str
    text: str


def blocks(text: str) -> list[Block]:
    """The text cut into blocks of whole lines; joined by newlines they are the text again."""
    found: list[Block] = []
    lines = text.split("\n")
    jsons = _json_ends(text, lines)
    kinds = _kinds(lines, jsons)
    start = 0
    for at in range(1, len(lines) + 1):
        if at == len(lines) or kinds[at] != kinds[start]:
            kind, _ = kinds[start]
            found.append(Block(kind, "\n".join(lines[start:at])))
            start = at
    return found


def _json_ends(text: str, lines: list[str]) -> dict[int, int]:
    """First line → last line of each standalone JSON block. A failed parse is not retried inside what it read."""
    ends: dict[int, int] = {}
    offset = done = 0
    fence = ""
    failures = 0
    for number, line in enumerate(lines):
        start, offset = offset, offset + len(line) + 1
        fence = _next_fence(fence, line)
        if fence or start < done or failures > MAX_FAILURES or not line.startswith(("{", "[")):
            continue
        try:
            _, end = _JSON.raw_decode(text, start)
        except json.JSONDecodeError as error:
            done = error.pos
            failures += 1
            continue
        except RecursionError:
            return ends
        done = end
        stop = text.find("\n", end)
        if not text[end : stop if stop >= 0 else len(text)].strip():
            ends[number] = number + text.count("\n", start, end)
    return ends


def _next_fence(fence: str, line: str) -> str:
    """The fence that is open after this line, or an empty string."""
    mark = _FENCE.match(line)
    if mark is None:
        return fence
    if not fence:
        return mark.group(1)
    closes = mark.group(1).startswith(fence) and not line.strip().strip(fence[0])
    return "" if closes else fence


def _kinds(lines: list[str], jsons: dict[int, int]) -> list[tuple[str, int]]:
    """The kind of each line, with a number that keeps neighbouring JSON blocks apart."""
    kinds: list[tuple[str, int]] = []
    fence, until = "", -1
    for at, line in enumerate(lines):
        if at in jsons:
            until = jsons[at]
            first = at
        if at <= until:
            kinds.append(("json", first))
            continue
        before, fence = fence, _next_fence(fence, line)
        if before or fence:
            kinds.append(("verbatim", 0))
        elif not line.strip():
            kinds.append(("blank", 0))
        else:
            kinds.append(("verbatim" if _VERBATIM.match(line) or _aligned(lines, at) else "prose", 0))
    _join_code(lines, kinds)
    return kinds


def _aligned(lines: list[str], at: int) -> bool:
    """True for a line of columns: one of its inner runs of spaces ends where one of a neighbouring line does."""
    if "  " not in lines[at].lstrip():
        return False
    columns = {m.end() for m in _RUN.finditer(lines[at])}
    near = [lines[i] for i in (at - 1, at + 1) if columns and 0 <= i < len(lines)]
    return any(columns & {m.end() for m in _RUN.finditer(line)} for line in near)


def _join_code(lines: list[str], kinds: list[tuple[str, int]]) -> None:
    """Blank lines between two indented lines belong to the code around them."""
    start = None
    for at, line in enumerate(lines):
        if kinds[at][0] == "blank":
            start = at if start is None else start
            continue
        if start and kinds[at][0] == "verbatim" and line[:1] in " \t" and lines[start - 1][:1] in " \t":
            kinds[start:at] = [("verbatim", 0)] * (at - start)
        start = None
