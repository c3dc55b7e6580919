"""The request that ``run`` and ``simulate`` are given: their common options, and where the prompt comes from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from nexscout_cli import files
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.money import to_nano
from nexscout_cli.engine.names import check_user
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.errors import NotPermitted, UsageError
from nexscout_cli.terms import MODES

Feature = Annotated[
    str | None,
    typer.Option(
        "-f",
        "--feature",
        help="What it is for: ai_message, ai_objection, ai_pitchdeck, "
        "ai_coaching, ai_deepscan, ai_chatbot, ai_sequence or any other ai_* name.",
    ),
]
User = Annotated[str | None, typer.Option("-u", "--user", help="Who it is for (admins; default: yourself).")]
ModelName = Annotated[str | None, typer.Option("-m", "--model", help="Force a model, or a mode for this one call.")]
Mode = Annotated[str | None, typer.Option("--mode", help="auto, fast, pro or expert, for this one call.")]
Goal = Annotated[str | None, typer.Option("--goal", help="What the answer is to achieve.")]
Tone = Annotated[str | None, typer.Option("--tone", help="How it is to sound.")]
System = Annotated[str | None, typer.Option("--system", help="System text.")]
Context = Annotated[
    list[str] | None, typer.Option("-c", "--context", help="KEY=VALUE, or @FILE with JSON; may be repeated.")
]
Attach = Annotated[list[str] | None, typer.Option("--attach", help="A text file to send along; may be repeated.")]
Temperature = Annotated[float | None, typer.Option("--temperature", help="0 to 2.")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", help="Bound on the answer, in tokens.")]
MaxCost = Annotated[str | None, typer.Option("--max-cost", help="What it may cost at most, in dollars.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither answer from the cache nor keep the answer.")]
NoCharge = Annotated[bool, typer.Option("--no-charge", help="Charge no energy (admins).")]
IdempotencyKey = Annotated[
    str | None, typer.Option("--idempotency-key", help="The same key again gives the first answer, free.")
]
Policy = Annotated[
    str | None, typer.Option("--policy", help="How a model is chosen, for this one call: rules, learned or cascade.")
]
Compress = Annotated[
    str | None, typer.Option("--compress", help="What to leave out: auto, off, lossless or extract (beside the point).")
]
Keep = Annotated[float | None, typer.Option("--keep", help="Share of a long text that extract keeps, 0.1 to 0.9.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

_SUFFIX = re.compile(
    r"\.(txt|md|rst|json|jsonl|csv|tsv|log|py|js|ts|html|xml|ya?ml|toml|ini|sql|sh|prompt|docx?|pdf|eml)$", re.I
)
_ABSOLUTE = re.compile(r"/[\w.-]+/[\w./-]+$")
_MAX_NAME = 255


def build(
    session: Session,
    text: str,
    *,
    feature: str | None,
    user: str | None,
    model: str | None,
    mode: str | None,
    goal: str | None,
    tone: str | None,
    system: str | None,
    context: list[str] | None,
    attach: list[str] | None,
    temperature: float | None,
    max_tokens: int | None,
    max_cost: str | None,
    no_cache: bool,
    no_charge: bool,
    policy: str | None,
    compress: str | None = None,
    keep: float | None = None,
    idempotency_key: str | None = None,
) -> AIRequest:
    """The request. Raises UsageError for options that make none, NotPermitted for ``--no-charge`` by who is no admin."""
    settings = session.settings
    limit = settings["firewall.max_bytes"]
    if mode is not None and mode not in MODES:
        raise UsageError(f"there is no mode {mode!r}", f"modes: {', '.join(MODES)}")
    if user is not None:
        check_user(user)  # an empty name is a script's mistake, and must not charge the actor
    if no_charge:
        with session.store.db.read() as c:
            if not session.store.is_admin(c):
                raise NotPermitted("only an admin may use --no-charge", "leave it out")
    attachments = tuple(files.attachment(Path(name), limit) for name in attach or ())
    options = Options(
        allow_cache=not no_cache,
        force_model=model,
        mode=mode,
        skip_energy_charge=no_charge,
        max_tokens=max_tokens,
        max_cost=dollars(max_cost, "--max-cost"),
        system=system,
        temperature=temperature,
        idempotency_key=idempotency_key,
        policy=policy,
        compress=compress,
        keep=keep,
    )
    return AIRequest(
        session.subject(user),
        settings["feature"] if feature is None else feature,
        text,
        goal,
        tone,
        parse_context(context, limit),
        attachments,
        options,
    )


def dollars(text: str | None, option: str) -> int | None:
    """Nano-dollars of an option's amount. Raises UsageError."""
    if text is None:
        return None
    try:
        return to_nano(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", f"for instance {option} 0.05") from error


def parse_context(parts: list[str] | None, limit: int) -> Any:
    """The context from ``k=v`` and ``@file.json`` parts: objects are merged, another JSON value stands alone."""
    if not parts:
        return None
    merged: dict[str, Any] = {}
    for part in parts:
        if part.startswith("@"):
            value = files.parse_json(files.read_text(Path(part[1:]), limit), part[1:])
            if not isinstance(value, dict):
                if len(parts) > 1:
                    raise UsageError(f"{part[1:]} is no JSON object, so nothing can be added to it", "give it alone")
                return value
            merged |= value
            continue
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise UsageError(
                f"--context {part[:60]!r} is neither KEY=VALUE nor @FILE", "for instance -c company=TechCo"
            )
        merged[name] = value
    return merged


def prompt_for_run(given: str | None, limit: int) -> str | None:
    """The prompt of ``run``: text, ``-``, ``@FILE``, with what is piped in after it; None when there is none at all."""
    if given is None or given == "-":
        return files.read_stdin(limit) if given == "-" or files.stdin_is_piped() else None
    if given.startswith("@"):
        text = _at(given, limit)
    else:
        if _is_file_name(given):
            if _exists(given):
                raise UsageError(f"{given!r} is a file; its name is no prompt", f"did you mean @{given} ?")
            raise UsageError(f"no such file: {given}", f"write @{given} for a file, or more words for a prompt")
        text = given
    if files.stdin_is_piped():
        piped = files.read_stdin(limit)
        if piped.strip():
            text = f"{text}\n\n{piped}"
    return text


def prompt_for_simulate(given: str | None, limit: int) -> str | None:
    """The prompt of ``simulate``: as for ``run``, but a file's name is the file."""
    if given is not None and given != "-" and not given.startswith("@") and (_is_file_name(given) or _exists(given)):
        given = "@" + given
    return prompt_for_run(given, limit)


def _at(given: str, limit: int) -> str:
    return given[1:] if given.startswith("@@") else files.read_text(_home(given[1:]), limit)


def _home(name: str) -> Path:
    """A path with ``~`` for the home folder: behind an @ the shell leaves it alone."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser raises for a user there is none of


def _is_file_name(text: str) -> bool:
    """Whether a prompt looks like a file's name: one word with a text file's ending, a path, or a file that is there."""
    if len(text) > _MAX_NAME or any(ch.isspace() for ch in text.strip()) or not text.strip():
        return False
    return (
        bool(_SUFFIX.search(text))
        or text.startswith(("./", "../", "~/"))
        or _ABSOLUTE.match(text) is not None
        or _exists(text)
    )


def _exists(text: str) -> bool:
    try:
        return len(text) <= _MAX_NAME and Path(text).is_file()
    except (OSError, ValueError):
        return False
