"""The pages of the server: sign in, look at reports and requests, export tables. They read and change nothing."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from nexscout_cli.engine.money import usd
from nexscout_cli.engine.report_window import Only, between, zone
from nexscout_cli.engine.reports.build import COLUMNS, OF_WHOLES
from nexscout_cli.engine.reports.build import report as built
from nexscout_cli.errors import NexScoutError, NotPermitted, UsageError
from nexscout_cli.jsontext import dumps
from nexscout_cli.server import errors, web
from nexscout_cli.server.sessions import COOKIE, FORM_COOKIE, LASTS, Session, Sessions, same

if TYPE_CHECKING:
    from starlette.requests import Request

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.report_window import Window
    from nexscout_cli.engine.store_ports import Store
    from nexscout_cli.pages.facts import Facts
    from nexscout_cli.server.board import Document
    from nexscout_cli.server.running import Threads

Handler = Callable[["Request"], Awaitable[Response]]
Route = Callable[[object, "Request"], Awaitable[Response]]
"""A handler as the application has it, with its server, which pages don't need."""

SINCE = "30d"
TIMES = ("24h", "7d", "30d", "90d", "month", "last-month")
"""Windows that are a click away."""
_KEPT = ("since", "until", "tz", "user", "model", "feature")
"""Words of an address that go with one from page to page."""
_LIMITS = 200
_LOG, _LOG_MOST = 100, 1_000
"""Requests that the log shows, and among how many of the latest it searches."""
PAGES = {
    "/": "overview",
    **{f"/{name}": name for name in ("users", "models", "providers", "accuracy", "cache", "unprofitable")},
}
"""The pages of reports: address and name."""
OTHERS = {f"/{name}": name for name in ("limits", "requests", "try")}
FOR_ADMINS = {"/admin": "admin"}


class Asked(NamedTuple):
    """What a page is asked for: who asks, the words of the address, the window."""

    session: Session
    words: dict[str, str]
    window: Window
    user: str | None


