"""What became of a text that was compressed: which sentences stay, which are left out, which are new."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+|(?<!\s)\s++\[…\]\s*|\[…\]\s*")
MOST_SENTENCES = 2_000
"""Sentences up to which two texts are compared here: the time it takes grows with their square."""


class Piece(NamedTuple):
    """Sentences in a row that have the same fate: ``same``, ``out`` (left out) or ``new`` (put in their place)."""

    kind: str
    text: str


def sentences(text: str) -> list[str]:
    """A text's sentences, without what stands between them."""
    return [piece for piece in _SENTENCE.split(text) if piece]


def pieces(given: str, sent: str) -> list[Piece] | None:
    """The given text with what is left out of it, in order; None for texts of too many sentences to compare."""
    before, after = sentences(given), sentences(sent)
    if max(len(before), len(after)) > MOST_SENTENCES:
        return None
    found = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(Piece("same", " ".join(before[a:b])))
            continue
        found += [Piece(name, " ".join(part)) for name, part in (("out", before[a:b]), ("new", after[c:d])) if part]
    return found
