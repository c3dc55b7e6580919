"""How much the parts of a program bear on a question: by their names, their classes, their signatures, and what they say and do.

The weights are a softmax regression's over functions of many packages, each asked for by what its docstring began with while
that was taken out. So were the shares in which a word counts that begins like one of the question's, or means about the same.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from nexscout_cli.engine.compression.code_meanings import meanings
from nexscout_cli.engine.compression.code_parts import Part
from nexscout_cli.engine.compression.code_phrases import in_words_of_programs
from nexscout_cli.engine.compression.code_words import ALIKE, STEMS, is_common, pieces

_NAME = re.compile(r"[^\W\d]\w*")
_JOINED = re.compile(r"\w_\w|\w\d|[a-z][A-Z]|\A_\w")
"""A name that is no plain word."""


class Signs(NamedTuple):
    """What speaks for a part, each the share (about 0..1) of the question's weight."""

    name: float
    owner: float
    head: float
    doc: float
    often: float
    begins: float
    alike: float
    covered: float
    both: float
    holds: float
    exact: float
    means_name: float
    means_head: float
    means_does: float
    means_often: float
    meant: float


_SIGNS = Signs(3.1, 4.4, 4.2, 2.6, 4.1, 3.3, 3.8, 2.5, 3.4, 6.1, 0.85, 1.9, 2.7, 2.2, 0.1, 0.7)
_UNKNOWN = 0.75
"""What is taken for a part without a docstring: this share of the best that one of the others has."""
_CALLED_BY, _CALLERS, _BESIDE = 1.2, -0.24, 0.8
"""What it is worth to be called by a function that bears most, how many call (as a logarithm), and to stand beside one."""
_FAINT = 0.6
"""How fast that fades with the scores of those that call or stand beside."""
_SHARED = 3
"""How many functions may have one name, so that it still tells which of them is called."""
_SURELY = 0.4
"""How surely a word must be meant to tell alone that a part bears on the question."""
_SOME = 4
"""Words that are meant of which the mean is taken in what a part does."""
_ALIKE = 0.5
_COMMON = 0.1
_START = 3
"""Letters that two words share at least where one begins as the other."""
_FULL, _SPREAD = 2.0, 0.6
"""How a word that stands there again counts, and how much less in a long part: BM25's k and b."""


class Words(NamedTuple):
    """The stems of a part's words by where they stand; ``counts`` are of its code, comments and texts included; ``written``: the
    names in it as they are.
    """

    name: frozenset[str]
    owner: frozenset[str]
    head: frozenset[str]
    doc: frozenset[str]
    counts: Counter[str]
    size: int
    written: frozenset[str]

    def has(self, stem: str) -> bool:
        """Whether it stands anywhere but in what explains the part."""
        return stem in self.counts or stem in self.name or stem in self.head or stem in self.owner


class _Question(NamedTuple):
    """The stems of a question, the weight of each by how rare it is here, and the sum of these."""

    weights: dict[str, float]
    total: float

    def share(self, of: frozenset[str]) -> float:
        if self.weights.keys().isdisjoint(of):
            return 0.0
        return sum([weight for stem, weight in self.weights.items() if stem in of]) / self.total


class _Here(NamedTuple):
    """A question, and what of a program its parts are weighed by.

    ``rare``: the weight of each stem of a name; ``mean``: the words of a part, on average; ``joined``: names that the question
    writes as programs do; ``begins`` and ``holds`` as in ``_alike_here``; ``meant``: for each of the question's stems those
    that it means, with how surely; ``meant_at_all``: how surely each is meant by the one that does most.
    """

    question: _Question
    rare: dict[str, float]
    mean: float
    begins: dict[str, dict[str, float]]
    holds: dict[str, dict[str, float]]
    joined: frozenset[str]
    meant: dict[str, dict[str, float]]
    meant_at_all: dict[str, float]


def bearing(parts: list[Part], lines: list[str], question: str) -> list[float]:
    """How much each part bears on the question; 0 for all of them where none shares a word of weight with it."""
    words = [_words(part, lines) for part in parts]
    signs = signs_of(words, question)
    if signs is None:
        return [0.0] * len(parts)
    own = [sum(map(float.__mul__, sign, _SIGNS)) for sign in signs]
    return list(map(float.__add__, own, _by_others(parts, words, own)))


