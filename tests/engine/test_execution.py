"""What a request does next: the machine alone, driven by hand and by chance. Nothing is called and nothing is stored."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.config import Settings
from nexscout_cli.engine.actions import (
    Action,
    Answered,
    CallFailed,
    Close,
    DeliverLate,
    Event,
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
from nexscout_cli.engine.call import Completion, Usage
from nexscout_cli.engine.course import FALLBACK, OPINION, RETRY, STRONG, Asked, Course, Held, Moment
from nexscout_cli.engine.execution import MAX_REPLANS, Execution
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.engine.snapshot import Limit, Snapshot
from tests.support.values import ANTHROPIC, EMBEDDED, NOW, OPENAI, QUESTION, RIGHT, WRONG, count, request, snapshot

SETTINGS = Settings().with_values(fallback__models="always", fallback__refused_key="next", fallback__embedded="always")
PLANNER = Planner(SETTINGS, count)
MACHINE = Execution(SETTINGS, count, PLANNER, lambda: NOW)
FINE = Completion("Dear Sarah", "stop", Usage(100, 50), "p1", None)
EMPTY = Completion("  ", "stop", Usage(100, 1), "p1", None)
POOR = (Limit("usd", "user", "day", 10**9, 0),)


def course(world: Snapshot | None = None, prompt: str = "Write a haiku", **options: Any) -> Course:
    world = world or snapshot(names=(*OPENAI, *ANTHROPIC))
    asked = request(prompt, **options)
    return Course(Asked("r1", asked, "ada", 0.0, cache_key="k"), world, PLANNER.plan(asked, world), streams=False)


def failed(kind: str, **more: Any) -> ProviderFailure:
    return ProviderFailure(kind, f"made to fail: {kind}", **more)


class Driver:
    """Carries a course on, action by action; what becomes of each call is said in advance."""

    def __init__(self, start: Course, world: Snapshot | None = None) -> None:
        self.world = world or start.snapshot
        self.course, self.action = MACHINE.begin(start)
        self.done: list[Action] = [self.action]
        self.attempts = 0
        self.stopping = False

    def tell(self, event: Event) -> Action:
        self.course, self.action = MACHINE.next_action(self.course, event, Moment(5, self.stopping, 0.5))
        self.done.append(self.action)
        return self.action

    def step(self, outcome: Completion | ProviderFailure | None = None) -> Action:
        """Do what is asked for; ``outcome`` is that of a call."""
        match self.action:
            case MakePlan():
                return self.tell(MACHINE.plan(self.course, self.world))
            case TakeHold(plan, order):
                self.attempts += 1
                attempt = Attempt(
                    self.attempts, "r1", self.attempts, order.settlement, order.hold, order.hold_tokens, 1
                )
                return self.tell(HoldTaken(Held(attempt, plan)))
            case Send(held):
                assert outcome is not None
                if isinstance(outcome, ProviderFailure):
                    return self.tell(CallFailed(held, outcome))
                return self.tell(Answered(held, outcome))
            case Pause():
                return self.tell(Waited())
            case Post() | Void() | MarkUnknown():
                return self.tell(Settled())
        raise AssertionError(f"nothing comes after {self.action}")

    @property
    def over(self) -> bool:
        """Whether an answer, or the end without one, was reached."""
        return isinstance(self.action, Refuse | Close | DeliverLate) or (
            isinstance(self.action, Post) and self.action.response is not None
        )

    def until_sent(self) -> str:
        """Go on to the next call; the model that is asked."""
        while not isinstance(self.action, Send):
            self.step()
        return self.action.held.plan.model.name

    def play(self, *outcomes: Completion | ProviderFailure) -> list[str]:
        """The models that are asked while calls end so, until the end or as long as there are outcomes."""
        asked = []
        for outcome in outcomes:
            asked.append(self.until_sent())
            self.step(outcome)
            while not self.over and not isinstance(self.action, Send):
                self.step()
            if self.over:
                break
        return asked

    def did(self, kind: type) -> list[Any]:
        return [action for action in self.done if isinstance(action, kind)]


def test_an_answer_is_held_for_called_and_posted() -> None:
    driver = Driver(course())
    assert driver.play(FINE) == ["gpt-4o-mini"]
    assert [type(action) for action in driver.done] == [TakeHold, Send, Post]
    response = driver.action.response  # type: ignore[union-attr]
    assert response.result == "Dear Sarah" and response.metadata.output_tokens == 50


def test_a_limited_model_is_waited_for_and_asked_again() -> None:
    driver = Driver(course())
    assert driver.play(failed("limited", retry_after=7), FINE) == ["gpt-4o-mini", "gpt-4o-mini"]
    assert [pause.seconds for pause in driver.did(Pause)] == [7]
    assert len(driver.did(Void)) == 1


def test_a_server_that_fails_is_tried_three_times_and_then_another_model() -> None:
    driver = Driver(course())
    asked = driver.play(*[failed("server")] * 3, FINE)
    assert asked[:3] == ["gpt-4o-mini"] * 3 and asked[3] != "gpt-4o-mini"
    assert [pause.seconds for pause in driver.did(Pause)] == [0.375, 0.75]


@pytest.mark.parametrize("kind", ["unreached", "rejected"])
def test_what_will_not_pass_goes_on_to_another_model_at_once(kind: str) -> None:
    driver = Driver(course())
    asked = driver.play(failed(kind), FINE)
    assert asked[0] == "gpt-4o-mini" != asked[1] and driver.did(Pause) == []


@pytest.mark.parametrize("second", ["unknown", "server", "limited", "rejected"])
def test_after_an_unknown_outcome_a_model_is_asked_once_more_at_the_most(second: str) -> None:
    driver = Driver(course())
    asked = driver.play(failed("unknown"), failed(second), FINE)
    assert Counter(asked)["gpt-4o-mini"] == 2 and asked[2] != "gpt-4o-mini"
    assert driver.action.response.metadata.unsettled_usd > 0  # type: ignore[union-attr]


def test_an_empty_answer_is_posted_and_another_model_asked() -> None:
    driver = Driver(course())
    assert len(set(driver.play(EMPTY, FINE))) == 2
    assert [post.response is not None for post in driver.did(Post)] == [False, True]


def test_a_request_too_long_goes_to_a_larger_window() -> None:
    driver = Driver(course(force_model="gpt-4o"))
    driver.play(failed("too_long"), FINE)
    assert driver.course.before is not None and driver.course.before.model.max_tokens > 128_000


def test_the_last_resort_is_degraded_and_is_not_kept() -> None:
    world = snapshot(names=("gpt-4o-mini", EMBEDDED))
    driver = Driver(course(world))
    assert driver.play(failed("rejected"), FINE) == ["gpt-4o-mini", EMBEDDED]
    post = driver.did(Post)[-1]
    assert post.response.metadata.degraded and post.posting.delivery.cache_key is None


def test_when_nobody_answers_the_request_is_closed_with_what_they_said() -> None:
    driver = Driver(course(snapshot(names=("gpt-4o-mini",))))
    driver.play(failed("rejected"))
    assert isinstance(driver.action, Close) and driver.action.response is not None
    assert driver.action.response.exit_status == 5 and "made to fail" in driver.action.failure.message


def test_a_model_that_budgets_do_not_allow_is_passed_over() -> None:
    start = course(snapshot(names=(*OPENAI, EMBEDDED)))
    driver = Driver(start, start.snapshot._replace(limits=POOR))
    assert driver.play(failed("rejected"), FINE) == ["gpt-4o-mini", EMBEDDED]


def test_a_world_that_keeps_moving_is_given_up_after_three_plans() -> None:
    driver = Driver(course())
    for _ in range(MAX_REPLANS):
        driver.tell(HoldStale())
        driver.step()
    assert isinstance(driver.action, Refuse) and driver.action.reason == "contention"


def test_a_plan_that_became_dearer_than_the_confirmed_quote_is_not_held() -> None:
    start = course()
    cheap = start.first._replace(forecast=start.first.forecast._replace(max_output_tokens=1, max_input_tokens=1))
    driver = Driver(start._replace(confirmed=cheap))
    driver.tell(HoldStale())
    driver.step()
    assert isinstance(driver.action, Refuse) and driver.action.reason == "quote_changed"


def test_a_plan_that_is_refused_when_made_again_is_entered_as_refused() -> None:
    start = course(snapshot(names=OPENAI))
    driver = Driver(start, start.snapshot._replace(limits=POOR))
    driver.tell(HoldStale())
    driver.step()
    assert isinstance(driver.action, Refuse) and driver.action.response.exit_status == 3


def cascade() -> Course:
    start = course(snapshot(names=OPENAI), QUESTION, policy="cascade")
    assert start.first.cascade is not None
    return start


def said(text: str) -> Completion:
    return Completion(text, "stop", Usage(100, 50), "p1", None)


def test_a_cascades_answer_that_is_not_doubted_is_delivered() -> None:
    driver = Driver(cascade())
    assert len(driver.play(said(RIGHT))) == 1
    assert driver.action.show == RIGHT  # type: ignore[union-attr]


def test_a_doubted_answer_is_posted_without_delivery_and_the_strong_model_asked() -> None:
    driver = Driver(cascade())
    asked = driver.play(said(WRONG), said(RIGHT))
    assert asked[-1] == "gpt-4o"
    first, *_, last = driver.did(Post)
    assert first.posting.delivery is None and first.posting.doubt["score"] > first.posting.doubt["limit"]
    assert last.response.metadata.plan["cascade"] is not None


def test_only_the_last_step_of_a_cascade_streams() -> None:
    driver = Driver(cascade()._replace(streams=True))
    driver.play(said(WRONG), said(WRONG), said(RIGHT))
    assert [(send.held.plan.model.name, send.call.stream) for send in driver.did(Send)][-1] == ("gpt-4o", True)
    assert [send.call.stream for send in driver.did(Send)[:-1]] == [False] * (len(driver.did(Send)) - 1)


def test_a_doubted_answer_is_delivered_where_no_second_one_comes() -> None:
    driver = Driver(cascade())
    driver.play(said(WRONG), *[failed("rejected")] * 6)
    assert isinstance(driver.action, DeliverLate)
    assert any("may be wrong" in warning for warning in driver.action.response.metadata.warnings)
    assert driver.action.delivery.cache_key is None


def test_a_doubted_answer_is_delivered_where_budgets_do_not_allow_the_strong_model() -> None:
    start = cascade()
    driver = Driver(start, start.snapshot._replace(limits=POOR))
    driver.play(said(WRONG))
    assert isinstance(driver.action, DeliverLate)
    assert any("gpt-4o was not asked" in warning for warning in driver.action.response.metadata.warnings)


def test_a_signal_before_the_call_voids_and_after_it_leaves_unknown() -> None:
    driver = Driver(course())
    driver.stopping = True
    assert isinstance(driver.step(), Void)
    driver = Driver(course())
    driver.step()
    driver.stopping = True
    assert isinstance(driver.step(failed("unknown")), MarkUnknown)
    driver.step()
    assert isinstance(driver.action, Close) and driver.action.error is not None


OUTCOMES = st.sampled_from(
    [
        FINE,
        EMPTY,
        said(WRONG),
        said(RIGHT),
        Completion("", "content_filter", None, None, None),
        Completion("cut", "length", None, None, "another"),
        *(failed(kind) for kind in ("unreached", "rejected", "too_long", "limited", "server", "unknown")),
        failed("limited", retry_after=3.0),
        failed("unknown", partial="Dear", usage=Usage(10, 2)),
    ]
)


@given(
    data=st.data(), policy=st.sampled_from(["rules", "learned", "cascade"]), prompt=st.sampled_from([QUESTION, "Hi"])
)
def test_whatever_happens_every_hold_ends_once_and_the_request_ends(
    data: st.DataObject, policy: str, prompt: str
) -> None:
    start = course(snapshot(), prompt, policy=policy)
    driver = Driver(start)
    for _ in range(400):
        if driver.over:
            break
        if isinstance(driver.action, TakeHold) and data.draw(st.integers(0, 9)) == 0:
            driver.tell(HoldStale())
            continue
        if data.draw(st.integers(0, 30)) == 0:
            driver.stopping = True
        if data.draw(st.integers(0, 20)) == 0:
            driver.world = driver.world._replace(limits=POOR)
        driver.step(data.draw(OUTCOMES))
    assert driver.over
    ends = Counter(action.held.attempt.id for action in driver.done if isinstance(action, Post | Void | MarkUnknown))
    assert set(ends.values()) <= {1} and set(ends) == set(range(1, driver.attempts + 1))
    delivered = [
        a for a in driver.done if isinstance(a, DeliverLate) or (isinstance(a, Post) and a.response is not None)
    ]
    assert len(delivered) == (1 if driver.action in delivered else 0)
    posted = sum(post.posting.charge.cost for post in driver.did(Post))
    unknown = sum(action.held.attempt.hold for action in driver.did(MarkUnknown))
    assert (driver.course.spent, driver.course.unsettled) == (posted + unknown, unknown)
    sent = [action.held.plan.model.name for action in driver.did(Send)]
    lost = [action.held.plan.model.name for action in driver.did(MarkUnknown)]
    assert all(count <= 2 for name, count in Counter(lost).items())
    assert all(step.step.role in (FALLBACK, OPINION, RETRY, STRONG, "first") for step in driver.did(MakePlan))
    assert len(sent) <= 3 * len(start.snapshot.models) + 2
