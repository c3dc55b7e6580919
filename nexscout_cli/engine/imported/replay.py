"""Requests of another tool's log, planned as if they had gone through NexScout then. Nothing is sent, nothing is written.

Each is met in order of time: an answer that would have been kept is given again, else the request is planned, and its tokens
are priced at the model that would have been asked. Budgets and energy are left out: they would only refuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import sqrt
from typing import TYPE_CHECKING

from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.imported.record import Imported
from nexscout_cli.engine.names import check_user
from nexscout_cli.engine.planning.texts import Count
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.usage import Tokens
from nexscout_cli.engine.validate import check_request
from nexscout_cli.errors import NexScoutError, UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.planning.plan import Plan
    from nexscout_cli.engine.snapshot import Snapshot

STEPS = ("cache", "routing", "compression", "instructions", "bounds")
"""What saves, in the order in which it is reckoned. Instructions cost: our words on an answer's length and style."""
_PLENTY = 10**12
_Z90 = 1.2816
"""Standard deviations between the mean and what nine of ten stay below."""
_Z = 1.645
"""The same on both sides, for an interval that holds nine times of ten."""
_WORDIER = 0.25
"""How much longer or shorter another model's answers may be on the whole: an assumption, not a measurement."""
_FRAME = 4
"""Tokens that a message's frame takes."""


class Outcome:
    """Names of what became of a request."""

    HIT, PLANNED, REFUSED, BLIND, UNPRICED = "hit", "planned", "refused", "no prompt", "no price"


@dataclass(slots=True)
class Replayed:
    """What a log came to, in nano-dollars. ``was`` and ``would`` are of the requests that could be planned.

    ``saved`` by step. ``low`` and ``high`` bound ``would``. ``others`` is what the requests cost that could not be planned.
    """

    was: int = 0
    would: int = 0
    low: int = 0
    high: int = 0
    others: int = 0
    saved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STEPS, 0))
    outcomes: Counter[str] = field(default_factory=Counter)
    models: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    cascades: int = 0
    clipped: int = 0


