"""The course of a request: what was asked, and what has happened since its first hold. All values; nothing here acts."""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine import asked
from nexscout_cli.engine.asked import Asked, Moment
from nexscout_cli.engine.call import Completion
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.response import AIResponse, Metadata
from nexscout_cli.engine.settlement import Attempt, Charge
from nexscout_cli.engine.snapshot import Snapshot

FIRST, RETRY, FALLBACK, OPINION, STRONG, REPAIR = "first", "retry", "fallback", "opinion", "strong", "repair"
"""Why a model is asked: by the plan; again after a failure; after another one failed; for a second opinion on a doubtful
answer; as the strong model of a cascade; again, because its answer was not as the schema says."""


class Held(NamedTuple):
    """An attempt whose hold was taken, and the plan it carries out."""

    attempt: Attempt
    plan: Plan

    @property
    def called(self) -> Plan:
        """The plan with its model as it is called, and priced, at the attempt's deployment."""
        name = self.attempt.deployment
        return self.plan if name is None else self.plan._replace(model=self.plan.model.called(name))


class Doubted(NamedTuple):
    """A first answer of a cascade that was posted and not delivered. ``score``: its doubt, 0..1.

    ``confirmed``: a second model came to the same answer.
    """

    held: Held
    charge: Charge
    completion: Completion
    score: float
    confirmed: bool = False


class Unfit(NamedTuple):
    """An answer that was posted and not delivered, because it is not as its schema says; ``fault`` says how."""

    held: Held
    charge: Charge
    completion: Completion
    fault: str

    @property
    def repair(self) -> tuple[Message, ...]:
        """What is said after it, to get a better one."""
        again = f"That is not as the schema says: {self.fault}. Answer again, with nothing but JSON that is."
        return (Message("assistant", self.completion.text or "{}"), Message("user", again))


class Step(NamedTuple):
    """A model that is to be asked, and why. None: whichever the plan names."""

    role: str
    model: Model | None = None


class Ended(NamedTuple):
    """An attempt that gave no answer; without a failure: an answer that says nothing. ``thought_out``: because thinking has
    taken all of its bound. ``deployment``: where it was made.
    """

    model: Model
    failure: ProviderFailure | None
    thought_out: bool = False
    deployment: str | None = None

    @property
    def kind(self) -> str:
        """The kind of its failure, or empty."""
        return self.failure.kind if self.failure else "empty"


class Course(NamedTuple):
    """What has happened to a request so far.

    ``first`` is the plan of the whole request. ``before`` and ``attempt_id`` are of the attempt that was held last.
    ``quoted_tokens`` is what the request was predicted to take when its first hold was taken. ``confirmed`` is the quote
    that a person agreed to. ``stale`` counts how often the world has moved under the present step. ``unsettled`` is what
    attempts of unknown outcome hold (nano-dollars). ``refused`` names the models that budgets did not allow, or that had no
    room. ``rested``: how many attempts had ended when it paused last. ``queued``: seconds that it has waited for room;
    ``queueing``: the plan that does now. ``room_in``: seconds until one of the models that had no room may have some.
    """

    asked: Asked
    snapshot: Snapshot
    first: Plan
    streams: bool
    confirmed: Plan | None = None
    step: Step = Step(FIRST)
    stale: int = 0
    attempt_id: int = 0
    before: Plan | None = None
    quoted_tokens: int = 0
    ended: tuple[Ended, ...] = ()
    refused: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    waited: float = 0.0
    posted: tuple[Charge, ...] = ()
    unsettled: int = 0
    energy: int = 0
    warnings: tuple[str, ...] = ()
    doubted: Doubted | None = None
    unfit: Unfit | None = None
    rested: int = 0
    queued: float = 0.0
    queueing: Plan | None = None
    room_in: float | None = None

    @property
    def spent(self) -> int:
        """Nano-dollars that the request has cost, or may have."""
        return self.unsettled + sum(charge.cost for charge in self.posted)

    @property
    def remaining_request(self) -> AIRequest:
        """The request with what was spent taken off its ``max_cost``; of a cascade, off its quote."""
        request = self.asked.request
        quote = self.first.max_cost if self.doubted else None
        limits = [limit for limit in (request.options.max_cost, quote) if limit is not None]
        if not limits:
            return request
        left = max(0, min(limits) - self.spent)
        return request._replace(options=request.options._replace(max_cost=left))

    def outcomes(self, model: Model) -> tuple[str, ...]:
        """How the attempts at a model ended, in order."""
        return tuple(end.kind for end in self.ended if end.model.name == model.name)

    def outcomes_at(self, end: Ended) -> tuple[str, ...]:
        """How the attempts ended that were made at the place of one of them, in order."""
        place = (end.model.name, end.deployment)
        return tuple(one.kind for one in self.ended if (one.model.name, one.deployment) == place)

    def warned(self, *warnings: str) -> Course:
        """The course with more to say of it."""
        return self._replace(warnings=(*self.warnings, *warnings))


