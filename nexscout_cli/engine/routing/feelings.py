"""Feelings beyond English words for them: in German, Spanish, Chinese, Hindi and Arabic, unsaid, or ironic.

Small lists of word beginnings and set phrases (``data/feelings.json``, written for this project), which
:mod:`nexscout_cli.engine.routing.emotion` turns into its score. A hit counts like an English word of feeling: in full where
a person speaks of people, little where nobody is spoken of, hardly in an impersonal instruction.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from nexscout_cli.engine.shipped_data import table

HIT = 1.9
"""Heat of a word of feeling or a phrase; two at most of a sentence count."""
NEGATED, NOBODY, ORDERED = 0.2, 0.35, 0.2
"""What is left of a hit that is negated, in a sentence about nobody, and in an instruction about nobody."""
TOLD_CHARS = 600
"""Characters in which a story is looked for: longer texts are about something else as well."""
LIGHT_ENOUGH = 3
"""How many words that say little alone (a relative, a time, "again") make a story heavy together."""
BEFORE = 24
"""Characters before a word of feeling in which a negation takes it back."""


class Tongue(NamedTuple):
    """A language: words of feeling and phrases of hurt, who is spoken of, what negates and orders, and words of joy."""

    felt: re.Pattern[str]
    person: re.Pattern[str]
    negation: re.Pattern[str]
    order: re.Pattern[str]
    joy: re.Pattern[str]
    irony: re.Pattern[str]


_SCRIPTS = (
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
)
_WORD = re.compile(r"[^\W\d_]+")
_FOREIGN_LATIN = re.compile("[äöüßáéíóúñ¿¡]")


@cache
def _small_words() -> dict[str, frozenset[str]]:
    return {name: frozenset(words.split()) for name, words in table("feelings")["small"].items()}


@cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(table("feelings")[name], re.IGNORECASE)


def unsaid(sentence: str) -> int:
    """How many of two a sentence shows: a hurt or fear without a word for it, praise or thanks that mean the opposite."""
    return sum(_pattern(name).search(sentence) is not None for name in ("unsaid", "irony"))


@cache
def _tongue(language: str) -> Tongue:
    sources = table("feelings")["tongues"][language]
    return Tongue(**{name: re.compile(source, re.IGNORECASE) for name, source in sources.items()})


def language(text: str) -> str | None:
    """Which of the languages here ``text`` is written in: by its script, else by its small words; None for any other."""
    for name, script in () if text.isascii() else _SCRIPTS:
        if len(script.findall(text)) * 3 > len(text) - text.count(" "):
            return name
    words = _WORD.findall(text.lower())
    counts = {name: sum(word in listed for word in words) for name, listed in _small_words().items()}
    english = counts.pop("en")
    best = max(counts, key=lambda name: counts[name])
    marked = _FOREIGN_LATIN.search(text.lower()) is not None
    return best if counts[best] > english and counts[best] >= (1 if marked else 2) else None


def read(sentence: str, tongue: str) -> tuple[float, float]:
    """Heat and warmth of a sentence in one of the languages here, on the scale of English sentences."""
    t = _tongue(tongue)
    low = sentence.lower()
    heat = 0.0
    for found in list(t.felt.finditer(low))[:2]:
        taken_back = t.negation.search(low[max(0, found.start() - BEFORE) : found.start()])
        heat += HIT * (NEGATED if taken_back and " " not in found[0] and _close(low, taken_back, found) else 1.0)
    warmth = 2.0 * len(t.joy.findall(low)[:2])
    if t.irony.search(low):
        heat, warmth = heat + HIT, 0.0
    speaking, ordered = t.person.search(low) is not None, t.order.search(low) is not None
    factor = (0.6 if ordered else 1.0) if speaking else ORDERED if ordered else NOBODY
    return heat * factor, warmth * (1.0 if speaking else 0.35)


def _close(low: str, negation: re.Match[str], found: re.Match[str]) -> bool:
    """Whether the negation belongs to the word: no more than two words or eight characters without blanks between them."""
    start = max(0, found.start() - BEFORE) + negation.end()
    between = low[start : found.start()]
    return len(between.split()) <= 2 and len(between) <= 16 and "," not in between and "，" not in between


@cache
def _told(tongue: str) -> tuple[re.Pattern[str], ...]:
    sources = table("feelings")["told"][tongue]
    return tuple(
        re.compile(sources[name], re.IGNORECASE | re.MULTILINE) for name in ("person", "heavy", "light", "other")
    )


def told(prose: str, tongue: str) -> float:
    """Heat of a story of one's own life that asks for nothing, in which something may lie heavy; else 0."""
    person, heavy, light, other = _told(tongue)
    low = prose.lower()[:TOLD_CHARS]
    if other.search(low) or not person.search(low):
        return 0.0
    found = set(heavy.findall(low))
    alone = any(not light.match(word) for word in found)
    return HIT if alone or len(found) >= LIGHT_ENOUGH else 0.0
