"""The lossless compressor: two steps, each with a proof. Everything else is sent byte for byte.

``json``     blanks outside the strings of a JSON value go, which its grammar gives no meaning (RFC 8259, 2), and a list of
             records becomes a table, from which the same records can be read. Names, numbers, duplicates and order stay.
``repeats``  a long paragraph that is a copy of one before becomes a line that says so, and how the other begins.

Neither is done where somebody asks about form, nor in code, diffs, logs, mail, Markdown, tables and configuration.
"""

from __future__ import annotations

import re
from collections import Counter

from nexscout_cli.engine.compression.blocks import Block, blocks
from nexscout_cli.engine.compression.form import asks_about_form
from nexscout_cli.engine.compression.json_tables import tabled
from nexscout_cli.engine.compression.structure import BYTE_FOR_BYTE, kind_of

STEPS = ("json", "repeats")
MIN_REPEAT = 160
"""Characters from which a paragraph's copy is folded: twice what the line in its place takes."""
_OPENING = 40  # characters of a paragraph that name it

_JSON_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\n\r]+')
_CONTINUES = ("=", "(", ",", "{", "[", "+", "\\")
"""How a line ends whose value on the next one is a program's."""


def compress(text: str, about: str = "") -> tuple[str, dict[str, int]]:
    """The text without what carries no meaning, and the characters that each step took away, in the order of ``STEPS``.

    ``about``: what else the request says; it is looked at only for questions of form. Never longer than the input, and
    compressing again changes nothing.
    """
    if not _has_what_steps_take(text):
        return text, {}
    parts = blocks(text)
    has_json = any(part.kind == "json" for part in parts)
    if not has_json and len(text) < 2 * MIN_REPEAT:
        return text, {}
    shorter = _fold_repeats([_compacted(parts, at) for at in range(len(parts))] if has_json else parts)
    if shorter == parts:
        return text, {}
    words = "\n".join(part.text for part in parts if part.kind != "json")
    if asks_about_form(about) or kind_of(words) in BYTE_FOR_BYTE or asks_about_form(words):
        return text, {}
    saved: Counter[str] = Counter()
    for part, new in zip(parts, shorter, strict=True):
        saved["json" if part.kind == "json" else "repeats"] += len(part.text) - len(new.text)
    return "\n".join(part.text for part in shorter), {step: saved[step] for step in STEPS if saved[step]}


def _has_what_steps_take(text: str) -> bool:
    """Whether a line begins as JSON does, or a long one stands there twice: without these no step does anything."""
    if text.startswith(("{", "[")) or "\n{" in text or "\n[" in text:
        return True
    long = [line for line in text.split("\n") if len(line) >= MIN_REPEAT]
    return len(set(long)) < len(long)


def _compacted(parts: list[Block], at: int) -> Block:
    """A block of JSON in its shortest form, unless the lines around it are a program's; another block as it is."""
    part = parts[at]
    if part.kind != "json" or any(near.kind == "verbatim" for near in parts[max(0, at - 1) : at + 2]):
        return part
    if at and parts[at - 1].text.rstrip().endswith(_CONTINUES):
        return part
    return part._replace(text=tabled(part.text) or _JSON_TOKEN.sub(lambda m: m.group(1) or "", part.text))


def _fold_repeats(parts: list[Block]) -> list[Block]:
    """With a line in the place of each later copy of a long paragraph on one line (verse has several)."""
    seen: set[str] = set()
    openings: dict[str, str] = {}
    folded: list[Block] = []
    for at, part in enumerate(parts):
        alone = all(near.kind == "blank" for near in parts[max(0, at - 1) : at] + parts[at + 1 : at + 2])
        if part.kind == "prose" and alone and len(part.text) >= MIN_REPEAT and "\n" not in part.text:
            opening = part.text[:_OPENING]
            if part.text in seen and openings[opening] == part.text:
                part = part._replace(text=f"[The paragraph above that begins “{opening}” stands here again.]")
            else:
                seen.add(part.text)
                openings[opening] = part.text if openings.get(opening, part.text) == part.text else ""
        folded.append(part)
    return folded
