"""An ``openai`` client over the engine in this process: a transport for httpx that answers as the server would."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
from openai import OpenAI

from nexscout_cli.engine.asked import new_id
from nexscout_cli.engine.book_types import ApiKey
from nexscout_cli.engine.failures import ReaderGone
from nexscout_cli.errors import NexScoutError
from nexscout_cli.jsontext import dumps
from nexscout_cli.server import chat_completions, errors, responses
from nexscout_cli.server.catalog import listed
from nexscout_cli.server.protocol import document

if TYPE_CHECKING:
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.response import AIResponse
    from nexscout_cli.server.protocol import Ask, Teller

_DIALECTS: dict[str, Any] = {"/chat/completions": chat_completions, "/responses": responses}


class EngineTransport(httpx.BaseTransport):
    """Answers chat completions, responses and the list of models by an engine, for one user. No key, no network of its own."""

    def __init__(self, engine: Engine, user_id: str | None = None) -> None:
        self._engine = engine
        self._key = ApiKey("", user_id or engine.actor)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request of a client's."""
        try:
            return self._answer(request)
        except NexScoutError as error:
            return _failed(error.as_json(), error.exit_status)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1")
        if request.method == "GET" and path == "/models":
            rows = listed(self._engine, self._engine.settings, self._key)
            return _json(200, {"object": "list", "data": rows})
        dialect = _DIALECTS.get(path) if request.method == "POST" else None
        if dialect is None:
            raise errors.HttpError(404, f"there is no {request.method} {request.url.path}", code="not_found")
        body = document(request.read())
        ask: Ask = dialect.read(body, self._key, request.headers, self._engine.settings)
        ask = ask._replace(request=ask.request._replace(caller=ask.request.caller._replace(key=None)))
        name = new_id(self._engine.clock)
        teller: Teller = dialect.teller(ask, name, str(body["model"]))
        if ask.stream:
            return self._stream(ask, teller, name)
        response = self._engine.run(ask.request, request_id=name)
        if response.error is not None:
            return _failed(response.error, response.exit_status)
        return _json(200, teller.whole(response))

    def _stream(self, ask: Ask, teller: Teller, name: str) -> httpx.Response:
        """The answer as it comes; what fails before its first piece has a status."""
        under_way = _UnderWay(self._engine, ask, name)
        first = under_way.next()
        if isinstance(first, NexScoutError):
            raise first
        if not isinstance(first, str) and first.error is not None:
            return _failed(first.error, first.exit_status)
        return httpx.Response(
            200, headers={"content-type": "text/event-stream"}, stream=_Events(under_way, teller, first)
        )


class _UnderWay:
    """A request that runs in a thread of its own, whose pieces are taken one by one."""

    def __init__(self, engine: Engine, ask: Ask, name: str) -> None:
        self._news: queue.Queue[str | AIResponse | NexScoutError] = queue.Queue()
        self.gone = False

        def take(piece: str) -> None:
            if self.gone:
                raise ReaderGone
            self._news.put(piece)

        def work() -> None:
            try:
                self._news.put(engine.run(ask.request, take, request_id=name))
            except NexScoutError as error:
                self._news.put(error)
            except BaseException:
                self._news.put(errors.bug())
                raise

        context = contextvars.copy_context()  # a budget of the caller's holds here as well
        threading.Thread(target=context.run, args=(work,), name="nexscout-stream", daemon=True).start()

    def next(self) -> str | AIResponse | NexScoutError:
        """The next piece; at the end the response, or what went wrong."""
        return self._news.get()


class _Events(httpx.SyncByteStream):
    def __init__(self, under_way: _UnderWay, teller: Teller, first: str | AIResponse) -> None:
        self._under_way, self._teller, self._first = under_way, teller, first

    def __iter__(self) -> Iterator[bytes]:
        yield from self._teller.begin()
        news: str | AIResponse | NexScoutError = self._first
        while isinstance(news, str):
            yield from self._teller.piece(news)
            news = self._under_way.next()
        if isinstance(news, NexScoutError) or news.error is not None:
            document = news.as_json() if isinstance(news, NexScoutError) else news.error
            assert document is not None
            yield from self._teller.failure(errors.body("openai", 502, document))
        else:
            yield from self._teller.end(news)

    def close(self) -> None:
        """Nobody reads any more: the call ends at its next piece, and is billed for what came."""
        self._under_way.gone = True


def client(engine: Engine, user_id: str | None) -> OpenAI:
    """A client whose calls the engine answers, for one user (None: the engine's actor)."""
    http = httpx.Client(transport=EngineTransport(engine, user_id))
    return OpenAI(api_key="in-process", base_url="http://nexscout.invalid/v1", http_client=http)


def _json(status: int, document: Any) -> httpx.Response:
    return httpx.Response(status, headers={"content-type": "application/json"}, content=dumps(document).encode())


def _failed(document: Any, exit_status: int) -> httpx.Response:
    status = errors.status_of(document, exit_status)
    told = errors.answer("openai", status, document, {})
    return httpx.Response(status, headers=dict(told.headers), content=bytes(told.body))
