"""What an answer becomes: the response, what the books are told of it, and whether it may be kept. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.engine import bookkeeping
from nexscout_cli.engine.asked import Moment
from nexscout_cli.engine.call import Choice, Completion
from nexscout_cli.engine.course import OPINION, Course, Held, answer
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.request import Json, Options
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.settlement import Charge, Delivery


class Checked(NamedTuple):
    """What an answer is as JSON: what is wrong with it, or its value. None and None where no JSON was asked for."""

    fault: str | None = None
    value: Json = None


def delivered(
    course: Course,
    held: Held,
    charge: Charge,
    completion: Completion,
    found: Checked,
    at: Moment,
    settings: Settings,
    now: datetime,
) -> tuple[Course, Delivery, AIResponse]:
    """The response that an answer makes, and what the books are told of it."""
    plan, doubted = held.plan, course.doubted
    cut = completion.finish_reason == "length"
    if completion.stopped_after is not None:
        course = course.warned(f"the answer was cut at its time limit of {completion.stopped_after:g} s")
    elif cut:
        course = course.warned(f"the answer was cut at its bound of {plan.shape.max_tokens:,} tokens")
    if completion.refused:
        course = course.warned(*(_refused(plan.model.name, option) for option in completion.refused))
    if completion.not_sent:
        course = course.warned(f"{plan.model.name} does not take {', '.join(completion.not_sent)}: not sent")
    course = course._replace(energy=min(held.attempt.hold_energy, plan.energy_of(charge.cost)))
    completion = valid(completion)
    response = answer(course, plan, completion.text, at, truncated=cut)
    assert response.metadata is not None
    response = response._replace(
        metadata=response.metadata._replace(finish_reason=completion.finish_reason),
        choices=choices(completion),
        parsed=found.value,
    )
    keep = (
        completion.finish_reason == "stop"
        and not plan.degraded
        and not response.choices  # a text is all that the cache can give again
        and found.fault is None
        and not (doubted and doubted.held.attempt.id == held.attempt.id and not doubted.confirmed)
        and charge.output_tokens < settings["cache.max_tokens"]
    )
    lesson = bookkeeping.lesson(plan, charge, 0.5 if cut else 1.0, now, settings, held.attempt.deployment)
    keys = (course.asked.cache_key, course.asked.form_key) if keep else (None, None)
    # It is given again under an idempotency key alone.
    again = response.as_json() if held.attempt.settlement.has_key else {}
    kept = Delivery(course.energy, lesson, again, completion.text, *keys, response.warnings)
    return course, kept, response


def _refused(model: str, option: str) -> str:
    if option in ("max_tokens", "max_completion_tokens"):
        return f"{model} refused {option}; its bound was sent under the other name"
    return f"{model} refused {option}; it was asked again without, and will not be sent it again"


def valid(completion: Completion) -> Completion:
    """The answer with its text as it can be stored and printed."""
    return completion._replace(text=completion.text.encode("utf-8", "replace").decode())


def choices(completion: Completion) -> tuple[Choice, ...]:
    """All answers, where there is more to say than one text."""
    more = completion.tool_calls or completion.others or completion.logprobs is not None
    return (completion.first, *completion.others) if more else ()


def useless(completion: Completion) -> bool:
    """Whether there is nothing to deliver."""
    said = any(choice.text.strip() or choice.tool_calls for choice in (completion.first, *completion.others))
    gone = completion.finish_reason == "reader_gone"
    return not (said or gone) or completion.finish_reason == "content_filter"


def without_fence(options: Options, completion: Completion) -> Completion:
    """Where JSON was asked for: the answer without the Markdown fence that models like to put around it."""
    if not options.wants_json:
        return completion
    others = tuple(choice._replace(text=_unfenced(choice.text)) for choice in completion.others)
    return completion._replace(text=_unfenced(completion.text), others=others)


def _unfenced(text: str) -> str:
    inner = text.strip()
    if not (inner.startswith("```") and inner.endswith("```") and inner.count("```") == 2):
        return text
    kind, _, value = inner.removesuffix("```")[3:].partition("\n")
    return value.strip() if kind.strip().lower() in ("", "json") else text


def checked(options: Options, completion: Completion) -> Checked:
    """An answer beside the schema that it must have; nothing where none was asked for."""
    if not options.wants_json or completion.tool_calls or completion.finish_reason == "reader_gone":
        return Checked()
    from nexscout_cli.engine import chat_options

    schema = chat_options.schema_of(options.response_format)
    assert schema is not None
    wrong = chat_options.fault(completion.text, schema)
    return Checked(wrong, chat_options.value_of(completion.text) if wrong is None else None)


def streams(course: Course, plan: Plan) -> bool:
    """Whether an answer is handed over as it comes: not one that is checked first, nor an opinion of another one."""
    checked = plan.cascade is not None or plan.request.options.wants_json
    return course.streams and not checked and course.step.role != OPINION
