"""The values the engine works on. All immutable; money in integers (nano-dollars, pico-dollars per token), times in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.engine.money import cost, energy_for, usd

if TYPE_CHECKING:
    from nexscout_cli.engine.learn import Lesson
    from nexscout_cli.engine.levels import Level, Trend

EMBEDDED_PREFIX = "embedded/"
COMPRESS = ("auto", "off", "lossless", "extract")
MODES = ("auto", "fast", "pro", "expert")
TIERS = ("free", "pro", "elite", "enterprise")
POLICIES = ("rules", "learned", "cascade")
"""How a model is chosen: by the table of rules, by the prompt's difficulty, or by asking a cheap model first."""

Json = Any


class Attachment(NamedTuple):
    """A text file, already read; ``name`` is shown to the model."""

    name: str
    text: str


class Options(NamedTuple):
    """How one request is to be run. ``max_cost`` in nano-dollars, ``max_tokens`` bounds the answer, ``temperature`` 0–2.

    ``compress`` is one of COMPRESS; ``keep`` the share (0.1–0.9) of a text that extraction keeps.
    """

    allow_cache: bool = True
    force_model: str | None = None
    mode: str | None = None
    skip_energy_charge: bool = False
    max_tokens: int | None = None
    max_cost: int | None = None
    system: str | None = None
    temperature: float | None = None
    idempotency_key: str | None = None
    policy: str | None = None
    compress: str | None = None
    keep: float | None = None


class AIRequest(NamedTuple):
    """One thing a user asks. ``context`` is any JSON value; ``attachments`` are text files already read."""

    user_id: str
    feature: str
    prompt: str
    goal: str | None = None
    tone: str | None = None
    context: Json = None
    attachments: tuple[Attachment, ...] = ()
    options: Options = Options()


class Model(NamedTuple):
    """A row of the catalog. Prices in pico-dollars per token; ``max_tokens`` is the context window; quality and speed in 0..1."""

    name: str
    litellm_model: str
    type: str
    price_in: int
    price_out: int
    max_tokens: int
    quality: float
    speed: float
    best_for: str
    enabled: bool
    retired: bool
    api_base: str | None
    api_key_env: str | None
    params: dict[str, Json]

    @property
    def free(self) -> bool:
        """True when no call to it can cost anything."""
        return self.price_in == 0 and self.price_out == 0

    @property
    def embedded(self) -> bool:
        """True for a model that runs in this process."""
        return self.litellm_model.startswith(EMBEDDED_PREFIX)

    @property
    def instruction(self) -> str | None:
        """An instruction the catalog adds to every call of this model."""
        return self.params.get("instruction")

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Nano-dollars for that many tokens, rounded up."""
        return cost(input_tokens, output_tokens, self.price_in, self.price_out)


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


Verdicts = dict[tuple[str, int | None], tuple[int, int]]
"""Good and bad verdicts of a feature's answers by (model, difficulty bucket); the bucket is None where it was not estimated."""


class Limit(NamedTuple):
    """A budget: ``unit`` usd or tokens, ``scope`` user or total, ``window`` day or month; ``left`` may be negative."""

    unit: str
    scope: str
    window: str
    cap: int
    left: int


class Snapshot(NamedTuple):
    """The world a plan is made from. The same request on an equal snapshot gives the same plan.

    ``verdicts`` and ``doubts`` (0..1, of this user's latest first answers to the feature) are read where a policy needs them.
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

    def model(self, name: str) -> Model | None:
        """The catalog's model of that name, whether available or not."""
        return next((m for m in self.models if m.name == name), None)


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

    With a ``cascade`` it is the plan of the first step; what it quotes is of the whole.
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


class Call(NamedTuple):
    """One call to one provider, as the provider sees it. ``timeout`` and ``total_timeout`` in seconds."""

    model: Model
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None
    timeout: float
    total_timeout: float
    stream: bool


class Usage(NamedTuple):
    """What the provider says was used; None where it said nothing, and whatever it said otherwise, unchecked."""

    input_tokens: Json
    output_tokens: Json


class Completion(NamedTuple):
    """A provider's answer. ``finish_reason`` as in the OpenAI API: stop, length, content_filter; ``model`` says who answered."""

    text: str
    finish_reason: str
    usage: Usage | None
    provider_id: str | None
    model: str | None


OnText = Callable[[str], None]


class Attempt(NamedTuple):
    """A hold that was taken: which attempt of which request, and what it may cost at most (nano-dollars, tokens)."""

    id: int
    request_id: str
    n: int
    plan: Plan
    hold: int
    hold_tokens: int
    hold_energy: int


class CachedAnswer(NamedTuple):
    """An answer kept from before. ``cost`` is what it cost then, in nano-dollars; ``source`` the request it answered first.

    ``match``: exact, or canonical where that request was worded otherwise.
    """

    id: int
    text: str
    model: str
    quality: float
    input_tokens: int
    output_tokens: int
    cost: int
    match: str = "exact"
    source: str | None = None


class Charge(NamedTuple):
    """What one posted attempt truly used: nano-dollars and tokens, with ``flags`` that say how sure that is."""

    input_tokens: int
    output_tokens: int
    cost: int
    flags: tuple[str, ...] = ()


class Delivery(NamedTuple):
    """What reached the user with a posted attempt: the energy charged, the lesson learned, and what is kept of the answer."""

    energy: int
    lesson: Lesson
    answer: dict[str, Json]
    text: str
    cache_key: str | None
    form_key: str | None = None


class AIResponse(NamedTuple):
    """The answer to a request, or why there is none. ``metadata`` has the agreed keys of ``run --json``.

    ``replayed``: it is the first answer under an idempotency key, given again; nothing new was paid.
    """

    success: bool
    result: str | None
    error: dict[str, str] | None
    metadata: dict[str, Json]
    exit_status: int = 0
    replayed: bool = False

    @property
    def paid(self) -> int:
        """Nano-dollars that this answer cost or may still cost."""
        if self.replayed or "cost_usd" not in self.metadata:
            return 0
        return int((self.metadata["cost_usd"] + self.metadata["unsettled_usd"]).scaleb(9))

    def as_json(self) -> dict[str, Json]:
        """The agreed shape of ``run --json``."""
        return {"success": self.success, "result": self.result, "error": self.error, "metadata": self.metadata}