def signs_of(words: list[Words], question: str) -> list[Signs] | None:
    """What speaks for each part; None where none shares a word of weight with the question."""
    said = pieces(in_words_of_programs(question))
    asked = dict.fromkeys(STEMS[word] for word in said)
    common = {STEMS[word] for word in said if is_common(word)}
    count = len(words)
    weights = {}
    for stem in asked:
        there = sum(of.has(stem) for of in words)
        weights[stem] = math.log(1 + (count - there + 0.5) / (there + 0.5)) * (_COMMON if stem in common else 1.0)
    names = Counter(stem for of in words for stem in of.name)
    here = _Here(
        _Question(weights, sum(weights.values()) or 1.0),
        {stem: math.log(1 + count / times) for stem, times in names.items()},
        sum(of.size for of in words) / count,
        *_alike_here(asked, words),
        frozenset(name for name in _NAME.findall(question) if _JOINED.search(name)),
        meant := {stem: meanings(stem) for stem in asked},
        _at_all(meant),
    )
    if not any(_meets(of, stem, here) for stem in asked.keys() - common for of in words):
        return None
    signs = [_signs(of, here) for of in words]
    best_doc = max(sign.doc for sign in signs)
    return [sign if of.doc else sign._replace(doc=_UNKNOWN * best_doc) for sign, of in zip(signs, words, strict=True)]


