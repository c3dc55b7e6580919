"""How much a text weighs on whoever wrote it, by its words alone: a logistic model over words, neighbours and parts of words.

It knows what lists of words of feeling cannot: an empty chair, a badge that no longer opens the door, thanks that mean the
opposite. ``scripts/train/emotion`` fits it to texts that were written for this project, in English, German, Spanish, French,
Chinese, Hindi and Arabic; :mod:`nexscout_cli.engine.routing.emotion` weighs it against the rules.
"""

from __future__ import annotations

import math
import re
import zlib
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

from nexscout_cli.engine.shipped_data import signed_bytes, table

BUCKETS = 1 << 16
READ = 1_000
"""Of a text longer than twice this many characters only the first and the last this many are read."""
PARTS = (4, 5)
"""Lengths of the parts of a word that count beside the word."""
HEAT = 4.0
"""No more of the rules' heat than this counts beside the words."""
FEW = 6
"""Of a text with few of them each counts for less: this many are taken to be there and to tell nothing."""
LONGEST = 24
"""Characters of a word that are read."""

_TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff][\w\u0900-\u097f\u064b-\u0652']*|[!?\u061f\uff01\uff1f]")
_CHINESE = re.compile("[\u4e00-\u9fff]")


class Felt(NamedTuple):
    """``grams`` in steps of ``step``; ``weighing``: constant, and what the words' log-odds and the rules' heat count for."""

    bias: float
    step: float
    grams: memoryview
    weighing: tuple[float, float, float]


def unpack(data: dict[str, object]) -> Felt:
    """A model as ``scripts/train/emotion`` writes it."""
    fields = {name: data[name] for name in Felt._fields}
    return Felt(**fields | {"grams": signed_bytes(data["grams"]), "weighing": tuple(data["weighing"])})  # type: ignore[arg-type]


@cache
def shipped() -> Felt:
    """The model in the package."""
    return unpack(table("emotion_words"))


def buckets(text: str) -> set[int]:
    """The buckets of what stands in ``text``: words (Chinese: signs), pairs, words two apart, parts of longer words."""
    if len(text) > 2 * READ:
        text = f"{text[:READ]}\n{text[-READ:]}"
    words = ["0" if word[0].isdigit() else word[:LONGEST] for word in _TOKEN.findall(text.lower())]
    found = {_bucket(f"b{a} {b}") for a, b in pairwise(words)}
    found.update(_bucket(f"s{a} {b}") for a, b in zip(words, words[2:], strict=False))
    return found.union(*map(_of_word, set(words)))


@lru_cache(maxsize=2_048)  # most of a text are words that other texts have, too
def _of_word(word: str) -> tuple[int, ...]:
    """The buckets of a word by itself, and of its parts."""
    found = [f"w{word}"]
    if len(word) > 3 and not _CHINESE.match(word):
        whole = f"<{word}>"
        found += (f"c{whole[at : at + n]}" for n in PARTS for at in range(len(whole) - n + 1))
    return tuple({_bucket(one) for one in found})


def _bucket(gram: str) -> int:
    return zlib.crc32(gram.encode("utf-8", "replace")) % BUCKETS


def odds(text: str, model: Felt | None = None) -> float:
    """Log-odds that ``text`` carries a heavy feeling, by its words alone; the bias where it has none."""
    m = model or shipped()
    found = buckets(text)
    return m.bias + m.step * sum(m.grams[bucket] for bucket in found) / math.sqrt(len(found) + FEW)
