"""What is live is found by its claim: on the cache key it answers for, or on itself alone.

An attempt has a claim from its hold until its request ends or the next attempt takes over; an unknown one for as long as it
is unknown. Claims are unique: of the requests under one cache key, one at most is open. The index of claims is small, and
is what recovery reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.transaction import Transaction

_ITSELF = "request_id || '/' || n"
_STALE = """claim IS NOT NULL AND state IN ('posted', 'voided')
    AND EXISTS (SELECT 1 FROM requests r WHERE r.request_id = attempts.request_id AND r.state <> 'open')"""


def on_key(user_id: str, prompt_hash: str) -> str:
    """The claim of an attempt that answers for a user's cache key."""
    return f"{user_id}/{prompt_hash}"


def on_itself(request_id: str, n: int) -> str:
    """The claim of an attempt that is in nobody's way."""
    return f"{request_id}/{n}"


def let_go(t: Transaction, request_id: str) -> None:
    """End the claims of a request's attempts; those of unknown outcome go on claiming themselves."""
    if t.by_function("let_go_of_claims", request_id) is None:
        t.execute(
            f"UPDATE attempts SET claim = CASE state WHEN 'unknown' THEN {_ITSELF} END "
            "WHERE request_id = ? AND claim IS NOT NULL",
            (request_id,),
        )


def stale(t: Transaction) -> bool:
    """Whether a program that knew no claims has ended a request and left its claim."""
    return t.execute(f"SELECT 1 FROM attempts WHERE {_STALE} LIMIT 1").fetchone() is not None


def end_stale(t: Transaction) -> None:
    """Let go of what :func:`stale` found."""
    t.execute(f"UPDATE attempts SET claim = NULL WHERE {_STALE}")
