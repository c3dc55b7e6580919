"""Works that run as coroutines of one loop, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nexscout_cli.coroutines import Coroutines


def together(*works: Callable[[], Any], writes_behind: bool = True, threads: int = 2) -> list[Any]:
    """What coroutines return that run at once; an exception for one that raised it."""

    async def all_() -> list[Any]:
        coroutines = Coroutines(threads, writes_behind=writes_behind)
        done = await asyncio.gather(*(coroutines.run(work) for work in works), return_exceptions=True)
        await coroutines.drained()
        coroutines.close()
        return done

    return asyncio.run(all_())
