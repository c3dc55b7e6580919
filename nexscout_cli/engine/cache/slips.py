"""Slips of the keyboard in a short question: which word was meant, where only one can have been.

A slip is two neighbouring characters swapped, or one letter left out of the middle of a word. It is put right only in a word
that no list knows, where exactly one known word can have been meant, and only one slip in a sentence. Names, numbers and
abbreviations never are. A short word, and one with a letter left out, also need company: the word that was meant is often met
beside its neighbours, for the shorter a word, the likelier it is a name of something.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from string import ascii_lowercase

Together = Callable[[str, str], bool]
"""Whether two lower-case words are often met one after the other."""

MIN_COUNT = 500_000
"""How often a word must have been met to be what a slip of the keyboard meant."""
MAX_UNKNOWN = 2
"""Plain words that no list knows up to which a slip is looked for: with more of them it is another language, or jargon."""
SLIP_LENGTH = 5
"""Letters from which a word may be mended into any known one; a shorter one only into a word of grammar, or in company."""
SHORT = 4
FREQUENT = 10_000_000
"""A word of four letters is mended in company, into one that is met this often."""
OMISSION_LENGTH, OMISSION_ALONE = 6, 9
"""Letters of the whole word from which one may have been left out, in company and without: shorter ones have too many
neighbours."""

SHIFT_LENGTH = 4
"""The same as SLIP_LENGTH, where the swap was with a blank and two words must come out right."""


def words_of(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(re.findall(r"\S+", text))


GRAMMAR = words_of(
    "a about after all am an and any are as at be been before being but by can could did do does doing for from "
    "get had has have how i if in into is it its like made make many me more most much my need no not of off on "
    "one only or other our out over should so some such than that the their them then there these they this those "
    "to too under up us use was way we were what when where which who whom whose why will with without would you "
    "your best good first last new time work"
)
"""Words of grammar, and a few that are about as frequent."""
OPENERS = words_of(
    "am are can could did do does had has have how if is may might must shall should was were what when where "
    "which who whom whose why will would i in on for give list name tell explain describe show find help suggest "
    "recommend compare write create make draft"
)
"""Words that begin questions and instructions, and are no names."""
_MENDED = words_of(
    "the and what when where which how who whom why does did are has have with without from that this there these those "
    "they their than then your you for not some should would could about into over after before more most many much any "
    "best good make know is in of to at do on"
)
"""Short words that a slip is mended into: none that could stand for a thing, so that "cna" does not become "can"."""
_MENDED_IN_COMPANY = _MENDED | words_of("can are")
_NO_SLIPS = words_of(
    "param params memoize memoized memoizes memoization uint uints aws dna altex regexp regex stdin stdout struct structs "
    "astroid plyer iter enum enums async await mutex tuple tuples proc procs goto malloc calloc realloc argv argc"
)
"""Words that the list does not know and that are a slip away from one that it knows."""
_PLAIN = re.compile(r"[a-z]+")
_SLIPPED_CAPITAL = re.compile(r"[a-z][A-Z][a-z]+")


def mended(tokens: Sequence[str], words: Mapping[str, int], together: Together) -> list[str]:
    """The tokens with a single slip of the keyboard put right; as they are where there is none, or more than one."""
    plain = [token.strip(",()") for token in tokens]
    known = [
        (token.lower() in words or token.lower() in _NO_SLIPS) and not _SLIPPED_CAPITAL.fullmatch(token)
        for token in plain
    ]
    lower = [is_known for token, is_known in zip(plain, known, strict=True) if _PLAIN.fullmatch(token)]
    if not lower.count(False) <= min(MAX_UNKNOWN, lower.count(True)):
        return list(tokens)
    slips: set[tuple[int, int, str]] = set()
    for at, (token, is_known) in enumerate(zip(plain, known, strict=True)):
        if not is_known:
            meant = set(_swapped(token, words, is_first=at == 0))
            company = _Company(plain[at - 1] if at else "", plain[at + 1] if at + 1 < len(plain) else "", together)
            meant = meant or set(_in_company(token, words, company))
            slips |= {(at, at + 1, tokens[at].replace(token, word)) for word in meant}
    for at, (left, right) in enumerate(pairwise(tokens)):
        if not (known[at] and known[at + 1]):
            slips |= {(at, at + 2, pair) for pair in _reshifted(left, right, words, is_first=at == 0)}
    if len(slips) != 1:
        return list(tokens)
    begin, end, meant_text = slips.pop()
    return [*tokens[:begin], *meant_text.split(" "), *tokens[end:]]


class _Company:
    """The words before and after a place in a sentence; "" where there is none."""

    def __init__(self, left: str, right: str, together: Together) -> None:
        self.left, self.right, self._together = left.lower(), right.lower(), together

    def fits(self, word: str, *, both: bool) -> bool:
        """Whether the word is often met after the one before, and, or (not ``both``) where there is one, before the next."""
        beside = [bool(self.left) and self._together(self.left, word)]
        beside.append(bool(self.right) and self._together(word, self.right))
        return all(beside) if both else any(beside)


def _in_company(token: str, words: Mapping[str, int], company: _Company) -> Iterator[str]:
    """What an unknown word may have been that only its neighbours make sure."""
    if not _PLAIN.fullmatch(token) or len(token) < 3:
        return
    swapped = {word for word in _neighbours_swapped(token) if word in words}
    whole = {word for word in _with_a_letter(token) if word in words}
    possible = swapped | whole
    common = {word for word in possible if words[word] >= MIN_COUNT}
    if len(common) != 1:
        return
    (word,) = common
    alone = len(possible) == 1  # also a rare word may be the one that was meant
    if word in whole:
        long = word in GRAMMAR or len(word) >= OMISSION_LENGTH
        sure = (alone and len(word) >= OMISSION_ALONE) or (long and company.fits(word, both=word in GRAMMAR))
    else:
        frequent = alone and len(token) >= SHORT and words[word] >= FREQUENT
        sure = (word in _MENDED_IN_COMPANY or frequent) and company.fits(word, both=True)
    if sure:
        yield word


def _neighbours_swapped(token: str) -> Iterator[str]:
    for at in range(len(token) - 1):
        if token[at] != token[at + 1]:
            yield token[:at] + token[at + 1] + token[at] + token[at + 2 :]


def _with_a_letter(token: str) -> Iterator[str]:
    """The words with one letter more, neither the first nor the last: "databas" may be a name, "datbase" hardly."""
    for at in range(1, len(token)):
        for letter in ascii_lowercase:
            yield token[:at] + letter + token[at:]


def _swapped(token: str, words: Mapping[str, int], *, is_first: bool) -> Iterator[str]:
    """What an unknown word may have been before two of its neighbouring letters were swapped."""
    if _SLIPPED_CAPITAL.fullmatch(token):
        swapped = token[1] + token[0] + token[2:]
        if swapped[1].islower() and words.get(swapped.lower(), 0) >= MIN_COUNT:
            yield swapped
        return
    if not _PLAIN.fullmatch(token) and not (is_first and _PLAIN.fullmatch(token.lower())):
        return
    for swapped in _neighbours_swapped(token.lower()):
        if _likely(swapped, words, SLIP_LENGTH, _MENDED) and (token.islower() or swapped in OPENERS):
            yield swapped


def _reshifted(left: str, right: str, words: Mapping[str, int], *, is_first: bool) -> Iterator[str]:
    """What two words may have been before the blank between them changed places with the letter beside it."""
    lowered = left.lower() if is_first else left
    tail = right.rstrip(",)")
    if not (_PLAIN.fullmatch(lowered) and _PLAIN.fullmatch(tail)):
        return
    for one, other in ((lowered + tail[0], tail[1:]), (lowered[:-1], lowered[-1] + tail)):
        if one and other and all(_likely(word, words, SHIFT_LENGTH, GRAMMAR) for word in (one, other)):
            yield f"{one} {other}{right[len(tail) :]}"


def _likely(word: str, words: Mapping[str, int], least: int, short: frozenset[str]) -> bool:
    return words.get(word, 0) >= MIN_COUNT if len(word) >= least else word in short
