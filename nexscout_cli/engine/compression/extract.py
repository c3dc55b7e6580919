"""Extraction: of a long text the sentences that bear on a question, as they stand, in their order, each cut marked.

A sentence is judged by the question's words in it, around it, in its paragraph, in what names that (a title, a speaker)
and in its section's heading, each word weighed by how rare it is here: the inverse document frequency of BM25 (Robertson
and Zaragoza 2009, "The Probabilistic Relevance Framework"), over sentences and over paragraphs. Openings count for more,
of paragraphs and of the text (but of a list of titled passages). The weights of ``_SIGNS`` began as a logistic
regression's on English passages, and were settled by what survives in ``scripts/bench/compress``.

No language is assumed. How words meet and weigh is in :mod:`nexscout_cli.engine.compression.relevance`.
"""

from __future__ import annotations

import heapq
import itertools
import re
from typing import NamedTuple

from nexscout_cli.engine.compression.relevance import PLAIN, Hits, hits_of, matches_of, weigher, words
from nexscout_cli.engine.compression.sentences import Line, lines

CUT = "[…]"
MIN_SENTENCES = 4
"""A text of fewer is none to choose from."""

# A sentence that opens with one of these leans on the sentence before.
_LEANING = re.compile(
    r"(?:he|she|it|they|this|that|these|those|his|her|their|its|such|er|sie|es|diese[rsmn]?|ihr|ihre|sein|seine|él|ella|ellos|ellas"
    r"|este|esta|esto|il|elle|ils|elles|cette|ces|egli|questo|questa|ele|ela|eles|isso|hij|zij|deze|dit|он|она|оно|они"
    r"|это|этот|эта)\b|[他她它这這]|彼|これ|それ",
    re.IGNORECASE,
)


class Signs(NamedTuple):
    """What speaks for a sentence, each in 0..1."""

    sentence: float
    near: float
    paragraph: float
    label: float
    section: float
    around: float
    opening: float
    lead: float
    length: float


_SIGNS = Signs(2.5, 2.0, 5.0, 3.5, 1.0, 5.0, 1.2, 1.5, 0.6)
_NEW = 3.0
"""What a sentence gains when all its words are new to what is picked already."""
_SAID = 5  # words from which a sentence can be a repeat
_LONG = 200  # characters from which a sentence counts as long
_FADE = (1.0, 0.7, 0.4)  # how a word counts for sentences next to its own
_LABEL_REACH = 0.8
_AROUND = 1_500  # characters
_LISTED = 3  # titled passages from which a text is a list of them, and its beginning no lead
_CUT_SIZE = 6


class Sentence(NamedTuple):
    """Offsets into the text, the number of its line, and its words."""

    start: int
    end: int
    line: int
    words: frozenset[str]


def extract(text: str, question: str, keep: float, pinned: re.Pattern[str] | None = None) -> str:
    """The sentences of ``text`` that bear on ``question``, at most ``keep`` (0..1) of its prose by UTF-8 bytes.

    Code, JSON and tables stay whole, headings and speakers stay with what they head, and sentences in which ``pinned``
    is found stay whatever they weigh; they take up to half of that room, and what is more comes on top. The text comes
    back as it is where nothing tells its sentences apart: too few of them, or none that shares a word of weight with the
    question.
    """
    found = lines(text)
    units = _sentences(text, found)
    if len(units) < MIN_SENTENCES or keep >= 1:
        return text
    scores = _scores(text, found, units, question)
    if scores is None:
        return text
    fixed = [at for at, unit in enumerate(units) if pinned and pinned.search(text, unit.start, unit.end)]
    kept = _pick(text, found, units, scores, keep, fixed)
    short = _join(text, found, units, kept)
    return short if len(short) < len(text) else text


def _sentences(text: str, found: list[Line]) -> list[Sentence]:
    units = []
    for number, line in enumerate(found):
        if line.kind == "prose":
            start = line.label
            for end in line.ends:
                units.append(Sentence(start, end, number, frozenset(words(text[start:end]))))
                start = end
    return units


def _scores(text: str, found: list[Line], units: list[Sentence], question: str) -> list[float] | None:
    """How much each sentence bears on the question; None when no word of weight is shared."""
    asked = list(dict.fromkeys(words(question)))
    titles = {
        number: frozenset(words(text[line.start : line.label if line.kind == "prose" else line.ends[-1]]))
        for number, line in enumerate(found)
        if line.kind == "heading" or line.label > line.start
    }
    matches = matches_of(asked, set().union(*(unit.words for unit in units), *titles.values()))
    in_title = {number: hits_of(of, matches) for number, of in titles.items()}
    in_line: list[Hits] = [dict(in_title.get(number, {})) for number in range(len(found))]
    in_unit = [hits_of(unit.words, matches) for unit in units]
    for unit, its in zip(units, in_unit, strict=True):
        _merge(in_line[unit.line], its)
    weigh = weigher(asked, in_unit)
    weigh_line = weigher(asked, in_line) if len(found) > MIN_SENTENCES else weigh
    if not any(asked[at] not in PLAIN for its in in_line for at in its):
        return None
    of_line = [weigh_line(its) for its in in_line]
    most = max(of_line) or 1.0
    around = _around(found, of_line)
    listed = sum("](" in text[line.start : line.label] for line in found) >= _LISTED
    scores = []
    section = 0.0
    last = first = -1
    for at, unit in enumerate(units):
        if unit.line != last:
            for number in range(last + 1, unit.line + 1):
                if found[number].kind == "heading":
                    section = of_line[number]
            last, first = unit.line, at
        near = dict(in_unit[at])
        for step in (1, 2):
            for other in (at - step, at + step):
                if 0 <= other < len(units) and in_unit[other]:
                    _merge(near, in_unit[other], _FADE[step])
        if unit.line in in_title:
            _merge(near, in_title[unit.line], _LABEL_REACH)
        signs = (
            weigh(in_unit[at]),
            weigh(near),
            of_line[unit.line] / most,
            weigh_line(in_title[unit.line]) if unit.line in in_title else 0.0,
            section,
            around[unit.line],
            1 / (1 + at - first),
            0.0 if listed else 1 - at / len(units),
            min(1.0, (unit.end - unit.start) / _LONG),
        )
        scores.append(sum(map(float.__mul__, signs, _SIGNS)))
    return scores


