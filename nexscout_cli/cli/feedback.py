"""``nexscout feedback``: say whether an answer was good."""

from __future__ import annotations

from typing import Annotated

from nexscout_cli.cli import declared, output
from nexscout_cli.cli.session import Session

app = declared.App()


@app.command()
def feedback(
    request_id: Annotated[str, declared.Argument(help="A request's id, or its first 6 characters or more.")],
    verdict: Annotated[str, declared.Argument(help="good or bad.")],
    note: Annotated[str | None, declared.Option("--note", help="Why, in your own words.")] = None,
    as_json: Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")] = False,
) -> int:
    """Say whether an answer was good. Policies learned and cascade heed it; a second verdict replaces the first.

    \b
    nexscout feedback 3f9a1c good
    nexscout feedback 3f9a1c bad --note "it forgot the date"
    """
    session = Session()
    session.recover()
    given = session.store.feedback.record(session.actor, request_id, verdict, note)
    if as_json:
        output.emit(given._asdict())
    elif output.stderr_is_terminal():
        again = " (it replaces the one before)" if given.replaced else ""
        output.note(f"{given.request_id}: {given.model}'s answer was {given.verdict}{again}")
    return 0
