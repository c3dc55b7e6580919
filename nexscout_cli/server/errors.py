"""Errors over HTTP: which status a failure has, and its body in the form of the protocol that was spoken."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from nexscout_cli.errors import (
    Blocked,
    InProgress,
    Interrupted,
    NexScoutError,
    NotEnoughEnergy,
    NotPermitted,
    ProvidersFailed,
    StoreError,
    UsageError,
)
from nexscout_cli.jsontext import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexscout_cli.engine.response import AIResponse

_log = logging.getLogger("nexscout.serve")
_BY_CODE = {
    "too_many_bytes": 413,
    "usd_cap": 402,
    "token_budget": 402,
    "max_cost": 402,
    "model_not_found": 404,
    "request_not_found": 404,
    "archived": 404,
    "no_model": 503,
    "contention": 503,
    "idempotency_conflict": 409,
    "rate_limit": 429,
    "at_limits": 429,
    "no_key": 401,
}
_BY_EXIT = {
    UsageError.exit_status: 400,
    Blocked.exit_status: 422,
    NotEnoughEnergy.exit_status: 402,
    ProvidersFailed.exit_status: 502,
    StoreError.exit_status: 503,
    NotPermitted.exit_status: 403,
    InProgress.exit_status: 409,
    Interrupted.exit_status: 503,
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_OURS = frozenset({"corrupt", "read_only", "disk_full", "newer_schema"})
"""Errors about the database's file, which name it and what is in it."""
_AGAIN = frozenset({"rate_limit", "busy", "contention", "in_progress"})
"""Errors after which the same request may be sent again: nothing of it was sent to a provider."""


class HttpError(NexScoutError):
    """A failure that has a status of its own. ``headers`` go with it."""

    def __init__(
        self, status: int, message: str, suggestion: str = "", *, code: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, suggestion, code=code)
        self.status = status
        self.headers = dict(headers or {})


def status_of(error: Mapping[str, Any], exit_status: int) -> int:
    """The HTTP status of an error document."""
    return _BY_CODE.get(error["code"]) or _BY_EXIT.get(exit_status, 500)


def _shown(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """The error as whoever asked may see it: where the server's files lie, and what rows hold, is for its log alone."""
    if error["code"] not in _OURS:
        return error
    _log.error("%s; %s", error["message"], error.get("suggestion") or "")
    message = "the server's database cannot be used as it is; the server's log says more"
    return {**error, "message": message, "suggestion": "whoever runs the server is to look: `nexscout db check`"}


def body(protocol: str, status: int, error: Mapping[str, Any]) -> dict[str, Any]:
    """An error in the form of a protocol: openai or anthropic. ``nexscout`` has what neither has a place for."""
    error = _shown(error)
    message = f"{error['message']} — {error['suggestion']}" if error.get("suggestion") else error["message"]
    kind = _TYPES.get(status, "api_error")
    if protocol == "anthropic":
        kind = "billing_error" if status == 402 else kind
        shown: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
        return shown | {"nexscout": dict(error)}
    return {"error": {"message": message, "type": kind, "param": None, "code": error["code"], "nexscout": dict(error)}}


def bug() -> NexScoutError:
    """A failure that is ours."""
    return NexScoutError("unexpected failure of the server", "this is a bug; its log says more")


def response(protocol: str, error: NexScoutError) -> Response:
    """The answer to a request that failed. SDKs try again only where the header says that they may."""
    document = error.as_json()
    if isinstance(error, HttpError):
        return answer(protocol, error.status, document, error.headers)
    return answer(protocol, status_of(document, error.exit_status), document, {})


def failed(protocol: str, response: AIResponse, headers: Mapping[str, str]) -> Response:
    """The answer to a request that the engine refused, or that no model answered."""
    assert response.error is not None
    return answer(protocol, status_of(response.error, response.exit_status), response.error, headers)


def answer(protocol: str, status: int, document: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """An error document as an answer."""
    seconds = (document.get("details") or {}).get("retry_after")
    said = {"x-should-retry": "true" if seconds or document["code"] in _AGAIN else "false"}
    if status == 401:
        said["www-authenticate"] = "Bearer"
    if seconds:
        said["retry-after"] = str(seconds)
    return Response(dumps(body(protocol, status, document)), status, {**said, **headers}, media_type="application/json")
