"""Requests in NexScout's own form, as a line of a batch has them; answers as ``run --json`` gives them, whole or as events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from nexscout_cli.engine import batch_rows
from nexscout_cli.engine.asked import new_id
from nexscout_cli.engine.request import AIRequest, Attachment
from nexscout_cli.errors import UsageError
from nexscout_cli.jsontext import dumps
from nexscout_cli.server import asking, errors
from nexscout_cli.server.answering import named, streamed
from nexscout_cli.server.protocol import event, taken
from nexscout_cli.server.running import Running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.response import AIResponse
    from nexscout_cli.server.protocol import Document
    from nexscout_cli.server.shared import Server


async def run(server: Server, request: Request) -> Response:
    """Answer a request; with ``stream`` its text goes out as it comes, each piece an event, and all of it as the last one."""
    key = await server.key(request)
    body, size = await server.sized(request)
    streams = taken(body, "stream", bool, "true or false")
    body.pop("stream", None)
    asked = read(server, key, body, request)
    if streams:
        teller = _Teller(server)
        running = Running(server.threads, server.engine, asked, key.user_id, new_id(server.engine.clock), size)
        return await streamed(server, "openai", running, teller, teller.hear, _whole)
    response = await server.threads.run(lambda: server.engine.run(asked, actor=key.user_id), size)
    server.metrics.answered(response)
    return _whole(response)


def _shown(response: AIResponse) -> Document:
    return response.as_json() | {"exit_status": response.exit_status}


def _whole(response: AIResponse) -> Response:
    status = 200 if response.error is None else errors.status_of(response.error, response.exit_status)
    return Response(dumps(_shown(response)), status, headers={"x-should-retry": "false"}, media_type="application/json")


class _Teller:
    """Tells an answer as events: each piece, then the whole document, of an answer or of a failure."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._response: AIResponse | None = None

    async def hear(self, response: AIResponse) -> None:
        """What came of the request."""
        self._response = response
        self._server.metrics.answered(response)

    def whole(self, response: AIResponse) -> Document:
        """The answer as one document."""
        return _shown(response)

    def begin(self) -> Iterator[bytes]:
        """Nothing comes before the first piece."""
        return iter(())

    def piece(self, text: str) -> Iterator[bytes]:
        """The event of a piece of text."""
        yield event({"piece": text})

    def end(self, response: AIResponse) -> Iterator[bytes]:
        """The event of the whole answer."""
        yield event(_shown(response))

    def failure(self, document: Document) -> Iterator[bytes]:
        """The event of what came instead; ``document`` where nobody knows more than that."""
        yield event(document if self._response is None else _shown(self._response))


def read(server: Server, key: ApiKey, body: dict[str, Any], request: Request) -> AIRequest:
    """The request in a body, as a line of a batch has it. Raises UsageError, NotPermitted."""
    beside = asking.said(request.headers, body.pop("metadata", None))
    options = body.get("options") or {}
    model = options.pop("force_model", None) if isinstance(options, dict) else None
    default = asking.build(key, str(model or asking.AUTO), beside, server.settings, {})

    attached = body.pop("attached", None) or {}

    def attach(name: str) -> Attachment:
        text = attached.get(name) if isinstance(attached, dict) else None
        if not isinstance(text, str):
            raise UsageError(
                f"attachments cannot be read here: {name:.60}", 'send their texts: "attached": {"NAME": "…"}'
            )
        return Attachment(name, text)

    asked = batch_rows.parse({name: value for name, value in body.items() if name != "id"}, default, attach)
    if asked.user_id != key.user_id:
        raise UsageError("user cannot be set here", "the key says who asks")
    return named(asked, request.headers.get("idempotency-key"))
