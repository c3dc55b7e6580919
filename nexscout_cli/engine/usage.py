"""What a call used, by class, and what each class costs. Pure.

Providers bill tokens of several kinds at several prices, and some charge fees beside. The classes are those of OpenAI's,
Anthropic's and Gemini's usage records.
"""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine.money import PICO_PER_NANO


class Tokens(NamedTuple):
    """What one call used. Each token is counted once, in one class; ``requests`` and ``searches`` are counts.

    ``input`` and ``output`` are what no other class holds: plain text. ``cached`` was read from the provider's cache,
    ``cache_write`` written to it for five minutes, ``cache_write_1h`` for an hour. ``reasoning`` is thinking.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_out: int = 0
    requests: int = 1
    searches: int = 0

    @property
    def total_in(self) -> int:
        """All input tokens."""
        return self.input + self.cached + self.cache_write + self.cache_write_1h + self.audio_in + self.image_in

    @property
    def total_out(self) -> int:
        """All output tokens."""
        return self.output + self.reasoning + self.audio_out + self.image_out

    def as_json(self) -> dict[str, int]:
        """The classes that hold something, without the plain ones and the one request that each call is."""
        special = {name: getattr(self, name) for name in (*SPECIAL, "searches")}
        return {name: value for name, value in special.items() if value}


INPUT = ("input", "cached", "cache_write", "cache_write_1h", "audio_in", "image_in")
OUTPUT = ("output", "reasoning", "audio_out", "image_out")
SPECIAL = tuple(name for name in (*INPUT, *OUTPUT) if name not in ("input", "output"))
"""The classes that may have a price of their own; without one a token costs what a plain one of its side does."""
FEES = ("request", "search")
_ASKED_FOR = ("cache_write_1h", "audio_in", "audio_out", "image_in", "image_out")
"""Classes that a call can only come to by what it asks for or carries: a text that is sent as it is never does."""
_TEXT_IN = tuple(name for name in INPUT if name not in _ASKED_FOR)
_TEXT_OUT = tuple(name for name in OUTPUT if name not in _ASKED_FOR)
_CLASSES = tuple(name for name in Tokens._fields if name in (*INPUT, *OUTPUT))
"""The classes as they stand in Tokens, whose first fields they are."""


class Rates(NamedTuple):
    """What a model's tokens cost, in pico-dollars each, and its fees in nano-dollars. ``special``: by class, see SPECIAL
    and FEES; what is not in it costs what a plain token of its side does, a fee nothing.
    """

    input: int
    output: int
    special: dict[str, int] = {}  # noqa: RUF012 - never changed

    def at(self, tier: str) -> Rates | None:
        """The prices in another service tier; None where they are not known.

        They stand in ``special`` as ``TIER_CLASS``, those of the tier that it is seen from as ``default_CLASS``. A class whose
        price is not known there costs what it does here; in the priority tier, what a plain token costs there at least.
        """
        given, taken = self.special.get(f"{tier}_input"), self.special.get(f"{tier}_output")
        if given is None or taken is None:
            return None
        classes = (*SPECIAL, *FEES)
        special = {name: price for name, price in self.special.items() if name not in classes}
        special |= {"default_input": self.input, "default_output": self.output}
        for name in classes:
            here, there = self.special.get(name), self.special.get(f"{tier}_{name}")
            if here is not None:
                special[f"default_{name}"] = here
                plain = 0 if name in FEES or tier != "priority" else given if name in INPUT else taken
                special[name] = max(here, plain)
            if there is not None:
                special[name] = there
        return Rates(given, taken, special)

    def of(self, name: str) -> int:
        """The price of a class; an hour in the cache costs at least what five minutes do."""
        if name in self.special:
            return self.special[name]
        if name == "cache_write_1h" and "cache_write" in self.special:
            return self.special["cache_write"]
        return self.input if name in INPUT else self.output

    def cost(self, used: Tokens) -> int:
        """Nano-dollars for what was used, rounded up once."""
        # Most classes are empty in most calls, and this is asked several times a call.
        pico = sum([self.of(name) * count for name, count in zip(_CLASSES, used, strict=False) if count])
        return -(-pico // PICO_PER_NANO) + self._fee("request") * used.requests + self._fee("search") * used.searches

    def expected(self, input_tokens: int, output_tokens: int) -> int:
        """Nano-dollars for plain tokens of one request."""
        pico = self.of("input") * input_tokens + self.of("output") * output_tokens
        return -(-pico // PICO_PER_NANO) + self._fee("request")

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """Nano-dollars that so many tokens of one text request can cost at most, whatever class each turns out to be."""
        pico = input_tokens * self.dearest_in + output_tokens * self.dearest_out
        return -(-pico // PICO_PER_NANO) + self._fee("request")

    @property
    def dearest_in(self) -> int:
        """The price of the dearest class that an input token of a text could be."""
        return max([self.of(name) for name in _TEXT_IN])

    @property
    def dearest_out(self) -> int:
        """The price of the dearest class that an output token could be."""
        return max([self.of(name) for name in _TEXT_OUT])

    @property
    def request_fee(self) -> int:
        """Nano-dollars that each request costs beside its tokens."""
        return self._fee("request")

    def _fee(self, name: str) -> int:
        return self.special.get(name, 0)
