"""What one connection may ask of the server, and all together: requests at once, bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nexscout_cli.server.errors import HttpError
from nexscout_cli.server.running import STRAIGHT

if TYPE_CHECKING:
    from starlette.requests import Request

    from nexscout_cli.server.board import Taken

BODY_SECONDS = 60.0
"""Seconds that a request's body may take."""


class Places:
    """How many requests are worked on at once, by all workers; more are refused, so that a flood does not pile up."""

    def __init__(self, most: int, taken: Taken) -> None:
        self._most, self._taken = most, taken

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken.sum()

    def take(self) -> None:
        """Take a place. Raises HttpError 503. Called in the event loop alone."""
        self._taken.add(1)  # before it is counted: two workers that look at once don't both take the last one
        if self._taken.sum() > self._most:
            self._taken.add(-1)
            raise HttpError(
                503, "the server is busy", "send it again in a moment", code="busy", headers={"retry-after": "1"}
            )

    def stay(self) -> None:
        """Keep a place for a stream whose request was let in and has left it."""
        self._taken.add(1)

    def leave(self) -> None:
        """Give it back."""
        self._taken.add(-1)


async def read_body(request: Request, limit: int) -> bytes:
    """The body, at most ``limit`` bytes. Raises HttpError: 413 before more is read than that, 408 for one that does not come."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    straight = request.scope.get("extensions", {}).get(STRAIGHT)
    if straight is not None and (body := straight["body"]()) is not None and len(body) <= limit:
        return bytes(body)
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError as error:
        raise HttpError(408, "the request's body did not come", "send it faster", code="timeout") from error
    return b"".join(parts)


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"the request is larger than {limit:,} bytes", "send less", code="too_many_bytes")