class Site:
    """The pages over a store. ``secret`` signs one-time links; ``document`` keeps what goes from one request to the next."""

    def __init__(self, store: Store, settings: Settings, threads: Threads, secret: bytes, document: Document) -> None:
        self.store, self.settings, self.threads, self.document = store, settings, threads, document
        self._sessions = Sessions(store, secret, document)

    def routes(self) -> list[tuple[str, str, Route]]:
        """Path, method and handler of each page."""
        reports = [(path, "GET", self.signed_in(self._report_page(name))) for path, name in PAGES.items()]
        return [
            *reports,
            ("/limits", "GET", self.signed_in(self._limits)),
            ("/requests", "GET", self.signed_in(self._log)),
            ("/requests/{request_id}", "GET", self.signed_in(self._request)),
            ("/export/{name}.{kind}", "GET", self.signed_in(self._export)),
            ("/chart/{name}.svg", "GET", self.signed_in(self._chart)),
            ("/charts.js", "GET", self.signed_in(self._script)),
            ("/sign-in", "GET", self._safely(self._sign_in_form)),
            ("/sign-in", "POST", self._safely(self._sign_in)),
            ("/sign-in/link", "GET", self._safely(self._sign_in_by_link)),
            ("/sign-out", "POST", self._safely(self._sign_out)),
        ]

    def _safely(self, handle: Handler) -> Route:
        """A handler whose failures are pages."""

        async def safely(_: object, request: Request) -> Response:
            try:
                return await handle(request)
            except NexScoutError as error:
                status = getattr(error, "status", None) or errors.status_of(error.as_json(), error.exit_status)
                shown = {"message": error.message, "suggestion": error.suggestion}
                return web.page("error.html", {"error": shown, "who": None}, status)

        return safely

    def signed_in(self, handle: Callable[[Request, Session], Awaitable[Response]]) -> Route:
        """A handler that only somebody who is signed in reaches; others are sent to sign in."""

        async def checked(request: Request) -> Response:
            cookie = request.cookies.get(COOKIE)
            session = await self.threads.do(lambda: self._sessions.find(cookie))
            if session is None:
                return web.go("/sign-in")
            return await handle(request, session)

        return self._safely(checked)

    async def _sign_in_form(self, request: Request) -> Response:
        # The form carries what its cookie says: another site can send neither.
        token = secrets.token_urlsafe(16)
        response = web.page("sign_in.html", {"form": token, "who": None})
        response.set_cookie(FORM_COOKIE, token, httponly=True, samesite="strict", path="/sign-in")
        return response

    async def _sign_in(self, request: Request) -> Response:
        form = await web.form(request)
        if not same(form.get("form"), request.cookies.get(FORM_COOKIE)):
            raise errors.HttpError(403, "this form is not of this page", "open /sign-in again", code="not_permitted")
        return _entered(await self.threads.do(lambda: self._sessions.by_key(form.get("key", "").strip())))

    async def _sign_in_by_link(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        return _entered(await self.threads.do(lambda: self._sessions.by_link(token)))

    async def _sign_out(self, request: Request) -> Response:
        cookie = request.cookies.get(COOKIE)
        session = await self.threads.do(lambda: self._sessions.find(cookie))
        if session is not None:
            await web.own_form(request, session)
            self._sessions.end(cookie)
        response = web.go("/sign-in")
        response.delete_cookie(COOKIE)
        return response

    def asked(self, request: Request, session: Session, page: str = "") -> Asked:
        """What the address asks for. Raises UsageError."""
        unread = ("model", "feature") if page in OF_WHOLES else ()
        words = {name: value for name, value in request.query_params.items() if value.strip() and name not in unread}
        now = self.store.reports.now(session.actor)
        tz = zone(words.get("tz") or self.settings["report.tz"])
        window = between(now, words.get("since", SINCE), words.get("until"), tz)
        window = window._replace(only=Only(words.get("model"), words.get("feature")))
        return Asked(session, words, window, words.get("user"))

    def _report_page(self, name: str) -> Callable[[Request, Session], Awaitable[Response]]:
        async def handle(request: Request, session: Session) -> Response:
            def make() -> dict[str, Any]:
                from nexscout_cli.pages.facts import gather
                from nexscout_cli.pages.page import site_values

                asked = self.asked(request, session, name)
                facts = gather(self.store, session.actor, asked.window, self.settings, asked.user, name)
                beside = self._beside(session.actor, facts, name) | {"times": TIMES}
                return site_values(facts, name) | self.around(asked, name) | beside

            return web.page("site_report.html", await self.threads.do(make), scripted=True)

        return handle

    def _beside(self, actor: str, facts: Facts, page: str) -> dict[str, Any]:
        """What a page says beside its reports."""
        from nexscout_cli.pages import beside

        if page == "cache" and not facts.window.only.named():
            return {"kept": self._kept(actor)}
        if page == "models":
            return {"compared": beside.compared(self.store, actor, facts)}
        if page == "users":
            known = beside.people(self.store, actor, facts, self.settings)
            one = beside.person(self.store, actor, facts.user) if facts.user is not None and known else None
            return {"people": known, "person": one}
        return {}

    def _kept(self, actor: str) -> dict[str, Any]:
        """How the cache found what it gave, and what it might have given."""
        found = self.store.cache.stats(actor)
        matches = [row | {"saved_usd": usd(row["saved_usd"])} for row in found["matches"]]
        return found | {"matches": matches, "match": self.settings["cache.match"]}

    def around(self, asked: Asked, page: str) -> dict[str, Any]:
        """What stands around every page: who is signed in, where they are, what the address says."""
        kept: dict[str, str] = {name: asked.words[name] for name in _KEPT if name in asked.words}
        admin = self.store.users.is_admin(asked.session.actor)
        return {
            "who": asked.session.actor,
            "form": asked.session.form,
            "admin": admin,
            "page": page,
            "words": {"since": SINCE, **dict.fromkeys(_KEPT[1:], ""), "q": ""} | asked.words,
            "query": urlencode(list(kept.items())),
            "here": kept,
            "pages": {
                **PAGES,
                "/limits": "limits",
                "/requests": "requests",
                "/try": "try",
                **({"/admin": "admin"} if admin else {}),
            },
        }

    async def _script(self, request: Request, session: Session) -> Response:
        return web.script("charts.js")

    async def _log(self, request: Request, session: Session) -> Response:
        """The latest requests, or those before ``until``; ``q`` looks for a text in them, or names one of any age."""

        def make() -> dict[str, Any]:
            asked = self.asked(request, session)
            sought, only = asked.words.get("q", "").casefold(), asked.window.only
            limit = _LOG_MOST if sought or only.named() else _LOG
            before = asked.window.until if "until" in asked.words else None
            rows = self.store.log.latest(session.actor, asked.user, limit, before)
            found = [row for row in rows if _holds(row, sought, only)]
            named = None if found else self._named(session.actor, sought)
            # What is older begins after what is shown, or after what was looked through.
            last = found[_LOG - 1] if len(found) > _LOG else rows[-1] if len(rows) == limit else None
            about = {"rows": found[:_LOG] or [row for row in (named,) if row], "searched": limit > _LOG and len(rows)}
            older = last["created_at"] if last else None
            return about | {"older": older} | self.around(asked, "requests")

        return web.page("site_log.html", await self.threads.do(make))

    def _named(self, actor: str, name: str) -> dict[str, Any] | None:
        """The one request whose id begins so."""
        with suppress(UsageError, NotPermitted):
            return dict(self.store.log.show(actor, name)["request"]) if name else None
        return None

    async def _limits(self, request: Request, session: Session) -> Response:
        """Budgets, caps and energy, what is left and when they begin anew; for admins alerts, and what went off."""

        def make() -> dict[str, Any]:
            from nexscout_cli.engine.budgets import window_end
            from nexscout_cli.pages.limits import NEAR, limits
            from nexscout_cli.pages.notices import notices, rules

            asked = self.asked(request, session)
            around = self.around(asked, "limits")
            whose = asked.user if around["admin"] else session.actor
            now = self.store.reports.now(session.actor)
            found = limits(self.store, session.actor, self.settings, whose)
            return around | {
                "limits": [(one, window_end(one.window, now)) for one in found[:_LIMITS]],
                "more": max(0, len(found) - _LIMITS),
                "near": sum(one.share >= NEAR for one in found),
                "rules": rules(self.store, session.actor) if around["admin"] else None,
                "notices": notices(self.store, session.actor) if around["admin"] else None,
            }

        return web.page("site_limits.html", await self.threads.do(make))

    async def _request(self, request: Request, session: Session) -> Response:
        """One request's whole way."""

        def make() -> dict[str, Any]:
            from nexscout_cli.pages.way import way

            name = request.path_params["request_id"]
            shown = way(self.store.log.show(session.actor, name), self.store.log.why(session.actor, name))
            return shown | self.around(self.asked(request, session), "requests")

        return web.page("site_request.html", await self.threads.do(make))

    async def _export(self, request: Request, session: Session) -> Response:
        """A report as a file: the same rows and figures as ``report NAME --format``."""
        name, kind = request.path_params["name"], request.path_params["kind"]
        if name not in COLUMNS or kind not in ("csv", "json"):
            raise errors.HttpError(404, "there is nothing here", "a report's name, .csv or .json", code="not_found")

        def make() -> str:
            from nexscout_cli.engine.reports.csv_text import as_csv

            asked = self.asked(request, session, name)
            made = built(self.store, session.actor, name, asked.window, self.settings, asked.user)
            return as_csv(COLUMNS[name], made["rows"]) if kind == "csv" else dumps(made)

        text = await self.threads.do(make)
        headers = {**web.SAFE, "content-disposition": f'attachment; filename="{name}.{kind}"'}
        media = "text/csv; charset=utf-8" if kind == "csv" else "application/json"
        return Response(text, headers=headers, media_type=media)

    async def _chart(self, request: Request, session: Session) -> Response:
        """A chart as a file."""
        name = request.path_params["name"]

        def make() -> str | None:
            from nexscout_cli.pages.facts import gather
            from nexscout_cli.pages.page import chart_file

            asked = self.asked(request, session)
            facts = gather(self.store, session.actor, asked.window, self.settings, asked.user, "chart")
            return chart_file(facts, name)

        text = await self.threads.do(make)
        if text is None:
            raise errors.HttpError(404, "there is nothing here", "a chart's name, .svg", code="not_found")
        policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        headers = {
            **web.SAFE,
            "content-disposition": f'attachment; filename="{name}.svg"',
            "content-security-policy": policy,
        }
        return Response(text, headers=headers, media_type="image/svg+xml")


def _holds(row: dict[str, Any], sought: str, only: Only) -> bool:
    """Whether a request of the log holds a text, and is of a model and feature."""
    shown = ("request_id", "user_id", "feature", "model_used", "outcome", "reason")
    part = {"model_used": only.model, "feature": only.feature}
    return any(sought in str(row[name] or "").casefold() for name in shown) and all(
        value is None or row[name] == value for name, value in part.items()
    )


def _entered(cookie: str) -> Response:
    response = web.go("/")
    response.set_cookie(COOKIE, cookie, max_age=LASTS, httponly=True, samesite="strict")
    response.delete_cookie(FORM_COOKIE, path="/sign-in")
    return response
