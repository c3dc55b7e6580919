"""Who is signed in to the pages, by a key or by a one-time link: sessions in memory, which all workers of a server see.

A link is signed with a secret in a file beside the database, which the server and ``nexscout open`` read: whoever may read
the database's folder may sign in without a key, as they may run every command.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.engine.api_keys import digest
from nexscout_cli.links import LINK_SECONDS, read_link
from nexscout_cli.server.errors import HttpError

if TYPE_CHECKING:
    from nexscout_cli.engine.store_ports import Store
    from nexscout_cli.server.board import Document

COOKIE, FORM_COOKIE = "nexscout_session", "nexscout_form"
LASTS = 8 * 3600
"""Seconds that a session lasts."""
_MOST = 1_000


class Session(NamedTuple):
    """Somebody who is signed in. ``key``: the hash of the key that they came with, None for a link's. ``form`` is what each of
    their forms must carry; ``ends`` is on the clock that never goes back.
    """

    actor: str
    key: str | None
    form: str
    ends: float


class Sessions:
    """The sessions of a server; they end with it."""

    def __init__(
        self, store: Store, secret: bytes, document: Document, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._secret, self._document, self._clock = store, secret, document, clock

    def by_key(self, key: str) -> str:
        """Sign in with a key of the server; returns the cookie's value. Raises HttpError 401."""
        hashed = digest(key)
        found = self._store.keys.find(hashed)
        if found is None:
            raise HttpError(401, "the key is not valid here", "`nexscout keys create` makes one", code="no_key")
        self._store.keys.used(found)
        return self._begin(found.user_id, hashed)

    def by_link(self, token: str) -> str:
        """Sign in with the token of a link, once; returns the cookie's value. Raises HttpError 401."""
        actor = read_link(token, self._secret, time.time())
        name = digest(token)
        with self._document.open("links used") as used:
            now = self._clock()
            _keep(used, {known: ends for known, ends in used.items() if ends > now})
            if name in used:
                actor = None
            elif actor is not None:
                used[name] = now + LINK_SECONDS
        if actor is None:
            raise HttpError(401, "this link has ended", "`nexscout open` prints another one", code="no_key")
        return self._begin(actor, None)

    def find(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None where there is none, it has ended, or its key has."""
        name = digest(cookie or "")
        with self._document.open("sessions") as opened:
            kept = opened.get(name)
        if kept is None:
            return None
        found = Session(*kept)
        ended = found.ends <= self._clock() or (found.key is not None and self._store.keys.find(found.key) is None)
        if ended:
            self._drop(name)
            return None
        return found

    def end(self, cookie: str | None) -> None:
        """Sign out."""
        self._drop(digest(cookie or ""))

    def _drop(self, name: str) -> None:
        with self._document.open("sessions") as opened:
            opened.pop(name, None)

    def _begin(self, actor: str, key: str | None) -> str:
        cookie = secrets.token_urlsafe(32)
        with self._document.open("sessions") as opened:
            now = self._clock()
            running = {name: Session(*one) for name, one in opened.items()}
            running = {name: one for name, one in running.items() if one.ends > now}
            if len(running) >= _MOST:  # the one that ends first makes room
                del running[min(running, key=lambda name: running[name].ends)]
            _keep(opened, running | {digest(cookie): Session(actor, key, secrets.token_urlsafe(16), now + LASTS)})
        return cookie


def _keep(kept: dict[str, Any], now: Mapping[str, Any]) -> None:
    """Keep this instead."""
    kept.clear()
    kept.update(now)


def same(given: str | None, known: str | None) -> bool:
    """Whether two secrets are the same, in a time that does not tell how much of them is."""
    return bool(given and known) and hmac.compare_digest(str(given).encode(), str(known).encode())
