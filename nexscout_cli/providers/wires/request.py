"""What a wire hands to the transport."""

from __future__ import annotations

from typing import NamedTuple


class HttpRequest(NamedTuple):
    """One request: an absolute URL, headers, a body (JSON where no content-type says otherwise), and the method."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    method: str = "POST"
