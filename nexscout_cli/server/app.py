"""The application: routes, and the way of a request from bytes to an answer."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nexscout_cli import files
from nexscout_cli.engine import batch_rows
from nexscout_cli.engine.asked import new_id
from nexscout_cli.engine.request import AIRequest, Attachment
from nexscout_cli.errors import NexScoutError, UsageError
from nexscout_cli.jsontext import dumps
from nexscout_cli.server import asking, chat_completions, errors, messages, responses
from nexscout_cli.server.admin import Admin
from nexscout_cli.server.auth import Keys
from nexscout_cli.server.catalog import listed
from nexscout_cli.server.faults import Fault, Faults
from nexscout_cli.server.limits import Places, Rates, read_body
from nexscout_cli.server.metrics import Metrics
from nexscout_cli.server.openapi import document as openapi_document
from nexscout_cli.server.running import Running, Threads
from nexscout_cli.server.site import Route as Handle
from nexscout_cli.server.site import Site
from nexscout_cli.server.trying import Trying

if TYPE_CHECKING:
    from starlette.requests import Request

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.planning.plan import Plan
    from nexscout_cli.engine.response import AIResponse
    from nexscout_cli.engine.store_ports import Store
    from nexscout_cli.server.protocol import Ask, Dialect, Teller

_log = logging.getLogger("nexscout.serve")
_STREAM = "text/event-stream"


class Server:
    """Everything that requests share: the engine, the store, keys, limits, threads."""

    def __init__(self, engine: Engine, store: Store, settings: Settings, fault: Fault) -> None:
        self.engine, self.store, self.settings = engine, store, settings
        self.faults = Faults(fault)
        self.keys = Keys(store)
        self.rates = Rates()
        self.places = Places(settings["serve.max_at_once"])
        self.threads = Threads(settings["serve.max_at_once"])
        self.metrics = Metrics()

    async def key(self, request: Request) -> ApiKey:
        """Who asks. Raises HttpError: 401 without a valid key, 429 where the key has had its share."""
        key = self.keys.remembered(request.headers)
        if key is None:
            key = await self.threads.do(lambda: self.keys.find(request.headers))
        self.rates.take(key.id, key.rpm)
        return key

    async def document(self, request: Request) -> dict[str, Any]:
        """The body as a JSON object. Raises HttpError, UsageError."""
        raw = await read_body(request, self.settings["serve.max_body_bytes"])
        value = files.parse_json(files.decode(raw, "the body", len(raw)), "the body")
        if not isinstance(value, dict):
            raise UsageError("the body is not a JSON object", 'for instance {"model": "auto", "messages": []}')
        return value


def application(
    engine: Engine, store: Store, settings: Settings, secret: bytes | None = None, fault: Fault = lambda: None
) -> Starlette:
    """The application over an engine; with pages where there is a ``secret`` that signs their links.

    ``fault`` looks for what is wrong with the database, after a failure that nobody understands.
    """
    server = Server(engine, store, settings, fault)
    pages = [] if secret is None else _pages(server, secret)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        server.threads.close()

    def route(path: str, method: str, handle: Callable[[Server, Request], Awaitable[Response]], protocol: str) -> Route:
        return Route(path, _guarded(server, path, handle, protocol), methods=[method])

    return Starlette(
        routes=[
            route("/v1/chat/completions", "POST", _asks(chat_completions), "openai"),
            route("/v1/responses", "POST", _asks(responses), "openai"),
            route("/v1/messages", "POST", _asks(messages), "anthropic"),
            route("/v1/run", "POST", _run, "openai"),
            route("/v1/quote", "POST", _quote, "openai"),
            route("/v1/models", "GET", _models, "openai"),
            route("/v1/models/{name:path}", "GET", _model, "openai"),
            route("/v1/requests/{request_id}", "GET", _request, "openai"),
            route("/v1/requests", "GET", _requests, "openai"),
            route("/v1/feedback", "POST", _feedback, "openai"),
            route("/v1/report", "GET", _report, "openai"),
            route("/healthz", "GET", _healthz, "openai"),
            route("/readyz", "GET", _readyz, "openai"),
            route("/metrics", "GET", _metrics, "openai"),
            route("/openapi.json", "GET", _openapi, "openai"),
            *(route(path, method, handle, "openai") for path, method, handle in pages),
        ],
        exception_handlers={404: _nowhere, 405: _nowhere},
        lifespan=lifespan,
    )


def _pages(server: Server, secret: bytes) -> list[tuple[str, str, Handle]]:
    """The pages: path, method and handler of each."""
    site = Site(server.store, server.settings, server.threads, secret)
    trying = Trying(site, server.engine, server.places, server.rates, server.metrics)
    return [*site.routes(), *trying.routes(), *Admin(site).routes()]


def _guarded(
    server: Server, path: str, handle: Callable[[Server, Request], Awaitable[Response]], protocol: str
) -> Callable[[Request], Awaitable[Response]]:
    """A handler whose every failure is an answer in the protocol's form, and which leaves one line in the log."""

    async def guarded(request: Request) -> Response:
        begun = time.monotonic()
        try:
            server.places.take()
            try:
                response = await handle(server, request)
            finally:
                server.places.leave()
        except NexScoutError as error:
            response = errors.response(protocol, error)
        except Exception as error:  # noqa: BLE001 - a bug of ours is a 500 that says so, and no traceback
            _log.error("unexpected failure: %s", type(error).__name__, exc_info=error)
            bad = await server.threads.do(server.faults.found)
            response = errors.response(protocol, bad or errors.bug())
        seconds = time.monotonic() - begun
        server.metrics.request(path, response.status_code, seconds)
        _log.info(
            '{"path": "%s", "status": %d, "ms": %.1f, "request": "%s"}',
            path,
            response.status_code,
            seconds * 1000,
            response.headers.get("x-nexscout-request-id", ""),
        )
        return response

    return guarded


