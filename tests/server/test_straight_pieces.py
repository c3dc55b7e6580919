"""Pieces of a stream that are written straight away, and those that wait for a slow client, come in one order."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli import waiting
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.server.running import Running, Threads


class Engine:
    """Says so many pieces, and lets others go on after some of them."""

    def __init__(self, pauses: list[bool]) -> None:
        self.pauses = pauses

    def run(self, request: AIRequest, on_text: Any, **_: Any) -> Any:
        loop = waiting.here()
        assert loop is not None
        for number, pause in enumerate(self.pauses):
            on_text(f"{number} ")
            if pause:
                loop.sleep(0)
        return SimpleNamespace(error=None)


async def heard(pauses: list[bool], takes: list[bool], late: int) -> tuple[list[str], int]:
    """The pieces in the order in which they came, and how many were written straight."""
    threads = Threads(2, lambda: None)
    running = Running(threads, Engine(pauses), AIRequest("ada", "ai_chatbot", "Hi"), "ada", "r1")  # type: ignore[arg-type]
    came: list[str] = []
    straight = 0
    answers = iter(takes)

    def take(piece: str) -> bool:
        nonlocal straight
        if not next(answers, True):
            return False
        came.append(piece)
        straight += 1
        return True

    async for pieces in running.pieces():
        for _ in range(late):  # a client that reads slowly
            await asyncio.sleep(0)
        came += pieces
        running.straight_to(take)
    await threads.close()
    return came, straight


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=12), st.lists(st.booleans(), max_size=12), st.integers(0, 3))
def test_all_pieces_come_once_and_in_order_whichever_way(pauses: list[bool], takes: list[bool], late: int) -> None:
    came, _ = asyncio.run(heard(pauses, takes, late))
    assert came == [f"{number} " for number in range(len(pauses))]


def test_while_the_client_keeps_up_pieces_are_written_straight() -> None:
    came, straight = asyncio.run(heard([True] * 10, [], 0))
    assert (len(came), straight) == (10, 9)
