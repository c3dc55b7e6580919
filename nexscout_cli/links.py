"""One-time links into the server's pages: a name and an end, signed with a secret that lies beside the database."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from nexscout_cli import system
from nexscout_cli.errors import StoreError

LINK_SECONDS = 120
"""Seconds that a link can be used."""
_BYTES = 32


def link_secret(folder: Path) -> bytes:
    """The secret in that folder, made by the first who asks; a file that its owner alone can read. Raises StoreError."""
    path = folder / "pages.secret"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            # Written under another name and linked, so that nobody reads half of it.
            fresh = path.with_name(f".pages.secret.{os.getpid()}.{secrets.token_hex(4)}")
            file = system.opened(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                with os.fdopen(file, "wb") as opened:
                    opened.write(secrets.token_bytes(_BYTES))
                os.link(fresh, path)
            finally:
                fresh.unlink()
        secret = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot use {path}: {error.strerror}", "check the folder's permissions") from error
    if len(secret) != _BYTES:
        raise StoreError(f"{path} is damaged", "remove it: another one is made")
    return secret


def make_link(actor: str, secret: bytes, now: float) -> str:
    """A token that signs ``actor`` in until a while after ``now``, seconds since 1970."""
    said = f"{int(now) + LINK_SECONDS}.{secrets.token_hex(8)}.{actor}".encode()
    return base64.urlsafe_b64encode(_sign(said, secret) + said).decode().rstrip("=")


def read_link(token: str, secret: bytes, now: float) -> str | None:
    """Whom a token signs in; None for one that is not ours or has ended."""
    try:
        raw = base64.urlsafe_b64decode(token[:2_000].encode("ascii") + b"==")
        given, said = raw[:32], raw[32:]
        if not hmac.compare_digest(given, _sign(said, secret)):
            return None
        ends, _, actor = said.decode().split(".", 2)
    except ValueError:
        return None
    return actor if now < int(ends) else None


def _sign(said: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, said, hashlib.sha256).digest()
