"""Which beginning of a prompt a provider will bill at its cached rate, from what the user sent of late. Pure.

Of each long prompt that was sent hashes are kept: one of all that stands before every 1,024 characters, with the model, the
place, the time, and how often that beginning came back. No text is. A later prompt with the same beginning is expected to be
billed at the cached rate for that part, by each provider's rules:

- OpenAI (and Azure): from 1,024 tokens on, in steps of 128, for about five minutes;
- Gemini: by itself, from 1,024 tokens (2.5 Pro and later: 4,096) on, but not surely;
- DeepSeek: in steps of 64, for hours;
- Anthropic: only what was marked, for five minutes or an hour, from a least size that depends on the model. To write costs
  more than to send, so a mark is placed only where what it is expected to save is more than that.

Sources: the providers' guides on prompt caching. A hold never counts on any of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nexscout_cli.engine.chat import Message
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.plan_types import Forecast
    from nexscout_cli.engine.usage import Rates

STEP = 1_024
"""Characters between two places at which a beginning is compared."""
LEAST_CHARS = 2_048
"""Prompts below this many characters are below 1,024 tokens in any language."""
MAX_STEPS, MAX_WARM = 96, 6
SHORT_LIFE, LONG_LIFE = 300.0, 3_600.0
"""Seconds that what was read or written stays in a provider's cache."""
_DIGITS = 12
_MARK = "w1"
_SLACK = 0.97
"""Share of a beginning's tokens that is counted on: tokens are not spread evenly over characters."""
_TALK, _OTHER = (1.0, 2.0), (0.0, 4.0)
"""What is taken for seen (came back, of uses) of a conversation, and of any other beginning, before it was seen."""


class Rules(NamedTuple):
    """How a provider caches: the least tokens, the step they are billed in, seconds they stay, whether marks are needed, and
    what is taken for seen (found, of looked for) before anything was.
    """

    least: int
    step: int
    life: float
    marked: bool
    prior: tuple[float, float]


_OPENAI = Rules(1_024, 128, SHORT_LIFE, False, (3.0, 3.0))
_GEMINI = Rules(1_024, 1, SHORT_LIFE, False, (1.0, 2.0))
_DEEPSEEK = Rules(64, 64, LONG_LIFE, False, (3.0, 3.0))
_ANTHROPIC = Rules(1_024, 1, SHORT_LIFE, True, (3.0, 3.0))
_LEAST = (("haiku-4", 4_096), ("opus-4-5", 4_096), ("opus-4-6", 4_096), ("haiku", 2_048))
"""Anthropic's models that need more than 1,024 tokens, the first that is in the name."""


def rules_of(model: Model) -> Rules | None:
    """How the model's provider caches; None where that is not known, or its price is no less."""
    rates, target = model.rates, model.litellm_model
    if rates.of("cached") >= rates.input:
        return None
    provider, _, name = target.partition("/")
    if provider in ("openai", "azure"):
        return _OPENAI
    if provider == "anthropic":
        if "cache_write" not in rates.special:
            return None
        return _ANTHROPIC._replace(least=next((least for part, least in _LEAST if part in name), _ANTHROPIC.least))
    if provider == "gemini":
        pro = "pro" in name and not name.startswith(("gemini-1", "gemini-2.0"))
        return _GEMINI._replace(least=4_096 if pro else _GEMINI.least)
    return _DEEPSEEK if provider == "deepseek" else None


class Warm(NamedTuple):
    """What is known of a prompt that was sent. ``at``: seconds since 1970; ``marked``: steps that stand before its mark.

    ``uses``: how often its beginning came back, ``quick`` and ``slow``: within five minutes, and within the hour; ``tries``
    and ``found``: how often a cached rate was expected, and billed.
    """

    model: str
    place: str
    at: int
    marked: int
    hour: int
    uses: int
    quick: int
    slow: int
    tries: int
    found: int
    hashes: str

    @property
    def text(self) -> str:
        """As it is kept among a profile's heads."""
        return json.dumps([_MARK, *self], separators=(",", ":"))

    @property
    def life(self) -> float:
        """Seconds for which what was marked stays."""
        return LONG_LIFE if self.hour else SHORT_LIFE


