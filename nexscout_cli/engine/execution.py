"""Steps 8–10 as a pure machine: the next action is a function of what has happened so far.

hold → send → post, and while attempts fail: wait, ask the same model again, another one, a second opinion, or give up.
Every attempt has a hold of its own, and each ends posted, voided or unknown. A driver (:mod:`nexscout_cli.engine.runner`)
carries actions out and says what came of them; it has no rule of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nexscout_cli.config import Settings
from nexscout_cli.engine import bookkeeping, closing, delivery, elsewhere, fallback
from nexscout_cli.engine.actions import (
    Action,
    Answered,
    CallFailed,
    DeliverLate,
    Event,
    HoldFull,
    HoldStale,
    HoldTaken,
    MakePlan,
    MarkUnknown,
    Pause,
    Planned,
    Post,
    Send,
    Settled,
    TakeHold,
    Void,
    Waited,
)
from nexscout_cli.engine.answers.charge import FLAGS, charge_for, least_charge
from nexscout_cli.engine.asked import Moment
from nexscout_cli.engine.call import Call, Completion
from nexscout_cli.engine.course import (
    FALLBACK,
    FIRST,
    OPINION,
    REPAIR,
    RETRY,
    STRONG,
    Course,
    Ended,
    Held,
    Step,
    Unfit,
    asks_other,
    holding,
    with_empty_answer,
    with_failure,
)
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.judging import UNFIT, judged
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.options import sent
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.planning.texts import Count
from nexscout_cli.engine.prompt_cache import mark_of
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.settlement import Charge, Delivery, Posting
from nexscout_cli.engine.snapshot import Snapshot
from nexscout_cli.errors import Blocked, NexScoutError

MAX_REPLANS = 3
"""How often a step is planned again because the world has moved between its plan and its hold."""

Next = tuple[Course, Action]


class Execution:
    """Decides what comes next. ``count`` is the tokenizer, ``now`` tells the hour that answers are learned under."""

    def __init__(self, settings: Settings, count: Count, planner: Planner, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._count = count
        self._planner = planner
        self._now = now

    def begin(self, course: Course) -> Next:
        """The first action: a hold for the plan that was made."""
        return course, self._hold(course, course.first)

    def next_action(self, course: Course, event: Event, at: Moment) -> Next:
        """The course after an event, and what is to be done about it."""
        match event:
            case Planned():
                return self._planned(course._replace(snapshot=event.snapshot), event, at)
            case HoldStale():
                return course._replace(stale=course.stale + 1), MakePlan(course.step)
            case HoldFull():
                return self._full(course, event, at)
            case HoldTaken():
                return self._send(holding(course, event.held), event.held, at)
            case Answered():
                return self._answered(course, event.held, event.completion, at)
            case CallFailed():
                return self._give_up(course, event.held, event.failure, at)
            case Settled() | Waited() if at.stopping:
                return course, closing.interrupted(course, self._now(), self._settings)
            case Settled():
                return self._go_on(course, at)
            case Waited():
                if course.queueing is not None:  # its hold says whether the plan is stale by now
                    return course._replace(queueing=None), self._hold(course, course.queueing)
                return _start(course, RETRY, _last(course).model)

    def plan(self, course: Course, snapshot: Snapshot) -> Planned:
        """The plan of the course's present step in a world."""
        role, model = course.step
        if role == FIRST:
            return Planned(self._planner.plan(course.asked.request, snapshot), snapshot)
        request = course.remaining_request
        if role in (OPINION, STRONG):
            cascade = course.first.cascade
            assert cascade is not None
            wanted = cascade.strong if role == STRONG else cascade.other
            assert wanted is not None
            plan = self._planner.further(course.first, wanted, request, snapshot)
            return Planned(plan, snapshot, "" if plan else "it cannot be called any more")
        before = course.before or course.first
        assert model is not None
        if role == REPAIR:
            assert course.unfit is not None
            said = course.unfit.repair
            return Planned(self._planner.alternative(before, request, model, snapshot, said=said), snapshot)
        last_resort = role == FALLBACK and model.embedded and model.quality < self._settings["routing.floor"]
        plan = self._planner.alternative(before, request, model, snapshot, last_resort=last_resort)
        return Planned(plan, snapshot)

    def _hold(self, course: Course, plan: Plan) -> TakeHold:
        asked, settings = course.asked, self._settings
        order = bookkeeping.order(
            asked.request_id,
            plan,
            course.quoted_tokens or plan.predicted_tokens,
            course.snapshot,
            settings,
            fingerprint=asked.fingerprint,
            seconds=settings["providers.stream_timeout" if delivery.streams(course, plan) else "providers.timeout"],
            cache_key=asked.cache_key if asked.claims else None,
            wanted=elsewhere.wanted(course, plan),
            after=course.attempt_id,
        )
        return TakeHold(plan, order)

    def _planned(self, course: Course, event: Planned, at: Moment) -> Next:
        """A hold for the plan, where it is allowed; else what comes instead."""
        plan, why = event.plan, event.reason
        if course.step.role == FIRST:
            assert plan is not None
            return self._planned_again(course._replace(first=plan), plan, at)
        error = plan.error if plan else None
        if error is not None:
            plan, why = None, error["message"]
        if course.stale >= MAX_REPLANS:
            plan, why = None, "budgets and balances keep changing"
        return self._not_allowed(course, why, at) if plan is None else (course, self._hold(course, plan))

    def _planned_again(self, course: Course, plan: Plan, at: Moment) -> Next:
        """The whole request, planned again before its first hold: at most 3 times, never dearer than what was confirmed."""
        quote = course.confirmed
        if plan.error is not None:
            return course, closing.refused(course, plan, plan.error, plan.exit_status, at)
        if quote and (plan.max_cost > quote.max_cost or plan.max_energy > quote.max_energy):
            error: NexScoutError = Blocked(
                "the call has become dearer than the quote you confirmed",
                "run it again for a new quote",
                code="quote_changed",
            )
        elif course.stale >= MAX_REPLANS:
            error = Blocked(
                "budgets and balances keep changing under this call", "try again in a moment", code="contention"
            )
        else:
            return course, self._hold(course, plan)
        return course, closing.refused(course, plan, error.as_json(), error.exit_status, at)

    def _full(self, course: Course, event: HoldFull, at: Moment) -> Next:
        """Every deployment is at its limits: wait for room, or go on as if budgets did not allow the step."""
        plan = event.plan
        if elsewhere.may_wait(course, event.seconds, self._settings):
            assert event.seconds is not None
            seconds = elsewhere.wait(course, event.seconds, at.chance)
            note = elsewhere.waiting_note(course, plan, seconds)
            queued = course._replace(queued=course.queued + seconds, queueing=plan, rested=len(course.ended))
            return queued, Pause(seconds, note)
        why = elsewhere.no_room(plan.model, event.seconds)
        course = course._replace(room_in=elsewhere.sooner(course.room_in, event.seconds))
        if course.step.role not in (FIRST, RETRY):
            return self._not_allowed(course, why, at)
        course = course._replace(failures=(*course.failures, why), refused=(*course.refused, plan.model.name))
        return self._ask_another(course, at)

    def _not_allowed(self, course: Course, why: str, at: Moment) -> Next:
        """What comes instead of a step that budgets or the catalog do not allow."""
        role, model = course.step
        if role == REPAIR:
            return self._deliver_unfit(course, at, f"it was not asked for again: {why}")
        if role == OPINION:
            return _start(course, STRONG)
        if role == STRONG:
            assert course.first.cascade is not None
            warning = f"{course.first.cascade.strong.model.name} was not asked: {why}"
            return self._deliver_doubted(course.warned(warning), at)
        assert model is not None
        return self._ask_another(course._replace(refused=(*course.refused, model.name)), at)

    def _send(self, course: Course, held: Held, at: Moment) -> Next:
        if at.stopping:
            return self._give_up(course, held, ProviderFailure("unreached", "interrupted; not sent"), at)
        plan, settings = held.plan, self._settings
        streams = delivery.streams(course, plan)
        call = Call(
            held.called.model,
            plan.messages,
            plan.forecast.max_output_tokens // plan.forecast.answers,
            plan.request.options.temperature,
            settings["providers.timeout"],
            settings["providers.stream_timeout"],
            streams,
            plan.request.options.effort if plan.model.reasons else None,
            plan.forecast.thinking_room // plan.forecast.answers,
            sent(plan.request.options),
            mark_of(plan.messages, plan.forecast),
        )
        if course.step.role != FALLBACK:
            return course, Send(held, call, "")
        note = f"{course.failures[-1]}; going on with {plan.model.name}"
        return course.warned(note), Send(held, call, note)

    def _answered(self, course: Course, held: Held, completion: Completion, at: Moment) -> Next:
        """Post what came: with a delivery, where it is an answer that is not doubted."""
        plan = held.plan
        charge = charge_for(held.called, completion, course.snapshot.models, held.attempt.hold, self._counter(plan))
        course = course._replace(posted=(*course.posted, charge))
        if "reader_gone" not in charge.flags:  # there is nobody left to tell
            course = course.warned(*(FLAGS[flag] for flag in charge.flags))
        refused = plan.model.refused(held.attempt.deployment, completion.refused)
        undelivered = Posting(charge, completion.provider_id, None, refused=refused)
        if course.step.role == OPINION:
            return self._second_opinion(course, held, completion, undelivered)
        if delivery.useless(completion):
            return with_empty_answer(course, held, completion), Post(held, undelivered)
        completion = delivery.without_fence(plan.request.options, completion)
        read = delivery.checked(plan.request.options, completion)
        wrong = read.fault
        # One that was cut would be cut again: it has the same bound.
        if wrong is not None and course.unfit is None and completion.finish_reason != "length":
            course = course._replace(unfit=Unfit(held, charge, completion, wrong))
            course = course.warned(f"a first answer was not as the schema says, and is paid: {wrong}")
            note = f"{plan.model.name}'s answer is not as the schema says ({wrong}); asking once more"
            return course, Post(held, undelivered._replace(doubt=UNFIT), note=note)
        if wrong is not None:
            course = course.warned(f"the answer is not as the schema says: {wrong}")
        course, found, further = judged(course, held, charge, completion)
        if further is not None:
            return course, Post(held, undelivered._replace(doubt=found), note=further)
        course, given, response = self._delivery(course, held, charge, completion, at, read)
        posting = undelivered._replace(delivery=given, doubt=found)
        whole = plan.cascade is not None or plan.request.options.wants_json
        return course, Post(held, posting, response, given.text if whole else None)

    def unread(self, course: Course, event: Answered, why: str) -> Next:
        """Post what an answer has cost that could not be checked or delivered here, through a fault of ours."""
        held = event.held
        models, count = course.snapshot.models, self._counter(held.plan)
        charge = charge_for(held.called, event.completion, models, held.attempt.hold, count)
        course = with_failure(course._replace(posted=(*course.posted, charge)), held, None, why)
        return course, Post(held, Posting(charge, event.completion.provider_id, None))

    def _second_opinion(self, course: Course, held: Held, completion: Completion, posting: Posting) -> Next:
        """A second cheap model's answer, which is compared with the doubted one and never delivered."""
        from nexscout_cli.engine.answers.doubt import agree, extent_of, second_opinion

        doubted, cascade = course.doubted, course.first.cascade
        assert doubted is not None and cascade is not None
        prompt = course.asked.request.question
        same = not delivery.useless(completion) and agree(prompt, doubted.completion.text, completion.text)
        score = second_opinion(doubted.score, same, extent_of(prompt, doubted.completion.text))
        found = {"score": round(score, 4), "limit": cascade.doubt, "reasons": [], "agrees": same}
        course = course._replace(doubted=doubted._replace(confirmed=score < cascade.doubt))
        return course, Post(held, posting._replace(doubt=found))

    def _give_up(self, course: Course, held: Held, failure: ProviderFailure, at: Moment) -> Next:
        """End an attempt that gave no answer: what never arrived, or was refused, is void; what may be paid is unknown."""
        plan, hold = held.plan, held.attempt.hold
        course = with_failure(course, held, failure, failure.message)
        label = "other" if at.stopping else failure.label  # no provider is to blame for a signal
        if failure.kind != "unknown" or not hold:
            return course, Void(held, failure.message, label, elsewhere.rest(failure))
        reason, least = failure.message, least_charge(held.called, failure, self._counter(plan))
        if least is not None:
            reason += f"; at least {least.input_tokens}+{least.output_tokens} tokens, ${usd(least.cost):f}"
        course = course._replace(unsettled=course.unsettled + hold).warned(
            f"a call to {plan.model.name} has an unknown outcome; up to ${usd(hold):f} stays on hold until it is resolved"
        )
        return course, MarkUnknown(held, reason, failure.provider_id, label)

    def _go_on(self, course: Course, at: Moment) -> Next:
        """What comes after an attempt that delivered nothing."""
        role, doubted = course.step.role, course.doubted
        if role == OPINION:
            assert doubted is not None
            return self._deliver_doubted(course, at) if doubted.confirmed else _start(course, STRONG)
        if course.unfit is not None and course.unfit.held.attempt.id == course.attempt_id:
            return _start(course, REPAIR, course.unfit.held.plan.model)
        if doubted is not None and doubted.held.attempt.id == course.attempt_id:
            return _start(course, OPINION if asks_other(doubted) else STRONG)
        last = _last(course)
        if last.thought_out and sum(end.thought_out and end.model.name == last.model.name for end in course.ended) == 1:
            return course, Pause(0.0, f"{course.failures[-1]}; trying again with more room")
        if elsewhere.another(course, last):
            return course, Pause(0.0, f"{course.failures[-1]}; asking another deployment")
        if last.failure is not None:
            unknown = last.failure.kind == "unknown"  # which counts wherever it was
            outcomes = course.outcomes(last.model) if unknown else course.outcomes_at(last)
            seconds = fallback.pause(last.failure, outcomes, self._settings, course.waited, at.chance)
            if seconds is not None:
                course = course._replace(waited=course.waited + seconds, rested=len(course.ended))
                return course, Pause(seconds, f"{course.failures[-1]}; trying again")
        return self._ask_another(course, at)

    def _ask_another(self, course: Course, at: Moment) -> Next:
        """The next model of the ladder; of a cascade the doubted answer, which is better than none."""
        if course.unfit is not None:
            return self._deliver_unfit(course, at, f"no better one came: {course.failures[-1]}")
        if course.doubted is not None:
            return self._deliver_doubted(course.warned(f"no second answer came: {course.failures[-1]}"), at)
        last = course.ended[-1].failure if course.ended else None
        goes_on = fallback.may_go_on(course.first, last, self._settings)
        model = self._next_model(course) if goes_on else None
        return self._close(course, at) if model is None else _start(course, FALLBACK, model)

    def _next_model(self, course: Course) -> Model | None:
        first = course.first

        def price(model: Model) -> int:
            return model.cost(first.forecast.input_tokens, first.forecast.output_tokens)

        tried = {end.model.name for end in course.ended} | set(course.refused)
        too_long = [end.model.max_tokens for end in course.ended if end.kind == "too_long"]
        rungs = fallback.ladder(first, course.snapshot, self._settings, price, too_long[-1] if too_long else 0)
        return next((model for model in rungs if model.name not in tried), None)

    def _delivery(
        self,
        course: Course,
        held: Held,
        charge: Charge,
        completion: Completion,
        at: Moment,
        read: delivery.Checked = delivery.Checked(),  # noqa: B008 - a value
    ) -> tuple[Course, Delivery, AIResponse]:
        return delivery.delivered(course, held, charge, completion, read, at, self._settings, self._now())

    def _deliver_doubted(self, course: Course, at: Moment) -> Next:
        """Deliver a cascade's first answer after all: it was confirmed, or is better than none."""
        assert course.doubted is not None
        held, charge, completion, _, confirmed = course.doubted
        if not confirmed:
            course = course.warned(f"the answer is {held.plan.model.name}'s, and may be wrong")
        course, given, response = self._delivery(course, held, charge, completion, at)
        return course, DeliverLate(held, charge, given, response)

    def _deliver_unfit(self, course: Course, at: Moment, why: str) -> Next:
        """Deliver an answer that is not as its schema says: it is paid, and no better one came."""
        assert course.unfit is not None
        held, charge, completion, wrong = course.unfit
        course = course.warned(f"the answer is not as the schema says: {wrong}", why)
        course, given, response = self._delivery(course, held, charge, completion, at, delivery.Checked(wrong))
        return course, DeliverLate(held, charge, given, response)

    def _close(self, course: Course, at: Moment) -> Next:
        """End a request that no model has answered."""
        return course, closing.unanswered(course, at, self._now(), self._settings)

    def _counter(self, plan: Plan) -> Callable[[str], int]:
        return lambda text: self._count(text, plan.model.litellm_model)[0]


def _start(course: Course, role: str, model: Model | None = None) -> Next:
    """Begin a step anew."""
    step = Step(role, model)
    return course._replace(step=step, stale=0), MakePlan(step)


def _last(course: Course) -> Ended:
    return course.ended[-1]
