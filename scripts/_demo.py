"""What scripts/demo works with: the people, what they type, and a provider that answers from a seed. No network."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from nexscout_cli.engine.call import Call, Completion, OnText, Usage
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.planning.texts import Count


class DemoClock:
    """Stands where it is put; sleeping moves it on, so that latencies are the provider's."""

    def __init__(self, start: datetime) -> None:
        self.start = self.time = start

    def now(self) -> datetime:
        """The time, UTC."""
        return self.time

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self.time - self.start).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.time += timedelta(seconds=seconds)


class Customer(NamedTuple):
    """A customer: requests on a usual working day, and how much context they send along, in notes of a meeting."""

    name: str
    tier: str
    a_day: float
    notes: int
    features: tuple[str, ...]


SALES = ("ai_message", "ai_objection", "ai_sequence", "ai_coaching")
DESK = ("ai_chatbot", "ai_message", "ai_support_reply")
DECKS = ("ai_pitchdeck", "ai_deepscan", "ai_message", "ai_coaching")
CUSTOMERS = (
    Customer("northwind", "enterprise", 9.0, 12, DECKS),
    Customer("contoso", "enterprise", 6.0, 14, DECKS),
    Customer("brightside", "elite", 5.0, 6, SALES),
    Customer("harbor-legal", "elite", 3.5, 20, DECKS),
    Customer("kestrel", "elite", 4.5, 5, DESK),
    Customer("lumen-health", "elite", 3.0, 9, DECKS),
    Customer("maple-bank", "elite", 4.0, 4, SALES),
    Customer("oakline", "pro", 3.5, 3, SALES),
    Customer("pinetree", "pro", 3.0, 2, DESK),
    Customer("quarry", "pro", 2.5, 3, SALES),
    Customer("riverstone", "pro", 3.5, 2, DESK),
    Customer("saffron", "pro", 2.0, 4, DECKS),
    Customer("tidewater", "pro", 2.5, 2, SALES),
    Customer("umbra-games", "pro", 3.0, 1, DESK),
    Customer("vantage", "pro", 2.0, 3, SALES),
    Customer("willow", "free", 2.0, 0, DESK),
    Customer("xenon", "free", 1.5, 0, DESK),
    Customer("yarrow", "free", 1.5, 0, SALES),
    Customer("zephyr", "free", 1.0, 0, DESK),
    Customer("acorn", "free", 2.5, 0, DESK),
)
DOUBLES = "northwind"
"""The customer whose bill doubles on day 30."""
OPERATOR = "operator"
"""Who owns the installation."""

PROMPTS = {
    "ai_message": "Write a friendly follow-up to {who} about {what}.",
    "ai_objection": "{who} says that {what} costs too much. What do I answer?",
    "ai_sequence": "Write a sequence of three short emails to {who} about {what}.",
    "ai_coaching": "Coach me for my next call with {who}; it is about {what}.",
    "ai_chatbot": "How does {what} work, and who of us looks after {who}?",
    "ai_support_reply": "Answer this customer, {who}: I cannot get {what} to work since the update.",
    "ai_pitchdeck": "Outline a pitch deck of ten slides on {what} for {who}.",
    "ai_deepscan": "Read the notes and tell me what stands in the way of selling {what} to {who}.",
}
LENGTHS = {
    "ai_message": 110,
    "ai_objection": 90,
    "ai_sequence": 260,
    "ai_coaching": 220,
    "ai_chatbot": 70,
    "ai_support_reply": 130,
    "ai_pitchdeck": 700,
    "ai_deepscan": 520,
}
"""Words of a usual answer."""
PEOPLE = ("Sarah", "Mr Okafor", "the Lindqvist family", "Dr Weiss", "Ana Lima", "the board", "Jun", "Priya", "Tom")
THINGS = (
    "the annual plan",
    "single sign-on",
    "our reporting add-on",
    "the mobile app",
    "data export",
    "the onboarding course",
    "premium support",
    "the price change",
    "our security audit",
    "the pilot project",
    "the partner programme",
    "the invoice from March",
)
SAID = """the plan for your team starts next week and we will send a short summary with all prices so that everyone can
decide in time please tell us which day suits you best and whether the numbers look right thank you"""
WORDS = SAID.split()


