"""How a request ends that delivered nothing: no model answered, none had room, or a signal came. Pure."""

from __future__ import annotations

from datetime import datetime
from math import ceil

from nexscout_cli.config import Settings
from nexscout_cli.engine import bookkeeping, fallback
from nexscout_cli.engine.actions import Close, Refuse
from nexscout_cli.engine.asked import Moment
from nexscout_cli.engine.course import Course, failed
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.settlement import Failure
from nexscout_cli.errors import Interrupted, ProvidersFailed


def unanswered(course: Course, at: Moment, now: datetime, settings: Settings) -> Close | Refuse:
    """End a request that no model has answered."""
    shown = "; ".join(dict.fromkeys(course.failures))
    if course.before is None:  # nothing was held
        room = None if course.room_in is None else {"retry_after": ceil(max(course.room_in, 1))}
        error = ProvidersFailed(f"no model has room: {shown}", fallback.FULL, code="at_limits", details=room)
        return refused(course, course.first, error.as_json(), error.exit_status, at)
    error = ProvidersFailed(f"no model answered: {shown}", fallback.remedy(course.first, course.ended))
    response = failed(course, at, error.as_json(), error.exit_status, course.first)
    return Close(_failure(course, error.code, shown, now, settings), response)


def interrupted(course: Course, now: datetime, settings: Settings) -> Close:
    """End a request after a signal; nothing of it is in flight any more."""
    if course.unsettled:
        error = Interrupted(
            "interrupted; what was in flight is recorded as unknown",
            f"`nexscout db resolve {course.asked.request_id}` settles it",
        )
    else:
        paid = " but what was posted" if course.posted else ""
        error = Interrupted(f"interrupted; nothing is owed{paid}")
    return Close(_failure(course, "interrupted", "stopped by a signal", now, settings), None, error)


def refused(course: Course, plan: Plan, error: dict[str, str], exit_status: int, at: Moment) -> Refuse:
    """End a request that is not carried out."""
    response = failed(course, at, error, exit_status, plan)
    return Refuse(bookkeeping.prediction(course.asked.request_id, plan), error["code"], response)


def _failure(course: Course, code: str, message: str, now: datetime, settings: Settings) -> Failure | None:
    """The end of a request as the books keep it; None where it never held anything."""
    if course.before is None:
        return None
    return bookkeeping.failure(course.asked.request_id, course.before, code, message, now, settings)
