"""What becomes of attempts that nobody looks after: those of dead processes, and unknown ones that grow old."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

GRACE = timedelta(hours=1)
"""How far past its deadline an attempt is given up although its process seems to live."""
POST_AFTER = timedelta(hours=24)
"""How long an attempt stays unknown before it is posted at its hold."""
KEYS_KEPT = timedelta(hours=24)
"""How long an idempotency key and its answer are kept."""


class LiveAttempt(NamedTuple):
    """An attempt that holds something. ``state``: held, sent, unknown; ``since`` is when it became unknown."""

    state: str
    hold: int
    deadline: datetime
    since: datetime | None


class Ageing(NamedTuple):
    """How long things may lie, and what becomes of them after that."""

    grace: timedelta = GRACE
    post_after: timedelta = POST_AFTER
    keys_kept: timedelta = KEYS_KEPT

    def is_left_behind(self, attempt: LiveAttempt, now: datetime, lives: Callable[[], bool]) -> bool:
        """Whether recovery must settle the attempt. ``lives`` tells whether its process does; it is asked only when needed."""
        if attempt.state == "unknown":
            return attempt.since is not None and attempt.since + self.post_after <= now
        return attempt.deadline + self.grace <= now or not lives()

    @staticmethod
    def fate(attempt: LiveAttempt) -> str:
        """What becomes of an attempt that was left behind: posted, voided or unknown. Age alone never voids."""
        if attempt.state == "unknown":
            return "posted"
        # What was never sent, or costs nothing, cannot be owed.
        return "voided" if attempt.state == "held" or attempt.hold == 0 else "unknown"


class Recovered(NamedTuple):
    """How many attempts were voided, became unknown, and were posted by age."""

    voided: int = 0
    unknown: int = 0
    posted: int = 0
