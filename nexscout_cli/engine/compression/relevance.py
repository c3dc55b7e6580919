"""How much a piece of text bears on a question: the share of the question's words in it, each weighed by how rare it is.

No language is assumed. Words meet when they are equal, share most of a long beginning, or one holds the other;
writing without blanks meets by pairs or triples of characters.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

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
PLAIN = frozenset(_PLAIN_WORDS.split())
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SOFT = 0.8  # for words that are alike, not equal
_ALIKE = 0.5  # share of the longer word
_STEM = 4
_PLAIN_WEIGHT, _FULL_LENGTH = 0.1, 6

NEEDS_ALL = re.compile(
    r"\b(?:sum|total|average|mean|median|count|how many|number of|percent\w*|share of|distribution|most (?:often|frequent|common)"
    r"|the most \w+s|summe|gesamt\w*|durchschnitt\w*|wie viele|anzahl|somme|moyenne|combien|suma|promedio|media|cuánt\w+)\b",
    re.IGNORECASE,
)
"""What a question says that needs all there is: a sum, a mean, a count."""

Hits = dict[int, float]
"""Which words of a question stand in a text, by their number, and how well each is met (0..1)."""


def relevance(texts: Sequence[str], question: str) -> list[float]:
    """How much each text bears on the question, 0..1; names of programs are taken apart (``max_retries``, ``maxRetries``)."""
    asked = list(dict.fromkeys(name_words(question)))
    sets = [frozenset(name_words(text)) for text in texts]
    matches = matches_of(asked, set().union(*sets))
    hits = [hits_of(its, matches) for its in sets]
    weigh = weigher(asked, hits)
    return [weigh(its) if any(asked[at] not in PLAIN for at in its) else 0.0 for its in hits]


def name_words(text: str) -> list[str]:
    """The words of a text, and the parts of those that are several."""
    return words(text) + [part.casefold() for part in _PIECE.findall(text)]


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


def matches_of(asked: list[str], vocabulary: set[str]) -> dict[str, tuple[int, float]]:
    """For each word that meets one of the question's: which, and how well (0..1)."""
    stems = defaultdict(list)
    for at, word in enumerate(asked):
        if len(word) >= _STEM:
            stems[word[:_STEM]].append((at, word))
    longer = [(at, word) for at, word in enumerate(asked) if len(word) >= _STEM and word not in PLAIN]
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


def hits_of(of: frozenset[str], matches: Mapping[str, tuple[int, float]]) -> Hits:
    """The words of the question that stand in a text, each with the best share of a match."""
    result: Hits = {}
    for word in of & matches.keys():
        at, share = matches[word]
        if share > result.get(at, 0.0):
            result[at] = share
    return result


def weigher(asked: list[str], texts: list[Hits]):  # type: ignore[no-untyped-def]
    """A function that gives the share (0..1) of the question's weight that hits carry; a word's weight is its rarity."""
    count = [0] * len(asked)
    for its in texts:
        for at in its:
            count[at] += 1
    weights = [
        (
            math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
            * (_PLAIN_WEIGHT if word in PLAIN else 1.0 if _GRAMS.match(word) else min(1.0, len(word) / _FULL_LENGTH))
            if n
            else 0.0
        )
        for word, n in zip(asked, count, strict=True)
    ]
    total = sum(weights) or 1.0
    return lambda its: sum([weights[at] * share for at, share in its.items()]) / total if its else 0.0
