"""How a request's model is chosen: what all its plans have in common, decided once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.engine import prompt_cache
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.plan_types import Candidate, Compression, Decision, Forecast, Shape
from nexscout_cli.engine.planning import predict
from nexscout_cli.engine.planning.resolve import Resolved
from nexscout_cli.engine.planning.shape import shape_of
from nexscout_cli.engine.planning.texts import Count, messages, originals
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.routing import policy, rules
from nexscout_cli.engine.snapshot import Snapshot

if TYPE_CHECKING:
    from nexscout_cli.engine.routing.estimates import Estimates

MAX_REASONS = 5
"""Features of a prompt that are named when somebody asks why it was taken for easy or hard."""


class Forecasts:
    """Forecasts of one request's plans. Each text is counted once for a model, each model forecast once for a shape.

    ``said`` is what is said after the request's own messages, to get a better answer. ``reads_cache``: whether what providers
    keep of prompts is counted on; a batch's rows are sent too late for that.
    """

    def __init__(
        self,
        request: AIRequest,
        snapshot: Snapshot,
        texts: tuple[str, ...],
        count: Count,
        said: tuple[Message, ...] = (),
        *,
        reads_cache: bool = True,
    ) -> None:
        self.said = said
        self._reads_cache = reads_cache and request.options.service_tier != "batch"
        self._request = request
        self._snapshot = snapshot
        self._texts = texts
        self._count = count
        self._tokens: dict[tuple[str, str], tuple[int, bool]] = {}
        self._made: dict[tuple[str, Shape], Forecast] = {}

    def __eq__(self, other: object) -> bool:
        """Whether both forecast the same: what has been worked out already makes no difference."""
        if not isinstance(other, Forecasts):
            return NotImplemented
        names = ("_request", "_snapshot", "_texts", "said")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]

    def of(self, model: Model, shape: Shape) -> Forecast:
        """What the request takes of a model whose answer has that shape."""
        known = self._made.get((model.name, shape))
        if known is None:
            known = self._made[model.name, shape] = self._forecast(model, shape)
        return known

    def in_world(self, snapshot: Snapshot, said: tuple[Message, ...] = ()) -> Forecasts:
        """The same texts' forecasts by what a later snapshot has learned; what was counted stays counted."""
        later = Forecasts(self._request, snapshot, self._texts, self._count, said, reads_cache=self._reads_cache)
        later._tokens = self._tokens
        return later

    def _forecast(self, model: Model, shape: Shape) -> Forecast:
        sent = (*messages(self._request, model, shape, self._texts), *self.said)
        content, asked, exact = 0, 0, True
        for message in sent:
            size, exact = self._counted(message.content, model.litellm_model)
            content += size
            asked = size if message.role == "user" else asked
        tokens = predict.counted(sent, content)
        forecast = predict.estimate(self._request, self._snapshot, model, tokens, exact, asked, shape)
        forecast = self._with_cache(forecast, sent, model)
        if self._request.is_plain:
            return forecast
        from nexscout_cli.engine.planning.extras import extras

        beside = extras(self._request, sent, model, lambda text: self._counted(text, model.litellm_model)[0])
        return predict.with_extras(forecast, beside.expected, beside.most, self._request.options.n or 1)

    def _with_cache(self, forecast: Forecast, sent: tuple[Message, ...], model: Model) -> Forecast:
        """The forecast with what the provider is expected to have of the prompt, and what it should keep."""
        snapshot, size = self._snapshot, sum(len(message.content) for message in sent)
        if size < prompt_cache.LEAST_CHARS or not self._reads_cache or not snapshot.profile.prompt_heads:
            return forecast
        prompt = prompt_cache.prompt_of(sent, self._request.options.tools)
        known = prompt_cache.warm_heads(snapshot.profile.prompt_heads)
        found = prompt_cache.expected(prompt, forecast.input_tokens, model, known, snapshot.now.timestamp())
        return forecast._replace(**found._asdict())

    def _counted(self, text: str, litellm_model: str) -> tuple[int, bool]:
        known = self._tokens.get((text, litellm_model))
        if known is None:
            known = self._tokens[text, litellm_model] = self._count(text, litellm_model)
        return known


