"""The application: its routes, and what answers those that are no protocol's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from nexscout_cli.errors import UsageError
from nexscout_cli.jsontext import dumps
from nexscout_cli.server import chat_completions, errors, messages, own_form, response_state, responses, stored
from nexscout_cli.server.admin import Admin
from nexscout_cli.server.answering import Front, handler
from nexscout_cli.server.board import board_of_one
from nexscout_cli.server.catalog import listed
from nexscout_cli.server.faults import Fault
from nexscout_cli.server.openapi import document as openapi_document
from nexscout_cli.server.shared import Chore, Server, guarded
from nexscout_cli.server.site import Route as Handle
from nexscout_cli.server.site import Site
from nexscout_cli.server.trying import Trying
from nexscout_cli.server.web import prepare

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Lifespan

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.planning.plan import Plan
    from nexscout_cli.engine.store_ports import Store
    from nexscout_cli.server.board import Board, Document


_MOST_REQUESTS = 1_000
"""Requests that a list has at most."""


def application(
    engine: Engine,
    store: Store,
    settings: Settings,
    secret: bytes | None = None,
    fault: Fault = lambda: None,
    limits: Callable[[], Settings] | None = None,
    chores: Sequence[Chore] = (),
    board: Board | None = None,
) -> ASGIApp:
    """The application over an engine; with pages where there is a ``secret`` that signs their links.

    ``limits`` reads the settings anew, as the database's limits allow them now. ``chores`` are done beside answering. ``fault``
    looks for what is wrong with the database, after a failure that nobody understands. ``board``: what this process has in
    common with other workers; None: it is the only one.
    """
    board = board or board_of_one()
    server = Server(engine, store, settings, fault, board)
    pages = [] if secret is None else _pages(server, secret, board.document)

    def beside() -> list[Coroutine[Any, Any, None]]:
        return [
            *([server.keep_up(limits)] if limits else ()),
            *([server.keep_told()] if board.is_shared else ()),
            *map(server.again, chores),
            *([server.threads.do(prepare)] if pages else ()),
        ]

    def route(path: str, method: str, handle: Callable[[Server, Request], Awaitable[Response]], protocol: str) -> Route:
        return Route(path, guarded(server, path, handle, protocol), methods=[method])

    asked = {
        path: guarded(server, path, handle, dialect.name)
        for path, dialect, handle in (
            ("/v1/chat/completions", chat_completions, handler(chat_completions)),
            ("/v1/responses", responses, handler(responses, response_state.earlier)),
            ("/v1/messages", messages, handler(messages)),
        )
    }
    others = Starlette(
        routes=[
            *(Route(path, answer, methods=["POST"]) for path, answer in asked.items()),
            *(route(*one) for one in _ROUTES),
            *(route(path, method, handle, "openai") for path, method, handle in pages),
        ],
        exception_handlers={404: _nowhere, 405: _nowhere},
        lifespan=_lifespan(server, beside),
    )
    others.router.redirect_slashes = False  # it would lead to an address that only this machine may know
    return Front(others, asked)


def _lifespan(server: Server, beside: Callable[[], list[Coroutine[Any, Any, None]]]) -> Lifespan[Starlette]:
    """From start to end: what is done beside answering begins with the server, and ends with it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        under_way = [asyncio.get_running_loop().create_task(work) for work in beside()]
        yield
        for task in under_way:
            task.cancel()
        await server.threads.close()
        if server.traces is not None:
            await asyncio.get_running_loop().run_in_executor(None, server.traces.close)

    return lifespan


def _pages(server: Server, secret: bytes, document: Document) -> list[tuple[str, str, Handle]]:
    """The pages: path, method and handler of each."""
    site = Site(server.store, server.settings, server.threads, secret, document)
    trying = Trying(site, server.engine, server.places, server.rates, server.metrics)
    return [*site.routes(), *trying.routes(), *Admin(site).routes()]


