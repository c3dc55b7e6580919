"""``nexscout run``: answer a prompt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from nexscout_cli.cli import choices, declared, output, request, request_options, talking, templating
from nexscout_cli.cli.request_options import Given, takes_options
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.failures import ReaderGone
from nexscout_cli.errors import NexScoutError, UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.planning.plan import Plan
    from nexscout_cli.engine.response import AIResponse, Metadata

app = declared.App()
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]{0,500}\x1b?|[ -/]+)?\Z")
"""The beginning of a control sequence at the end of a text."""


@app.command(no_args_is_help=False)
@takes_options
def run(
    prompt: Annotated[
        str | None, declared.Argument(help="The prompt; - reads stdin, @FILE a file, @@ starts a literal @.")
    ] = None,
    given: Given = request_options.until("skip_energy_charge"),
    confirm: Annotated[
        bool, declared.Option("--confirm", help="Show the quote and ask before anything is sent.")
    ] = False,
    yes: Annotated[bool, declared.Option("--yes", "-y", help="Answer yes to the question of --confirm.")] = False,
    stream: Annotated[
        bool | None,
        declared.Option("--stream/--no-stream", help="Print the answer as it comes (default: on a terminal)."),
    ] = None,
    more: Given = request_options.after("skip_energy_charge"),
    template: templating.Named = None,
    param: templating.Params = None,
    continue_: talking.Continue = False,
    conversation: talking.Named = None,
    as_json: request.AsJson = False,
    quiet: Annotated[bool, declared.Option("-q", "--quiet", help="No summary and no notes on stderr.")] = False,
) -> int:
    """Answer a prompt at the lowest cost that is good enough.

    \b
    nexscout run --feature ai_message "Write a follow-up to Sarah about our meeting"
    git diff | nexscout run "Write a commit message"
    nexscout run --continue "Shorter, please"
    nexscout run @prompt.txt --attach notes.md --max-cost 0.02
    nexscout run --model gpt-4o --confirm "Draft the board letter"
    """
    session = Session(quiet, makes=True)
    text = request.prompt_for_run(prompt, session.settings["firewall.max_bytes"])
    given |= more
    if talking.says_nothing(text, continue_, conversation) and given["messages"] is None and template is None:
        raise UsageError(
            "there is no prompt", 'nexscout run "Write a haiku"   or   nexscout run @prompt.txt   (--help shows more)'
        )
    if confirm and not yes and not _can_ask():
        raise UsageError("--confirm needs a terminal to ask on", "add --yes to answer it")
    kept = talking.earlier(session, given, continue_, conversation)
    asked = templating.build(session, text, given, template, param)
    asked = request.by_default(session, asked, kept.options if kept else None)
    streams = not as_json and (output.stdout_is_terminal() if stream is None else stream)
    screen = Screen() if streams else None
    talk, answer = None, session.remote.run if session.remote else None
    if answer is None:
        engine = session.engine(writes=True)
        talk = talking.talk(session, engine, kept)
        answer = talk.say if talk else engine.run
    response = answer(asked, screen.show if screen else None, _asker(yes) if confirm else None)
    named = {"conversation": talk.name} if talk and talk.name else {}
    document = response.as_json() | named if as_json else None
    return deliver(response, document, screen, quiet, session.notes.shown)


class Screen:
    """Where a stream goes. A reader who goes away ends it."""

    def __init__(self) -> None:
        self.shown = ""
        self._begun = ""

    def show(self, piece: str) -> None:
        self.shown += piece
        if output.stdout_is_terminal():
            # A control sequence may be cut in two by the stream; it is known for what it is only when it is whole.
            piece = self._begun + piece
            cut = _BEGUN.search(piece)
            self._begun = cut.group() if cut else ""
            piece = piece[: len(piece) - len(self._begun)]
        try:
            output.stream(piece)
        except (BrokenPipeError, ValueError) as error:
            raise ReaderGone from error


def deliver(
    response: AIResponse, document: dict[str, Any] | None, screen: Screen | None, quiet: bool, shown: set[str]
) -> int:
    """Print the answer, or the error; then what should be known of the answer (``shown`` has been), one line each, and for
    the person at the terminal one quiet line. ``document``: what is printed instead under --json.
    """
    as_json = document is not None
    known = response.metadata
    assert known is not None, "only a bad batch row has none"
    if as_json:
        output.emit(document)
    elif response.success and response.result is not None:
        if screen is None or not screen.shown:
            _print(response)
        elif "reader_gone" not in known.flags:
            if not screen.shown.endswith("\n"):
                output.out("")
            _print(response, shown=True)
    if response.error is not None:
        error = NexScoutError(response.error["message"], response.error["suggestion"])
        output.failure(error, as_json=False)
        return response.exit_status
    if known.cache_match == "canonical" and not quiet:
        output.note(
            "note: the cached answer to a request that asks the same in other words; --no-cache asks again, "
            f"`nexscout cache forget {known.request_id}` drops it"
        )
    if not quiet and not as_json:
        for warning in dict.fromkeys(known.warnings):
            if warning not in shown:
                output.note(f"note: {warning}")
    if not quiet and output.stderr_is_terminal():
        output.note(_summary(known))
    return 0


def _print(response: AIResponse, *, shown: bool = False) -> None:
    """The answer on stdout: its text, or the functions it calls; several answers with a line between them.

    ``shown``: the first text was streamed.
    """
    for number, one in enumerate(response.answers):
        if number:
            output.out("---")
        if (one.text or not one.tool_calls) and not (shown and number == 0):
            output.out(one.text, end="" if one.text.endswith("\n") else "\n")
        for call in one.tool_calls:
            output.out(f"{call.name}({call.arguments})")


def _summary(known: Metadata) -> str:
    parts = [str(known.model_used)]
    if known.from_cache:
        parts.append("cached" if known.cache_match == "exact" else "cached, canonical")
    parts += [
        f"{known.input_tokens}+{known.output_tokens} tokens",
        f"${known.cost_usd:.6f}",
        f"{known.energy_cost} energy",
        f"{known.execution_time_ms / 1000:.1f} s",
    ]
    if known.degraded:
        parts.append("degraded")
    return " · ".join(parts)


def _can_ask() -> bool:
    import sys

    return sys.stdin.isatty() and output.stderr_is_terminal()


def _asker(yes: bool) -> Any:
    def ask(plan: Plan) -> bool:
        then = f", then {plan.cascade.strong.model.name} if its answer is doubtful" if plan.cascade else ""
        output.note(
            f"{plan.model.name}{then}: about ${plan.predicted_cost / 1e9:.6f}, at most ${plan.max_cost / 1e9:.6f}; "
            f"{plan.predicted_energy} energy, at most {plan.max_energy}"
        )
        for warning in plan.warnings:
            output.note(f"note: {warning}")
        return yes or choices.asked("Send it?")

    return ask
