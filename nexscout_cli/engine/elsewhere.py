"""Where an attempt may be made, of the deployments of its model, and what comes when none has room. Pure."""

from __future__ import annotations

from zlib import crc32

from nexscout_cli.config import Settings
from nexscout_cli.engine import prompt_cache
from nexscout_cli.engine.course import Course, Ended
from nexscout_cli.engine.deployment import LONGEST_COOL_DOWN, Wanted
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.planning.plan import Plan

_AT_ONCE = ("limited", "server", "unreached")
"""Failures after which another place is asked before any pause."""
_NOT_FOUND = 404
_OF_THE_PLACE = (401, 403, _NOT_FOUND)
"""Statuses that another place may not have: its key is another one, and its name for the model."""
_PATIENCE = 1.0
"""Seconds between two looks for room, for one that has waited long."""
_TOLD = 1.0
"""Seconds of waiting from which on a person is told."""


def wanted(course: Course, plan: Plan) -> Wanted | None:
    """Which deployments may take the plan's next attempt; None where its model has none of its own."""
    places = plan.model.deployments
    if not places:
        return None
    avoid = _tried(course, plan.model)
    if all(place.name in avoid for place in places):
        avoid = frozenset()
    chance = crc32(f"{course.asked.request_id}/{len(course.ended)}/{course.queued}".encode()) / 2**32
    return Wanted(places, avoid, chance, _warm(course, plan))


def _warm(course: Course, plan: Plan) -> str | None:
    """The place that has most of a long prompt in its cache."""
    heads = course.snapshot.profile.prompt_heads
    if not heads or sum(len(message.content) for message in plan.messages) < prompt_cache.LEAST_CHARS:
        return None
    prompt, known = (
        prompt_cache.prompt_of(plan.messages, plan.request.options.tools),
        prompt_cache.warm_heads(heads),
    )
    return prompt_cache.warm_place(prompt, plan.model, known, course.snapshot.now.timestamp())


def another(course: Course, last: Ended) -> bool:
    """Whether another deployment of the model is asked at once after a failure. Where it is not known what became of the
    call, which may have been paid, that is done once.
    """
    failure, model = last.failure, course.snapshot.model(last.model.name)
    if failure is None or last.deployment is None or model is None:
        return False
    if failure.kind == "unknown":
        allowed = course.outcomes(model).count("unknown") == 1
    else:
        allowed = failure.kind in _AT_ONCE or failure.status in _OF_THE_PLACE
    return allowed and any(place.name not in _tried(course, model) for place in model.deployments)


def rest(failure: ProviderFailure) -> float | None:
    """Seconds for which the place of a failed call should be left alone at least; None where nothing says so. One that does
    not know the model will not know it in a moment either.
    """
    return LONGEST_COOL_DOWN if failure.status == _NOT_FOUND else failure.retry_after


def _tried(course: Course, model: Model) -> frozenset[str]:
    """The places that have failed since the last pause, and those that refused for good."""
    return frozenset(
        end.deployment
        for n, end in enumerate(course.ended)
        if end.deployment is not None
        and end.model.name == model.name
        and (n >= course.rested or (end.failure is not None and end.failure.status in _OF_THE_PLACE))
    )


def may_wait(course: Course, seconds: float | None, settings: Settings) -> bool:
    """Whether a request waits ``seconds`` more for room at one of the deployments."""
    if seconds is None:
        return False
    return course.asked.patient or course.queued + seconds <= settings["deployments.wait"]


def wait(course: Course, seconds: float, chance: float) -> float:
    """How long a request waits for room that may be there in ``seconds``: the longer it has waited the more patiently, and
    not all at once (``chance``, 0..1), so that many who wait do not keep the books busy.
    """
    return max(seconds, min(course.queued / 2, _PATIENCE)) * (1 + chance / 4)


def waiting_note(course: Course, plan: Plan, seconds: float) -> str:
    """What a person is told of the wait; nothing of a short one, and once for each request."""
    if seconds < _TOLD or course.queued >= _TOLD or course.asked.patient:
        return ""
    return f"{plan.model.name}: every deployment is at its limits; waiting for room ({seconds:.0f} s)"


def sooner(one: float | None, other: float | None) -> float | None:
    """The smaller of two numbers of seconds; None stands for never."""
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)


def no_room(model: Model, seconds: float | None) -> str:
    """Why a call was not made."""
    if seconds is None:
        return f"{model.name}: the call is larger than its deployments take in a minute"
    return f"{model.name}: every deployment is at its limits"