async def _nowhere(request: Request, error: Exception) -> Response:
    """The answer where there is nothing, or where other methods are taken."""
    matches = [route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    taken = ", ".join(sorted({method for route in matches for method in route.methods}))
    protocol = messages.name if request.url.path.startswith("/v1/messages") else "openai"
    where = "/openapi.json lists what there is"
    if not taken:
        return errors.response(protocol, errors.HttpError(404, "there is nothing here", where, code="not_found"))
    what = f"{request.method} is not taken here; {taken} is"
    allow = {"allow": taken}
    return errors.response(protocol, errors.HttpError(405, what, where, code="method_not_allowed", headers=allow))


async def _quote(server: Server, request: Request) -> Response:
    """What ``simulate`` says of a chat completion, or of a request in NexScout's own form; nothing is sent."""
    key = await server.key(request)
    body = await server.document(request)
    if "prompt" in body:
        asked = own_form.read(server, key, body, request)
    else:
        asked = chat_completions.read(body, key, request.headers, server.settings).request
    plan: Plan = await server.threads.do(lambda: server.engine.simulate(asked, actor=key.user_id))
    return _json(plan.as_json() | {"exit_status": plan.exit_status})


async def _count_tokens(server: Server, request: Request) -> Response:
    """The tokens of the input of Anthropic's messages, as a quote counts them; nothing is sent."""
    key = await server.key(request)
    body = {"max_tokens": 1} | await server.document(request)
    asked = messages.read(body, key, request.headers, server.settings).request
    plan: Plan = await server.threads.do(lambda: server.engine.simulate(asked, actor=key.user_id))
    return _json({"input_tokens": plan.forecast.input_tokens})


async def _models(server: Server, request: Request) -> Response:
    """What this key may name: the catalog's models that can be called now, and the modes; prices in dollars a token."""
    key = await server.key(request)
    return _json(
        {"object": "list", "data": await server.threads.do(lambda: listed(server.engine, server.settings, key))}
    )


async def _model(server: Server, request: Request) -> Response:
    key = await server.key(request)
    name = request.path_params["name"]
    found = [
        row for row in await server.threads.do(lambda: listed(server.engine, server.settings, key)) if row["id"] == name
    ]
    if not found:
        raise errors.HttpError(404, f"there is no model {name!r:.80}", "/v1/models lists them", code="model_not_found")
    return _json(found[0])


def _of_kept(do: Callable[[Store, ApiKey, str], dict[str, Any]]) -> Callable[[Server, Request], Awaitable[Response]]:
    """A handler of what is asked of a kept response."""

    async def handle(server: Server, request: Request) -> Response:
        key = await server.key(request)
        name = request.path_params["name"]
        return _json(await server.threads.do(lambda: do(server.store, key, name)))

    return handle


async def _request(server: Server, request: Request) -> Response:
    """One request of the key's user: what became of it, and why its model was chosen."""
    key = await server.key(request)
    name = request.path_params["request_id"]

    def read() -> dict[str, Any]:
        return {"log": server.store.log.show(key.user_id, name), "why": server.store.log.why(key.user_id, name)}

    return _json(await server.threads.do(read))


async def _requests(server: Server, request: Request) -> Response:
    """The latest requests of the key's user."""
    key = await server.key(request)
    if unknown := sorted(request.query_params.keys() - {"limit"}):
        raise UsageError(f"{unknown[0]:.40} is not known here", "known is: limit")
    number = request.query_params.get("limit", "20")
    if not (number.isascii() and number.isdecimal() and 1 <= (limit := int(number[:9])) <= _MOST_REQUESTS):
        raise UsageError(f"limit cannot be {number!r:.40}", f"a whole number from 1 to {_MOST_REQUESTS:,}")
    return _json({"rows": await server.threads.do(lambda: server.store.log.latest(key.user_id, key.user_id, limit))})


async def _feedback(server: Server, request: Request) -> Response:
    """A verdict on an answer: request_id, verdict (good or bad), note."""
    key = await server.key(request)
    body = await server.document(request)
    name, verdict, note = (body.get(field) for field in ("request_id", "verdict", "note"))
    if not (isinstance(name, str) and isinstance(verdict, str) and isinstance(note, str | None)):
        raise UsageError("request_id and verdict are text", '{"request_id": "…", "verdict": "good"}')
    given = await server.threads.do(lambda: server.store.feedback.record(key.user_id, name, verdict, note))
    return _json(given._asdict())


async def _report(server: Server, request: Request) -> Response:
    """A report of the key's user, as ``report --format json`` gives it: ``name``, ``since``, ``until``."""
    from nexscout_cli.server.reporting import report

    key = await server.key(request)
    asked = dict(request.query_params)
    return _json(await server.threads.do(lambda: report(server.store, server.settings, key.user_id, asked)))


async def _healthz(server: Server, request: Request) -> Response:
    """The process lives."""
    return _json({"status": "ok"})


async def _readyz(server: Server, request: Request) -> Response:
    """The books can be read."""
    await server.threads.do(lambda: server.store.keys.find(""))
    return _json({"status": "ok"})


async def _metrics(server: Server, request: Request) -> Response:
    """Counts for Prometheus; for admins, as they are of everybody."""
    key = await server.key(request)
    if not await server.threads.do(lambda: server.store.users.is_admin(key.user_id)):
        raise errors.HttpError(403, "metrics are for admins", "use an admin's key", code="not_permitted")
    text, kind = server.metrics.text(server.places.taken)
    return Response(text, media_type=kind)


async def _openapi(server: Server, request: Request) -> Response:
    """The description of this interface."""
    return _json(openapi_document())


def _json(value: Any) -> Response:
    return Response(dumps(value), media_type="application/json")


_ROUTES: tuple[tuple[str, str, Callable[[Server, Request], Awaitable[Response]], str], ...] = (
    ("/v1/responses/{name}", "GET", _of_kept(stored.shown), "openai"),
    ("/v1/responses/{name}", "DELETE", _of_kept(stored.removed), "openai"),
    ("/v1/responses/{name}/input_items", "GET", _of_kept(stored.input_items), "openai"),
    ("/v1/run", "POST", own_form.run, "openai"),
    ("/v1/quote", "POST", _quote, "openai"),
    ("/v1/messages/count_tokens", "POST", _count_tokens, "anthropic"),
    ("/v1/models", "GET", _models, "openai"),
    ("/v1/models/{name:path}", "GET", _model, "openai"),
    ("/v1/requests/{request_id}", "GET", _request, "openai"),
    ("/v1/requests", "GET", _requests, "openai"),
    ("/v1/feedback", "POST", _feedback, "openai"),
    ("/v1/report", "GET", _report, "openai"),
    ("/healthz", "GET", _healthz, "openai"),
    ("/readyz", "GET", _readyz, "openai"),
    ("/metrics", "GET", _metrics, "openai"),
    ("/openapi.json", "GET", _openapi, "openai"),
)
"""Path, method, handler and protocol of what is asked less often than for answers."""