class DemoProvider:
    """Answers every call with words by chance; a latency by the model's speed; now and then a fault.

    ``dead``: whether the key of that vendor is refused now.
    """

    def __init__(self, clock: DemoClock, count: Count, chance: random.Random) -> None:
        self.clock, self._count, self._chance = clock, count, chance
        self.dead: str | None = None
        self.words = 100

    def available(self, model: Model) -> str | None:
        """Every remote model can be called."""
        return "not part of the demo" if model.embedded else None

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        """The answer, after a while on the clock. Raises ProviderFailure."""
        vendor = call.model.litellm_model.partition("/")[0]
        if vendor == self.dead:
            self.clock.sleep(0.2)
            raise ProviderFailure("rejected", f"{vendor} refuses the key", status=401)
        if self._chance.random() < 0.012:
            self.clock.sleep(2.0)
            raise ProviderFailure("server", f"{vendor} is overloaded", status=529)
        words = max(8, int(self.words * math.exp(self._chance.gauss(0, 0.25)) * (0.8 + 0.4 * call.model.quality)))
        text = " ".join(self._chance.choice(WORDS) for _ in range(min(words, int(call.max_tokens * 0.7))))
        given = sum(self._count(str(message.content), call.model.litellm_model)[0] + 4 for message in call.messages)
        taken = min(self._count(text, call.model.litellm_model)[0], call.max_tokens)
        slow = 3.0 if self._chance.random() < 0.04 else 1.0
        self.clock.sleep(slow * (0.3 + taken / 120 * (1.9 - call.model.speed)) * math.exp(self._chance.gauss(0, 0.2)))
        return Completion(text, "stop", Usage(given, taken), None, call.model.litellm_model)


class Asking(NamedTuple):
    """One request to come: when, who, what for, the prompt, whether another model may stand in."""

    when: datetime
    customer: Customer
    feature: str
    prompt: str
    fallback: bool


def busy(day: int, when: datetime) -> float:
    """How much of a usual working day's use falls on that day: weekends are quiet, and it grows slowly."""
    return (0.25, 1.0)[when.weekday() < 5] * (0.85 + 0.3 * day / 90)


def plan_of_a_day(
    day: int, start: datetime, chance: random.Random, asked: dict[str, list[tuple[str, str]]]
) -> list[Asking]:
    """What everyone asks on one day, by time. ``asked`` keeps what was asked before, as some is asked again."""
    return sorted(_asking(day, start, chance, asked), key=lambda one: one.when)


def _asking(
    day: int, start: datetime, chance: random.Random, asked: dict[str, list[tuple[str, str]]]
) -> Iterator[Asking]:
    for customer in CUSTOMERS:
        doubled = customer.name == DOUBLES and day >= 30
        usual = customer.a_day * busy(day, start) * (2.0 if doubled else 1.0)
        for _ in range(max(0, round(chance.gauss(usual, usual**0.5 * 0.6)))):
            when = start + timedelta(hours=min(23.5, max(0.5, chance.gauss(13, 3.2))))
            before = asked.setdefault(customer.name, [])
            # People repeat more and more of what they know to work, so that the cache pays more with time.
            if before and chance.random() < 0.12 + 0.12 * day / 90:
                feature, prompt = chance.choice(before[-25:])
            else:
                feature = chance.choice(customer.features)
                prompt = PROMPTS[feature].format(who=chance.choice(PEOPLE), what=chance.choice(THINGS))
                prompt += notes(round(customer.notes * chance.uniform(0.4, 1.6)), chance)
                before.append((feature, prompt))
            yield Asking(when, customer, feature, prompt, chance.random() < 0.5)


def notes(many: int, chance: random.Random) -> str:
    """Notes of a meeting, so many sentences."""
    lines = (
        f"{chance.choice(PEOPLE)} asked on the {chance.randint(1, 28)}th about {chance.choice(THINGS)}, "
        f"offer {chance.randint(100, 999)}; they want to decide by week {chance.randint(1, 52)}."
        for _ in range(many * 2)
    )
    return "\n\nNotes:\n" + "\n".join(lines) if many else ""
