"""What is checked of a request before anything is read for it; programs hand over whatever they like."""

from __future__ import annotations

from types import UnionType

from nexscout_cli.config import Settings
from nexscout_cli.engine.names import check_feature, check_user
from nexscout_cli.engine.planning.planner import context_text
from nexscout_cli.engine.request import AIRequest, Attachment, Json
from nexscout_cli.errors import Blocked, UsageError
from nexscout_cli.terms import COMPRESS

MAX_KEY = 200


def check_request(request: AIRequest, settings: Settings) -> None:
    """Refuse what no model could be asked. Raises UsageError for empty or broken text, Blocked beyond ``firewall.max_bytes``."""
    texts: dict[str, Json] = {
        "prompt": request.prompt,
        "goal": request.goal,
        "tone": request.tone,
        "system text": request.options.system,
        "user": request.user_id,
        "feature": request.feature,
        "idempotency key": request.options.idempotency_key,
    }
    try:
        texts["context"] = context_text(request)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the context is no JSON value: {error}", "objects, lists, text, numbers") from error
    for number, attachment in enumerate(request.attachments, 1):
        if not isinstance(attachment, Attachment):
            raise UsageError(f"attachment {number} is no Attachment", 'Attachment("notes.txt", text)')
        texts |= {f"name of attachment {number}": attachment.name, f"text of attachment {number}": attachment.text}
    size = 0
    for name, text in texts.items():
        if text is None:
            continue
        if not isinstance(text, str):
            raise UsageError(f"the {name} is {type(text).__name__}, not text", "give a str")
        if "\0" in text:
            raise UsageError(f"the {name} has a NUL character", "send text only")
        try:
            size += len(text.encode())
        except UnicodeEncodeError as error:
            raise UsageError(
                f"the {name} is not valid text (a lone surrogate at {error.start})", "send valid UTF-8"
            ) from error
    if size > settings["firewall.max_bytes"]:
        raise Blocked(
            f"the input is {size:,} bytes; the limit is {settings['firewall.max_bytes']:,}",
            "split your input into smaller parts",
            code="too_many_bytes",
        )
    if request.prompt is None or not request.prompt.strip():
        raise UsageError("the prompt is empty", 'for instance: nexscout run "Write a haiku"')
    check_user(request.user_id)
    check_feature(request.feature)
    options = request.options
    if options.idempotency_key is not None and not 0 < len(options.idempotency_key) <= MAX_KEY:
        raise UsageError(f"an idempotency key has 1 to {MAX_KEY} characters", "for instance order-1234")
    if options.max_tokens is not None and not (_is(options.max_tokens, int) and options.max_tokens >= 1):
        raise UsageError("--max-tokens must be a whole number of at least 1", "for instance --max-tokens 200")
    if options.temperature is not None and not (
        _is(options.temperature, int | float) and 0 <= options.temperature <= 2
    ):
        raise UsageError("--temperature lies between 0 and 2", "for instance --temperature 0.7")
    if options.compress is not None and options.compress not in COMPRESS:
        raise UsageError(f"there is no way of compressing {options.compress!r:.80}", f"ways: {', '.join(COMPRESS)}")
    if options.keep is not None and not (_is(options.keep, int | float) and 0.1 <= options.keep <= 0.9):
        raise UsageError("--keep lies between 0.1 and 0.9", "for instance --keep 0.5")
    if options.max_cost is not None and not (_is(options.max_cost, int) and options.max_cost >= 0):
        raise UsageError("max_cost is a whole number of nano-dollars", "for instance 50_000_000 for $0.05")


def _is(value: object, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
