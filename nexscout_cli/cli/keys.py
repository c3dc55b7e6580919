"""``nexscout keys``: keys of the server, each of a user."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from nexscout_cli.cli import declared, model_key, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.book_types import ApiKey
from nexscout_cli.engine.budget_words import budget_of, budget_text
from nexscout_cli.engine.budgets import owner_of

app = declared.App(no_args_is_help=True)
app.commands += [declared.Command(name, model_key.FUNCTIONS[name], {}) for name in ("set", "rm")]

Name = Annotated[str, declared.Argument(metavar="KEY", help="The key's name.")]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]


@app.callback()
def keys() -> None:
    """Make keys for the server, list them, end them. `set` and `rm` keep a provider's key, as `nexscout models key` does.

    \b
    nexscout keys create --user ana --expires 90d --budget 5/day --rpm 60
    nexscout keys list
    nexscout keys revoke ana-1
    nexscout keys set openai
    """


@app.command()
def create(
    user: Annotated[str | None, declared.Option("-u", "--user", help="Whose key it is (default: yourself).")] = None,
    name: Annotated[
        str | None, declared.Option("--name", help="The key's name (default: the user's, and a number).")
    ] = None,
    expires: Annotated[str | None, declared.Option("--expires", help="When it ends: 90d, 12h or 2027-01-31.")] = None,
    models: Annotated[str | None, declared.Option("--models", help="The only models it may name, by commas.")] = None,
    budget: Annotated[
        list[str] | None,
        declared.Option("--budget", help="What it may spend: 5/day, 20/week, 50/month; may be repeated."),
    ] = None,
    rpm: Annotated[int | None, declared.Option("--rpm", min=1, max=10**6, help="Requests a minute.")] = None,
    as_json: AsJson = False,
) -> int:
    """Make a key and show it, once: it is kept as a hash only.

    \b
    nexscout keys create --user ana --expires 90d
    nexscout keys create --user app --models gpt-4o-mini,auto --budget 20/month --budget 2/day
    """
    from nexscout_cli.engine.api_keys import check_name, digest, ends_at, free_name, models_in, new_secret

    session = Session()
    session.recover()
    subject = session.subject(user)
    name = name or free_name(subject, (key.id for key in session.store.keys.listing(session.actor)))
    check_name(name)
    budgets = [budget_of(text, "key", owner_of("key", name), "--budget") for text in budget or []]
    secret = new_secret()
    named = models_in(models, session.store.catalog.models(session.actor))
    key = ApiKey(name, subject, named, rpm, expires_at=ends_at(expires, datetime.now(UTC)))
    session.store.keys.create(session.actor, key, digest(secret), budgets)
    if as_json:
        output.emit({"key": secret, **_row(key), "budgets": [budget_text(one) for one in budgets]})
    else:
        output.out(secret)
        output.note(f"key {name} of {subject}; it is shown this once and cannot be read again")
    return 0


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """List keys without their secrets; without the role of admin you see your own.

    \b
    nexscout keys list
    nexscout keys list --json
    """
    session = Session()
    found = session.store.keys.listing(session.actor)
    budgets: dict[str, list[str]] = {}
    for budget in session.store.budgets.listing(session.actor):
        budgets.setdefault(budget.owner, []).append(budget_text(budget))
    rows = [_row(key) | {"budgets": budgets.get(owner_of("key", key.id), [])} for key in found]
    if as_json:
        output.emit({"rows": rows})
        return 0
    tables.show(
        ("key", "user", "models", "budgets", "a minute", "ends", "last used"),
        [
            [
                row["key_id"],
                row["user_id"],
                ", ".join(row["models"]) or "all",
                ", ".join(row["budgets"]) or "–",
                str(row["rpm"] or "–"),
                "revoked" if row["revoked_at"] else (row["expires_at"] or "–")[:10],
                (row["last_used_at"] or "never")[:16].replace("T", " "),
            ]
            for row in rows
        ],
    )
    return 0


@app.command()
def revoke(name: Name) -> int:
    """End a key for good. A server that runs takes it for five seconds more at most.

    \b
    nexscout keys revoke ana-1
    """
    session = Session()
    session.store.keys.revoke(session.actor, name)
    if output.stderr_is_terminal():
        output.note(f"{name} is revoked")
    return 0


@app.command()
def rotate(name: Name, as_json: AsJson = False) -> int:
    """Give a key another secret and show it, once; the old one ends.

    \b
    nexscout keys rotate ana-1
    """
    from nexscout_cli.engine.api_keys import digest, new_secret

    session = Session()
    secret = new_secret()
    session.store.keys.rotate(session.actor, name, digest(secret))
    if as_json:
        output.emit({"key": secret, "key_id": name})
    else:
        output.out(secret)
    return 0


def _row(key: ApiKey) -> dict[str, Any]:
    times = {name: (when := getattr(key, name)) and when.isoformat() for name in key._fields if name.endswith("_at")}
    return {"key_id": key.id, "user_id": key.user_id, "models": list(key.models), "rpm": key.rpm, **times}
