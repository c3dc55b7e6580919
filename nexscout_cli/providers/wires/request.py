"""What a wire hands to the transport."""

from __future__ import annotations

from typing import NamedTuple


class HttpRequest(NamedTuple):
    """One POST: an absolute URL, headers, and a JSON body."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
