"""Which words of programs a word of a question means: "shut" means ``close``, ``exit``, ``sigterm``.

A table of word statistics that ``scripts/train/code_words`` learns from what the functions of many packages say they do, and
what they do. It is read only when a program is extracted with a question.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parents[2] / "data" / "code_words.z"
STEPS = 9
"""Steps in which a share is written, in the digit after each word."""


@cache
def _table() -> bytes:
    """Lines of a stem and those it means, each with a digit; between two line ends, so that a stem is found whole."""
    return zlib.decompress(_FILE.read_bytes())


def meanings(stem: str) -> dict[str, float]:
    """The stems in programs that a question's stem means, each with how surely (0..1); empty where nothing is known of it."""
    table = _table()
    start = table.find(f"\n{stem} ".encode())
    if start < 0:
        return {}
    line = table[start + 1 : table.index(b"\n", start + 1)].decode("ascii")
    return {word[:-1]: int(word[-1]) / STEPS for word in line.split(" ")[1:]}