class Player:
    """Meets requests one by one. ``cost_of`` is what a record cost (nano-dollars), None where nobody knows."""

    def __init__(self, engine: Engine, count: Count, cost_of: Callable[[Imported], int | None], *, every: bool) -> None:
        self._engine = engine
        self._count = count
        self._cost_of = cost_of
        self._every = every
        self._kept: dict[str, datetime] = {}
        self._variance = 0.0
        self._lean = 0.0
        self.found = Replayed()

    def play(self, records: Iterable[Imported], user: str) -> Replayed:
        """All records, which must be in order of time. ``user``: whose they are where a record does not say."""
        base = self._base(user)
        for record in records:
            self._meet(record, user, base._replace(now=record.at))
        found, spread = self.found, round(_Z * sqrt(self._variance) + self._lean)
        found.low, found.high = max(0, found.would - spread), found.would + spread
        return found

    def _meet(self, record: Imported, user: str, world: Snapshot) -> None:
        was = self._cost_of(record)
        if was is None or not record.messages or record.requests != 1:
            self.found.outcomes[Outcome.UNPRICED if was is None else Outcome.BLIND] += 1
            self.found.others += was or 0
            return
        request = request_of(record, user, self._engine.settings["feature"])
        try:
            check_request(request, self._engine.settings)
            key = self._key(request, world)
            if key is not None and record.at < self._kept.get(key, record.at):
                self._hit(was)
                return
            plan = self._engine.planner.plan(request, world)
        except NexScoutError as error:
            self._refused(was, error.message)
            return
        if plan.error is not None:
            self._refused(was, plan.error["message"])
            return
        self._planned(record, request, plan, was)
        self._keep(record, key)

    def _hit(self, was: int) -> None:
        self.found.outcomes[Outcome.HIT] += 1
        self.found.was += was
        self.found.saved["cache"] += was

    def _refused(self, was: int, why: str) -> None:
        self.found.outcomes[Outcome.REFUSED] += 1
        self.found.refusals[why[:120]] += 1
        self.found.others += was

    def _planned(self, record: Imported, request: AIRequest, plan: Plan, was: int) -> None:
        """Price the record's own tokens at the plan's model, step by step."""
        found, model = self.found, plan.model
        own = bool(_same(record.model, model))
        routed = was if own else _priced(model, record, record.input, record.output)
        given = sum(self._count(text, model.litellm_model)[0] + _FRAME for _, text in record.messages or ())
        shorter = plan.compression.tokens_before - plan.compression.tokens_after
        longer = plan.forecast.input_tokens - (given - shorter)
        plain = max(0, record.input - shorter)
        compressed = routed - (_priced(model, record, record.input, 0) - _priced(model, record, plain, 0))
        instructed = compressed + model.cost(max(0, longer), 0)
        over = max(0, record.tokens_out - plan.forecast.max_output_tokens)
        would = instructed - min(model.cost(0, over), instructed)
        later = sum(chance * _priced(step.model, record, plain, record.output) for chance, step in plan.later)
        would += round(later)
        steps = {"routing": was - routed - round(later), "compression": routed - compressed}
        steps |= {"instructions": compressed - instructed, "bounds": instructed - would + round(later)}
        for name, saved in steps.items():
            found.saved[name] += saved
        found.was += was
        found.would += would
        found.outcomes[Outcome.PLANNED] += 1
        found.models[record.model, model.name] += 1
        found.cascades += plan.cascade is not None
        found.clipped += over > 0
        self._doubt(record, plan, own)

    def _doubt(self, record: Imported, plan: Plan, own: bool) -> None:
        """How far off a request may be: another model's answer has another length, a cascade's second step may come or not."""
        for chance, step in plan.later:
            price = _priced(step.model, record, record.input, record.output)
            self._variance += chance * (1 - chance) * price * price
        if own:
            return
        spread = max(0, plan.forecast.p90_output_tokens - plan.forecast.output_tokens) / _Z90
        made = max(1, record.tokens_out)
        share = min(1.0, spread / max(1, plan.forecast.output_tokens))
        price = plan.model.cost(0, made)
        self._variance += (price * share) ** 2
        self._lean += price * _WORDIER

    def _key(self, request: AIRequest, world: Snapshot) -> str | None:
        settings = self._engine.settings
        if not settings["cache.enabled"] or request.feature not in settings["cache.features"]:
            return None
        return self._engine.cache_keys(request, world)[0]

    def _keep(self, record: Imported, key: str | None) -> None:
        settings = self._engine.settings
        if key is not None and 0 < record.tokens_out < settings["cache.max_tokens"]:
            self._kept[key] = record.at + timedelta(days=settings["cache.days"])

    def _base(self, user: str) -> Snapshot:
        """Today's world without budgets; models without a key count as well where ``every`` says so. Raises UsageError."""
        world = self._engine.snapshot(AIRequest(user, self._engine.settings["feature"]))
        remote = {one.name for one in world.models if one.enabled and not one.retired and not one.embedded}
        able = frozenset(remote) if self._every else world.available & remote
        if not able:
            raise UsageError("no model can be asked here", "leave out --available, or set a provider's key")
        world = world._replace(energy=_PLENTY, limits=(), own_budgets=(), surge_milli=1000, panic=False)
        return world._replace(available=able, missing={})


def request_of(record: Imported, user: str, feature: str) -> AIRequest:
    """A record's prompt as a request: system texts are the system's, the rest the conversation."""
    said = record.messages or ()
    system = "\n\n".join(text for role, text in said if role == "system" and text.strip())
    talk = tuple(
        Message(role if role == "assistant" else "user", text) for role, text in said if role != "system" and text
    )
    whose = record.user or user
    try:
        check_user(whose)
    except UsageError:
        whose = user
    return AIRequest(whose, feature, options=Options(system=system or None), messages=talk).settled


def _same(theirs: str, model: Model) -> bool:
    from nexscout_cli.engine.reconcile.export import bare

    return bare(theirs) in (bare(model.litellm_model), model.name)


def _priced(model: Model, record: Imported, plain: int, made: int) -> int:
    """Nano-dollars of a record at a model, with so many plain tokens in and out; its other classes stay."""
    used = Tokens(
        input=plain,
        cached=record.cached,
        cache_write=record.cache_write,
        cache_write_1h=record.cache_write_1h,
        output=made,
        reasoning=record.reasoning if made else 0,
    )
    return model.cost_of(used)
