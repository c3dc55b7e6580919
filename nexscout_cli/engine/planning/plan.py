"""A plan: everything that is decided before money moves."""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import energy_for, usd
from nexscout_cli.engine.plan_types import Compression, Decision, Forecast, Shape
from nexscout_cli.engine.planning.basis import Basis
from nexscout_cli.engine.request import AIRequest, Json


class Cascade(NamedTuple):
    """What follows a first answer whose doubt (0..1) reaches ``doubt``, which it does with probability ``chance``.

    The plan ``strong``; before it ``other``, a second cheap model, where that is expected to pay: with probability
    ``agreement`` it gives the same answer, which is then kept. ``audit``: ``strong`` is asked whatever the doubt, and compared.
    """

    strong: Plan
    doubt: float
    chance: float
    other: Plan | None = None
    agreement: float = 0.0
    audit: bool = False

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
        return self.model.cost_of(self.forecast.used())

    @property
    def own_max_cost(self) -> int:
        """Worst-case cost of this step alone, in nano-dollars: what its attempt holds."""
        forecast = self.forecast
        return self.model.most(forecast.max_input_tokens, forecast.max_output_tokens, hour=bool(forecast.hour))

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
        return sum(
            step.model.cost_of(step.forecast.uncached().used(step.forecast.p90_output_tokens)) for step in self.likely
        )

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
            "prompt_cache": {"cached": self.forecast.cached, "written": self.forecast.written},
            "thinking": {"expected": self.forecast.thinking, "room": self.forecast.thinking_room},
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
