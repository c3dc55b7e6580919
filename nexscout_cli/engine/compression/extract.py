"""Extraction: of a long text the sentences that bear on a question, as they stand, in their order, each cut marked.

A sentence is judged by the question's words in it, around it, in its paragraph, in what names that (a title, a speaker)
and in its section's heading, each word weighed by how rare it is here: the inverse document frequency of BM25 (Robertson
and Zaragoza 2009, "The Probabilistic Relevance Framework"), over sentences and over paragraphs. Openings count for more,
of paragraphs and of the text (but of a list of titled passages). The weights of ``_SIGNS`` began as a logistic
regression's on English passages, and were settled by what survives in ``scripts/bench/compress``.

No language is assumed. Words meet when they are equal, share most of a long beginning, or one holds the other;
writing without blanks meets by pairs or triples of characters.
"""

from __future__ import annotations

import heapq
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from nexscout_cli.engine.compression.sentences import Line, lines

CUT = "[…]"
MIN_SENTENCES = 4
"""A text of fewer is none to choose from."""

_NO_BLANKS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
_WORD = re.compile(rf"[{_NO_BLANKS}]+|(?:[^\W{_NO_BLANKS}]|[{_MARKS}])+")
_GRAMS = re.compile(rf"[{_NO_BLANKS}]")
_PAIRS_FROM = "\u3040"  # Chinese, Japanese, Korean; the alphabets before it go by threes

# Words that ask or bind and say nothing of the matter. A language that is not here loses little: they are frequent.
_PLAIN_WORDS = """
    a about an and are as at be been by can could did do does for from had has have how if in into is it its many may
    me much my name named of on or our shall should so than that the their then there these they this those to was we were
    what when where which who whom whose why will with would you your
    als am an auf aus bei das dem den der des die ein eine einem einer eines für hat hatte in ist mit nach oder sich sind
    und viel viele von wann war waren warum was welche welchem welchen welcher welches wem wen wer werden wie wird wo wurde
    wurden zu zum zur
    al como con cuál cuáles cuándo cuánta cuántas cuánto cuántos cómo de del dónde el en era eran es está fue fueron ha la
    las lo los o para por que quién quiénes qué se son su sus un una unos y
    à au aux avec ce combien comment dans des du elle est et étaient était il ils le les leur ou où par pour pourquoi quand
    que quel quelle quelles quels qui quoi sont sur un une
    che chi come cosa da dal dalla dei del della delle di dove è erano gli i il nel nella per perché quale quali quando
    quanta quante quanti quanto si sono sul tra
    ao as com da das do dos é em foi foram na nas no nos onde os pelo qual quais quem um uma
    aan bij dat een het hoe hoeveel op te van waar waarom wanneer wat welk welke werd werden wie zijn
    был была были было в где для из и как какая какие какой какое какую когда кого кто на о от по почему с сколько у что
    это
"""
_PLAIN = frozenset(_PLAIN_WORDS.split())
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
_SOFT = 0.8  # for words that are alike, not equal
_ALIKE = 0.5  # share of the longer word
_STEM = 4
_PLAIN_WEIGHT, _FULL_LENGTH = 0.1, 6
_CUT_SIZE = 6

Hits = dict[int, float]


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


def words(text: str) -> list[str]:
    """The words of a text, case folded; of writing without blanks its pairs or triples of characters."""
    text = text.casefold()
    found = _WORD.findall(text)
    if text.isascii() or not _GRAMS.search(text):
        return found
    result: list[str] = []
    for word in found:
        if _GRAMS.match(word):
            size = 2 if word >= _PAIRS_FROM else 3
            result += [word[i : i + size] for i in range(max(1, len(word) - size + 1))]
        else:
            result.append(word)
    return result


def _sentences(text: str, found: list[Line]) -> list[Sentence]:
    units = []
    for number, line in enumerate(found):
        if line.kind == "prose":
            start = line.label
            for end in line.ends:
                units.append(Sentence(start, end, number, frozenset(words(text[start:end]))))
                start = end
    return units


def _matches(asked: list[str], vocabulary: set[str]) -> dict[str, tuple[int, float]]:
    """For each word that meets one of the question's: which, and how well (0..1)."""
    stems = defaultdict(list)
    for at, word in enumerate(asked):
        if len(word) >= _STEM:
            stems[word[:_STEM]].append((at, word))
    longer = [(at, word) for at, word in enumerate(asked) if len(word) >= _STEM and word not in _PLAIN]
    matches: dict[str, tuple[int, float]] = {}
    for word in vocabulary:
        size = len(word)
        if size < _STEM:
            continue
        best = 0.0
        for at, other in stems.get(word[:_STEM], ()):
            common, most = _STEM, min(size, len(other))
            while common < most and word[common] == other[common]:
                common += 1
            if (share := common / max(size, len(other))) > max(best, _ALIKE):
                best, matches[word] = share, (at, _SOFT * share)
        if not best:
            for at, other in longer:
                if len(other) < size and other in word and (share := len(other) / size) > max(best, _ALIKE):
                    best, matches[word] = share, (at, _SOFT * share)
    return matches | {word: (at, 1.0) for at, word in enumerate(asked)}


def _scores(text: str, found: list[Line], units: list[Sentence], question: str) -> list[float] | None:
    """How much each sentence bears on the question; None when no word of weight is shared."""
    asked = list(dict.fromkeys(words(question)))
    titles = {
        number: frozenset(words(text[line.start : line.label if line.kind == "prose" else line.ends[-1]]))
        for number, line in enumerate(found)
        if line.kind == "heading" or line.label > line.start
    }
    matches = _matches(asked, set().union(*(unit.words for unit in units), *titles.values()))
    in_title = {number: _hits(of, matches) for number, of in titles.items()}
    in_line: list[Hits] = [dict(in_title.get(number, {})) for number in range(len(found))]
    in_unit = [_hits(unit.words, matches) for unit in units]
    for unit, its in zip(units, in_unit, strict=True):
        _merge(in_line[unit.line], its)
    weigh = _weigher(asked, in_unit)
    weigh_line = _weigher(asked, in_line) if len(found) > MIN_SENTENCES else weigh
    if not any(asked[at] not in _PLAIN for its in in_line for at in its):
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


def _hits(of: frozenset[str], matches: Mapping[str, tuple[int, float]]) -> Hits:
    """The words of the question that stand in a text, each with the best share of a match."""
    result: Hits = {}
    for word in of & matches.keys():
        at, share = matches[word]
        if share > result.get(at, 0.0):
            result[at] = share
    return result


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


def _weigher(asked: list[str], texts: list[Hits]):  # type: ignore[no-untyped-def]
    """A function that gives the share (0..1) of the question's weight that hits carry; a word's weight is its rarity."""
    count = [0] * len(asked)
    for its in texts:
        for at in its:
            count[at] += 1
    weights = [
        (
            math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
            * (_PLAIN_WEIGHT if word in _PLAIN else 1.0 if _GRAMS.match(word) else min(1.0, len(word) / _FULL_LENGTH))
            if n
            else 0.0
        )
        for word, n in zip(asked, count, strict=True)
    ]
    total = sum(weights) or 1.0
    return lambda its: sum([weights[at] * share for at, share in its.items()]) / total if its else 0.0


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
