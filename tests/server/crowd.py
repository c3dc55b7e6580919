"""Many clients at once whose key has a budget of fewer calls."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.server.conftest import Scout


def crowd(
    scouts: Sequence[Scout], key: str, body: dict[str, Any], *, clients: int, allowed: int, seconds: float = 30
) -> Counter[int]:
    """How many clients were told each status; they ask servers of one provider by turns.

    The provider answers when all but the allowed ones were refused: none is given what another has left over.
    """
    refused, all_are = [], threading.Event()

    def reply(_: object) -> str:
        assert all_are.wait(seconds), f"{len(refused)} were refused"
        return "Hi"

    scouts[0].provider.reply = reply

    def ask(n: int) -> int:
        status = scouts[n % len(scouts)].ask("/v1/chat/completions", body, key, x_nexscout_cache="off").status
        if status == 402:
            refused.append(n)
            if len(refused) == clients - allowed:
                all_are.set()
        return status

    with ThreadPoolExecutor(clients) as pool:
        return Counter(pool.map(ask, range(clients)))
