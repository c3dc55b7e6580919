"""An attempt from its hold to its post: what was reserved, what it truly used, what reached the user.

These values are what a store's transactions are given. They hold all that a transaction needs, so that a store works out
nothing itself. Amounts are nano-dollars, prices pico-dollars per token.
"""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine.budgets import Budget
from nexscout_cli.engine.deployment import Wanted
from nexscout_cli.engine.learning.observation import Lesson
from nexscout_cli.engine.learning.profile import accuracy
from nexscout_cli.engine.length.learning import Level, Trend, scopes
from nexscout_cli.engine.money import cost
from nexscout_cli.engine.plan_types import Forecast
from nexscout_cli.engine.request import Json

UNSURE = frozenset({"estimated", "usage_invalid"})
"""Flags of a charge whose tokens nobody but us has counted."""


class Charge(NamedTuple):
    """What one posted attempt truly used: nano-dollars and tokens, with ``flags`` that say how sure that is.

    ``classes``: the tokens that are not plain, by class (see :mod:`nexscout_cli.engine.usage`); they are part of the two
    counts. ``provider_cost``: the provider's own figure, where it named one.
    """

    input_tokens: int
    output_tokens: int
    cost: int
    flags: tuple[str, ...] = ()
    classes: dict[str, int] = {}  # noqa: RUF012 - never changed
    provider_cost: int | None = None

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens


class Savings(NamedTuple):
    """What a posted attempt would have cost on the baseline model, and what compression saved on its own model."""

    baseline: int
    compression: int
    tokens: int


class Settlement(NamedTuple):
    """All that it takes to post an attempt, in any process: it can be kept with the attempt as JSON.

    ``price_in``, ``price_out`` and ``class_prices`` are the model's, ``baseline_in`` and ``baseline_out`` those of the model
    that savings are counted against. ``quoted_tokens`` is what the whole request was predicted to take. ``tokens_saved`` is what
    compression took out of the input. ``below_floor``: the model is worse than ``routing.floor``.
    ``service_tier``: flex, priority or batch, where one was asked for.
    """

    user_id: str
    feature: str
    model: str
    quality: float
    price_in: int
    price_out: int
    baseline_in: int
    baseline_out: int
    forecast: Forecast
    quoted_tokens: int
    tokens_saved: int
    compressed: bool
    mode: str
    routing_reason: str
    degraded: bool
    emotional_complexity: float
    surge_milli: int
    has_key: bool
    class_prices: dict[str, int] = {}  # noqa: RUF012 - never changed
    below_floor: bool = False
    service_tier: str | None = None

    def as_json(self) -> dict[str, Json]:
        """The value as JSON keeps it. It holds nothing of the prompt's text."""
        return self._asdict()

    @classmethod
    def from_json(cls, kept: dict[str, Json]) -> Settlement:
        """The value that :meth:`as_json` gave. Raises TypeError or KeyError for anything else."""
        sizes: Json = dict(zip(Forecast._fields, kept["forecast"], strict=False))  # an earlier version kept fewer
        forecast: Json = Forecast(**sizes | {"shipped": Trend._make(sizes["shipped"])})
        return cls(**kept | {"forecast": forecast})

    @property
    def predicted_tokens(self) -> int:
        """Tokens that this attempt was predicted to take."""
        return self.forecast.input_tokens + self.forecast.output_tokens

    def accuracy(self, charge: Charge) -> float:
        """How well this attempt's tokens were predicted, 0..1."""
        return accuracy(charge.tokens, self.predicted_tokens)

    def accuracy_in_all(self, tokens: int) -> float:
        """How well the whole request's tokens were predicted, 0..1."""
        return accuracy(tokens, self.quoted_tokens)

    def savings(self, charge: Charge) -> Savings:
        """What was saved; tokens that compression took out would have been billed as input.

        Nothing by a model below the floor: a worse answer than was wanted is no saving.
        """
        saved = self.tokens_saved
        if self.below_floor:
            return Savings(charge.cost, 0, saved)
        return Savings(
            cost(charge.input_tokens + saved, charge.output_tokens, self.baseline_in, self.baseline_out),
            cost(saved, 0, self.price_in, self.price_out),
            saved,
        )

    def input_ratio(self, charge: Charge) -> float | None:
        """The provider's input tokens ÷ our own count; None where nothing can be learned of it."""
        counted = self.forecast.counted
        if counted <= 0 or charge.input_tokens <= 0 or UNSURE & set(charge.flags):
            return None
        return charge.input_tokens / counted

    @property
    def length_scopes(self) -> tuple[tuple[str, str], ...]:
        """The (user, model) pairs whose answer lengths this attempt teaches, widest first."""
        return scopes(self.user_id, self.model)

    def length_after(self, level: Level, output_tokens: int) -> Level:
        """A level of learned lengths after this attempt's answer of so many tokens, thinking left out."""
        return level.after(*self.length_seen(output_tokens))

    def length_seen(self, output_tokens: int) -> tuple[Trend, int, int, bool]:
        """What an answer of so many tokens tells of lengths: the shipped trend, tokens that one answer was expected to have
        and had, whether that is above its P90.
        """
        expected, answers = self.forecast, self.forecast.answers
        one = (expected.output_tokens - expected.thinking) // answers
        above = output_tokens // answers > (expected.p90_output_tokens - expected.thinking) // answers
        return expected.shipped, max(1, one), output_tokens // answers, above


