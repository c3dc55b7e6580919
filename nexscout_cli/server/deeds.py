"""What an admin may do on the pages: each deed is read from a form, said in words, and done as the command line does it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.config import SETTINGS, parse
from nexscout_cli.config.limits import is_limit
from nexscout_cli.engine.api_keys import check_name, digest, ends_at, free_name, models_in, names_in, new_secret
from nexscout_cli.engine.book_types import MAX_ENERGY, ApiKey
from nexscout_cli.engine.budget_words import budget_of, budget_text
from nexscout_cli.engine.budgets import owner_of
from nexscout_cli.engine.catalog import keeping, rules
from nexscout_cli.engine.catalog.deploying import Place
from nexscout_cli.engine.names import check_user
from nexscout_cli.errors import ConfigError, UsageError
from nexscout_cli.terms import MODES, ROLES, TIERS

if TYPE_CHECKING:
    from nexscout_cli.engine.store_ports import Store

Fields = dict[str, str]
LIMITS = tuple(name for name in SETTINGS if is_limit(name))
"""The settings that stand in the database."""


class Deed(NamedTuple):
    """Something that is to be done: ``asks`` for it and ``says`` that it was, in words; ``work`` does it, and returns a secret
    that is shown once, or None. ``heavy``: it takes something away, or concerns everybody. ``settled``: fields that were open
    and are settled now, so that what is done is what was asked about.
    """

    asks: str
    says: str
    work: Callable[[], str | None]
    heavy: bool = False
    settled: tuple[tuple[str, str], ...] = ()


def read(store: Store, actor: str, fields: Fields) -> Deed:
    """The deed that a form asks for. Raises UsageError for one that there is not, and for what is wrong in its fields."""
    made = _DEEDS.get(fields.get("do", ""))
    if made is None:
        raise UsageError("there is no such action", "load the page again")
    return made(store, actor, {name: value.strip() for name, value in fields.items()})


def _user(fields: Fields) -> str:
    name = fields.get("user", "")
    check_user(name)
    return name


def _word(fields: Fields, name: str, known: tuple[str, ...]) -> str:
    value = fields.get(name, "")
    if value not in known:
        raise UsageError(f"there is no {name} {value!r:.40}", f"one of: {', '.join(known)}")
    return value


def _whole(fields: Fields, name: str, least: int, most: int) -> int:
    text = fields.get(name, "").replace(",", "")
    if not text.isascii() or not text.isdecimal() or not least <= int(text[:20]) <= most:
        raise UsageError(f"{name} cannot be {text!r:.40}", f"a whole number from {least:,} to {most:,}")
    return int(text)


def _done(work: Callable[[], Any]) -> Callable[[], None]:
    def do() -> None:
        work()

    return do


def said_of(value: Any) -> str:
    """A setting's value as a person types it."""
    return "none" if value is None else ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _tier(store: Store, actor: str, fields: Fields) -> Deed:
    user, tier = _user(fields), _word(fields, "tier", TIERS)
    known = store.users.find(actor, user)
    now = f"in tier {known[1]} now" if known else "new: nobody is called so yet"
    return Deed(
        f"Give {user} the tier {tier}? {user} is {now}. What a higher tier has more of energy is granted at once.",
        f"{user} is now in tier {tier}.",
        _done(lambda: store.users.set_tier(actor, user, tier)),
    )


def _role(store: Store, actor: str, fields: Fields) -> Deed:
    user, role = _user(fields), _word(fields, "role", ROLES)
    means = {
        "admin": "may do everything",
        "member": "may do their own",
        "reader": "may look at their own, and not spend",
    }
    return Deed(
        f"Make {user} {role}, who {means[role]}?",
        f"{user} is now {role}.",
        _done(lambda: store.users.set_role(actor, user, role)),
        heavy=role == "admin",
    )


