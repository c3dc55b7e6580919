"""``nexscout alerts``: a word in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from nexscout_cli.cli import declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.alerts import Notice, Rule

app = declared.App(no_args_is_help=True)

AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]


@app.callback()
def alerts() -> None:
    """Be told when spending, errors, energy or unknown holds cross a bound (admins). Each goes off once a window.

    \b
    nexscout alerts add --when "spend day > 80% of cap" --notify webhook:https://example.com/hook
    nexscout alerts add --when "spend month > 50" --for user:ana --notify file:/var/log/nexscout-alerts.jsonl
    nexscout alerts check && nexscout alerts send      from cron, every minute or five
    nexscout alerts history
    """


@app.command()
def add(
    when: Annotated[
        str, declared.Option("--when", help="What crosses what: 'spend day > 80% of cap', 'errors day > 10%'.")
    ],
    notify: Annotated[
        str, declared.Option("--notify", help="webhook:URL, slack:URL, discord:URL, command:CMD or file:PATH.")
    ],
    whose: Annotated[
        str,
        declared.Option(
            "--for", help="everyone, users (each for itself), user:NAME, key:NAME, tag:NAME or feature:NAME."
        ),
    ] = "everyone",
    secret_env: Annotated[
        str | None, declared.Option("--secret-env", help="The variable whose value webhooks are signed with.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Add an alert.

    \b
    nexscout alerts add --when "unusual day > 3x" --for users --notify slack:https://hooks.slack.com/services/…
    nexscout alerts add --when "energy < 100" --for user:ana --notify "command:notify-send nexscout"
    """
    from nexscout_cli.engine.alerts import parse

    if secret_env is not None and not notify.startswith("webhook:"):
        raise UsageError("--secret-env signs webhooks alone", "leave it out")
    rule = parse(when, whose, notify, secret_env)
    session = Session(makes=True)
    number = session.store.alerts.add(session.actor, rule)
    if as_json:
        output.emit(_rule(rule._replace(id=number)))
    else:
        output.out(str(number))
        if output.stderr_is_terminal():
            output.note(
                "`nexscout serve` tells of what goes off; without a server let cron call `nexscout alerts send`"
            )
    return 0


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """List the alerts there are.

    \b
    nexscout alerts list
    """
    session = Session()
    rules = session.store.alerts.listing(session.actor)
    if as_json:
        output.emit({"rows": [_rule(rule) for rule in rules]})
        return 0
    shown = [
        [str(one["alert"]), one["when"], one["for"], one["notify"], one["created_by"]] for one in map(_rule, rules)
    ]
    tables.show(("alert", "when", "for", "tells", "by"), shown, right=(0,))
    return 0


@app.command()
def remove(
    number: Annotated[int, declared.Argument(metavar="ID", min=1, max=2**31 - 1, help="The alert's number.")],
) -> int:
    """Remove an alert with its history.

    \b
    nexscout alerts remove 2
    """
    session = Session()
    session.store.alerts.remove(session.actor, number)
    return 0


@app.command()
def check(as_json: AsJson = False) -> int:
    """Look at every alert now. Postings look at spend and tokens by themselves; the rest waits for this, from cron.

    \b
    nexscout alerts check
    """
    session = Session()
    went_off = session.store.alerts.check(session.actor)
    if as_json:
        output.emit({"went_off": went_off})
    return 0


@app.command()
def send(as_json: AsJson = False) -> int:
    """Tell of what went off, each notice once; what fails is tried again later: after 1, 4, 16 … minutes, 12 times.

    \b
    nexscout alerts send
    """
    from nexscout_cli.notify import tell_due

    session, told, failed = Session(), 0, 0
    for notice, error in tell_due(session.store.alerts, session.actor):
        told += error is None
        failed += error is not None
        if error is not None and output.stderr_is_terminal():
            output.note(f"alert {notice.alert} is not told: {error}")
    if as_json:
        output.emit({"told": told, "failed": failed})
    return 0


@app.command()
def history(
    limit: Annotated[int, declared.Option("-n", "--limit", min=1, max=10_000, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> int:
    """Show what went off, and whether it was told.

    \b
    nexscout alerts history
    """
    session = Session()
    from nexscout_cli.engine.alerts import outcome

    found = session.store.alerts.history(session.actor, limit)
    rows = [_notice(one) for one in found]
    if as_json:
        output.emit({"rows": rows})
        return 0
    tables.show(
        ("when", "alert", "what", "for", "window", "value", "bound", "told"),
        [
            [
                *(row["fired_at"][:16].replace("T", " "), str(row["alert"]), row["when"], row["for"], row["period"]),
                *(row["value"], row["bound"], outcome(one)),
            ]
            for row, one in zip(rows, found, strict=True)
        ],
        right=(1, 5, 6),
    )
    return 0


def _rule(rule: Rule) -> dict[str, Any]:
    from nexscout_cli.engine.alerts import address

    return {
        "alert": rule.id,
        "when": rule.when_text,
        "for": f"{rule.scope}:{rule.subject}" if rule.subject else rule.scope,
        "notify": address(rule.notify),
        "secret_env": rule.secret_env,
        "created_by": rule.created_by,
    }


def _notice(one: Notice) -> dict[str, Any]:
    from nexscout_cli.engine.alerts import amount

    return {
        "id": one.id,
        "alert": one.alert,
        "when": one.when_text,
        "for": f"{one.scope}:{one.subject}" if one.subject else one.scope,
        "period": one.period,
        "value": amount(one.metric, one.value),
        "bound": amount(one.metric, one.bound),
        "fired_at": one.fired_at,
        "state": one.state,
        "tries": one.tries,
        "sent_at": one.sent_at,
        "error": one.error,
    }
