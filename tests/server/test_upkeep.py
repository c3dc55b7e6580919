"""What a server does of its own accord, beside answering."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from nexscout_cli import assemble
from nexscout_cli.config import Settings
from nexscout_cli.errors import StoreError
from nexscout_cli.server import app
from nexscout_cli.server.shared import Chore


def test_a_server_tidies_up_again_and_again_whatever_fails(tmp_path: Path) -> None:
    store = assemble.open_store(actor="ada", path=tmp_path / "nexscout.db")
    settings = Settings()
    engine = assemble.build_engine(store, settings, "ada", lambda note: None, writes=False)
    asked = 0

    async def serve() -> None:
        enough = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tidy() -> None:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise StoreError("the books are away")
            loop.call_soon_threadsafe(enough.set)

        served: Any = app.application(engine, store, settings, chores=[Chore(0.001, tidy, "not tidied")])
        messages: asyncio.Queue[Any] = asyncio.Queue()
        began = asyncio.Event()

        async def send(message: Any) -> None:
            began.set()

        running = asyncio.create_task(served({"type": "lifespan"}, messages.get, send))
        messages.put_nowait({"type": "lifespan.startup"})
        await began.wait()
        await enough.wait()
        messages.put_nowait({"type": "lifespan.shutdown"})
        await running

    asyncio.run(asyncio.wait_for(serve(), 60))
    store.close()
    assert asked >= 2