class SecondStep(NamedTuple):
    """What follows a doubtful first answer: the strong model, a second cheap one where there is one.

    ``doubt`` (0..1) is the limit, ``chance`` how probable it is that an answer reaches it. ``audit``: the strong one is asked
    whatever the doubt, to see whether the first was as good.
    """

    strong: rules.Choice
    other: Model | None
    doubt: float
    chance: float
    audit: bool = False


class Basis(NamedTuple):
    """What a request's plans have in common. It is kept between attempts, so that a later one decides nothing again.

    ``texts`` are prompt, context and attachments as they are sent. ``second`` is there where a cascade may follow.
    """

    resolved: Resolved
    choice: rules.Choice
    decision: Decision
    compression: Compression
    texts: tuple[str, ...]
    forecasts: Forecasts
    second: SecondStep | None = None


class Bidding(NamedTuple):
    """What rules and estimates are asked with: whether a model's window takes the request, and what it would cost."""

    snapshot: Snapshot
    settings: Settings
    fits: Callable[[Model], bool]
    price: Callable[[Model], int]


def make_basis(request: AIRequest, snapshot: Snapshot, settings: Settings, count: Count, resolved: Resolved) -> Basis:
    """Steps 3 and 4. Raises Blocked when no model is available."""
    from nexscout_cli.engine.compression.choice import compress_texts
    from nexscout_cli.engine.routing.emotion import emotional_complexity

    texts, compression = compress_texts(request, originals(request), snapshot, settings, count, resolved.compression)
    emotion, shape = emotional_complexity(request.question), shape_of(request, snapshot, settings)
    size = compression.tokens_after
    length = predict.answer(request, snapshot.output_lengths, "", "", size, shape).expected
    facts = rules.Facts(request, snapshot.tier, snapshot.panic, resolved.mode, emotion, size + length)
    rule, forecasts = (
        rules.requirement(facts, settings),
        Forecasts(request, snapshot, texts, count, reads_cache=settings["providers.prompt_cache"]),
    )
    bidding = Bidding(
        snapshot,
        settings,
        fits=lambda model: forecasts.of(model, shape).max_input_tokens < model.max_tokens,
        # The same answer's length for all: a model that was asked first must not win by what was learned of it alone.
        # What it thinks is billed too, and is its own.
        # What its provider has in its cache is billed at less there: to go to another model loses that.
        price=lambda model: model.cost_of(
            forecasts.of(model, shape).used(length + forecasts.of(model, shape).thinking)
        ),
    )
    decision = Decision(
        policy=resolved.policy,
        rule=rule.reason,
        rule_quality=rule.quality,
        quality=rule.quality,
        reason=rule.reason,
        mode=resolved.mode,
        tier=snapshot.tier,
        feature=request.feature,
        prompt_chars=len(request.question),
        emotion=emotion,
        extracted=compression.found or None,
    )
    if resolved.by_difficulty:
        choice, decision, second = _by_difficulty(request, rule, bidding, decision)
    else:
        choice = rules.choose(rule, resolved.forced, *bidding, _careful(snapshot, resolved.policy))
        second = None
    if settings["routing.audit"] and resolved.forced is None and resolved.mode == "auto" and not snapshot.panic:
        second = _audit(request, bidding, choice) or second
    decided = _decided(decision, choice)
    return Basis(resolved, choice, decided, compression, texts, forecasts, second)


def _careful(snapshot: Snapshot, name: str) -> Estimates | None:
    """What is known of models under the policy ``rules``: nothing, unless audits are on."""
    if name != "rules" or not snapshot.verdicts:
        return None
    from nexscout_cli.engine.routing.audit import Careful

    return Careful(snapshot.verdicts)