def _mode(store: Store, actor: str, fields: Fields) -> Deed:
    user, mode = _user(fields), _word(fields, "mode", MODES)
    return Deed(
        f"Let {user}’s requests run in mode {mode}?",
        f"{user} is now in mode {mode}.",
        _done(lambda: store.profiles.set_mode(actor, user, mode)),
    )


def _grant(store: Store, actor: str, fields: Fields) -> Deed:
    user, units = _user(fields), _whole(fields, "energy", 1, MAX_ENERGY)
    reason = fields.get("reason") or "granted"
    has = store.energy.show(actor, user).balance
    return Deed(
        f"Give {user} {units:,} energy on top of the {has:,} there is? Reason: {reason}",
        f"{user} was given {units:,} energy.",
        _done(lambda: store.energy.grant(actor, user, units, reason)),
    )


def _panic(store: Store, actor: str, fields: Fields) -> Deed:
    on = _word(fields, "panic", ("on", "off")) == "on"
    return Deed(
        "Send every request of everyone to the cheapest model, until it is off again?"
        if on
        else "End panic, so that each request gets the model it needs?",
        f"Panic is {'on' if on else 'off'}.",
        _done(lambda: store.profiles.set_panic(actor, on)),
        heavy=on,
    )


def _model(store: Store, actor: str, fields: Fields) -> Deed:
    name, on = fields.get("model", ""), _word(fields, "state", ("on", "off")) == "on"
    rules.find(store.catalog.models(actor), name)
    return Deed(
        f"Let {name} be used?" if on else f"Keep {name} from being used, by anybody?",
        f"{name} is {'enabled' if on else 'disabled'}.",
        _done(lambda: keeping.enable(store.catalog, actor, name, on)),
        heavy=not on,
    )


def _place(store: Store, actor: str, fields: Fields) -> Deed:
    """Other limits of a deployment; a field that is left empty stays as it is, and 0 is any number."""
    model, name = _deployment(store, actor, fields)
    given: dict[str, Any] = {
        of: _whole(fields, of, 0, 1000 if of == "weight" else 10**9) for of in _PLACE if fields.get(of)
    }
    if not given:
        raise UsageError("nothing is said of the deployment", "fill in what is to change")
    said = ", ".join(
        f"{words} {given[of] or 'any' if of != 'weight' else given[of]}" for of, words in _PLACE.items() if of in given
    )
    return Deed(
        f"Give {model} at {name}: {said}?",
        f"{model} at {name} has: {said}.",
        _done(
            lambda: keeping.deploy(store.catalog, actor, model, name, Place()._replace(**given), lambda target: None)
        ),
    )


def _no_place(store: Store, actor: str, fields: Fields) -> Deed:
    model, name = _deployment(store, actor, fields)
    return Deed(
        f"Ask {model} at {name} no more?",
        f"{model} is not served at {name} any more.",
        _done(lambda: keeping.undeploy(store.catalog, actor, model, name)),
        heavy=True,
    )


def _deployment(store: Store, actor: str, fields: Fields) -> tuple[str, str]:
    """A model and one of its deployments. Raises UsageError where there is none."""
    found, name = rules.find(store.catalog.models(actor), fields.get("model", "")), fields.get("deployment", "")
    if name not in (one.name for one in found.deployments):
        raise UsageError(f"{found.name} has no deployment {name!r:.80}", "load the page again")
    return found.name, name


_PLACE = {"weight": "weight", "rpm": "requests a minute", "tpm": "tokens a minute", "concurrency": "calls at once"}


