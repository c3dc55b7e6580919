"""``nexscout budget``: what a user, a key, a tag, a feature, a tier or the installation may spend."""

from __future__ import annotations

from typing import Annotated

from nexscout_cli.cli import declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.budget_words import budget_of, budget_text
from nexscout_cli.engine.budgets import ALL_WINDOWS, INSTALLATION, SHARED_KINDS, Budget, owner_of
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.names import check_user
from nexscout_cli.errors import UsageError
from nexscout_cli.terms import TIERS

app = declared.App(no_args_is_help=True)

User = Annotated[str | None, declared.Option("-u", "--user", help="A user's budget.")]
Key = Annotated[str | None, declared.Option("--key", help="A key's budget.")]
Tag = Annotated[str | None, declared.Option("--tag", help="The budget of all requests with a tag.")]
Feature = Annotated[str | None, declared.Option("--feature", help="The budget of all requests of a feature.")]
Tier = Annotated[str | None, declared.Option("--tier", help="The budget that all users of a tier share.")]
All = Annotated[bool, declared.Option("--installation", help="The budget of all requests.")]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]


@app.callback()
def budget() -> None:
    """Set what a user, a key, a tag, a feature, a tier or all together may spend in a day, a week, a month, or ever.

    \b
    nexscout budget set 5/day --user ana
    nexscout budget set 100/month --tag project-x
    nexscout budget set 200000t/week --key ana-1
    nexscout budget set 10/day --feature ai_deepscan
    nexscout budget set 300/week --installation
    nexscout budget list
    """


@app.command("set")
def set_(
    amount: Annotated[
        str, declared.Argument(help="Dollars, or tokens with a t: 5/day, 20/week, 200000t/month, 50/ever.")
    ],
    user: User = None,
    key: Key = None,
    tag: Tag = None,
    feature: Feature = None,
    tier: Tier = None,
    installation: All = False,
) -> int:
    """Set a budget (admins). What was used before does not count.

    \b
    nexscout budget set 5/day --user ana
    nexscout budget set 100/month --tag project-x
    """
    scope, owner = _whose(user, key, tag, feature, tier, installation=installation)
    session = Session()
    session.recover()
    session.store.budgets.set(session.actor, budget_of(amount, scope, owner, "AMOUNT"))
    return 0


@app.command()
def remove(
    window: Annotated[str, declared.Argument(help="day, week, month or ever.")],
    user: User = None,
    key: Key = None,
    tag: Tag = None,
    feature: Feature = None,
    tier: Tier = None,
    installation: All = False,
    tokens: Annotated[bool, declared.Option("--tokens", help="The one in tokens, not dollars.")] = False,
) -> int:
    """Take a budget away (admins).

    \b
    nexscout budget remove day --user ana
    """
    if window not in ALL_WINDOWS:
        raise UsageError(f"there is no window {window!r:.40}", f"one of: {', '.join(ALL_WINDOWS)}")
    scope, owner = _whose(user, key, tag, feature, tier, installation=installation)
    session = Session()
    session.store.budgets.set(session.actor, Budget("tokens" if tokens else "usd", scope, window, None, owner))
    return 0


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """List the budgets, with what is used of each in its present window.

    \b
    nexscout budget list
    nexscout budget list --json
    """
    session = Session()
    found = session.store.budgets.listing(session.actor)
    used = session.store.energy.used(session.actor, session.actor, found)
    rows = [
        {
            "of": _told(one.owner),
            "unit": one.unit,
            "window": one.window,
            "cap": one.cap if one.unit == "tokens" else usd(one.cap or 0),
            "used": used[one].all if one.unit == "tokens" else usd(used[one].all),
        }
        for one in found
    ]
    if as_json:
        output.emit({"rows": rows})
        return 0
    shown = [[str(row["of"]), budget_text(one), f"{row['used']:,}"] for row, one in zip(rows, found, strict=True)]
    tables.show(("of", "budget", "used"), shown, right=(2,))
    return 0


def _told(owner: str) -> str:
    """Whose a budget is, as people name it."""
    kind, _, name = owner.removeprefix("*").partition(":")
    return kind if kind == "installation" else f"{'user' if kind == 'name' else kind}:{name}"


def _whose(
    user: str | None, key: str | None, tag: str | None, feature: str | None, tier: str | None, *, installation: bool
) -> tuple[str, str]:
    """The scope and the owner. Raises UsageError unless one is named, and there is such a one."""
    everyone = INSTALLATION if installation else None
    given = (
        *(("name", user), ("key", key), ("tag", tag), ("feature", feature), ("tier", tier)),
        ("installation", everyone),
    )
    named = [(scope, name) for scope, name in given if name]
    if len(named) != 1:
        raise UsageError(
            "name one: --user, --key, --tag, --feature, --tier or --installation",
            "nexscout budget set 5/day --user ana",
        )
    if user:
        check_user(user)
    if tier and tier not in TIERS:
        raise UsageError(f"there is no tier {tier!r:.40}", f"one of: {', '.join(TIERS)}")
    if feature and not feature.startswith("ai_"):
        raise UsageError(f"a feature's name begins with ai_: {feature!r:.40}", "for instance ai_message")
    scope, name = named[0]
    return "tag" if scope in SHARED_KINDS else scope, owner_of(scope, name)
