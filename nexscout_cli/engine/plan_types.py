"""The parts of a plan: the answer's shape, messages, forecast, compression, and how the model was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.request import Json
from nexscout_cli.engine.usage import Tokens

if TYPE_CHECKING:
    from nexscout_cli.engine.length.learning import Trend


class Shape(NamedTuple):
    """What the answer is asked to be: a bound in tokens, and what the model is told of length and style."""

    max_tokens: int
    words: int
    verbosity: str
    style: str
    instructions: str


class Compression(NamedTuple):
    """What the compressor did; tokens are of prompt, context and attachments.

    ``mode`` is what was done (off, lossless, extract), ``saved_by`` the tokens that each step saved, ``left_alone`` the
    tokens of a head that recurs, which is billed at less as it is. ``found`` are the kinds of text that extraction made
    shorter, each in its own way. Of a call that is too large, ``could_be`` says what more extraction would bring it to: the
    share to keep (``--keep``) and the tokens.
    """

    applied: bool
    tokens_before: int
    tokens_after: int
    steps: tuple[str, ...]
    mode: str = "off"
    saved_by: tuple[tuple[str, int], ...] = ()
    left_alone: int = 0
    found: tuple[str, ...] = ()
    could_be: tuple[float, int] | None = None

    def as_json(self) -> dict[str, Json]:
        """The agreed shape in a plan."""
        shown = self._asdict() | {"steps": list(self.steps), "saved_by": dict(self.saved_by), "found": list(self.found)}
        shown["could_be"] = None if self.could_be is None else dict(zip(("keep", "tokens"), self.could_be, strict=True))
        return shown


class Forecast(NamedTuple):
    """Tokens of a call: expected, and as the hold bounds them; ``counted`` is the input by our own tokenizer,
    0 where that is the provider's too and nothing can be learned of its count.

    ``p90_output_tokens`` is what nine answers of ten stay below; ``shipped`` is what the answer's length is learned against.
    Thinking is part of the output: ``thinking`` what is expected of it, ``thinking_room`` what the bound leaves for it.
    ``answers`` is how many are asked for at once; all counts are of all of them. ``cached`` and ``written`` are the input tokens
    that are expected to be read from and written to the provider's cache, ``marked`` the steps of 1,024 characters before its
    mark, ``hour`` 1 where that is for an hour (:mod:`nexscout_cli.engine.prompt_cache`).
    """

    input_tokens: int
    output_tokens: int
    max_input_tokens: int
    max_output_tokens: int
    p90_output_tokens: int
    counted: int
    shipped: Trend
    thinking: int = 0
    thinking_room: int = 0
    answers: int = 1
    cached: int = 0
    written: int = 0
    marked: int = 0
    hour: int = 0

    def used(self, output_tokens: int | None = None) -> Tokens:
        """The tokens that are expected, by class; with another length of the answer where one is given."""
        plain = self.input_tokens - self.cached - self.written
        out = self.output_tokens if output_tokens is None else output_tokens
        written = {"cache_write_1h" if self.hour else "cache_write": self.written}
        return Tokens(plain, out, self.cached, **written)

    def uncached(self) -> Forecast:
        """The forecast without counting on a cache: what it might read is written, where it is marked."""
        return self._replace(cached=0, written=self.cached + self.written if self.marked else 0)


class Candidate(NamedTuple):
    """A model that was looked at: its expected cost for the request in nano-dollars (None: not worked out), its quality
    as it counted, and what became of it; ``detail`` says more.
    """

    model: str
    cost: int | None
    quality: float
    verdict: str
    detail: str = ""


class Decision(NamedTuple):
    """How a model was chosen, for whoever asks why.

    ``rule`` and ``rule_quality`` are the row of rules that matched; ``quality`` is what was required in the end. With a
    policy that estimates: ``difficulty`` 0..1 and ``bucket`` 0..4 of the prompt; ``familiar``, 0..1: how like those that
    the estimate was learned from it is; ``factor``: how many times as much the two models in question gain on its kind as
    any two, where they were measured; ``weighed``: what counted most for (+) or against (−) it, and from ``limit`` on it
    is hard; ``target`` is the share of the strong model's advantage to keep, ``strong_share`` and ``kept`` what was
    measured at that limit; ``doubt`` from which a first answer is sent up to the model ``strong``, unless ``other`` gives
    the same answer. ``extracted`` are the kinds of text that were made shorter.
    """

    policy: str
    rule: str
    rule_quality: float
    quality: float
    reason: str
    mode: str
    tier: str
    feature: str
    prompt_chars: int
    emotion: float
    candidates: tuple[Candidate, ...] = ()
    difficulty: float | None = None
    bucket: int | None = None
    familiar: float | None = None
    weighed: tuple[tuple[str, float], ...] = ()
    limit: float | None = None
    target: float | None = None
    strong_share: float | None = None
    kept: float | None = None
    doubt: float | None = None
    strong: str | None = None
    other: str | None = None
    extracted: tuple[str, ...] | None = None
    factor: float | None = None

    def as_json(self) -> dict[str, Json]:
        """The decision as JSON keeps it: what has no value is left out."""
        seen = [{name: value for name, value in one._asdict().items() if value != ""} for one in self.candidates]
        return {name: value for name, value in self._asdict().items() if value is not None} | {"candidates": seen}