def _new_key(store: Store, actor: str, fields: Fields) -> Deed:
    user = _user(fields)
    name = fields.get("name") or free_name(user, (key.id for key in store.keys.listing(actor)))
    check_name(name)
    budgets = [budget_of(text, "key", owner_of("key", name), "the budget") for text in names_in(fields.get("budget"))]
    rpm = _whole(fields, "rpm", 1, 10**6) if fields.get("rpm") else None
    ends = ends_at(fields.get("expires") or None, datetime.now(UTC))
    named = models_in(fields.get("models") or None, store.catalog.models(actor))
    key = ApiKey(name, user, named, rpm, expires_at=ends)
    limits = [
        f"models: {', '.join(key.models) or 'all'}",
        f"budget: {', '.join(map(budget_text, budgets)) or 'none of its own'}",
        f"requests a minute: {rpm or 'any number'}",
        f"ends: {f'{ends:%Y-%m-%d %H:%M} UTC' if ends else 'never'}",
    ]

    def work() -> str:
        secret = new_secret()
        store.keys.create(actor, key, digest(secret), budgets)
        return secret

    asks = f"Make the key {name} of {user}? {'; '.join(limits)}."
    return Deed(asks, f"The key {name} of {user} is made.", work, settled=(("name", name),))


def _revoke(store: Store, actor: str, fields: Fields) -> Deed:
    name = fields.get("key", "")
    found = next((key for key in store.keys.listing(actor) if key.id == name), None)
    if found is None:
        raise UsageError(f"there is no key {name!r:.80}", "load the page again")
    return Deed(
        f"End the key {name} of {found.user_id} for good? What uses it is refused within five seconds.",
        f"{name} is revoked.",
        _done(lambda: store.keys.revoke(actor, name)),
        heavy=True,
    )


def _budget(store: Store, actor: str, fields: Fields) -> Deed:
    scope, name = _word(fields, "of", ("user", "key", "tag")), fields.get("name", "")
    if not name:
        raise UsageError("it is not said whose budget it is", "the name of a user, a key or a tag")
    if scope == "user":
        check_user(name)
    kind = "name" if scope == "user" else scope
    budget = budget_of(fields.get("amount", ""), kind, owner_of(kind, name), "the budget")
    return Deed(
        f"Let {scope} {name} spend {budget_text(budget)} at the most? What was used before does not count.",
        f"{scope} {name} may spend {budget_text(budget)}.",
        _done(lambda: store.budgets.set(actor, budget)),
    )


def _no_budget(store: Store, actor: str, fields: Fields) -> Deed:
    owner, unit, window = fields.get("owner", ""), fields.get("unit", ""), fields.get("window", "")
    found = [one for one in store.budgets.listing(actor) if (one.owner, one.unit, one.window) == (owner, unit, window)]
    if not found:
        raise UsageError("there is no such budget", "load the page again")
    who = owner.removeprefix("*").replace("name:", "user ", 1).replace(":", " ", 1)
    return Deed(
        f"Take the budget of {budget_text(found[0])} from {who}?",
        f"{who} has no budget a {window} any more.",
        _done(lambda: store.budgets.set(actor, found[0]._replace(cap=None))),
        heavy=True,
    )


def _limit(store: Store, actor: str, fields: Fields) -> Deed:
    name, text = fields.get("limit", ""), fields.get("value", "")
    if name not in LIMITS:
        raise UsageError(f"there is no limit {name!r:.80}", "load the page again")
    try:
        value = parse(name, text, "config set")
    except ConfigError as error:
        raise UsageError(error.message, error.suggestion) from error
    rows, _ = store.limits.read(actor)
    now = said_of(rows[name]) if name in rows else f"{said_of(SETTINGS[name].default)}, the default,"
    if value is None:
        work = _done(lambda: store.limits.remove(actor, name))
    else:
        work = _done(lambda: store.limits.set(actor, name, value))
    return Deed(
        f"Let {name} be {said_of(value)}? It is {now} now. {SETTINGS[name].doc} The server goes by it when it next begins.",
        f"{name} is {said_of(value)}.",
        work,
        heavy=True,
    )


_DEEDS: dict[str, Callable[[Store, str, Fields], Deed]] = {
    "tier": _tier,
    "role": _role,
    "mode": _mode,
    "grant": _grant,
    "panic": _panic,
    "model": _model,
    "new-key": _new_key,
    "revoke": _revoke,
    "budget": _budget,
    "no-budget": _no_budget,
    "limit": _limit,
    "place": _place,
    "no-place": _no_place,
}
