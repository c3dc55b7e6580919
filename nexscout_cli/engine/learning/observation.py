"""What one request shows of its user, and the lesson it teaches once it is settled."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from nexscout_cli.config import Settings
from nexscout_cli.engine.learning import MAX_CANDIDATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nexscout_cli.engine.prompt_cache import Sent
    from nexscout_cli.engine.request import AIRequest

MAX_CHARS = 4_000


class Observation:
    """What a prompt shows of its user. Looked for when it is asked for, which is after the answer."""

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt

    @cached_property
    def style(self) -> dict[str, float]:
        """Traits of its writing; empty without words."""
        return _traits(self._prompt)

    @cached_property
    def phrases(self) -> dict[str, str]:
        """Its masked phrases with the names they are counted under."""
        return {phrase: phrase_checksum(phrase) for phrase in _phrases(self._prompt)}


class Lesson(NamedTuple):
    """One settled request. ``outcome``: 1 whole answer, 0.5 cut, 0 failed; ``day`` (YYYY-MM-DD), ``hour``: UTC.

    ``head``: hashes of a long prompt's beginnings, empty for a short one. ``sent``: what its provider may
    have in its cache. Without ``patterns`` no phrase of a prompt is
    kept, and those kept before go.
    """

    day: str
    hour: int
    observation: Observation
    model: str
    input_tokens: int
    output_tokens: int
    predicted_tokens: int
    cached: bool
    tokens_saved: int
    outcome: float
    head: str = ""
    patterns: bool = True
    sent: Sent | None = None


_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_SENTENCE = re.compile(r"(?<![.!?\n])[.!?\n]+(?:\s|$)|\n+")
_INFORMAL = re.compile(
    r"\b(?:\w+['\u2019](?:m|re|ve|ll|d|t)|hey|hi|yo|gonna|wanna|gotta|kinda|lol|btw|pls|plz|thx|u|ur|ya|yeah|yep"
    r"|nope|ok|okay|cool"
    r"|stuff|guys|asap|tbh|imo|omg|awesome)\b|[!?]{2,}|[:;]-?[)(DP]",
    re.IGNORECASE,
)
_FORMAL = re.compile(
    r"\b(?:please|kindly|dear|sincerely|regards|would you|could you|furthermore|therefore|hereby|regarding"
    r"|accordingly|pursuant|however"
    r"|moreover|sir|madam|shall|whom|thus|i would like)\b",
    re.IGNORECASE,
)


def observe(prompt: str) -> Observation:
    """What is learned from a prompt's text, apart from whose it is. Reads its first ``MAX_CHARS`` characters alone."""
    return Observation(prompt[:MAX_CHARS])


def _traits(prompt: str) -> dict[str, float]:
    words = _WORD.findall(prompt)
    if not words:
        return {}
    sentences = sum(1 for s in _SENTENCE.split(prompt) if s.strip()) or 1
    informal, formal = len(_INFORMAL.findall(prompt)), len(_FORMAL.findall(prompt))
    return {
        "sentence_length": len(words) / sentences,
        "word_length": sum(map(len, words)) / len(words),
        "formality": (formal + 1) / (formal + informal + 2),
        "questions": min(1.0, prompt.count("?") / sentences),
        "exclamations": min(1.0, prompt.count("!") / sentences),
    }


_TOKEN = re.compile(
    r"(?P<name>https?://\S+|www\.\S+|\S{1,100}@\S+)|(?P<num>[-+$€£#]?\w{0,60}\d[\w.,:/%-]*)"
    r"|(?P<word>[^\W\d_]+(?:['\u2019][^\W\d_]+)*)"
    r"|(?P<stop>[.!?\n;:()\[\]{}\"“”<>|]+)"
)
_TITLES = frozenset(
    "mr mrs ms miss dr prof sir madam dear mister doctor hi hello hey named called sincerely regards".split()  # noqa: SIM905
)
_NOT_NAMES = frozenset(
    """i i'm i've i'd i'll english french german spanish monday tuesday wednesday thursday friday saturday sunday
    january february
    march april may june july august september october november december python json sql html css api pdf csv ai ceo
    cto kpi roi
    saas b2b crm faq url""".split()  # noqa: SIM905
)
_STOP_WORDS = frozenset(
    """a an the of to in on at for with by from and or but is are was be i you he she it we they my your his her its
    our their me
    him them us this that these those as if so not do does did have has had will would can could as there here then
    than""".split()  # noqa: SIM905
)


# A sentence's first word is capitalised in any case: these are what a request begins with, any other is masked.
_OPENERS = _STOP_WORDS | frozenset(
    """write make give create draft summarize summarise explain translate list please help what how why when where
    which who fix find
    show tell generate rewrite improve suggest compare describe analyze analyse prepare plan review check thank
    thanks add remove use
    return let now also need want should keep convert update reply respond answer send design build turn follow ask
    provide""".split()  # noqa: SIM905
)


def _masked(prompt: str) -> list[list[str]]:
    """The prompt's sentences as lower-case words, with numbers and names masked."""
    sentences: list[list[str]] = [[]]
    after_title = False
    for match in _TOKEN.finditer(prompt):
        kind, text = match.lastgroup, match.group()
        if kind == "stop":
            if not (after_title and text == "."):
                sentences.append([])
                after_title = False
            continue
        low = text.lower().replace("\u2019", "'")
        if kind == "word":
            named = text[0].isupper() and low not in (_NOT_NAMES if sentences[-1] else _OPENERS | _NOT_NAMES)
            named = (named and low not in _TITLES) or (after_title and low not in _OPENERS)
            sentences[-1].append("<name>" if named else low)
            after_title = low in _TITLES
        else:
            sentences[-1].append("<num>" if kind == "num" else "<name>")
            after_title = False
    return sentences


def runs(words: Sequence[str], tells: Sequence[bool]) -> Iterator[str]:
    """Every 3–6 words that follow each other, where one of them ``tells``."""
    for start in range(len(words) - 2):
        run, is_telling = f"{words[start]} {words[start + 1]}", tells[start] or tells[start + 1]
        for n in range(start + 2, min(start + 6, len(words))):
            run = f"{run} {words[n]}"
            is_telling = is_telling or tells[n]
            if is_telling:
                yield run


def _phrases(prompt: str) -> list[str]:
    """The distinct phrases of 3–6 words, those of masks and stop-words alone left out; where they are many, the longest."""
    found: dict[str, None] = {}
    for words in _masked(prompt):
        found.update(dict.fromkeys(runs(words, [word[0] != "<" and word not in _STOP_WORDS for word in words])))
        if len(found) > MAX_CANDIDATES:
            break
    return sorted(found, key=lambda phrase: phrase.count(" "))[-MAX_CANDIDATES:]


def phrase_checksum(phrase: str) -> str:
    """What a phrase is counted under before it is known to recur: its CRC-32, so that what was said once is not kept."""
    return f"{crc32(phrase.encode('utf-8', 'surrogatepass')):x}"


def unbilled(request: AIRequest, model: str, now: datetime, settings: Settings) -> Lesson:
    """The lesson of a request for which no provider was paid: a failed one, until more is said."""
    return Lesson(
        day=now.date().isoformat(),
        hour=now.hour,
        observation=observe(request.question),
        model=model,
        input_tokens=0,
        output_tokens=0,
        predicted_tokens=0,
        cached=False,
        tokens_saved=0,
        outcome=0.0,
        patterns=settings["learning.patterns"],
    )
