"""An answer that may be followed by another one is looked at: doubted, audited, or delivered. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.course import STRONG, Course, Doubted, Held
from nexscout_cli.engine.request import Json

if TYPE_CHECKING:
    from nexscout_cli.engine.call import Completion
    from nexscout_cli.engine.settlement import Charge


UNFIT: dict[str, Json] = {"score": 1.0, "limit": 1.0, "reasons": [], "unfit": True}
"""What is kept of an answer that is not as its schema says."""


def judged(
    course: Course, held: Held, charge: Charge, completion: Completion
) -> tuple[Course, dict[str, Json] | None, str | None]:
    """The course after an answer, what is kept of its doubt, and what is said where another one is asked for first."""
    plan, cascade = held.plan, held.plan.cascade
    if cascade is None:
        return course, _audited(course, completion), None
    from nexscout_cli.engine.answers.doubt import doubt

    score, reasons = doubt(course.asked.request.question, completion.text, completion.finish_reason)
    found: dict[str, Json] = {"score": round(score, 4), "limit": cascade.doubt, "reasons": list(reasons)}
    if cascade.audit:
        note = f"{plan.model.name}'s answer is checked: {cascade.strong.model.name} is asked too"
        doubted = Doubted(held, charge, completion, score, confirmed=True)
        return course._replace(doubted=doubted), found | {"checked": True}, note
    if score < cascade.doubt:
        return course, found, None
    because = f" ({'; '.join(reasons)})" if reasons else ""
    note = f"{plan.model.name}'s answer is doubtful{because}; asking further"
    return course._replace(doubted=Doubted(held, charge, completion, score)), found, note


def _audited(course: Course, completion: Completion) -> dict[str, Json] | None:
    """What an audit found, of the strong model's answer beside the first; None of any other answer."""
    cascade, doubted = course.first.cascade, course.doubted
    if course.step.role != STRONG or doubted is None or cascade is None or not cascade.audit:
        return None
    from nexscout_cli.engine.routing.audit import finding

    first = doubted.held.plan.model.name
    found = finding(course.asked.request.question, first, doubted.completion.text, completion.text)
    return {"score": round(doubted.score, 4), "limit": cascade.doubt, "reasons": [], **found}
