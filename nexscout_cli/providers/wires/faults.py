"""What a failed call over one of our wires means for its hold, and what of it may be shown. Pure but for the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.call import Call
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.request import Json
from nexscout_cli.providers.failing import by_status, cause, cleaned, retry_after
from nexscout_cli.providers.wires.reader import Damaged, ErrorAnswer, Reader

if TYPE_CHECKING:
    from nexscout_cli.providers.transport import Exchange

_STATUS_OF = {
    "rate_limit": 429,
    "quota": 429,
    "resource_exhausted": 429,
    "overloaded": 529,
    "unavailable": 503,
    "server_error": 500,
    "api_error": 500,
    "internal": 500,
    "timeout": 504,
    "deadline": 504,
    "authentication": 401,
    "permission": 403,
    "not_found": 404,
    "invalid": 400,
}
"""Statuses of the words by which providers name their errors, the first that the word contains."""


class Head:
    """The head of an answer, and the body of one that is an error."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""


def failure(error: Exception, call: Call, reader: Reader, exchange: Exchange, head: Head) -> ProviderFailure:
    """What went wrong, as the engine takes it."""
    kind, why, status = _kind(error, call, reader, exchange, head)
    return ProviderFailure(
        kind,
        cleaned(why, call),
        status=status,
        retry_after=retry_after(head.headers) if kind == "limited" else None,
        partial=reader.text,
        usage=reader.usage(),
        provider_id=identifier(reader, call, head),
    )


def ended(call: Call, reader: Reader, exchange: Exchange, what: str) -> ProviderFailure:
    """A call that was ended here, before the provider did: its outcome is unknown, unless it was not sent yet."""
    return ProviderFailure(
        "unknown" if exchange.sent else "unreached",
        what if exchange.sent else f"{what}; not sent",
        partial=reader.text,
        usage=reader.usage(),
        provider_id=identifier(reader, call),
    )


def identifier(reader: Reader, call: Call, head: Head | None = None) -> str | None:
    """The provider's name for the call, as harmless as a message: it is kept in the books."""
    headers = head.headers if head else {}
    name = reader.id or headers.get("x-request-id") or headers.get("request-id")
    return cleaned(name, call) if name else None


def _kind(error: Exception, call: Call, reader: Reader, exchange: Exchange, head: Head) -> tuple[str, str, int | None]:
    if not exchange.sent:
        return "unreached", f"could not connect: {cause(error)}", None
    if isinstance(error, Damaged | ErrorAnswer):
        return of_answer(error, head.status, head.body, reader.text)
    if type(error).__name__ in ("ReadTimeout", "WriteTimeout"):
        limit = call.total_timeout if call.stream and exchange.over else call.timeout
        return "unknown", f"no {'further text' if reader.text else 'answer'} within {limit:g} s", head.status
    if head.status is None:
        return "unknown", f"no answer: {cause(error)}", None
    return "unknown", "the stream was cut" if reader.streamed else "the answer is damaged", head.status


def of_answer(error: Damaged | ErrorAnswer, status: int | None, body: bytes, text: str) -> tuple[str, str, int | None]:
    """Kind, message and status of what a reader met; ``text`` is what had come before."""
    if isinstance(error, Damaged):
        return "unknown", str(error), status
    failed = status is not None and status >= 300
    meant = status if failed else status_of(error.code)
    if text:  # what came is billed, whatever is said of it afterwards
        return "unknown", f"the stream was cut: {error.message}", meant
    if meant is None:
        return "unknown", error.message, status
    return *by_status(meant, error.message, body if failed else error.message.encode()), meant


def status_of(code: Json) -> int | None:
    """The HTTP status that an error's code stands for; None where it says nothing."""
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
        return code
    if isinstance(code, str):
        if code.isdecimal() and len(code) == 3 and "400" <= code < "600":
            return int(code)
        return next((status for word, status in _STATUS_OF.items() if word in code.lower()), None)
    return None
