"""The synchronous driver: carries out what :mod:`nexscout_cli.engine.execution` decides, one action after the other."""

from __future__ import annotations

import random
from contextlib import suppress

from nexscout_cli import waiting
from nexscout_cli.config import Settings
from nexscout_cli.engine.actions import (
    Action,
    Answered,
    CallFailed,
    Close,
    DeliverLate,
    Event,
    HoldFull,
    HoldStale,
    HoldTaken,
    MakePlan,
    MarkUnknown,
    Pause,
    Post,
    Refuse,
    Send,
    Settled,
    TakeHold,
    Void,
    Waited,
)
from nexscout_cli.engine.asked import Moment, elapsed_ms
from nexscout_cli.engine.call import OnText
from nexscout_cli.engine.course import Course, Held
from nexscout_cli.engine.execution import Execution
from nexscout_cli.engine.failures import CallInterrupted, ProviderFailure, ReaderGone, mishap
from nexscout_cli.engine.interrupts import Interrupts
from nexscout_cli.engine.ports import Clock, Ledger, Observer, Provider
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.settlement import Order
from nexscout_cli.engine.world import read_snapshot
from nexscout_cli.errors import Interrupted, NexScoutError, NoRoom, StalePlan

NAP = 0.5
"""Seconds after which a thread that waits looks whether it is to stop."""


