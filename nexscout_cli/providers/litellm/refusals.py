"""What a failed remote call means for its hold, and what of it may be shown."""

from __future__ import annotations

import re

from nexscout_cli.engine.call import Call
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.providers.failing import by_status, cause, cleaned, error_text, retry_after
from nexscout_cli.providers.litellm.traffic import Traffic
from nexscout_cli.providers.wires.faults import of_answer
from nexscout_cli.providers.wires.reader import Damaged, ErrorAnswer

_LOCAL = ("UnsupportedProtocol", "LocalProtocolError", "InvalidURL")
_NOT_SET_UP = re.compile(
    r"No module named|pip install|missing \w+ dependenc|must provide one of|missing required", re.IGNORECASE
)


def failure(error: BaseException, traffic: Traffic, call: Call, partial: str) -> ProviderFailure:
    """What a failed call means for the hold, by what went over the wire; LiteLLM's exceptions do not tell it."""
    status = traffic.status
    if isinstance(error, Damaged | ErrorAnswer):
        kind, why, status = of_answer(error, status, traffic.body, partial)
    else:
        kind, why = _kind(error, traffic)
    return ProviderFailure(
        kind,
        cleaned(why, call),
        status=status,
        retry_after=retry_after(traffic.headers) if kind == "limited" else None,
        partial=partial,
        usage=traffic.usage(),
        provider_id=identifier(traffic, call),
    )


def identifier(traffic: Traffic, call: Call) -> str | None:
    """The provider's name for the call, as harmless as a message: it is kept in the books."""
    return cleaned(traffic.id, call) if traffic.id else None


def _never_left(error: BaseException) -> bool:
    """Whether LiteLLM failed before it could send: a missing package, an address or a key that no request can carry."""
    for _ in range(20):
        local = isinstance(error, ImportError | UnicodeError) or type(error).__name__ in _LOCAL
        if local or _NOT_SET_UP.search(str(error)):
            return True
        behind = error.__cause__ or error.__context__
        if behind is None:
            return False
        error = behind
    return False


def _kind(error: BaseException, traffic: Traffic) -> tuple[str, str]:
    status, text = traffic.status, error_text(traffic.body)
    if traffic.unbounded:
        return "rejected", "not sent: this model takes no bound on the length of its answer"
    if not traffic.used:  # LiteLLM refused by itself, or this provider has a client that cannot be watched
        if isinstance(error, ProviderFailure):  # of our own making, as a key that is missing
            return error.kind, str(error)
        if _never_left(error):
            return "unreached", f"not sent: {cause(error)}"
        refused = getattr(error, "status_code", None) in (400, 401, 403, 404, 413, 422)
        return "rejected" if refused else "unknown", str(error).partition("\n")[0] or type(error).__name__
    if not traffic.sent:
        return "unreached", f"could not connect: {cause(error)}"
    if status is None:
        return "unknown", f"no answer: {cause(error)}"
    if status < 300:
        return "unknown", "the stream was cut" if traffic.watched else "the answer is damaged"
    window_exceeded = type(error).__name__ == "ContextWindowExceededError"
    return by_status(status, text, traffic.body, window_exceeded=window_exceeded)
