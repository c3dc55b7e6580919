"""The Admin page: what there is, and forms. Each action asks once, is done once, in the name of who is signed in, and is said."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from nexscout_cli.config import SETTINGS
from nexscout_cli.engine.budget_words import budget_text
from nexscout_cli.engine.budgets import owner_of
from nexscout_cli.engine.deployment import Use
from nexscout_cli.server import deeds, errors, web
from nexscout_cli.terms import MODES, ROLES, TIERS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.store_ports import Store
    from nexscout_cli.server.sessions import Session
    from nexscout_cli.server.site import Route, Site

_SHOWN = 50
"""Users that the page shows; the others are found by their name."""
_MOST = 1_000
_OURS = ("form", "once")


class Admin:
    """The page over a site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[tuple[str, str, Route]]:
        """Path, method and handler."""
        guard = self._site.signed_in
        return [
            ("/admin", "GET", guard(self._page)),
            ("/admin", "POST", guard(self._ask)),
            ("/admin/do", "POST", guard(self._do)),
        ]

    def _check(self, session: Session) -> None:
        """Raises HttpError 403 for whoever may not administer here."""
        if not self._site.store.users.is_admin(session.actor):
            raise errors.HttpError(403, "this page is for admins", "ask one", code="not_permitted")
        if session.key is None:
            return
        # A key that an application was given for a purpose must not make another one without its bounds.
        store = self._site.store
        key = store.keys.find(session.key)
        if key is None:
            raise errors.HttpError(401, "the key has ended", "sign in again", code="no_key")
        bounded = (
            key.models
            or key.rpm
            or any(one.owner == owner_of("key", key.id) for one in store.budgets.listing(session.actor))
        )
        if bounded:
            what = "a key with bounds of its own cannot be used to administer"
            raise errors.HttpError(403, what, "sign in by `nexscout open`", code="not_permitted")

    async def _page(self, request: Request, session: Session) -> Response:
        return web.page("site_admin.html", await self._site.threads.do(lambda: self._values(request, session)))

    def _values(self, request: Request, session: Session) -> dict[str, Any]:
        self._check(session)
        store, actor = self._site.store, session.actor
        around = self._site.around(self._site.asked(request, session), "admin")
        sought = around["words"]["q"].casefold()
        users = [one for one in store.users.listing(actor) if sought in one.user_id.casefold()]
        budgets: dict[str, list[str]] = {}
        for one in store.budgets.listing(actor):
            budgets.setdefault(one.owner, []).append(budget_text(one))
        keys = [
            {
                "id": key.id,
                "user": key.user_id,
                "models": ", ".join(key.models) or "all",
                "budgets": ", ".join(budgets.get(owner_of("key", key.id), [])) or "–",
                "rpm": key.rpm or "–",
                "ends": f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "–",
                "used": f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never",
            }
            for key in store.keys.listing(actor)
            if key.revoked_at is None
        ]
        models = [one for one in store.catalog.models(actor) if not one.retired]
        with self._site.document.open("said to admins") as waiting:
            said = waiting.pop(session.form, "")
        shown = {
            "said": said,
            "panic": store.profiles.preferences(actor, actor).panic,
            "users": users[:_SHOWN],
            "more": max(0, len(users) - _SHOWN),
            "keys": keys,
            "models": models,
            "budgets": [(one, budget_text(one)) for one in store.budgets.listing(actor)],
        }
        shown["places"] = [place for one in models for place in _deployed(store, actor, one)]
        rows, _ = store.limits.read(actor)
        shown["limits"] = [
            {
                "name": name,
                "value": deeds.said_of(rows.get(name, SETTINGS[name].default)),
                "from": "set here" if name in rows else "the default",
                "doc": SETTINGS[name].doc,
            }
            for name in deeds.LIMITS
        ]
        return shown | {"tiers": TIERS, "roles": ROLES[::-1], "modes": MODES} | around

    async def _ask(self, request: Request, session: Session) -> Response:
        """Say what is about to be done, and ask."""
        fields = await web.own_form(request, session)

        def make() -> dict[str, Any]:
            self._check(session)
            deed = deeds.read(self._site.store, session.actor, fields)
            kept = {name: value for name, value in fields.items() if name not in _OURS} | dict(deed.settled)
            shown = {"asks": deed.asks, "heavy": deed.heavy, "fields": kept, "once": self._once(session)}
            return shown | self._site.around(self._site.asked(request, session), "admin")

        return web.page("site_confirm.html", await self._site.threads.do(make))

    def _once(self, session: Session) -> str:
        """What lets this session do one thing once: a form sent twice must not grant twice."""
        token = secrets.token_urlsafe(16)
        with self._site.document.open("asked of admins") as asked:
            while len(asked) >= _MOST:
                del asked[next(iter(asked))]
            asked[token] = session.form
        return token

    async def _do(self, request: Request, session: Session) -> Response:
        """Do what was asked about."""
        fields = await web.own_form(request, session)

        def work() -> tuple[deeds.Deed, str | None]:
            self._check(session)
            deed = deeds.read(self._site.store, session.actor, fields)
            with self._site.document.open("asked of admins") as asked:
                is_asked = asked.pop(fields.get("once", ""), None) == session.form
            if not is_asked:
                what = "this was done already, or never asked"
                raise errors.HttpError(409, what, "look at /admin before you do it again", code="done_already")
            secret = deed.work()
            with self._site.document.open("said to admins") as waiting:
                if len(waiting) >= _MOST:
                    waiting.clear()
                waiting[session.form] = deed.says
            return deed, secret

        deed, secret = await self._site.threads.do(work)
        if secret is None:
            return web.go("/admin")

        def around() -> dict[str, Any]:
            return self._site.around(self._site.asked(request, session), "admin")

        return web.page("site_secret.html", {"secret": secret, "says": deed.says} | await self._site.threads.do(around))


def _deployed(store: Store, actor: str, model: Model) -> list[dict[str, Any]]:
    """Where a model is served, and how each place is used now."""
    uses = store.catalog.uses(actor, model) if model.deployments else {}
    return [
        {
            "model": model.name,
            "name": place.name,
            "calls": model.at(place).litellm_model,
            "weight": place.weight,
            "limits": ", ".join(
                f"{limit:,} {words}"
                for limit, words in ((place.rpm, "rpm"), (place.tpm, "tpm"), (place.concurrency, "at once"))
                if limit is not None
            ),
            "latency": use.latency_ms,
            "errors": use.error_rate,
            "cooling": use.cooling,
            "failure": use.failure,
        }
        for place in model.deployments
        for use in (uses.get(place.name, Use()),)
    ]
