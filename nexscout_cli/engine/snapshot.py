"""The world that a plan is made from: profile, balances, limits, catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.money import usd

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

    from nexscout_cli.engine.budgets import Budget, Used
    from nexscout_cli.engine.length.learning import Level
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.request import Json


class Profile(NamedTuple):
    """What was learned of a user, as far as a plan reads it. ``policy``: the user's own, None for the installation's."""

    efficiency_rating: float = 0.8
    preferred_mode: str = "auto"
    predicted_daily_usage: int = 0
    preferred_output_length: str = "medium"
    writing_style: dict[str, Json] = {}  # noqa: RUF012 - never changed
    peak_hours: tuple[int, ...] = ()
    model_preference: dict[str, float] = {}  # noqa: RUF012 - never changed
    prompt_heads: tuple[str, ...] = ()
    policy: str | None = None


class Preferences(NamedTuple):
    """What governs how a user's models are chosen. ``policy`` None: the installation's; ``panic``: an admin turned it on."""

    tier: str
    mode: str
    policy: str | None
    panic: bool


Verdicts = dict[tuple[str, int | None], tuple[int, int]]
"""Good and bad verdicts of a feature's answers by (model, difficulty bucket); the bucket is None where it was not estimated."""


class Given(NamedTuple):
    """How many good and bad verdicts one user gave on a model's answers to prompts of a difficulty bucket."""

    user_id: str
    model: str
    bucket: int | None
    good: int
    bad: int

    def vote(self) -> tuple[int, int]:
        """What they weigh for other users' requests: one vote, that of the majority; none where they are undecided."""
        return int(self.good > self.bad), int(self.bad > self.good)


def pooled(user_id: str, given: Iterable[Given]) -> Verdicts:
    """Everyone's verdicts as they count for a user's requests: all of the user's own, and one vote of each other user.

    So that nobody moves everybody's requests to another model by judging often.
    """
    found: Verdicts = {}
    for each in given:
        good, bad = (each.good, each.bad) if each.user_id == user_id else each.vote()
        if good or bad:
            before = found.get((each.model, each.bucket), (0, 0))
            found[each.model, each.bucket] = (before[0] + good, before[1] + bad)
    return found


class Limit(NamedTuple):
    """A budget: ``unit`` usd or tokens, ``scope`` and ``window`` as of a Budget; ``left`` may be negative."""

    unit: str
    scope: str
    window: str
    cap: int
    left: int


class Snapshot(NamedTuple):
    """The world a plan is made from. The same request on an equal snapshot gives the same plan.

    ``verdicts`` and ``doubts`` (0..1, of this user's latest first answers to the feature) are read where a policy needs them.
    ``own_budgets`` are those that were set one by one for this request's user, key, tags or run. ``thinking``: by model how
    many answers it thought for, the mean and the most of it, in tokens.
    """

    now: datetime
    actor: str
    user_id: str
    tier: str
    is_admin: bool
    profile: Profile
    energy: int
    limits: tuple[Limit, ...]
    panic: bool
    surge_milli: int
    models: tuple[Model, ...]
    available: frozenset[str]
    missing: dict[str, str]
    input_factors: dict[str, tuple[float, float]]
    output_lengths: dict[tuple[str, str], Level]
    tokens_today: int
    version: int
    verdicts: Verdicts = {}  # noqa: RUF012 - never changed
    doubts: tuple[float, ...] = ()
    thinking: dict[str, tuple[int, float, float]] = {}  # noqa: RUF012 - never changed
    own_budgets: tuple[Budget, ...] = ()

    def left_usd(self, spent: int = 0) -> Decimal | None:
        """Dollars that the narrowest budget has left after ``spent`` nano-dollars; None where none has a cap in dollars."""
        left = [limit.left for limit in self.limits if limit.unit == "usd"]
        return usd(max(0, min(left) - spent)) if left else None

    def model(self, name: str) -> Model | None:
        """The catalog's model of that name, whether available or not."""
        return next((m for m in self.models if m.name == name), None)


class Subject(NamedTuple):
    """The user a request is for, as the store has it. ``granted_period``: the last month (YYYY-MM) whose energy was granted."""

    tier: str
    granted_period: str


class World(NamedTuple):
    """What the store knows that a plan depends on, from one consistent state; no rule has looked at it yet.

    ``subject`` is None for a user who is new. ``energy`` is granted − held − spent. ``load`` counts calls in flight and
    those of the last minute. ``input_factors``: by model how often, on average and at most a provider counted more tokens
    than we did. ``version`` changes when the catalog, a tier or panic does.
    """

    now: datetime
    subject: Subject | None
    is_admin: bool
    profile: Profile
    energy: int
    used: dict[Budget, Used]
    models: tuple[Model, ...]
    panic: bool
    load: int
    input_factors: dict[str, tuple[int, float, float]]
    output_lengths: dict[tuple[str, str], Level]
    version: int
    thinking: dict[str, tuple[int, float, float]] = {}  # noqa: RUF012 - never changed


class Experience(NamedTuple):
    """What is known of a feature's earlier answers: verdicts, pooled for this user, and the doubts (0..1) of this user's
    first answers.
    """

    verdicts: Verdicts
    doubts: tuple[float, ...]
