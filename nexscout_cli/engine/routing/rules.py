"""Step 3: the request sets a required quality; the cheapest available model that reaches it gets the call.

The rules are an ordered list of named tests, first match wins; ``routing.order`` reorders them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.plan_types import Candidate
from nexscout_cli.errors import Blocked, NotPermitted, UsageError
from nexscout_cli.terms import MODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.routing.estimates import Estimates
    from nexscout_cli.engine.snapshot import Snapshot

MODE_QUALITY = {"expert": 0.95, "fast": 0.70, "pro": 0.85}
FORCEABLE = {"free": ("small",), "pro": ("small", "medium")}
SHORT_PROMPT, SHORT_CHAT, DEEP_TOKENS = 400, 600, 5_000


class Facts(NamedTuple):
    """What the rules look at."""

    request: AIRequest
    tier: str
    panic: bool
    mode: str
    emotion: float
    predicted_tokens: int


class Need(NamedTuple):
    """The quality a request requires, and the rule that says so."""

    quality: float
    reason: str


def effective_mode(request: AIRequest, snapshot: Snapshot) -> str:
    """The mode that governs the call: the request's own, else the user's; panic above all."""
    if snapshot.panic:
        return "panic"
    forced = request.options.force_model
    return forced if forced in MODES else request.options.mode or snapshot.profile.preferred_mode


def _panic(f: Facts) -> Need | None:
    return Need(-1.0, "panic") if f.panic else None


def _forced(f: Facts) -> Need | None:
    name = f.request.options.force_model
    if name is None or name == "auto":
        return None
    return Need(MODE_QUALITY.get(name, 0.0), "forced")


def _mode(f: Facts) -> Need | None:
    return Need(MODE_QUALITY[f.mode], f"manual_{f.mode}") if f.mode in MODE_QUALITY else None


def _generation(f: Facts) -> Need | None:
    if f.request.feature not in ("ai_pitchdeck", "ai_coaching"):
        return None
    return Need(0.85 if f.tier == "free" else 0.95, "complex_generation")


def _deepscan(f: Facts) -> Need | None:
    deep = f.request.feature == "ai_deepscan" and f.predicted_tokens > DEEP_TOKENS
    return Need(0.95, "deep_analysis") if deep else None


def _emotional(f: Facts) -> Need | None:
    return Need(0.85, "emotional_complexity") if f.request.feature == "ai_objection" or f.emotion > 0.7 else None


def _chatbot(f: Facts) -> Need | None:
    if f.request.feature != "ai_chatbot":
        return None
    return Need(0.70, "simple_chat") if len(f.request.question) < SHORT_CHAT else Need(0.85, "complex_chat")


def _short(f: Facts) -> Need | None:
    simple = len(f.request.question) < SHORT_PROMPT and f.emotion < 0.5
    return Need(0.70, "simple_short_prompt") if simple else None


def _balanced(f: Facts) -> Need | None:
    return Need(0.85, "balanced")


RULES: dict[str, Callable[[Facts], Need | None]] = {
    "panic": _panic,
    "forced": _forced,
    "mode": _mode,
    "generation": _generation,
    "deepscan": _deepscan,
    "emotional": _emotional,
    "chatbot": _chatbot,
    "short": _short,
    "balanced": _balanced,
}


def requirement(facts: Facts, settings: Settings) -> Need:
    """The first rule that matches. Panic requires the quality floor."""
    matches = (RULES[name](facts) for name in settings["routing.order"])
    need = next((match for match in matches if match), None) or Need(0.85, "balanced")
    return need if need.quality >= 0 else Need(settings["routing.floor"], need.reason)


def permit(request: AIRequest, snapshot: Snapshot, settings: Settings) -> Model | None:
    """The model the request forces, or None when it forces none (or names a mode).

    Raises UsageError for a name nobody knows; NotPermitted for a mode or a model above the tier, and for
    ``skip_energy_charge`` by an actor who is not an admin; Blocked for a model that cannot be called here.
    """
    if request.options.skip_energy_charge and not snapshot.is_admin:
        raise NotPermitted("only an admin may skip the energy charge", "leave it out: --no-charge, skip_energy_charge")
    name, mode = request.options.force_model, request.options.mode
    modes = settings[f"tiers.{snapshot.tier}.modes"]
    for wanted in (name if name in MODES else None, mode):
        if wanted is not None and wanted not in MODES:
            raise UsageError(f"there is no mode {wanted!r}", f"modes: {', '.join(MODES)}")
        if wanted is not None and wanted not in modes:
            raise NotPermitted(
                f"mode {wanted} is not part of tier {snapshot.tier}",
                f"upgrade your plan, or use one of: {', '.join(modes)}",
            )
    if name is None or name in MODES:
        return None
    model = snapshot.model(name)
    if model is None:
        raise UsageError(f"there is no model {name!r} in the catalog", _nearest(name, snapshot), code="model_not_found")
    allowed = FORCEABLE.get(snapshot.tier)
    if not model.free and allowed is not None and model.type not in allowed:
        raise NotPermitted(
            f"tier {snapshot.tier} may force models up to {allowed[-1]}; {name} is {model.type}",
            "upgrade your plan, or leave --model out",
        )
    if name not in snapshot.available and not (model.retired and model.enabled and name not in snapshot.missing):
        raise Blocked(
            f"{name} cannot be called: {snapshot.missing.get(name, 'it is disabled')}",
            f"`nexscout models show {name}` says what it can do, `nexscout doctor` what is missing",
            code="model_unavailable",
        )
    return model


def _nearest(name: str, snapshot: Snapshot) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [m.name for m in snapshot.models] + list(MODES), 1)
    if near:
        return f"did you mean {near[0]}? `nexscout models add` adds another"
    return "`nexscout models list` shows them, `nexscout models add` adds one"


class Choice(NamedTuple):
    """The models to try a plan with, best first; ``reason``, ``quality`` (the one required) and ``warnings`` hold for all.

    ``candidates`` says of every model of the catalog what became of it.
    """

    models: tuple[Model, ...]
    reason: str
    quality: float
    warnings: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()


class _Ranking:
    """The models that can be called and whose window takes the request, with what each would cost and how good it is.

    One that is dearer and no better than another is needless, where there are estimates to tell.
    """

    def __init__(
        self, models: list[Model], snapshot: Snapshot, price: Callable[[Model], int], estimates: Estimates | None
    ) -> None:
        self._snapshot = snapshot
        self._preference = snapshot.profile.model_preference
        self.costs = {m.name: price(m) for m in models}
        self.quality = {m.name: estimates.quality(m) if estimates else m.quality for m in models}
        self._needless = estimates.dominated(models, lambda m: self.costs[m.name]) if estimates else {}
        self.useful = [m for m in models if m.name not in self._needless]

    def cheapest(self, model: Model) -> tuple[int, float, float, str]:
        """A key that sorts by cost; ties are broken by what served this user well."""
        name = model.name
        return (self.costs[name], -self._preference.get(name, 0.5), -self.quality[name], name)

    def best(self, model: Model) -> tuple[float, int, float, float, str]:
        """A key that sorts by quality, then as :meth:`cheapest`."""
        return (-self.quality[model.name], *self.cheapest(model))

    def candidates(self, chosen: Model, need: Need) -> tuple[Candidate, ...]:
        """What became of every model of the catalog."""
        return tuple(self._candidate(model, chosen, need) for model in self._snapshot.models)

    def _candidate(self, model: Model, chosen: Model, need: Need) -> Candidate:
        if model.name not in self.costs:
            why = self._snapshot.missing.get(model.name, "it is retired at its provider")
            verdict = ("window", "") if model.name in self._snapshot.available else ("unavailable", why)
            return Candidate(model.name, None, model.quality, *verdict)
        cost, good = self.costs[model.name], self.quality[model.name]
        if model is chosen:
            return Candidate(model.name, cost, good, "chosen")
        if rival := self._needless.get(model.name):
            reason = f"{rival.by} costs less and is as good: {rival.theirs:.2f} against {rival.own:.2f}, {rival.basis}"
            return Candidate(model.name, cost, good, "dominated", reason)
        return Candidate(model.name, cost, good, "below" if good < need.quality else "dearer")


def choose(
    need: Need,
    forced: Model | None,
    snapshot: Snapshot,
    settings: Settings,
    fits: Callable[[Model], bool],
    price: Callable[[Model], int],
    estimates: Estimates | None = None,
) -> Choice:
    """Candidates for a request, best first.

    The cheapest available model that reaches ``need`` by ``price`` (nano-dollars for this very request) comes first; then,
    for when budgets do not allow it, cheaper ones down to the quality floor. ``fits`` tells whether a model's context window
    takes the request. With ``estimates`` they say how good a model is. Raises Blocked when no model is available.
    """
    if forced is not None and (need.reason == "forced" or forced.free):
        warnings = (f"{forced.name} is retired at its provider; the call may fail",) if forced.retired else ()
        chosen = Candidate(forced.name, price(forced), forced.quality, "chosen")
        return Choice((forced,), "forced", forced.quality, warnings, (chosen,))
    ignored = (f"{need.reason}: --model {forced.name} is not followed",) if forced is not None else ()
    available = [m for m in snapshot.models if m.name in snapshot.available]
    roomy = [m for m in available if fits(m)] or available
    if not roomy:
        raise _no_model(snapshot)
    ranking, floor = _Ranking(roomy, snapshot, price, estimates), settings["routing.floor"]
    costs, quality = ranking.costs, ranking.quality
    able = sorted((m for m in ranking.useful if quality[m.name] >= need.quality), key=ranking.cheapest)
    if able:
        first = able[0]
        cheaper = [
            m for m in ranking.useful if floor <= quality[m.name] < need.quality and costs[m.name] < costs[first.name]
        ]
        models = (first, *sorted(cheaper, key=ranking.best))
        return Choice(models, need.reason, need.quality, ignored, ranking.candidates(first, need))
    best = sorted(ranking.useful, key=ranking.best)
    usable = [m for m in best if quality[m.name] >= floor] or best[:1]
    named = f"{usable[0].name} ({usable[0].quality:g})"
    warning = f"no available model reaches quality {need.quality:g}; {named} is the best there is"
    seen = ranking.candidates(usable[0], need)
    return Choice(tuple(usable), "best_available", need.quality, (*ignored, warning), seen)


def _no_model(snapshot: Snapshot) -> Blocked:
    hints = [
        f"{m.name}: {snapshot.missing[m.name]}" for m in snapshot.models if m.embedded and m.name in snapshot.missing
    ]
    hints.append("or set a provider's key; `nexscout doctor` says more")
    return Blocked("no model is available", "; ".join(hints), code="no_model")
