"""Which words of programs a word of a question means: "shut" means ``close``, ``exit``, ``sigterm``.

Two tables: one that ``scripts/train/code_words`` learns from what the functions of many packages say they do, and what they
do; and one of everyday words that is written by hand (``scripts/train/code_senses``), which is surer where it knows a word.
They are read only when a program is extracted with a question.
"""

from __future__ import annotations

import zlib
from functools import cache, lru_cache
from pathlib import Path

_DATA = Path(__file__).parents[2] / "data"
_LEARNED, _WRITTEN = "code_words.z", "code_senses.z"
STEPS = 9
"""Steps in which a share is written, in the digit after each word."""
_BESIDE = 0.3
"""What is learned of a word counts so much where somebody has written what it means."""


@cache
def _table(file: str) -> bytes:
    """Lines of a stem and those it means, each with a digit; in order, between two line ends."""
    return zlib.decompress((_DATA / file).read_bytes())


@lru_cache(4_096)
def meanings(stem: str) -> dict[str, float]:
    """The stems in programs that a question's stem means, each with how surely (0..1); empty where nothing is known of it."""
    learned, written = _meant(_LEARNED, stem), _meant(_WRITTEN, stem)
    if not written:
        return learned
    return {word: share * _BESIDE for word, share in learned.items()} | written


def _meant(file: str, stem: str) -> dict[str, float]:
    table, sought = _table(file), stem.encode()
    low, high = 0, len(table) - 1
    while (
        low < high
    ):  # the line end at ``low`` stands before all lines that may be the one, that at ``high`` after them
        start = table.rindex(b"\n", low, (low + high) // 2 + 1)
        end = table.index(b"\n", start + 1)
        word, _, meant = table[start + 1 : end].partition(b" ")
        if word == sought:
            return {one[:-1]: int(one[-1]) / STEPS for one in meant.decode("ascii").split(" ")}
        low, high = (end, high) if word < sought else (low, start)
    return {}
