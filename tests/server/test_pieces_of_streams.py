"""The events of a stream's pieces, in the three protocols: valid JSON with the piece in its place, and numbered in order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.request import AIRequest
from nexscout_cli.server import chat_completions, messages, responses
from nexscout_cli.server.protocol import Ask

PIECES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4)
ASK = Ask(AIRequest("ada", "ai_chatbot", "Hi"), stream=True, usage=False)


def documents(events: Iterable[bytes]) -> list[dict[str, Any]]:
    found = []
    for one in events:
        *_, data, last, end = one.decode().split("\n")
        assert (last, end) == ("", "")
        found.append(json.loads(data.removeprefix("data: ")))
    return found


@given(PIECES)
def test_each_piece_is_one_chunk_of_a_chat_completion(pieces: list[str]) -> None:
    teller = chat_completions.teller(ASK, "r1", "auto")
    told = documents(event for piece in pieces for event in teller.piece(piece))
    assert [one["choices"][0]["delta"] for one in told] == [{"content": piece} for piece in pieces]


@given(PIECES)
def test_each_piece_is_one_delta_of_a_message(pieces: list[str]) -> None:
    teller = messages.teller(ASK, "r1", "auto")
    _, *told = documents(event for piece in pieces for event in teller.piece(piece))
    assert [one["delta"] for one in told] == [{"type": "text_delta", "text": piece} for piece in pieces]


@given(PIECES)
def test_each_piece_is_one_delta_of_a_response_and_all_events_are_numbered(pieces: list[str]) -> None:
    teller = responses.teller(ASK, "r1", "auto")
    told = documents([*teller.begin(), *(event for piece in pieces for event in teller.piece(piece))])
    assert [one["sequence_number"] for one in told] == [*range(len(told))]
    deltas = [one for one in told if one["type"] == "response.output_text.delta"]
    assert [one["delta"] for one in deltas] == pieces
    assert all((one["item_id"], one["logprobs"]) == ("msg_r1", []) for one in deltas)