_KINDS = [str, str, *[int] * 8, str]


class Reading(NamedTuple):
    """What is expected of a prompt: tokens read from and written to the cache, the steps before a mark, 1 where for an hour."""

    cached: int = 0
    written: int = 0
    marked: int = 0
    hour: int = 0


class Sent(NamedTuple):
    """A prompt that was sent, for the profile: its hashes, where and when (seconds since 1970), and what came of the cache."""

    hashes: str
    model: str
    place: str
    at: int
    reading: Reading
    billed: int


class Prompt(NamedTuple):
    """A prompt's hashes, its characters, and whether it goes on from an answer."""

    hashes: str
    chars: int
    talk: bool


def warm_heads(kept: Iterable[str]) -> list[Warm]:
    """What a profile's heads hold of prompts that were sent; what cannot be read is passed over: it costs a better quote."""
    found = []
    for text in kept:
        if not text.startswith(f'["{_MARK}"'):
            continue
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if [type(field) for field in fields[1:]] == _KINDS:
            found.append(Warm(*fields[1:]))
    return found


def prompt_of(messages: tuple[Message, ...], tools: object = None) -> Prompt:
    """A prompt as it is known later. ``tools`` stand before it, as a provider sees it."""
    digest = hashlib.blake2b(json.dumps(tools).encode() if tools else b"", digest_size=_DIGITS // 2)
    text = "".join(map(_as_sent, messages))
    found = []
    for end in range(STEP, min(len(text), MAX_STEPS * STEP) + 1, STEP):
        digest.update(text[end - STEP : end].encode("utf-8", "surrogatepass"))
        found.append(digest.hexdigest())
    return Prompt("".join(found), len(text), any(message.role == "assistant" for message in messages))


def _as_sent(message: Message) -> str:
    """A message as one text, so that where its text begins is known: after its role and one character."""
    before = f"\x1e{message.role}\x1f"
    return before + message.content if message.plain else before + message.content + repr(message[2:])


def common(one: str, other: str) -> int:
    """How many steps two prompts share. Each hash covers all before it, so the last that is equal tells."""
    for size in range(min(len(one), len(other)) // _DIGITS, 0, -1):
        if one[(size - 1) * _DIGITS : size * _DIGITS] == other[(size - 1) * _DIGITS : size * _DIGITS]:
            return size
    return 0


def expected(prompt: Prompt, tokens: int, model: Model, known: list[Warm], now: float) -> Reading:
    """What a provider is expected to do with a prompt of so many input tokens, and where it should be marked."""
    rules = rules_of(model)
    if rules is None or prompt.chars < LEAST_CHARS or tokens < rules.least:
        return Reading()

    def size(steps: int) -> int:
        inside = int(tokens * min(1.0, steps * STEP / prompt.chars) * _SLACK)
        return rules.least + (inside - rules.least) // rules.step * rules.step if inside >= rules.least else 0

    cached = 0
    for warm in known:
        if warm.model != model.name or now - warm.at >= (warm.life if rules.marked else rules.life):
            continue
        shared = common(prompt.hashes, warm.hashes)
        steps = (warm.marked if shared >= warm.marked else 0) if rules.marked else shared
        found, of = rules.prior
        cached = max(cached, round(size(steps) * (found + warm.found) / (of + warm.tries)))
    return _marked(prompt, model.rates, known, now, cached, size) if rules.marked else Reading(cached)


def _marked(
    prompt: Prompt, rates: Rates, known: list[Warm], now: float, cached: int, size: Callable[[int], int]
) -> Reading:
    """Where a mark pays: at the end of a conversation, else behind what recurs."""
    like = max(known, key=lambda warm: (common(prompt.hashes, warm.hashes), warm.uses), default=None)
    shared = common(prompt.hashes, like.hashes) if like is not None else 0
    steps = len(prompt.hashes) // _DIGITS if prompt.talk else shared
    least = size(steps)
    if not least:
        return Reading()
    quick, slow = _returns(like if shared else None, now, _TALK if prompt.talk else _OTHER)
    new = max(0, least - cached)
    best, chosen = 0.0, Reading()
    for hour, chance, price in ((0, quick, rates.of("cache_write")), (1, slow, rates.of("cache_write_1h"))):
        less = rates.input - rates.of("cached")
        gain = less * (least * chance / (1 - chance) + cached) - max(0, price - rates.input) * new
        if gain > best * 1.2 and not (hour and "cache_write_1h" not in rates.special):
            best, chosen = gain, Reading(cached, new, steps, hour)
    return chosen


def _returns(like: Warm | None, now: float, prior: tuple[float, float]) -> tuple[float, float]:
    """How probable it is that the beginning comes back within five minutes, and within the hour; below 1."""
    quick, uses = prior
    slow = quick
    if like is not None:
        gap = now - like.at
        quick += like.quick + (gap < SHORT_LIFE)
        slow += like.slow + (gap < LONG_LIFE)
        uses += like.uses + 1
    return min(0.95, quick / uses), min(0.95, slow / uses)


def learned(kept: tuple[str, ...], sent: Sent) -> tuple[str, ...]:
    """A profile's heads with one more prompt that was sent; what it goes on from is replaced by it."""
    others, before = [], None
    for warm in warm_heads(kept):
        shared = common(sent.hashes, warm.hashes)
        if warm.model == sent.model and shared and shared >= len(warm.hashes) // _DIGITS // 2:
            before = warm if before is None or warm.uses > before.uses else before
        else:
            others.append(warm)
    gap = sent.at - before.at if before is not None else LONG_LIFE
    expected = sent.reading.cached > 0
    now = Warm(
        sent.model,
        sent.place,
        sent.at,
        sent.reading.marked,
        sent.reading.hour,
        *(
            (0, 0, 0, 0, 0)
            if before is None
            else (
                before.uses + 1,
                before.quick + (gap < SHORT_LIFE),
                before.slow + (gap < LONG_LIFE),
                before.tries + expected,
                before.found + (expected and sent.billed > 0),
            )
        ),
        sent.hashes,
    )
    rest = tuple(text for text in kept if not text.startswith(f'["{_MARK}"'))
    return (*rest, *(warm.text for warm in [now, *others][:MAX_WARM]))


def warm_place(prompt: Prompt, model: Model, known: list[Warm], now: float) -> str | None:
    """The deployment that has the longest beginning of a prompt in its cache; None where none has enough of it."""
    best, place = 1, None
    for warm in known:
        if warm.model == model.name and warm.place and now - warm.at < max(SHORT_LIFE, warm.life):
            shared = common(prompt.hashes, warm.hashes)
            if shared > best:
                best, place = shared, warm.place
    return place


class Mark(NamedTuple):
    """A place that is marked in a call: a message by its number, and how many characters of its text stand before it (None:
    all of it); ``hour``: for an hour, and not five minutes.
    """

    message: int
    chars: int | None
    hour: bool


def mark_of(messages: tuple[Message, ...], reading: Reading | Forecast) -> Mark | None:
    """Where in a call's messages the mark of a reading, or a forecast, stands; None where it has none."""
    if not reading.marked:
        return None
    left = reading.marked * STEP
    total = sum(len(_as_sent(message)) for message in messages)
    if total - left < STEP and any(message.role == "assistant" for message in messages):
        return Mark(len(messages) - 1, None, bool(reading.hour))
    for number, message in enumerate(messages):
        size = len(_as_sent(message))
        inside = left - len(message.role) - 2
        if left > size:
            left -= size
        elif message.plain and inside > 0 and message.content[:inside].strip():
            ends = not message.content[inside:].strip()
            return Mark(number, None if ends else inside, bool(reading.hour))
        else:
            return Mark(number - 1, None, bool(reading.hour)) if number else None
    return None
