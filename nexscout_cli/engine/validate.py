"""What is checked of a request before anything is read for it; programs hand over whatever they like."""

from __future__ import annotations

from nexscout_cli.config import Settings
from nexscout_cli.engine import options
from nexscout_cli.engine.compression.choice import compression_choice
from nexscout_cli.engine.names import check_feature, check_user
from nexscout_cli.engine.planning.texts import context_text
from nexscout_cli.engine.request import AIRequest, Attachment, Json, Options
from nexscout_cli.errors import Blocked, UsageError
from nexscout_cli.terms import EXTRACTING


def check_request(request: AIRequest, settings: Settings) -> None:
    """Refuse what no model could be asked.

    Raises UsageError for text that is empty or broken and for an option that cannot be what it is, Blocked for more bytes
    than ``firewall.max_bytes``.
    """
    size = sum(_bytes(name, text) for name, text in _texts(request).items())
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
    check_options(request.options)
    mode = compression_choice(request, settings).mode
    if request.options.keep is not None and mode not in EXTRACTING:
        raise UsageError(
            f"keep has no effect: compress is {mode}, which leaves out no sentences", "add --compress extract"
        )


def _texts(request: AIRequest) -> dict[str, Json]:
    """All that must be text, by the name an error gives it. Raises UsageError for a context or attachment of another kind."""
    texts: dict[str, Json] = {
        "prompt": request.prompt,
        "goal": request.goal,
        "tone": request.tone,
        "user": request.user_id,
        "feature": request.feature,
    }
    texts |= {name: getattr(request.options, name) for name, option in options.OPTIONS.items() if option.kind == "text"}
    try:
        texts["context"] = context_text(request)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the context is not a JSON value: {error}", "objects, lists, text, numbers") from error
    for number, attachment in enumerate(request.attachments, 1):
        if not isinstance(attachment, Attachment):
            raise UsageError(f"attachment {number} is not an Attachment", 'Attachment("notes.txt", text)')
        texts |= {f"name of attachment {number}": attachment.name, f"text of attachment {number}": attachment.text}
    return texts


def _bytes(name: str, text: Json) -> int:
    """The size of a text in UTF-8; 0 for None. Raises UsageError for what is not text that can be kept and sent."""
    if text is None:
        return 0
    if not isinstance(text, str):
        raise UsageError(f"the {name} is {type(text).__name__}, not text", "give a str")
    if "\0" in text:
        raise UsageError(f"the {name} has a NUL character", "send text only")
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the {name} is not valid text (a lone surrogate at {error.start})", "send valid UTF-8"
        ) from error


def check_options(given: Options) -> None:
    """Refuse an option whose value it cannot have. Raises UsageError."""
    for name, option in options.OPTIONS.items():
        value = getattr(given, name)
        if value is not None or options.default_of(option) is not None:
            options.check(option, value, name)