def answer(course: Course, plan: Plan, text: str, at: Moment, *, truncated: bool) -> AIResponse:
    """The response that delivers ``text``, made by ``plan``."""
    quote = course.first if course.doubted else plan  # what was quoted was the whole cascade
    known = metadata(course, at, plan, quote)._replace(degraded=plan.degraded, truncated=truncated)
    return AIResponse(True, text, None, known)


def failed(course: Course, at: Moment, error: dict[str, str], exit_status: int, plan: Plan) -> AIResponse:
    """The response that says why there is no answer; ``plan`` was tried last."""
    return AIResponse(False, None, error, metadata(course, at, plan), exit_status)


def metadata(course: Course, at: Moment, plan: Plan, quote: Plan | None = None) -> Metadata:
    """What a request has come to, under the plan that was carried out last; ``quote``: the one that was quoted."""
    known = asked.metadata(course.asked, at, plan, quote)
    tokens_in = sum(charge.input_tokens for charge in course.posted)
    tokens_out = sum(charge.output_tokens for charge in course.posted)
    return known._replace(
        tokens_used=tokens_in + tokens_out,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        energy_cost=course.energy,
        cost_usd=usd(sum(charge.cost for charge in course.posted)),
        unsettled_usd=usd(course.unsettled),
        budget_left_usd=course.snapshot.left_usd(course.spent),
        token_classes=_by_class(course),
        flags=tuple(sorted({flag for charge in course.posted for flag in charge.flags})),
        warnings=(*known.warnings, *course.warnings),
    )


def _by_class(course: Course) -> dict[str, int]:
    found: dict[str, int] = {}
    for charge in course.posted:
        for name, tokens in charge.classes.items():
            found[name] = found.get(name, 0) + tokens
    return found


def with_failure(course: Course, held: Held, failure: ProviderFailure | None, why: str) -> Course:
    """The course after an attempt that gave no answer, or (without a failure) an empty one."""
    model, place = held.plan.model, held.attempt.deployment
    line = f"{model.name}{f' at {place}' if place else ''}: {why}"
    ended = Ended(model, failure, deployment=place)
    return course._replace(ended=(*course.ended, ended), failures=(*course.failures, line))


def with_empty_answer(course: Course, held: Held, completion: Completion) -> Course:
    """The course after an answer that says nothing: it may be that thinking has taken all of its bound."""
    plan = held.plan
    if plan.forecast.thinking_room and completion.finish_reason == "length":
        most = plan.forecast.max_output_tokens
        course = with_failure(course, held, None, f"thinking took all of its {most:,} tokens")
        return course._replace(ended=(*course.ended[:-1], course.ended[-1]._replace(thought_out=True)))
    why = completion.finish_reason or "no reason given"
    return with_failure(course, held, None, f"the answer was empty ({why})")


def holding(course: Course, held: Held) -> Course:
    """The course once an attempt holds its worst case."""
    quoted = course.quoted_tokens or held.plan.predicted_tokens
    return course._replace(before=held.plan, attempt_id=held.attempt.id, quoted_tokens=quoted)


def asks_other(doubted: Doubted) -> bool:
    """Whether a second cheap model is asked about a doubted answer: where it is planned, and expected to pay."""
    from nexscout_cli.engine.answers.second_opinion import pays

    cascade = doubted.held.plan.cascade
    assert cascade is not None
    other = cascade.other
    return other is not None and pays(doubted.score, cascade.doubt, other.own_cost, cascade.strong.own_cost)
