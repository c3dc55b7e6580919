"""The one table of what a request may say beside its prompt.

``run``, ``simulate`` and ``batch`` (flags, JSONL and CSV), the check of what programs hand over, the cache key and the
fingerprint of idempotency all read it. A new option is a field of :class:`~nexscout_cli.engine.request.Options` and one
entry here.
"""

from __future__ import annotations

import json
import sys
from typing import Literal, NamedTuple

from nexscout_cli.engine.money import to_nano
from nexscout_cli.engine.request import Json, Options
from nexscout_cli.errors import UsageError
from nexscout_cli.terms import COMPRESS, EFFORTS, FEATURES, MODES, POLICIES, SERVICE_TIERS, YES_OR_NO

Kind = Literal["text", "whole", "number", "switch", "choice", "dollars", "json", "files", "chat", "images", "messages"]
"""What a value is.

========  ===================  ==========================  ======================  =========================
kind      in a program         in JSON                     in a CSV cell           on the command line
========  ===================  ==========================  ======================  =========================
text      str                  text                        as it is                ``--flag TEXT``
whole     int                  whole number                digits                  ``--flag 200``
number    int or float         number                      digits                  ``--flag 0.7``
switch    bool                 true or false               yes, no, true, false …  ``--flag``: not the default
choice    bool or None         true or false               yes, no, true, false …  none
dollars   int, nano-dollars    number or text, in dollars  dollars                 dollars
json      any JSON value       any JSON value              JSON or text            ``KEY=VALUE`` or ``@FILE``
files     tuple of Attachment  list of file names          names parted by ;       a file's name
chat      JSON value           the same                    JSON or text            a file with JSON, or a text
images    tuple of Image       list of names, addresses    names parted by ;       a file's name, or an address
messages  tuple of Message     list of chat messages       JSON                    a file with JSON
========  ===================  ==========================  ======================  =========================
"""

InKey = Literal["always", "given", "in force", "never"]
"""How an option is part of the cache key.

``always``: its value, also where it is not given. ``given``: its value, where it is not the default; so a new option leaves
the keys of requests without it as they were. ``in force``: the engine puts what is in force for the request there, by
option, user or setting (``Engine.cache_keys``). ``never``: it does not shape the answer.
The fingerprint holds what the key holds, and an ``in force`` option where it is given.
"""


class Option(NamedTuple):
    """One entry.

    ``name`` is the field of Options, or of AIRequest where ``part_of`` is ``request``. ``low`` and ``high`` bound numbers
    and the length of texts, both included. ``key_name`` is what the cache key calls it, if not ``name``. ``for_batch`` tells
    whether ``batch`` takes it on the command line, for every row that does not say otherwise; without ``flags`` no command
    line does. ``sent`` is the name that providers know it by, where they get it.
    """

    name: str
    kind: Kind
    flags: tuple[str, ...]
    help: str
    example: str = ""
    part_of: Literal["request", "options"] = "options"
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    in_key: InKey = "never"
    key_name: str = ""
    for_batch: bool = True
    sent: str = ""


def _sent(
    name: str,
    kind: Kind,
    flag: str | None,
    help: str,
    example: str = "",
    low: float | None = None,
    high: float | None = None,
    known: str = "",
) -> Option:
    """An option of chat completions, which goes to the provider; ``known`` is its name there, if not ``name``."""
    flags = () if flag is None else (flag,)
    return Option(name, kind, flags, help, example, low=low, high=high, in_key="given", sent=known or name)


