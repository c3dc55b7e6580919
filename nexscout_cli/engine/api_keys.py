"""The secrets of the server's keys: how one is made, and what is kept of it."""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "nxs-"
_SECRET_BYTES = 32


def new_secret() -> str:
    """A key: 256 bits by chance, so that nobody guesses one, and its hash needs no salt."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def digest(secret: str) -> str:
    """What is kept of a key. Looking up a hash of 256 random bits tells nothing by the time it takes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
