"""Requests to batch interfaces, and reading what they say. Every failure is a ProviderFailure without key or prompt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.call import Call, Completion
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.providers.failing import by_status, cause, cleaned, error_text, key_for
from nexscout_cli.providers.wires.faults import status_of
from nexscout_cli.providers.wires.reader import ERROR_LIMIT, Damaged, ErrorAnswer, Reader, parsed
from nexscout_cli.providers.wires.request import HttpRequest

if TYPE_CHECKING:
    from nexscout_cli.engine.model import Model

ANSWER_WITHIN = 60.0
"""Seconds that a question about a batch may take."""
UPLOAD_WITHIN = 900.0
"""Seconds that handing over the rows, or reading their answers, may take in all."""
LONGEST_LINE = 64 * 2**20
"""Bytes that one line of answers may have."""
_ENDED_MEANWHILE = (400, 404, 409)
"""Statuses by which providers refuse to stop what has ended."""


def key_of(model: Model) -> str | None:
    """The model's key. Raises ProviderFailure where it is missing."""
    return key_for(_about(model))


def ask(
    model: Model, request: HttpRequest, *, within: float = ANSWER_WITHIN, most: int = LONGEST_LINE
) -> dict[str, Any]:
    """The JSON object that a request is answered with."""
    body = bytearray()
    for piece in _pieces(model, request, within):
        body += piece
        if len(body) > most:
            raise ProviderFailure("unknown", f"the provider's answer is larger than {most} bytes")
    try:
        return parsed(bytes(body))
    except Damaged as error:
        raise ProviderFailure("unknown", str(error)) from None


def named(document: dict[str, Any], key: str = "id") -> str:
    """What a provider calls a batch or a file of ours."""
    name = document.get(key)
    if not isinstance(name, str) or not name:
        raise ProviderFailure("unknown", f"the provider's answer has no {key}")
    return name


def cancel(model: Model, request: HttpRequest) -> None:
    """Ask a batch to stop; what is being answered is still answered."""
    try:
        ask(model, request)
    except ProviderFailure as failure:
        if failure.status not in _ENDED_MEANWHILE:
            raise


def lines(model: Model, request: HttpRequest, *, within: float = UPLOAD_WITHIN) -> Iterator[dict[str, Any]]:
    """The JSON objects that a request is answered with, one a line; a line that is none is skipped."""
    rest = b""
    for piece in _pieces(model, request, within):
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise ProviderFailure("unknown", f"a line of answers is larger than {LONGEST_LINE} bytes")
        yield from _objects(whole)
    yield from _objects([rest])


def completion(reader: Reader, call: Call, body: dict[str, Any], not_sent: tuple[str, ...]) -> Completion:
    """The answer that a row's body holds, read as a call's would be."""
    try:
        reader.start({"content-type": "application/json"})
        reader.feed(json.dumps(body).encode())
        reader.finish()
    except ErrorAnswer as error:
        raise ProviderFailure("rejected", cleaned(error.message, call), status=status_of(error.code)) from None
    except Damaged as error:
        raise ProviderFailure("unknown", str(error)) from None
    name = cleaned(reader.id, call) if reader.id else None
    done = Completion(
        reader.text, reader.finish_reason or "stop", reader.usage(), name, reader.model, not_sent=not_sent
    )
    return reader.more.added_to(done)


def _objects(found: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in found:
        if line.strip():
            try:
                yield parsed(line)
            except Damaged:  # what stands in it belongs to no row; a row that nothing is said of is not forgotten
                continue


def _about(model: Model) -> Call:
    return Call(model, (), 0, None, ANSWER_WITHIN, UPLOAD_WITHIN, False)


def _pieces(model: Model, request: HttpRequest, within: float) -> Iterator[bytes]:
    """The body of a good answer as it comes."""
    import httpcore

    from nexscout_cli.providers.transport import Exchange, send

    about, exchange = _about(model), Exchange(within, within)
    failure: ProviderFailure
    try:
        with send(request, exchange) as (status, _, body):
            if status >= 300:
                told = b""
                for piece in body:
                    told = (told + piece)[:ERROR_LIMIT]
                kind, message = by_status(status, cleaned(error_text(told), about), told)
                failure = ProviderFailure(kind, message, status=status)
                raise failure
            yield from body
        return
    except ProviderFailure as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - one batch's trouble is that batch's, whatever it is
        kind = "unknown" if exchange.sent else "unreached"
        what = f"no answer within {within:g} s" if isinstance(error, httpcore.TimeoutException) else cause(error)
        failure = ProviderFailure(kind, cleaned(f"could not connect: {what}" if not exchange.sent else what, about))
    raise failure  # here, and not above: it keeps no link to an exception that may hold a key
