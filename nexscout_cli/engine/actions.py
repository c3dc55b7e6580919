"""What can be done next for a request, and what can have happened: the vocabulary between the machine and its drivers."""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine.call import Call, Completion
from nexscout_cli.engine.course import Held, Step
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.settlement import Charge, Delivery, Failure, Order, Posting, Prediction
from nexscout_cli.engine.snapshot import Snapshot
from nexscout_cli.errors import Interrupted

# What is to be done next. ``note`` is for a person at the terminal.


class MakePlan(NamedTuple):
    """Read the world and plan a step."""

    step: Step


class TakeHold(NamedTuple):
    """T1: reserve the worst case of a plan."""

    plan: Plan
    order: Order


class Send(NamedTuple):
    """T2, and then the call; an answer that streams is handed over as it comes."""

    held: Held
    call: Call
    note: str = ""


class Post(NamedTuple):
    """T3: post an attempt's true charge. With a ``response`` the answer is delivered; ``show`` is what is handed over of
    one that could not be streamed, because it was checked first.
    """

    held: Held
    posting: Posting
    response: AIResponse | None = None
    show: str | None = None
    note: str = ""


class Void(NamedTuple):
    """Give an attempt's hold back. ``label``: what the failure is counted as."""

    held: Held
    reason: str
    label: str
    retry_after: float | None = None


class MarkUnknown(NamedTuple):
    """Keep an attempt's hold: it may have been paid."""

    held: Held
    reason: str
    provider_id: str | None
    label: str


class Pause(NamedTuple):
    """Wait before a step."""

    seconds: float
    note: str = ""


class DeliverLate(NamedTuple):
    """Deliver the answer of an attempt that was posted without a delivery."""

    held: Held
    charge: Charge
    delivery: Delivery
    response: AIResponse


class Refuse(NamedTuple):
    """Enter the prediction of a plan that is not run, and answer with its error."""

    prediction: Prediction
    reason: str
    response: AIResponse


class Close(NamedTuple):
    """End a request that delivered nothing. ``error``: what is raised instead of an answer. ``failure`` None: nothing of it
    is in the books.
    """

    failure: Failure | None
    response: AIResponse | None
    error: Interrupted | None = None


Action = MakePlan | TakeHold | Send | Post | Void | MarkUnknown | Pause | DeliverLate | Refuse | Close


# What has happened.


class Planned(NamedTuple):
    """A step was planned in a world; None with the reason where its model cannot be called any more."""

    plan: Plan | None
    snapshot: Snapshot
    reason: str = ""


class HoldTaken(NamedTuple):
    """An attempt holds its worst case."""

    held: Held


class HoldStale(NamedTuple):
    """The world had moved since the plan was made."""


class HoldFull(NamedTuple):
    """Every deployment of the plan's model is at its limits; ``seconds`` until one may have room, None for never."""

    plan: Plan
    seconds: float | None


class Answered(NamedTuple):
    """The provider has answered."""

    held: Held
    completion: Completion


class CallFailed(NamedTuple):
    """The call gave no answer; ``interrupted``: because a signal ended it."""

    held: Held
    failure: ProviderFailure
    interrupted: bool = False


class Settled(NamedTuple):
    """An attempt was posted without a delivery, voided or left unknown; the course says what that means."""


class Waited(NamedTuple):
    """A pause is over; ``interrupted``: because a signal ended it."""

    interrupted: bool = False


Event = Planned | HoldTaken | HoldStale | HoldFull | Answered | CallFailed | Settled | Waited