def _audit(request: AIRequest, bidding: Bidding, choice: rules.Choice) -> SecondStep | None:
    """The strong model after a cheap answer, where the request is drawn for that."""
    from nexscout_cli.engine.routing import audit

    snapshot, settings = bidding.snapshot, bidding.settings
    if not audit.drawn(request, snapshot.now, settings["routing.audit"]):
        return None
    top = policy.HARD_FREE if snapshot.tier == "free" else policy.HARD
    above = rules.choose(rules.Need(top, audit.REASON), None, *bidding)
    strong, weak = above.models[0], choice.models[0]
    if weak.free or bidding.price(strong) <= bidding.price(weak) or strong.quality <= weak.quality:
        return None
    return SecondStep(above._replace(reason=audit.REASON), None, 0.0, 1.0, audit=True)


def _by_difficulty(
    request: AIRequest, rule: rules.Need, bidding: Bidding, decision: Decision
) -> tuple[rules.Choice, Decision, SecondStep | None]:
    """The choice under a policy that looks at how difficult the prompt is."""
    from nexscout_cli.engine.routing.difficulty import difficulty
    from nexscout_cli.engine.routing.estimates import Estimates
    from nexscout_cli.engine.routing.thresholds import threshold

    snapshot, settings = bidding.snapshot, bidding.settings
    target = float(settings["routing.quality_target"])
    pair = _pair(bidding, Estimates(snapshot.verdicts, None))
    estimate, limit = difficulty(request.question, factors=pair), threshold(decision.policy, target)
    needs = policy.needs(decision.policy, rule, snapshot.tier, estimate, limit)
    estimates = Estimates(snapshot.verdicts, estimate.bucket)
    choice = rules.choose(needs.first, None, *bidding, estimates)
    decision = decision._replace(
        difficulty=round(estimate.probability, 4),
        bucket=estimate.bucket,
        familiar=round(estimate.familiar, 2),
        factor=None if estimate.factor == 1 else round(estimate.factor, 2),
        weighed=_reasons(estimate.reasons, words=settings["learning.patterns"]),
        limit=limit.difficulty,
        target=target,
        strong_share=limit.strong_share,
        kept=limit.kept,
    )
    if needs.second is None:
        return choice, decision, None
    above = rules.choose(rules.Need(needs.second, "cascade_escalated"), None, *bidding, estimates)
    strong, weak = above.models[0], choice.models[0]
    if bidding.price(strong) <= bidding.price(weak) or estimates.quality(strong) <= estimates.quality(weak):
        return choice, decision, None
    able = [m for m in snapshot.models if m.name in snapshot.available and bidding.fits(m)]
    good = [m for m in able if estimates.quality(m) >= needs.first.quality]
    other = policy.second_opinion_of(good, weak, strong, bidding.price)
    second = SecondStep(above, other, limit.doubt, policy.chance_of_second(limit, snapshot.doubts))
    return choice, decision._replace(doubt=limit.doubt, strong=strong.name), second


def _pair(bidding: Bidding, estimates: Estimates) -> dict[str, float]:
    """What is known of the two models that an easy and a hard prompt would get: by kind of prompt, what the better one gains."""
    from nexscout_cli.engine.routing.estimates import measured_as
    from nexscout_cli.engine.routing.pairs import factors

    top = policy.HARD_FREE if bidding.snapshot.tier == "free" else policy.HARD
    strong, weak = (rules.choose(rules.Need(q, ""), None, *bidding, estimates).models[0] for q in (top, policy.EASY))
    return factors(measured_as(strong), measured_as(weak))


def _reasons(reasons: tuple[tuple[str, float], ...], *, words: bool) -> tuple[tuple[str, float], ...]:
    """The heaviest reasons of an estimate; without ``words`` none that repeats words of the prompt."""
    kept = [(name, weight) for name, weight in reasons if words or not name.startswith("words: ")]
    return tuple(kept[:MAX_REASONS])


def _decided(decision: Decision, choice: rules.Choice) -> Decision:
    def shown(one: Candidate) -> Candidate:
        return one._replace(verdict="second") if one.model == decision.strong else one

    candidates = tuple(shown(one) for one in choice.candidates)
    return decision._replace(quality=choice.quality, reason=choice.reason, candidates=candidates)