class Prediction(NamedTuple):
    """What a plan says before anything is sent, as the books keep it. ``decision`` tells how the model was chosen."""

    request_id: str
    user_id: str
    feature: str
    tokens: int
    output_tokens: int
    p90_tokens: int
    cost: int
    max_cost: int
    energy: int
    formula_tokens: int
    model: str
    routing_reason: str
    decision: dict[str, Json]


class Order(NamedTuple):
    """What a hold is taken for: the worst case of one attempt.

    ``version`` is the world's that it was planned in, ``seconds`` how long the call may take, ``cache_key`` what the
    call answers for where identical requests wait for it. ``energy`` and ``prediction`` count with a request's first
    attempt. ``budgets`` are empty for a model that costs nothing. ``wanted`` says which deployments may take it, where the
    model has some: the hold is at the dearest of them. ``sent``: the call follows at once, and the attempt
    counts as sent with its hold, in one transaction; a crash between the two leaves it unknown, which is the safe side.
    ``after``: the id of the request's attempt before this one, 0 where it is the first.
    """

    prediction: Prediction
    settlement: Settlement
    fingerprint: str
    idempotency_key: str | None
    version: int
    seconds: float
    estimate: int
    hold: int
    hold_tokens: int
    energy: int
    budgets: tuple[Budget, ...]
    cache_key: str | None = None
    sent: bool = False
    wanted: Wanted | None = None
    after: int = 0


class Attempt(NamedTuple):
    """A hold that was taken: which attempt of which request, and what it may cost at most (nano-dollars, tokens, energy).

    ``sent``: it was marked so with its hold. ``deployment``: the one that was chosen for it, where its model has some.
    """

    id: int
    request_id: str
    n: int
    settlement: Settlement
    hold: int
    hold_tokens: int
    hold_energy: int
    sent: bool = False
    deployment: str | None = None


class Delivery(NamedTuple):
    """What reached the user with a posted attempt: the energy charged, the lesson learned, and what is kept of the answer.

    ``answer`` is kept where the request has an idempotency key; ``text`` under ``cache_key`` where there is one.
    ``warnings`` is what was said of the answer.
    """

    energy: int
    lesson: Lesson
    answer: dict[str, Json]
    text: str
    cache_key: str | None
    form_key: str | None = None
    warnings: tuple[str, ...] = ()


class Posting(NamedTuple):
    """The true charge of an attempt. Without a delivery no energy is charged, and the request stays open.

    ``doubt`` is what was found when the answer was checked: score, limit, reasons. ``refused``: options that the provider
    refused, to be remembered with the model.
    """

    charge: Charge
    provider_id: str | None
    delivery: Delivery | None
    doubt: dict[str, Json] | None = None
    refused: tuple[str, ...] = ()


class Failure(NamedTuple):
    """The end of a request that delivered nothing; ``model`` is the last one that was tried."""

    request_id: str
    user_id: str
    feature: str
    model: str
    mode: str
    routing_reason: str
    code: str
    message: str
    lesson: Lesson