class Runner:
    """Runs one course at a time in the calling thread or coroutine; many may share it.

    ``sends_at_once``: what is held is marked sent in the same transaction, as its call follows.
    """

    def __init__(
        self,
        execution: Execution,
        ledger: Ledger,
        provider: Provider,
        settings: Settings,
        clock: Clock,
        observer: Observer,
        interrupts: Interrupts,
    ) -> None:
        self.sends_at_once = False
        self._execution = execution
        self._ledger = ledger
        self._provider = provider
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._interrupts = interrupts

    def run(self, course: Course, on_text: OnText | None) -> AIResponse:
        """Carry a course out to its end.

        Raises Interrupted when a signal stops it; what was in flight is settled first. Raises DuplicateInFlight where an
        identical request is being answered: nothing was held then.
        """
        if self._interrupts.stopping:
            raise Interrupted("interrupted; nothing was sent")
        with self._interrupts.shield():
            course, action = self._execution.begin(course)
            before: tuple[Course, Event] | None = None  # what a post that failed goes back to
            stopping = False  # a signal ends this run; whether others go on is for the interrupts' owner to say
            while True:
                done = self._perform(course, action, on_text)
                if isinstance(done, AIResponse):
                    return done
                if isinstance(action, Post) and isinstance(done, CallFailed):
                    assert before is not None, "an answer came before its post"
                    course, event = before
                    if isinstance(event, Answered) and action.posting.delivery is not None:
                        course, action = self._execution.unread(course, event, done.failure.message)
                        continue
                before = course, done
                stopping = stopping or (isinstance(done, CallFailed | Waited) and done.interrupted)
                at = self.moment(course.asked.started)
                course, action = self._next(course, done, at._replace(stopping=stopping or at.stopping))

    def _next(self, course: Course, done: Event, at: Moment) -> tuple[Course, Action]:
        """What comes next. An error of our own in reading an answer ends its attempt and no more: what it cost is posted,
        or stays on hold where that cannot be told.
        """
        try:
            return self._execution.next_action(course, done, at)
        except Exception as error:
            if not isinstance(done, HoldTaken | Answered | CallFailed):
                raise
            failure = mishap("unreached" if isinstance(done, HoldTaken) else "unknown", error)
        if isinstance(done, Answered):
            with suppress(Exception):
                return self._execution.unread(course, done, failure.message)
        return self._execution.next_action(course, CallFailed(done.held, failure), at)

    def moment(self, started: float) -> Moment:
        """What the machine is told of the outside."""
        return Moment(elapsed_ms(self._clock, started), self._interrupts.stopping, random.random())

    def _perform(self, course: Course, action: Action, on_text: OnText | None) -> Event | AIResponse:
        """Do one thing, and say what came of it: an event, or the answer that ends the course."""
        actor, ledger = course.asked.actor, self._ledger
        if note := getattr(action, "note", ""):
            self._observer.note(note)
        match action:
            case MakePlan():
                request = course.remaining_request
                snapshot = read_snapshot(ledger, self._provider, self._settings, actor, request)
                return self._execution.plan(course, snapshot)
            case TakeHold():
                try:
                    with waiting.patient(self._interrupts.exposed):
                        return HoldTaken(Held(ledger.hold(actor, self._order(action)), action.plan))
                except StalePlan:
                    return HoldStale()
                except waiting.GaveUp:
                    if course.before is None:  # nothing is written of this request yet
                        raise Interrupted("interrupted; nothing was sent") from None
                    return Waited(interrupted=True)
                except NoRoom as full:
                    return HoldFull(action.plan, full.seconds)
            case Send():
                return self._send(actor, action, on_text)
            case Post():
                try:
                    ledger.post(actor, action.held.attempt, action.posting)
                except NexScoutError:
                    raise
                except Exception as error:  # noqa: BLE001 - what cannot be entered as it is stays on hold
                    return CallFailed(action.held, mishap("unknown", error))
                return self._shown(action.response, action.show, on_text) if action.response else Settled()
            case Void():
                ledger.void(actor, action.held.attempt, action.reason, action.label, action.retry_after)
                return Settled()
            case MarkUnknown():
                ledger.mark_unknown(actor, action.held.attempt, action.reason, action.provider_id, action.label)
                return Settled()
            case Pause():
                return Waited(interrupted=not self._sleep(action.seconds))
            case DeliverLate():
                ledger.deliver(actor, action.held.attempt, action.charge, action.delivery)
                return self._shown(action.response, action.delivery.text, on_text)
            case Refuse():
                ledger.record_refusal(actor, action.prediction, action.reason)
                return action.response
            case Close():
                return self._close(actor, action)

    def _order(self, action: TakeHold) -> Order:
        return action.order._replace(sent=True) if self.sends_at_once else action.order

    def _close(self, actor: str, action: Close) -> AIResponse:
        if action.failure is not None:
            self._ledger.fail(actor, action.failure)
        if action.error is not None:
            raise action.error
        assert action.response is not None
        return action.response

    def _send(self, actor: str, action: Send, on_text: OnText | None) -> Event:
        """Mark the attempt sent and make the call. An interrupt after that leaves it unknown; before that, it is void."""
        held = action.held
        if not held.attempt.sent:
            self._ledger.mark_sent(actor, held.attempt)
        failure = ProviderFailure("unreached", "interrupted; not sent")
        try:
            with self._interrupts.exposed():
                failure = ProviderFailure("unknown", "interrupted")
                return Answered(held, self._provider.complete(action.call, on_text if action.call.stream else None))
        except ProviderFailure as error:
            return CallFailed(held, error)
        except KeyboardInterrupt as stop:
            return CallFailed(held, stop.failure if isinstance(stop, CallInterrupted) else failure, interrupted=True)
        except Exception as error:  # noqa: BLE001 - one call's trouble is that call's, whatever it is
            return CallFailed(held, mishap("unknown", error))

    def _shown(self, response: AIResponse, text: str | None, on_text: OnText | None) -> AIResponse:
        """Hand over a whole answer that could not be streamed, because it was checked first."""
        if text is not None and on_text is not None:
            with suppress(ReaderGone):
                on_text(text)
        return response

    def _sleep(self, seconds: float) -> bool:
        """Wait; False where a signal ended it."""
        try:
            with self._interrupts.exposed():
                while seconds > 0 and not self._interrupts.stopping:
                    self._clock.sleep(min(seconds, NAP))
                    seconds -= NAP
        except KeyboardInterrupt:
            return False
        return True
