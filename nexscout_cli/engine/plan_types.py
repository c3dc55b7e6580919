"""A plan and its parts: everything that is decided before money moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import energy_for, usd
from nexscout_cli.engine.request import AIRequest, Json

if TYPE_CHECKING:
    from nexscout_cli.engine.length.learning import Trend
    from nexscout_cli.engine.planning.basis import Basis


class Shape(NamedTuple):
    """What the answer is asked to be: a bound in tokens and how it is told to the model."""

    max_tokens: int
    words: int
    verbosity: str
    style: str
    instructions: str


class Compression(NamedTuple):
    """What the compressor did; tokens are of prompt, context and attachments.

    ``mode`` is what was done (off, lossless, extract), ``saved_by`` the tokens that each step saved, ``left_alone`` the
    tokens of a head that recurs, which is billed at less as it is.
    """

    applied: bool
    tokens_before: int
    tokens_after: int
    steps: tuple[str, ...]
    mode: str = "off"
    saved_by: tuple[tuple[str, int], ...] = ()
    left_alone: int = 0

    def as_json(self) -> dict[str, Json]:
        """The agreed shape in a plan."""
        return self._asdict() | {"steps": list(self.steps), "saved_by": dict(self.saved_by)}


class Message(NamedTuple):
    """One chat message as it is sent."""

    role: str
    content: str


class Forecast(NamedTuple):
    """Tokens of a call: expected, and as the hold bounds them; ``counted`` is the input by our own tokenizer,
    0 where that is the provider's too and nothing can be learned of its count.

    ``p90_output_tokens`` is what nine answers of ten stay below; ``shipped`` is what the answer's length is learned against.
    """

    input_tokens: int
    output_tokens: int
    max_input_tokens: int
    max_output_tokens: int
    p90_output_tokens: int
    counted: int
    shipped: Trend


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
    policy that estimates: ``difficulty`` 0..1 and ``bucket`` 0..4 of the prompt, ``weighed``: what counted most for (+)
    or against (−) it, and from ``limit`` on it is hard; ``target`` is the share of the strong model's advantage to keep,
    ``strong_share`` and ``kept`` what was measured at that limit; ``doubt`` from which a first answer is sent up to the
    model ``strong``, unless ``other`` comes to the same.
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
    weighed: tuple[tuple[str, float], ...] = ()
    limit: float | None = None
    target: float | None = None
    strong_share: float | None = None
    kept: float | None = None
    doubt: float | None = None
    strong: str | None = None
    other: str | None = None

    def as_json(self) -> dict[str, Json]:
        """The decision as JSON keeps it: what has no value is left out."""
        seen = [{name: value for name, value in one._asdict().items() if value != ""} for one in self.candidates]
        return {name: value for name, value in self._asdict().items() if value is not None} | {"candidates": seen}


class Cascade(NamedTuple):
    """What follows a first answer whose doubt (0..1) reaches ``doubt``, which it does with probability ``chance``.

    The plan ``strong``; before it ``other``, a second cheap model, where that is expected to pay: with probability
    ``agreement`` it comes to the same answer, which then stands.
    """

    strong: Plan
    doubt: float
    chance: float
    other: Plan | None = None
    agreement: float = 0.0

    @property
    def steps(self) -> tuple[tuple[float, Plan], ...]:
        """The later steps with their probabilities."""
        strong = (self.chance * (1 - self.agreement), self.strong)
        return (strong,) if self.other is None else ((self.chance, self.other), strong)


class Plan(NamedTuple):
    """Everything decided before money moves. ``simulate`` shows it, ``run`` executes it.

    With a ``cascade`` it is the plan of the first step; what it quotes is of the whole. ``basis`` is what it was made from,
    for plans of later attempts.
    """

    request: AIRequest
    model: Model
    routing_reason: str
    required_quality: float
    emotional_complexity: float
    messages: tuple[Message, ...]
    shape: Shape
    compression: Compression
    forecast: Forecast
    surge_milli: int
    nano_per_energy: int
    warnings: tuple[str, ...]
    degraded: bool
    charge_energy: bool
    mode: str
    version: int
    decision: Decision
    basis: Basis
    error: dict[str, str] | None = None
    exit_status: int = 0
    cascade: Cascade | None = None

    @property
    def allow_proceed(self) -> bool:
        """True when nothing refuses the call."""
        return self.error is None

    @property
    def own_cost(self) -> int:
        """Expected cost of this step alone, in nano-dollars."""
        return self.model.cost(self.forecast.input_tokens, self.forecast.output_tokens)

    @property
    def own_max_cost(self) -> int:
        """Worst-case cost of this step alone, in nano-dollars: what its attempt holds."""
        return self.model.cost(self.forecast.max_input_tokens, self.forecast.max_output_tokens)

    @property
    def later(self) -> tuple[tuple[float, Plan], ...]:
        """The steps that may follow this one, with their probabilities."""
        return self.cascade.steps if self.cascade else ()

    @property
    def likely(self) -> tuple[Plan, ...]:
        """The steps that nine requests of ten may need: this one, and later ones that more than a tenth come to."""
        return (self, *(step for chance, step in self.later if chance > 0.1))

    @property
    def p90_tokens(self) -> int:
        """Input and output tokens of the likely steps, with answers that nine of ten stay below."""
        return sum(step.forecast.input_tokens + step.forecast.p90_output_tokens for step in self.likely)

    @property
    def p90_cost(self) -> int:
        """The same in nano-dollars."""
        return sum(step.model.cost(step.forecast.input_tokens, step.forecast.p90_output_tokens) for step in self.likely)

    @property
    def predicted_cost(self) -> int:
        """Expected cost in nano-dollars, of all steps."""
        return self.own_cost + round(sum(chance * step.own_cost for chance, step in self.later))

    @property
    def max_cost(self) -> int:
        """Worst-case cost in nano-dollars, of all steps."""
        return self.own_max_cost + sum(step.own_max_cost for _, step in self.later)

    @property
    def predicted_input_tokens(self) -> int:
        """Expected input tokens, of all steps."""
        return self.forecast.input_tokens + round(sum(p * step.forecast.input_tokens for p, step in self.later))

    @property
    def predicted_output_tokens(self) -> int:
        """Expected output tokens, of all steps."""
        return self.forecast.output_tokens + round(sum(p * step.forecast.output_tokens for p, step in self.later))

    @property
    def predicted_tokens(self) -> int:
        """Expected input plus output tokens, of all steps."""
        return self.predicted_input_tokens + self.predicted_output_tokens

    def energy_of(self, nano: int) -> int:
        """Energy charged for a cost under this plan's frozen surge."""
        return energy_for(nano, self.surge_milli, self.nano_per_energy) if self.charge_energy else 0

    @property
    def predicted_energy(self) -> int:
        """Energy of the expected cost."""
        return self.energy_of(self.predicted_cost)

    @property
    def p90_energy(self) -> int:
        """Energy of the P90 cost."""
        return self.energy_of(self.p90_cost)

    @property
    def max_energy(self) -> int:
        """Energy of the worst case: what is held, and the most that can be charged."""
        return self.energy_of(self.max_cost)

    @property
    def max_total_tokens(self) -> int:
        """Worst-case input plus output tokens of this step: what its attempt holds of a token budget."""
        return self.forecast.max_input_tokens + self.forecast.max_output_tokens

    def as_json(self) -> dict[str, Json]:
        """The agreed shape of ``simulate --json`` and of ``metadata.plan``."""
        steps = [self, *(step for _, step in self.later)]
        return {
            "predicted_tokens": self.predicted_tokens,
            "predicted_input_tokens": self.predicted_input_tokens,
            "predicted_output_tokens": self.predicted_output_tokens,
            "predicted_tokens_p90": self.p90_tokens,
            "predicted_output_tokens_p90": sum(step.forecast.p90_output_tokens for step in self.likely),
            "max_input_tokens": sum(step.forecast.max_input_tokens for step in steps),
            "max_output_tokens": sum(step.forecast.max_output_tokens for step in steps),
            "predicted_cost_usd": usd(self.predicted_cost),
            "predicted_cost_usd_p90": usd(self.p90_cost),
            "max_cost_usd": usd(self.max_cost),
            "predicted_energy": self.predicted_energy,
            "predicted_energy_p90": self.p90_energy,
            "max_energy": self.max_energy,
            "surge": self.surge_milli / 1000,
            "recommended_model": self.model.name,
            "routing_reason": self.routing_reason,
            "policy": self.decision.policy,
            "expected": self.expected,
            "cascade": self._steps(),
            "required_quality": self.required_quality,
            "emotional_complexity": self.emotional_complexity,
            "mode": self.mode,
            "compression": self.compression.as_json(),
            "shape": self.shape._asdict(),
            "degraded": self.degraded,
            "warnings": list(self.warnings),
            "allow_proceed": self.allow_proceed,
            "error": self.error,
        }

    @property
    def expected(self) -> dict[str, Json] | None:
        """What the quality target was measured to come to; None where no estimate decided, or nothing can be sent up."""
        made = self.decision
        if self.cascade is None and self.routing_reason not in ("learned_easy", "learned_hard", "cascade_hard"):
            return None
        return {"quality_target": made.target, "kept": made.kept, "strong_share": made.strong_share}

    def _steps(self) -> dict[str, Json] | None:
        if self.cascade is None:
            return None
        return {
            "doubt": self.cascade.doubt,
            "steps": [
                {
                    "model": step.model.name,
                    "chance": chance,
                    "predicted_cost_usd": usd(step.own_cost),
                    "max_cost_usd": usd(step.own_max_cost),
                }
                for chance, step in ((1.0, self), *self.later)
            ],
        }