def _at_all(meant: dict[str, dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for of in meant.values():
        for stem, share in of.items():
            found[stem] = max(share, found.get(stem, 0.0))
    return found


@lru_cache(256)  # the classes of a program's functions, and what these have in common
def _stems(text: str) -> frozenset[str]:
    return frozenset([STEMS[word] for word in pieces(text)])


def _words(part: Part, lines: list[str]) -> Words:
    begin, end = part.doc
    above = "\n".join(lines[part.lead : part.head])
    code = "\n".join(
        [*lines[part.start : begin], *lines[max(end, part.start) : part.end]] if end else lines[part.start : part.end]
    )
    counts: Counter[str] = Counter()
    found = pieces(code)
    for word, times in Counter(found).items():
        counts[STEMS[word]] += times
    return Words(
        _stems(part.name),
        _stems(part.owner),
        _stems("\n".join(lines[part.head : part.start])),
        _stems("\n".join([above, *lines[begin:end]])) if above or end else frozenset(),
        counts,
        len(found) + 1,
        frozenset(_NAME.findall("\n".join([*lines[part.head : part.start], code]))),
    )


def _meets(of: Words, stem: str, here: _Here) -> bool:
    """Whether a word of the question stands in a part, or one that is like it in the part's name."""
    if of.has(stem) or stem in of.doc:
        return True
    if not of.name.isdisjoint({*here.begins[stem], *here.holds[stem], *ALIKE.get(stem, ())}):
        return True
    return any(share >= _SURELY for other, share in here.meant[stem].items() if other in of.name)


def _signs(of: Words, here: _Here) -> Signs:
    question = here.question
    often = begins = holds = alike = 0.0
    for stem, weight in question.weights.items():
        times = of.counts.get(stem, 0)
        if times:
            often += weight * times * _FULL / (times + 1 - _SPREAD + _SPREAD * of.size / here.mean)
        if here.begins[stem] and not of.has(stem):
            begins += weight * max([share for other, share in here.begins[stem].items() if of.has(other)], default=0.0)
        if stem not in of.name and not of.name.isdisjoint(near := here.holds[stem]):
            holds += weight * max([near[other] for other in of.name if other in near])
        others = ALIKE.get(stem)
        if others and stem not in of.name and not others.isdisjoint(of.name):
            alike += (weight + 0.3) * _ALIKE
    means = [0.0] * 4
    name_, head, does = (here.meant_at_all.keys() & its for its in (of.name, of.head, of.counts.keys()))
    for stem, weight in question.weights.items() if does or head else ():
        if meant := here.meant[stem]:
            if name_ and (named := [meant[other] for other in name_ if other in meant]):
                means[0] += weight * max(named)
            if head and (said := [meant[other] for other in head if other in meant]):
                means[1] += weight * max(said)
            if does and (done := [meant[other] for other in does if other in meant]):
                done.sort()
                means[2] += weight * done[-1]
                means[3] += weight * sum(done[-_SOME:]) / _SOME
    name = question.share(of.name)
    covered = _covered(of.name, question, here.rare)
    total = question.total
    return Signs(
        name,
        question.share(of.owner),
        question.share(of.head),
        question.share(of.doc),
        often / total,
        begins / total,
        alike / total,
        covered,
        name * covered,
        holds / total,
        len(here.joined & of.written) / (len(here.joined) or 1),
        means[0] / total,
        means[1] / total,
        means[2] / total,
        means[3] / total,
        sum(here.meant_at_all.get(stem, 0.0) for stem in of.name) / (len(of.name) or 1),
    )


def _alike_here(
    asked: Iterable[str], words: list[Words]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """For each stem those here that begin as it does, or it as they; and the names that hold it, or begin with a part of it.

    Each with a share (0..1) of the longer one.
    """
    by_start: dict[str, list[str]] = {}
    for stem in set().union(*(of.counts for of in words), *(of.name | of.head for of in words)):
        if len(stem) >= _START:
            by_start.setdefault(stem[:_START], []).append(stem)
    begins = {
        stem: {
            other: min(len(stem), len(other)) / max(len(stem), len(other))
            for other in by_start.get(stem[:_START], ())
            if len(stem) > _START and (stem.startswith(other) or other.startswith(stem))
        }
        for stem in asked
    }
    names = [name for name in set().union(*(of.name for of in words)) if len(name) > _START]
    holds: dict[str, dict[str, float]] = {}
    for stem in asked:
        holds[stem] = {}
        start = stem[:_START]
        for name in names if len(stem) >= _START else ():
            if start in name and name != stem:
                if stem in name:
                    holds[stem][name] = 1.0
                elif name.startswith(start):
                    holds[stem][name] = _shared_start(stem, name) / len(stem)
                elif start in name[_START:]:
                    holds[stem][name] = _START / len(stem)
    return begins, holds


def _shared_start(one: str, other: str) -> int:
    size = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        size += 1
    return size


def _covered(name: frozenset[str], question: _Question, rare: dict[str, float]) -> float:
    """The share (0..1) of a name, each word by how rare it is in names here, that the question says."""
    total = sum(rare[stem] for stem in name)
    if not total:
        return 0.0
    said = 0.0
    for stem in name:
        if stem in question.weights:
            said += rare[stem]
        elif not ALIKE.get(stem, frozenset()).isdisjoint(question.weights):
            said += rare[stem] * _ALIKE / 2
    return said / total


def _by_others(parts: list[Part], words: list[Words], own: list[float]) -> list[float]:
    """What each function gains by those that call it, and by the one before and after it in its class."""
    most = max(own)
    likely = [math.exp(_FAINT * (score - most)) for score in own]
    functions = [at for at, part in enumerate(parts) if part.kind == "function"]
    by_name: dict[str, list[int]] = {}
    for at in functions:
        if len(parts[at].name) >= _START:
            by_name.setdefault(parts[at].name, []).append(at)
    best, times = [0.0] * len(parts), [0] * len(parts)
    for at in functions:
        for name in by_name.keys() & words[at].written:
            for called in by_name[name] if len(by_name[name]) <= _SHARED else ():
                if called != at:
                    best[called] = max(best[called], likely[at])
                    times[called] += 1
    beside = [0.0] * len(parts)
    for one, other in pairwise(functions):
        if parts[one].owner == parts[other].owner:
            beside[one] = max(beside[one], likely[other])
            beside[other] = max(beside[other], likely[one])
    return [
        _CALLED_BY * by + _CALLERS * math.log1p(count) + _BESIDE * near
        for by, count, near in zip(best, times, beside, strict=True)
    ]
