"""What is checked of a request before anything is read for it; programs hand over whatever they like."""

from __future__ import annotations

from nexscout_cli.config import Settings
from nexscout_cli.engine import options
from nexscout_cli.engine.chat import SYSTEM, Message, as_messages, as_pictures
from nexscout_cli.engine.compression.choice import compression_choice
from nexscout_cli.engine.names import check_feature, check_user
from nexscout_cli.engine.planning.texts import context_text
from nexscout_cli.engine.request import AIRequest, Attachment, Json, Options
from nexscout_cli.errors import Blocked, UsageError
from nexscout_cli.terms import EXTRACTING

_TEXT_OPTIONS = tuple(name for name, option in options.OPTIONS.items() if option.kind == "text")
_DEFAULTS = tuple((name, option, options.default_of(option)) for name, option in options.OPTIONS.items())


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
    if request.prompt is None or not (request.prompt.strip() or request.messages):
        raise UsageError("the prompt is empty", 'for instance: nexscout run "Write a haiku"')
    if not request.is_plain:
        _check_chat(request, settings)
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
    texts |= {name: getattr(request.options, name) for name in _TEXT_OPTIONS}
    try:
        texts["context"] = context_text(request)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the context is not a JSON value: {error}", "objects, lists, text, numbers") from error
    for number, attachment in enumerate(request.attachments, 1):
        if not isinstance(attachment, Attachment):
            raise UsageError(f"attachment {number} is not an Attachment", 'Attachment("notes.txt", text)')
        texts |= {f"name of attachment {number}": attachment.name, f"text of attachment {number}": attachment.text}
    as_pictures(request.images)
    for number, message in enumerate(as_messages(request.messages)):
        texts[f"messages[{number}]"] = message.content
        texts |= {f"messages[{number}].tool_calls[{n}]": call.arguments for n, call in enumerate(message.tool_calls)}
    return texts


def _check_chat(request: AIRequest, settings: Settings) -> None:
    """Refuse pictures that are none or too large, and options that need one another."""
    limit, size = settings["firewall.max_image_bytes"], 0
    for picture in (*request.images, *(one for message in request.messages for one in message.images)):
        size += len(picture.url) * 3 // 4
    if size > limit:
        raise Blocked(
            f"the pictures are {size:,} bytes; the limit is {limit:,}", "send smaller ones", code="too_many_bytes"
        )
    if not request.prompt.strip() and (request.context is not None or request.attachments or request.images):
        raise UsageError("context, attachments and images go with a prompt, and there is none", "give a prompt")
    if request.messages and not request.prompt:
        _check_last(request.messages[-1])


def _check_last(message: Message) -> None:
    """Refuse a conversation that asks for nothing."""
    if message.role in ("assistant", *SYSTEM):
        raise UsageError(f"the conversation ends with a message of {message.role}", "end it with one of user or tool")
    if message.role == "user" and not (message.content.strip() or message.images):
        raise UsageError("the last message of the conversation is empty", "say in it what is asked")


def _check_together(given: Options) -> None:
    """Refuse options that mean nothing without another one."""
    if given.tools is None and (given.tool_choice is not None or given.parallel_tool_calls is not None):
        raise UsageError("tool_choice and parallel_tool_calls need tools", "give tools, or leave them out")
    if given.top_logprobs is not None and not given.logprobs:
        raise UsageError("top_logprobs needs logprobs", "set logprobs to true")
    if isinstance(given.tool_choice, dict):
        name = given.tool_choice["function"]["name"]
        if name not in (names := [tool["function"]["name"] for tool in given.tools]):
            raise UsageError(f"tool_choice names {name!r:.60}, which is no tool", f"one of: {', '.join(names)}"[:200])


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


def _called(option: options.Option) -> str:
    """What an error calls an option: its name, with its flag where that is another word."""
    flag = next((flag for flag in option.flags if flag.startswith("--")), "")
    same = not flag or flag.removeprefix("--").replace("-", "_") == option.name
    return option.name if same or option.kind == "switch" else f"{option.name} ({flag})"


def check_options(given: Options) -> None:
    """Refuse an option whose value it cannot have. Raises UsageError."""
    for name, option, default in _DEFAULTS:
        value = getattr(given, name)
        if value is not default:
            options.check(option, value, _called(option))
    _check_together(given)