TABLE = (
    Option(
        "feature",
        "text",
        ("-f", "--feature"),
        f"What the request is for: {', '.join(FEATURES)} or any other ai_* name.",
        part_of="request",
    ),
    Option(
        "user_id", "text", ("-u", "--user"), "The user it is for (admins only; default: yourself).", part_of="request"
    ),
    Option(
        "force_model",
        "text",
        ("-m", "--model"),
        "Use this model, or this mode.",
        "gpt-4o-mini",
        in_key="always",
        key_name="model",
    ),
    Option("mode", "text", ("--mode",), f"The mode: {', '.join(MODES)}.", "fast", choices=MODES, in_key="always"),
    Option("goal", "text", ("--goal",), "What the answer should achieve.", part_of="request"),
    Option("tone", "text", ("--tone",), "Tone of the answer, for example friendly.", part_of="request"),
    Option("system", "text", ("--system",), "System text for the model.", in_key="always"),
    Option(
        "shape",
        "switch",
        ("--no-shape",),
        "Tell the model nothing of length and style; the bound on its answer stays.",
        in_key="in force",
    ),
    Option(
        "context",
        "json",
        ("-c", "--context"),
        "Facts to use: KEY=VALUE, or @FILE with JSON; may be repeated.",
        part_of="request",
        for_batch=False,
    ),
    Option(
        "attachments",
        "files",
        ("--attach",),
        "A text file to send with the prompt; may be repeated.",
        part_of="request",
        for_batch=False,
    ),
    Option(
        "temperature",
        "number",
        ("--temperature",),
        "How varied answers are, from 0 to 2.",
        "0.7",
        low=0,
        high=2,
        in_key="always",
    ),
    Option(
        "max_tokens",
        "whole",
        ("--max-tokens",),
        "The most tokens an answer may have.",
        "200",
        low=1,
        in_key="always",
    ),
    Option(
        "max_cost",
        "dollars",
        ("--max-cost",),
        "The most the call may cost, in dollars.",
        "0.05",
        low=0,
        for_batch=False,  # there it bounds all rows together
    ),
    Option("allow_cache", "switch", ("--no-cache",), "Do not answer from the cache, and do not keep the answer."),
    Option("skip_energy_charge", "switch", ("--no-charge",), "Charge no energy (admins only)."),
    Option(
        "idempotency_key",
        "text",
        ("--idempotency-key",),
        "Your name for this request; the same name again gives the first answer, free.",
        "order-1234",
        low=1,
        high=200,
        for_batch=False,
    ),
    Option(
        "policy",
        "text",
        ("--policy",),
        f"How the model is chosen: {', '.join(POLICIES)}.",
        "learned",
        choices=POLICIES,
        in_key="in force",
    ),
    Option(
        "compress",
        "text",
        ("--compress",),
        "How the prompt is shortened: auto, off, lossless, or extract (leaves out sentences beside the point).",
        "lossless",
        choices=COMPRESS,
        in_key="in force",
    ),
    Option(
        "keep",
        "number",
        ("--keep",),
        "Share of a long text that extract keeps, from 0.1 to 0.9.",
        "0.5",
        low=0.1,
        high=0.9,
        in_key="in force",
    ),
    Option(
        "effort",
        "text",
        ("--effort",),
        f"How much a model thinks before it answers: {', '.join(EFFORTS)}.",
        "low",
        choices=EFFORTS,
        in_key="given",
    ),
    _sent(
        "response_format",
        "chat",
        "--schema",
        'Answer as JSON: a file with a JSON schema, or its fields, for instance "name, age int".',
    ),
    _sent("tools", "chat", "--tools", "A file with the functions that the model may call, as JSON."),
    _sent("tool_choice", "chat", "--tool-choice", "Which tool to call: auto, none, required, or a name.", "auto"),
    _sent("parallel_tool_calls", "choice", None, "Whether several tools may be called at once."),
    _sent("stop", "chat", "--stop", "A text at which the answer ends.", "END"),
    _sent("top_p", "number", "--top-p", "Only the likeliest words of this share, from 0 to 1.", "0.9", 0, 1),
    _sent(
        "seed", "whole", "--seed", "Ask for the same answer again, where the provider can.", "7", -(2**63), 2**63 - 1
    ),
    _sent("presence_penalty", "number", None, "Above 0: rather new subjects.", "0.5", -2, 2),
    _sent("frequency_penalty", "number", None, "Above 0: fewer repeats.", "0.5", -2, 2),
    _sent("n", "whole", "--answers", "How many answers to give, from 1 to 8; each is paid.", "2", 1, 8),
    _sent("logprobs", "choice", None, "Tell how likely each token was."),
    _sent("top_logprobs", "whole", None, "How many likely tokens to tell of, from 0 to 20.", "5", 0, 20),
    _sent("end_user", "text", None, "A name of the end user, for the provider.", "user-7", 1, 200, "user"),
    Option(
        "service_tier",
        "text",
        ("--service-tier",),
        f"How soon it is answered, at its own price: {', '.join(SERVICE_TIERS)}.",
        "flex",
        choices=SERVICE_TIERS,
        sent="service_tier",  # not in the cache key: the answer is no other one
    ),
    Option(
        "images",
        "images",
        ("--image",),
        "A picture to send, a file or an https address; may be repeated.",
        part_of="request",
        for_batch=False,
    ),
    Option(
        "messages",
        "messages",
        ("--messages",),
        "A file with the conversation so far, as JSON.",
        part_of="request",
        for_batch=False,
    ),
    Option(
        "allow_fallback",
        "switch",
        ("--fallback",),
        "Let another model answer where the one of --model, or its key, fails.",
    ),
)
"""In the order that ``--help`` shows them."""

