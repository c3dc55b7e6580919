"""``nexscout chat``: a conversation at a prompt, or line by line from stdin."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from nexscout_cli import jsontext
from nexscout_cli.cli import declared, output, request, request_options, talking
from nexscout_cli.cli.request_options import Given, takes_options
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.money import usd
from nexscout_cli.errors import Blocked, UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.response import AIResponse
    from nexscout_cli.engine.talk import Talk

app = declared.App()
_OF_THE_FIRST = {"context": None, "attachments": (), "images": (), "messages": ()}
"""What belongs to the first turn alone."""


@app.command()
@takes_options
def chat(
    given: Given = request_options.EVERY,
    continue_: talking.Continue = False,
    conversation: talking.Named = None,
    as_json: Annotated[
        bool, declared.Option("--json", help="One JSON document a line on stdout for each turn.")
    ] = False,
    quiet: Annotated[bool, declared.Option("-q", "--quiet", help="No summary and no notes on stderr.")] = False,
) -> int:
    """Talk with a model: what was said before goes with every line. Ctrl-D ends it.

    \b
    nexscout chat
    nexscout chat --system "You are a travel agent" --model gpt-4o
    nexscout chat --continue
    nexscout chat < questions.txt

    After each turn it says what that and the conversation so far have cost. It is kept where conversations.keep is on.
    Where the model calls functions of --tools, the next lines are their results.
    """
    session = Session(quiet, makes=True)
    if given["idempotency_key"] is not None:
        raise UsageError("--idempotency-key names one request, not a conversation", "leave it out")
    kept = talking.earlier(session, given, continue_, conversation)
    first = request.by_default(session, request.build(session, "", given), kept.options if kept else None)
    from nexscout_cli.engine.talk import Talk

    talk = Talk(session.engine(writes=True), session.store.conversations, kept)
    limit = session.settings["firewall.max_bytes"]
    asks = sys.stdin is not None and sys.stdin.isatty()
    results: list[Message] = []
    while (line := _next(asks, quiet, limit, _wanted(talk, results))) is not None:
        if not line.strip():
            continue
        said = first._replace(prompt=line)
        if calls := talk.open_calls:
            results.append(Message("tool", line, tool_call_id=calls[len(results)].id))
            if len(results) < len(calls):
                continue
            said, results = first._replace(messages=(*first.messages, *results)), []
        status = _turn(talk, said, as_json, quiet, session)
        if status and not asks:
            return status
        if not status:
            first = first._replace(**_OF_THE_FIRST)
    return 0


def _wanted(talk: Talk, results: list[Message]) -> str:
    """What stands before the next line: the function whose result it is to be, where the model has called some."""
    calls = talk.open_calls
    return f"{output.harmless(calls[len(results)].name)}> " if calls else "> "


def _next(asks: bool, quiet: bool, limit: int, prompt: str) -> str | None:
    """The next line, or None at the end. Raises UsageError, Blocked."""
    try:
        if asks and output.stdout_is_terminal():
            with suppress(ImportError):  # Windows has its own
                import readline  # noqa: F401 - its import alone gives input() a line that can be edited, and earlier ones

            return input(prompt)
        if asks and not quiet:
            output.note(prompt)
        line = sys.stdin.readline(limit + 1) if sys.stdin is not None else ""
    except EOFError:
        return None
    except UnicodeDecodeError as error:
        raise UsageError("standard input is not UTF-8 text", "convert it to UTF-8 first") from error
    if len(line) > limit:
        raise Blocked(
            f"a line has more than {limit:,} characters", "split your input into smaller parts", code="too_many_bytes"
        )
    return line.rstrip("\r\n") if line else None


def _turn(talk: Talk, asked: request.AIRequest, as_json: bool, quiet: bool, session: Session) -> int:
    """Answer one line and say what it has cost; returns the exit status that it would have alone."""
    from nexscout_cli.cli.run import Screen, deliver

    screen = Screen() if not as_json and output.stdout_is_terminal() else None
    response = talk.say(asked, screen.show if screen else None)
    if as_json:
        named = {"conversation": talk.name, "turn": talk.turns, "cost_so_far_usd": usd(talk.paid)}
        output.out(jsontext.dumps(response.as_json() | named))
        if response.error is not None:
            _complain(response)
        return response.exit_status
    status = deliver(response, None, screen, True, session.notes.shown)
    if not quiet and output.stderr_is_terminal():
        for warning in dict.fromkeys(response.warnings):
            output.note(f"note: {warning}")
        output.note(f"turn {talk.turns} · ${response.paid / 1e9:.6f} · ${talk.paid / 1e9:.6f} so far")
    return status


def _complain(response: AIResponse) -> None:
    assert response.error is not None
    output.note(f"nexscout: {response.error['message']}")
