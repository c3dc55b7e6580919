"""Calls over our own wires, one at a time a thread. Importing this imports no HTTP library."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.call import Call, Completion, OnText
from nexscout_cli.engine.failures import CallInterrupted, ProviderFailure, ReaderGone
from nexscout_cli.providers.failing import error_text, key_for
from nexscout_cli.providers.wires import faults
from nexscout_cli.providers.wires.reader import ERROR_LIMIT, ErrorAnswer, Reader
from nexscout_cli.providers.wires.targets import Target

if TYPE_CHECKING:
    from nexscout_cli.providers.transport import Exchange

_READERS = {"openai": "ChatReader", "anthropic": "MessagesReader", "gemini": "ContentReader"}


def complete(call: Call, target: Target, on_text: OnText | None) -> Completion:
    """Make the call within ``call.timeout`` (streams: between signs of life, and ``call.total_timeout`` in all).

    Raises ProviderFailure, whose message holds neither a key nor the prompt; CallInterrupted for a signal.
    """
    from nexscout_cli.providers.transport import Exchange

    wire = import_module(f"nexscout_cli.providers.wires.{target.wire}")
    reader: Reader = getattr(wire, _READERS[target.wire])(call)
    exchange = Exchange(call.timeout, call.total_timeout if call.stream else call.timeout)
    head = faults.Head()
    pieces = _pieces(wire, call, target, reader, exchange, head)
    finish = None
    try:
        for piece in pieces:
            if piece and call.stream and on_text is not None:
                on_text(piece)
    except ReaderGone:
        finish = "reader_gone"
    except KeyboardInterrupt:
        raise CallInterrupted(faults.ended(call, reader, exchange, "interrupted")) from None
    finally:
        pieces.close()
    finish = finish or reader.finish_reason or "stop"
    name = faults.identifier(reader, call, head)
    done = Completion(reader.text, finish, reader.usage(), name, reader.model, not_sent=wire.not_sent(call, target))
    return reader.more.added_to(done)


def _pieces(
    wire: Any, call: Call, target: Target, reader: Reader, exchange: Exchange, head: faults.Head
) -> Generator[str, None, None]:
    """The pieces of the answer as they come. Whatever goes wrong on the way is a ProviderFailure."""
    from nexscout_cli.providers.transport import send

    try:
        request = wire.request(call, target, key_for(call))
        with send(request, exchange) as (head.status, head.headers, body):
            if head.status >= 300:
                head.body = _beginning(body)
                raise ErrorAnswer(head.status, error_text(head.body))
            reader.start(head.headers)
            for data in body:
                if pieces := reader.feed(data):
                    exchange.alive()
                    yield (piece := "".join(pieces))
                    exchange.speaks = exchange.speaks or bool(piece)
            yield from reader.finish()
        return
    except ProviderFailure as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - one call's trouble is that call's, whatever it is
        failure = faults.failure(error, call, reader, exchange, head)
    raise failure  # here, and not above: it keeps no link to an exception that may hold a key


def _beginning(body: Iterable[bytes]) -> bytes:
    """As much of an error as is read."""
    found, size = [], 0
    for part in body:
        found.append(part)
        size += len(part)
        if size >= ERROR_LIMIT:
            break
    return b"".join(found)[:ERROR_LIMIT]