def _around(found: list[Line], of_line: list[float]) -> list[float]:
    """The mean over the lines around each in its block, relative to the highest: a topic's turns in a transcript."""
    sums = [0.0, *itertools.accumulate(of_line)]
    result = []
    low = high = 0
    for line in found:
        while found[low].block != line.block or line.start - found[low].start > _AROUND:
            low += 1
        while high < len(found) and found[high].block == line.block and found[high].start - line.start <= _AROUND:
            high += 1
        result.append((sums[high] - sums[low]) / (high - low) if high - low > 1 else 0.0)
    most = max(result) or 1.0
    return [value / most for value in result]


def _merge(into: Hits, other: Hits, factor: float = 1.0) -> None:
    for at, share in other.items():
        if share * factor > into.get(at, 0.0):
            into[at] = share * factor


def _pick(
    text: str, found: list[Line], units: list[Sentence], scores: list[float], keep: float, fixed: list[int]
) -> set[int]:
    """The numbers of the sentences to keep: the best first, each weighed against the words that are there already."""
    plain = text.isascii()

    def size(start: int, end: int) -> int:
        return end - start if plain else len(text[start:end].encode())

    sizes = [size(unit.start, unit.end) for unit in units]
    extra = [
        size(line.start, line.label) if line.kind == "prose" else size(line.start, line.ends[-1]) for line in found
    ]
    left = keep * (sum(sizes) + sum(cost for line, cost in zip(found, extra, strict=True) if line.kind != "fixed"))
    heads = _heads(found)
    kept: set[int] = set()
    named: set[int] = {-1}
    seen: set[str] = set()

    def take(at: int, *, anyway: bool = False) -> bool:
        nonlocal left
        names = {units[at].line, heads[units[at].line]} - named
        cost = sizes[at] + sum(extra[number] for number in names)
        cost += _CUT_SIZE * (1 - (at - 1 in kept) - (at + 1 in kept))
        if cost > left and not anyway:
            return False
        left -= cost
        kept.add(at)
        named.update(names)
        seen.update(units[at].words)
        return True

    given = left
    for at in fixed:
        take(at, anyway=True)
    if fixed:  # what instructs leaves at least half of the room to what answers
        left = max(left, given / 2)
    heap = [(-score - _NEW, at) for at, score in enumerate(scores)]
    heapq.heapify(heap)
    while heap:
        value, at = heapq.heappop(heap)
        if at in kept:
            continue
        words = units[at].words
        new = len(words - seen)
        # What was said before in as many words comes last; a short "yes" belongs to what it answers.
        now = -scores[at] - _NEW * new / (len(words) or 1) if new or len(words) < _SAID else 0.0
        if now > value and heap and now > heap[0][0]:
            heapq.heappush(heap, (now, at))
        elif take(at) and _leans(text, units, at) and at - 1 not in kept:
            take(at - 1)
    return kept


def _leans(text: str, units: list[Sentence], at: int) -> bool:
    """True for a sentence that opens with a pronoun and follows another in its line."""
    return at > 0 and units[at - 1].line == units[at].line and _LEANING.match(text, units[at].start) is not None


def _heads(found: list[Line]) -> list[int]:
    """For each line the number of the heading it stands under, -1 for none."""
    heads = []
    head = -1
    for number, line in enumerate(found):
        if line.kind == "heading":
            head = number
        heads.append(head)
    return heads


def _join(text: str, found: list[Line], units: list[Sentence], kept: set[int]) -> str:
    """The kept sentences in their order, with what names them, and a mark wherever something was left out."""
    spans = {(units[at].start, units[at].end) for at in kept}
    used = {units[at].line for at in kept} | {n for n, line in enumerate(found) if line.kind == "fixed"}
    heads = _heads(found)
    for number in used:
        line = found[number]
        if line.kind == "fixed" or line.label > line.start:
            spans.add((line.start, line.label if line.kind == "prose" else line.ends[-1]))
        if heads[number] >= 0:
            head = found[heads[number]]
            spans.add((head.start, head.ends[-1]))
    parts: list[str] = []
    end = 0
    for start, stop in sorted(spans):
        gap = text[end:start]
        if gap.strip():
            if parts:
                parts[-1] = parts[-1].rstrip()
            mark = f" {CUT}" if parts else CUT
            gap = mark + ("\n\n" if "\n\n" in gap else "\n" if "\n" in gap else " ")
        parts += [gap, text[start:stop]]
        end = stop
    if text[end:].strip():
        parts += [f" {CUT}"]
    return "".join(parts)