async def _nowhere(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    what = "there is nothing here" if status == 404 else f"{request.method} is not taken here"
    return errors.response(
        "openai", errors.HttpError(status, what, "/openapi.json lists what there is", code="not_found")
    )


def _asks(dialect: Dialect) -> Callable[[Server, Request], Awaitable[Response]]:
    """The handler of a protocol's requests for an answer."""

    async def handle(server: Server, request: Request) -> Response:
        key = await server.key(request)
        body = await server.document(request)
        ask = dialect.read(body, key, request.headers, server.settings)
        ask = ask._replace(request=_named(ask.request, request))
        request_id = new_id(server.engine.clock)
        teller = dialect.teller(ask, request_id, str(body.get("model")))
        if ask.stream:
            return await _streamed(server, dialect, ask, key, request_id, teller)
        response = await server.threads.do(
            lambda: server.engine.run(ask.request, actor=key.user_id, request_id=request_id)
        )
        server.metrics.answered(response)
        headers = _headers(response, ask)
        if response.error is not None:
            return errors.failed(dialect.name, response, headers)
        return Response(dumps(teller.whole(response)), headers=headers, media_type="application/json")

    return handle


def _named(request: AIRequest, http: Request) -> AIRequest:
    """The request with the idempotency key of its header."""
    name = http.headers.get("idempotency-key")
    return request if not name else request._replace(options=request.options._replace(idempotency_key=name))


async def _streamed(
    server: Server, dialect: Dialect, ask: Ask, key: ApiKey, request_id: str, teller: Teller
) -> Response:
    """The answer as events. Until the first piece nothing is sent, so that a refusal has its own status."""
    running = Running(server.threads, server.engine, ask.request, key.user_id, request_id)
    pieces = running.pieces()
    try:
        first = await anext(pieces, None)
    except BaseException:
        running.leave()
        raise
    response = running.response
    if first is None and response is not None and response.error is not None:
        return errors.failed(dialect.name, response, _headers(response, ask))
    headers = {"x-nexscout-request-id": request_id, "cache-control": "no-store", "x-accel-buffering": "no"}
    events = _events(server, dialect.name, running, first, pieces, teller)
    return StreamingResponse(events, media_type=_STREAM, headers=headers)


async def _events(
    server: Server, protocol: str, running: Running, first: str | None, pieces: AsyncIterator[str], teller: Teller
) -> AsyncIterator[bytes]:
    """An answer as events, whose ``first`` piece has come; whoever stops listening ends the call."""
    server.places.stay()
    try:
        yield b"".join(teller.begin())
        if first is not None:
            yield b"".join(teller.piece(first))
        async for piece in pieces:
            yield b"".join(teller.piece(piece))
        done = running.response
        assert done is not None
        server.metrics.answered(done)
        if done.error is not None:
            status = errors.status_of(done.error, done.exit_status)
            yield b"".join(teller.failure(errors.body(protocol, status, done.error)))
            return
        if first is None and done.result:
            yield b"".join(teller.piece(done.result))
        yield b"".join(teller.end(done))
    except NexScoutError as error:
        yield b"".join(teller.failure(errors.body(protocol, 503, error.as_json())))
    finally:
        running.leave()
        server.places.leave()


def _headers(response: AIResponse, ask: Ask) -> dict[str, str]:
    """What is said of an answer beside its body."""
    known = response.metadata
    if known is None:
        return {}
    found = {
        "x-nexscout-request-id": known.request_id,
        "x-nexscout-cost-usd": f"{known.cost_usd:f}",
        "x-nexscout-energy": str(known.energy_cost),
        "x-nexscout-model": known.model_used or "",
        "x-nexscout-cache": known.cache_match or "miss",
    }
    if known.budget_left_usd is not None:
        found["x-nexscout-budget-remaining"] = f"{known.budget_left_usd:f}"
    warnings = (*ask.notes, *known.warnings)
    if warnings:
        said = "; ".join(dict.fromkeys(warnings)).encode("ascii", "replace").decode()
        found["x-nexscout-warnings"] = "".join(c if c.isprintable() else " " for c in said)[:1_000]
    return found


async def _run(server: Server, request: Request) -> Response:
    """A request in NexScout's own form, as a line of a batch has it; the answer as ``run --json`` gives it."""
    key = await server.key(request)
    asked = _own_form(server, key, await server.document(request), request)
    response = await server.threads.do(lambda: server.engine.run(asked, actor=key.user_id))
    server.metrics.answered(response)
    status = 200 if response.error is None else errors.status_of(response.error, response.exit_status)
    shown = response.as_json() | {"exit_status": response.exit_status}
    return Response(dumps(shown), status, headers={"x-should-retry": "false"}, media_type="application/json")


async def _quote(server: Server, request: Request) -> Response:
    """What ``simulate`` says of a chat completion, or of a request in NexScout's own form; nothing is sent."""
    key = await server.key(request)
    body = await server.document(request)
    if "prompt" in body:
        asked = _own_form(server, key, body, request)
    else:
        asked = chat_completions.read(body, key, request.headers, server.settings).request
    plan: Plan = await server.threads.do(lambda: server.engine.simulate(asked, actor=key.user_id))
    return _json(plan.as_json())


def _own_form(server: Server, key: ApiKey, body: dict[str, Any], request: Request) -> AIRequest:
    beside = asking.said(request.headers, body.pop("metadata", None))
    options = body.get("options") or {}
    model = options.pop("force_model", None) if isinstance(options, dict) else None
    default = asking.build(key, str(model or asking.AUTO), beside, server.settings, {})

    def attach(name: str) -> Attachment:
        raise UsageError(f"attachments cannot be read here: {name:.60}", "send their text as context")

    asked = batch_rows.parse({name: value for name, value in body.items() if name != "id"}, default, attach)
    if asked.user_id != key.user_id:
        raise UsageError("user cannot be set here", "the key says who asks")
    return _named(asked, request)


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
    limit = min(1_000, max(1, int(number))) if (number := request.query_params.get("limit", "20")).isdecimal() else 20
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
