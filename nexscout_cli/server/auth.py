"""Who asks: a key in the header, looked up by its hash. A key is its user."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nexscout_cli.engine.api_keys import digest
from nexscout_cli.server.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.store_ports import Store

_REMEMBERED = 5.0
"""Seconds that a key is taken without asking the store again: a revoked one ends within this time."""
_MOST = 10_000


def secret_of(headers: Mapping[str, str]) -> str | None:
    """The key of a request: ``Authorization: Bearer …``, or ``x-api-key`` as Anthropic's clients send it."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("x-api-key", "").strip() or None


class Keys:
    """Finds keys; those of the last seconds without the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[float, ApiKey]] = {}

    def remembered(self, headers: Mapping[str, str]) -> ApiKey | None:
        """The key that a request carries, where it was seen a moment ago; asks nobody."""
        secret = secret_of(headers)
        known = self._known.get(digest(secret)) if secret else None
        return known[1] if known is not None and time.monotonic() - known[0] < _REMEMBERED else None

    def find(self, headers: Mapping[str, str]) -> ApiKey:
        """The key that a request carries. Raises HttpError 401."""
        secret = secret_of(headers)
        if secret is None:
            raise HttpError(
                401,
                "no key was given",
                "send it as Authorization: Bearer KEY; `nexscout keys create` makes one",
                code="no_key",
            )
        hashed = digest(secret)
        key = self._store.keys.find(hashed)
        if key is None:
            self._known.pop(hashed, None)
            raise HttpError(
                401, "the key is not valid here", "it may have ended; ask who gave it to you", code="no_key"
            )
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[hashed] = (time.monotonic(), key)
        self._store.keys.used(key)
        return key
