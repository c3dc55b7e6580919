"""The Try page: what a request would cost while it is written, and the request run with its answer as it comes.

It is the caller's own: what the key that somebody signed in with may name and spend holds here too.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse

from nexscout_cli.engine.asked import new_id
from nexscout_cli.engine.book_types import ApiKey
from nexscout_cli.engine.request import AIRequest, Caller
from nexscout_cli.errors import NexScoutError, NotPermitted, UsageError
from nexscout_cli.jsontext import dumps
from nexscout_cli.server import asking, errors, web
from nexscout_cli.server.running import Running
from nexscout_cli.terms import COMPRESS, FEATURES

if TYPE_CHECKING:
    from starlette.requests import Request

    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.response import AIResponse
    from nexscout_cli.server.limits import Places
    from nexscout_cli.server.metrics import Metrics
    from nexscout_cli.server.rates import Rates
    from nexscout_cli.server.sessions import Session
    from nexscout_cli.server.site import Route, Site

_FIELDS = ("prompt", "mode", "feature", "tone", "model", "compress")
_ONCE = 64
"""Characters that the name of a run has at most."""
_EVENTS = "application/x-ndjson"


class Trying:
    """The page over a site and an engine. ``places``, ``rates`` and ``metrics`` are those of all requests."""

    def __init__(self, site: Site, engine: Engine, places: Places, rates: Rates, metrics: Metrics) -> None:
        self._site, self._engine = site, engine
        self._places, self._rates, self._metrics = places, rates, metrics

    def routes(self) -> list[tuple[str, str, Route]]:
        """Path, method and handler."""
        guard = self._site.signed_in
        return [
            ("/try", "GET", guard(self._form)),
            ("/try", "POST", guard(self._without_script)),
            ("/try/quote", "POST", guard(self._quote)),
            ("/try/run", "POST", guard(self._run)),
            ("/try.js", "GET", guard(self._script)),
        ]

    async def _script(self, request: Request, session: Session) -> Response:
        return web.script("try.js")

    async def _form(self, request: Request, session: Session) -> Response:
        given = {name: request.query_params.get(name, "") for name in _FIELDS}
        return await self._page(request, session, given, {})

    async def _without_script(self, request: Request, session: Session) -> Response:
        """The page again, with a quote, and where it was asked for with the answer."""
        given = await self._given(request, session)
        shown: dict[str, Any] = {"quote": await self._quoted(session, given)}
        if given.get("do") == "run":
            response = await self._answered(session, given)
            shown |= {"answer": response.result, "about": await self._about(session, response)}
        return await self._page(request, session, given, shown)

    async def _page(self, request: Request, session: Session, given: dict[str, str], shown: dict[str, Any]) -> Response:
        def values() -> dict[str, Any]:
            store, settings = self._site.store, self._site.settings
            tier, preferred, _, _ = store.profiles.preferences(session.actor, session.actor)
            known = store.users.find(session.actor, session.actor)
            named = self._key(session).models
            return {
                "given": {"feature": settings["feature"]}
                | {name: given.get(name, "") for name in _FIELDS if given.get(name)},
                "once": secrets.token_hex(16),
                "modes": [("", preferred), *((m, m) for m in settings[f"tiers.{tier}.modes"] if m != preferred)],
                "models": [
                    m.name for m in store.catalog.models(session.actor) if m.enabled and m.name in (named or (m.name,))
                ],
                "features": FEATURES,
                "compressing": COMPRESS,
                "reader": known is not None and known[0] == "reader",
            } | self._site.around(self._site.asked(request, session), "try")

        made = await self._site.threads.do(values)
        made["given"] = dict.fromkeys(_FIELDS, "") | made["given"]
        page: dict[str, Any] = {"quote": "", "answer": None, "about": ""} | shown
        from markupsafe import Markup

        # Both are fragments of ours, in which every value was escaped.
        page |= {name: Markup(page[name]) for name in ("quote", "about")}  # noqa: S704
        return web.page("site_try.html", made | page, scripted=True)

    async def _given(self, request: Request, session: Session) -> dict[str, str]:
        return await web.own_form(request, session, self._site.settings["serve.max_body_bytes"])

    def _key(self, session: Session) -> ApiKey:
        """The key that the session came with; without one, a key that may do all that the user may."""
        found = None if session.key is None else self._site.store.keys.find(session.key)
        if session.key is not None and found is None:
            raise errors.HttpError(401, "the key has ended", "sign in again", code="no_key")
        return found or ApiKey("", session.actor)

    def _request(self, session: Session, given: dict[str, str]) -> AIRequest:
        """The request that a form describes. Raises UsageError, NotPermitted."""
        if not given.get("prompt", "").strip():
            raise UsageError("there is no prompt", "write one")
        key = self._key(session)
        beside = {name: given[name] for name in ("feature", "tone", "compress") if given.get(name)}
        model = given.get("model") or given.get("mode") or asking.AUTO
        options: dict[str, Any] = {"mode": given["mode"]} if given.get("mode") else {}
        # A form's lines end with CR LF, whatever was typed.
        prompt = given["prompt"].replace("\r\n", "\n")
        asked = asking.build(key, model, beside, self._site.settings, options, prompt=prompt)
        return asked if key.id else asked._replace(caller=Caller())

    async def _quote(self, request: Request, session: Session) -> Response:
        """What the request would cost, as a part of the page; nothing is sent."""
        text = await self._quoted(session, await self._given(request, session))
        return Response(text, headers=web.SAFE, media_type="text/html")

    async def _quoted(self, session: Session, given: dict[str, str]) -> str:
        def make() -> str:
            from nexscout_cli.pages.quote import quoted

            try:
                asked = self._request(session, given)
                plan = self._engine.simulate(asked, actor=session.actor)
                free = asked._replace(options=asked.options._replace(force_model=None))
                others = self._engine.compare(free, actor=session.actor)
                may = self._key(session).models
                shown = quoted(plan, [one for one in others if not may or one.model.name in may]) | {"error": None}
            except NexScoutError as error:
                shown = {"error": error.as_json()}
            return web.fragment("try_quote.html", shown)

        return await self._site.threads.do(make)

    def _begin(self, session: Session, given: dict[str, str]) -> AIRequest:
        """The request to be run, under a name by which it is run once. Raises what stands against it."""
        known = self._site.store.users.find(session.actor, session.actor)
        if known is not None and known[0] == "reader":
            raise NotPermitted("a reader may look, and not spend", "`nexscout user set-role` makes a member")
        asked, key = self._request(session, given), self._key(session)
        if key.id:
            self._rates.take(key.id, key.rpm)
        once = given.get("once", "")[:_ONCE]
        return asked._replace(options=asked.options._replace(idempotency_key=f"try-{once}")) if once else asked

    async def _answered(self, session: Session, given: dict[str, str]) -> AIResponse:
        def run() -> AIResponse:
            return self._engine.run(self._begin(session, given), actor=session.actor)

        response = await self._site.threads.do(run)
        self._metrics.answered(response)
        return response

    async def _about(self, session: Session, response: AIResponse) -> str:
        """What an answer cost, and why its model was chosen, as a part of the page."""

        def make() -> str:
            from nexscout_cli.pages.quote import told

            known = response.metadata
            try:
                why = known and self._site.store.log.why(session.actor, known.request_id)
            except UsageError:  # nothing came into the books
                why = None
            return web.fragment("try_about.html", told(response, why or None))

        return await self._site.threads.do(make)

    async def _run(self, request: Request, session: Session) -> Response:
        """The answer as it comes: a JSON document a line, ``text`` for a piece of it, at last ``html``: the part about it."""
        given = await self._given(request, session)
        try:
            asked = await self._site.threads.do(lambda: self._begin(session, given))
        except NexScoutError as error:
            return Response(_line(html=_failure(error)), headers=web.SAFE, media_type=_EVENTS)
        running = Running(self._site.threads, self._engine, asked, session.actor, new_id(self._engine.clock))
        headers = {**web.SAFE, "x-accel-buffering": "no"}
        return StreamingResponse(self._events(session, running), headers=headers, media_type=_EVENTS)

    async def _events(self, session: Session, running: Running) -> AsyncIterator[bytes]:
        """Whoever stops listening ends the call."""
        self._places.stay()
        try:
            told = False
            async for pieces in running.pieces():
                told = True
                yield _line(text="".join(pieces))
            response = running.response
            assert response is not None
            self._metrics.answered(response)
            if not told and response.result:
                yield _line(text=response.result)
            yield _line(html=await self._about(session, response))
        except NexScoutError as error:
            yield _line(html=_failure(error))
        finally:
            running.leave()
            self._places.leave()


def _line(**event: str) -> bytes:
    return dumps(event).encode() + b"\n"


def _failure(error: NexScoutError) -> str:
    return web.fragment("try_about.html", {"error": error.as_json(), "known": None, "replayed": False, "lines": []})
