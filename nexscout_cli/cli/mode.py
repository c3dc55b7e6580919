"""``nexscout mode``: how dear a model a user's requests may ask for, and panic mode for everyone."""

from __future__ import annotations

from typing import Annotated, Any

from nexscout_cli.cli import choices, declared, output
from nexscout_cli.cli.session import Session
from nexscout_cli.errors import UsageError
from nexscout_cli.terms import MODES

app = declared.App()

User = Annotated[str | None, declared.Option("-u", "--user", help="Whose (admins; default: yourself).")]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]


@app.callback(invoke_without_command=True)
def mode(ctx: declared.Context, user: User = None, as_json: AsJson = False) -> int:
    """Show or set the mode that picks models; alone it shows.

    \b
    nexscout mode
    nexscout mode set pro
    nexscout mode panic on        every request to the cheapest model, until it is off again
    """
    if ctx.invoked_subcommand is None:
        return _show(user, as_json)
    if user is not None or as_json:
        raise UsageError(
            "options stand after the command", f"for instance nexscout mode {ctx.invoked_subcommand} --help"
        )
    return 0


@app.command()
def show(user: User = None, as_json: AsJson = False) -> int:
    """Show a user's mode, the modes of the tier, and whether panic is on.

    \b
    nexscout mode show
    nexscout mode show --user bob --json
    """
    return _show(user, as_json)


@app.command("set")
def set_(
    mode: Annotated[str, declared.Argument(help="auto, fast, pro or expert; the tier says which.")],
    user: User = None,
    as_json: AsJson = False,
) -> int:
    """Set the mode a user's requests run in.

    \b
    nexscout mode set auto        each request's own need decides
    nexscout mode set fast        the cheapest that will do
    nexscout mode set expert --user bob
    """
    if mode == "panic":
        raise UsageError("panic is for the whole installation", "`nexscout mode panic on`")
    choices.one_of(mode, MODES, "mode")
    session = Session()
    session.recover()
    subject = session.subject(user)
    session.store.profiles.set_mode(session.actor, subject, mode)
    return _report(session, subject, as_json, f"{subject} is now in mode {mode}")


@app.command()
def panic(state: Annotated[str, declared.Argument(help="on or off.")], as_json: AsJson = False) -> int:
    """Send every request of everyone to the cheapest model, or end that (admins).

    \b
    nexscout mode panic on
    nexscout mode panic off
    """
    choices.one_of(state, ("on", "off"), "state of panic:")
    session = Session()
    session.recover()
    session.store.profiles.set_panic(session.actor, state == "on")
    return _report(session, session.subject(None), as_json, f"panic is {state}")


def _show(user: str | None, as_json: bool) -> int:
    session = Session()
    facts = _facts(session, session.subject(user))
    if as_json:
        output.emit(facts)
        return 0
    by = {
        None: "off",
        "admin": "on (an admin's; `nexscout mode panic off` ends it)",
        "cap": "on (by itself: 95% of today's dollar cap is spent or held)",
    }
    tier_modes = ", ".join(facts["modes"])
    output.out(
        f"user   {facts['user_id']}\nmode   {facts['mode']}\ntier   {facts['tier']} ({tier_modes})\n"
        f"panic  {by[facts['panic_by']]}"
    )
    return 0


def _facts(session: Session, subject: str) -> dict[str, Any]:
    tier, preferred, _, forced = session.store.profiles.preferences(session.actor, subject)
    panic_by = "admin" if forced else "cap" if _near_cap(session, subject, tier) else None
    return {
        "user_id": subject,
        "tier": tier,
        "mode": preferred,
        "model_mode": "panic" if panic_by else preferred,
        "modes": list(session.settings[f"tiers.{tier}.modes"]),
        "panic": panic_by is not None,
        "panic_by": panic_by,
    }


def _near_cap(session: Session, subject: str, tier: str) -> bool:
    """Whether panic has set in by itself."""
    from nexscout_cli.engine.budgets import budgets, presses

    dollars = [
        budget for budget in budgets(session.settings, tier) if budget.is_daily_dollars and budget.cap is not None
    ]
    used = session.store.energy.used(session.actor, subject, dollars) if dollars else {}
    return any(presses(budget, gone) for budget, gone in used.items())


def _report(session: Session, subject: str, as_json: bool, line: str) -> int:
    if as_json:
        output.emit(_facts(session, subject))
    elif output.stderr_is_terminal():
        output.note(line)
    return 0
