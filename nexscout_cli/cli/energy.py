"""``nexscout energy``: balances, where energy went, and an admin's grants and corrections."""

from __future__ import annotations

from typing import Annotated

from nexscout_cli.cli import choices, declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.book_types import Energy
from nexscout_cli.errors import UsageError

app = declared.App(no_args_is_help=True)

User = Annotated[str | None, declared.Option("-u", "--user", help="Whose (admins; default: yourself).")]
Whom = Annotated[str, declared.Argument(metavar="USER", help="Who gets it.")]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]


@app.callback()
def energy() -> None:
    """Show, grant and correct energy, the prepaid unit that calls are charged in.

    \b
    nexscout energy show
    nexscout energy history --limit 50
    nexscout energy grant bob 500 --reason "top-up, invoice 1234"
    nexscout energy set bob 0 --reason "account closed"
    """


@app.command()
def show(user: User = None, as_json: AsJson = False) -> int:
    """Show a user's energy and today's tokens.

    \b
    nexscout energy show
    nexscout energy show --user bob --json

    balance = granted − held − spent; held is what calls under way may still cost.
    """
    session = Session()
    _print(session.store.energy.show(session.actor, session.subject(user)), as_json)
    return 0


@app.command()
def history(
    user: User = None,
    limit: Annotated[
        int, declared.Option("--limit", min=1, max=1_000_000, help="How many entries, the latest first.")
    ] = 20,
    as_json: AsJson = False,
) -> int:
    """Show the entries of a user's energy account, the latest first.

    \b
    nexscout energy history
    nexscout energy history --user bob --limit 100 --json

    A call's hold reserves energy; a post turns it into what was charged, a void gives it back.
    """
    session = Session()
    subject = session.subject(user)
    rows = session.store.energy.history(session.actor, subject, limit)
    if len(rows) < limit:
        session.note_archives("holds and charges")
    if as_json:
        output.emit({"user_id": subject, "rows": rows})
        return 0
    names = ("created_at", "kind", "amount", "request_id", "actor", "reason")
    tables.show(
        ("time", "kind", "amount", "request", "actor", "reason"),
        [
            [
                _time(row[name]) if name == "created_at" else row[name] or ("" if name != "amount" else 0)
                for name in names
            ]
            for row in rows
        ],
        right=(2,),
    )
    return 0


@app.command()
def grant(
    user: Whom,
    amount: Annotated[str, declared.Argument(help="Units of energy, a whole number above 0.")],
    reason: Annotated[str, declared.Option("--reason", help="Why; it stays in the books.")] = "granted",
    as_json: AsJson = False,
) -> int:
    """Give a user energy on top of what there is (admins).

    \b
    nexscout energy grant bob 500
    nexscout energy grant bob 500 --reason "top-up, invoice 1234"
    """
    units = choices.whole(amount, "AMOUNT")
    session = Session()
    session.recover()
    _done(session.store.energy.grant(session.actor, user, units, reason), as_json)
    return 0


@app.command("set")
def set_(
    user: Whom,
    amount: Annotated[str, declared.Argument(help="The balance there is to be, a whole number from 0.")],
    reason: Annotated[str | None, declared.Option("--reason", help="Why; it stays in the books. Required.")] = None,
    as_json: AsJson = False,
) -> int:
    """Correct a user's balance by an adjusting entry (admins).

    \b
    nexscout energy set bob 1000 --reason "moved from the old system"
    nexscout energy set bob 0 --reason "account closed"
    """
    units = choices.whole(amount, "AMOUNT")
    if not reason or not reason.strip():
        raise UsageError("a correction needs a reason", f'nexscout energy set {user} {units} --reason "…"')
    session = Session()
    session.recover()
    _done(session.store.energy.set_balance(session.actor, user, units, reason), as_json)
    return 0


def _done(state: Energy, as_json: bool) -> None:
    if as_json:
        output.emit(state._asdict())
    elif output.stderr_is_terminal():
        output.note(f"{state.user_id} has {state.balance:,} energy")


def _print(state: Energy, as_json: bool) -> None:
    if as_json:
        output.emit(state._asdict())
        return
    values = state._asdict()
    tables.pairs(
        (name.replace("_", " "), f"{value:,}" if isinstance(value, int) else value) for name, value in values.items()
    )


def _time(text: object) -> str:
    return str(text)[:19].replace("T", " ")
