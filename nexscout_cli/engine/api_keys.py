"""Keys of the server: how a secret is made and what is kept of it, what a key may be called, when it ends."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from nexscout_cli.engine.catalog import rules
from nexscout_cli.engine.model import Model
from nexscout_cli.errors import UsageError
from nexscout_cli.terms import MODES

PREFIX = "nxs-"
_SECRET_BYTES = 32
_NAME = re.compile(r"[\w.-]{1,64}")


def new_secret() -> str:
    """A key: 256 bits by chance, so that nobody guesses one, and its hash needs no salt."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def digest(secret: str) -> str:
    """What is kept of a key. Looking up a hash of 256 random bits tells nothing by the time it takes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def check_name(name: str) -> None:
    """Raises UsageError for what cannot be a key's name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r:.80} cannot be a key's name", "up to 64 letters, digits and ._-")


def free_name(user_id: str, taken: Iterable[str]) -> str:
    """The user's name and the first number that no key has."""
    base = re.sub(r"[^\w.-]", "-", user_id)[:50]
    known = set(taken)
    return next(f"{base}-{n}" for n in range(1, len(known) + 2) if f"{base}-{n}" not in known)


def names_in(text: str | None) -> tuple[str, ...]:
    """The names that stand in a text, parted by commas."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def models_in(text: str | None, catalog: tuple[Model, ...]) -> tuple[str, ...]:
    """The models and modes that stand in a text, parted by commas; () for no text: all. Raises UsageError for a name that there
    isn't, and for a text without names, which would bind nothing.
    """
    names = names_in(text)
    if text is not None and not names:
        raise UsageError(
            f"{text!r:.80} names no model", "for instance gpt-4o-mini,auto; without it all models may be named"
        )
    for name in names:
        if name not in MODES:
            rules.find(catalog, name)
    return names


def ends_at(text: str | None, now: datetime) -> datetime | None:
    """When a key ends: after days or hours (90d, 12h), or on a day. None: never. Raises UsageError."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})([dh])", text)
    try:
        if found:
            return now + timedelta(**{"days" if found[2] == "d" else "hours": int(found[1])})
        end = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"a key cannot end at {text!r:.40}", "for instance 90d, 12h or 2027-01-31") from error
    end = end if end.tzinfo else end.replace(tzinfo=UTC)
    if end <= now:
        raise UsageError(f"{text} is past", "for instance 90d")
    return end