OPTIONS = {option.name: option for option in TABLE if option.part_of == "options"}
SENT = {option.name: option.sent for option in TABLE if option.sent}
"""The names that providers know options by."""
FIELDS = {option.name: option for option in TABLE if option.part_of == "request"}
"""A request's own fields, but the prompt."""

_PROGRAM: dict[Kind, tuple[type, ...]] = {
    "text": (str,),
    "whole": (int,),
    "number": (int, float),
    "switch": (bool,),
    "choice": (bool,),
    "dollars": (int,),
}
_SWITCHES = ("switch", "choice")
_JSON = _PROGRAM | {"dollars": (int, float, str)}
_WORDS: dict[Kind, str] = {
    "text": "text",
    "whole": "a whole number",
    "number": "a number",
    "switch": "true or false",
    "choice": "true or false",
    "dollars": "an amount in dollars",
}
_IN_NANO = "a whole number of nano-dollars, 0 or more"


def default_of(option: Option) -> Json:
    """The value of an entry of OPTIONS that is not given."""
    return Options._field_defaults[option.name]


def sent(options: Options) -> dict[str, Json]:
    """What providers get of the options, by the names they know, as far as it was given."""
    return {known: value for name, known in SENT.items() if (value := getattr(options, name)) is not None}


def check(option: Option, value: Json, label: str) -> None:
    """Refuse a value that an option cannot have. ``label`` is what the error calls the option. Raises UsageError."""
    if option.kind == "chat":
        from nexscout_cli.engine.chat_options import CHECKS

        CHECKS[option.name](value, label)
        return
    kinds = _PROGRAM[option.kind]
    right = isinstance(value, kinds) and (option.kind in _SWITCHES or not isinstance(value, bool))
    if right and (option.low is not None or option.high is not None):
        size = len(value) if option.kind == "text" else value
        right = (option.low is None or size >= option.low) and (option.high is None or size <= option.high)
    if right and option.choices:
        right = value in option.choices
    if not right:
        raise _refusal(option, value, label, _IN_NANO if option.kind == "dollars" else None)


def from_json(option: Option, value: Json, label: str) -> Json:
    """An option's value from a JSON document, checked. Raises UsageError."""
    kinds = _JSON.get(option.kind, object)
    if not isinstance(value, kinds) or (isinstance(value, bool) and option.kind not in _SWITCHES):
        raise _refusal(option, value, label)
    if isinstance(value, str | int | float) and option.kind == "dollars":
        try:
            value = to_nano(value)
        except ValueError as error:
            raise UsageError(
                f"{label}: {str(error)[:120]}", f"an amount in dollars, for instance {option.example}"
            ) from error
    check(option, value, label)
    return value


def from_cell(option: Option, text: str, label: str) -> Json:
    """What a CSV cell would be in a JSON document, checked. Raises UsageError."""
    value: Json = text
    text = text.strip()
    try:
        if option.kind == "whole":
            value = int(text)
        elif option.kind == "number":
            value = float(text)
        elif option.kind in _SWITCHES:
            value = YES_OR_NO[text.lower()]
        elif option.kind == "chat" and text[:1] in ("{", "["):
            value = json.loads(text)
    except (ValueError, KeyError) as error:
        raise _refusal(option, text, label) from error
    from_json(option, value, label)
    return value


def _refusal(option: Option, value: Json, label: str, expected: str | None = None) -> UsageError:
    cannot = f"{label} cannot be {_shown(value)}"
    if option.choices:
        from difflib import get_close_matches

        near = get_close_matches(value.lower(), option.choices, 1) if isinstance(value, str) else []
        meant = f"did you mean {near[0]}? " if near else ""
        return UsageError(cannot, f"{meant}one of: {', '.join(option.choices)}")
    expected = expected or _expected(option)
    example = f"for instance {option.example}" if option.example and expected != _IN_NANO else f"give {expected}"
    return UsageError(f"{cannot}; it must be {expected}", example)


def _expected(option: Option) -> str:
    """What a value must be, in words."""
    what = _WORDS[option.kind]
    if option.low is None or option.kind == "dollars":
        return what
    if option.kind == "text":
        return f"{what} of {option.low:g} to {option.high:g} characters"
    return (
        f"{what} of at least {option.low:g}"
        if option.high is None
        else f"{what} from {option.low:g} to {option.high:g}"
    )


def _shown(value: Json) -> str:
    """A value as an error shows it, not longer than 60 characters."""
    if isinstance(value, int) and abs(value) > sys.maxsize:
        return "a number this large" if value > 0 else "a number this small"
    return f"{value!r:.60}" if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
