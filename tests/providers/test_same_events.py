"""Events that differ in their text alone are read by that alone, and say what they would have said read whole."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.engine.call import Call
from nexscout_cli.engine.model import Model
from nexscout_cli.providers.wires.openai import ChatReader
from nexscout_cli.providers.wires.reader import Damaged

MODEL = Model("m", "openai/m", "small", 1, 1, 9999, 0.7, 0.9, "", True, False, None, "KEY", {})
CALL = Call(MODEL, (), 5_000, None, 5.0, 10.0, True)

texts = st.one_of(
    st.sampled_from(["a", " b,", "{", '"', "\\", "\n", "é", "😀", "\ud83d", "\ude00", ""]), st.text(max_size=6)
)
deltas = st.one_of(
    texts.map(lambda text: {"content": text}),
    texts.map(lambda text: {"role": "assistant", "content": text}),
    texts.map(lambda text: {"content": text, "reasoning": "hm"}),
    st.just({"content": None}),
    st.just({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}]}),
)


@st.composite
def event(draw: st.DrawFn) -> bytes:
    choice: dict[str, Any] = {"index": draw(st.sampled_from([0, 0, 0, 0, 1, None])), "delta": draw(deltas)}
    if draw(st.booleans()):
        choice["finish_reason"] = draw(st.sampled_from([None, None, "stop"]))
    if draw(st.integers(0, 7)) == 0:
        choice["logprobs"] = {"content": [{"token": "a", "logprob": -1.0}]}
    document: dict[str, Any] = {"id": draw(st.sampled_from(["x", "x", "content"])), "choices": [choice]}
    if draw(st.integers(0, 7)) == 0:
        document |= {"usage": {"prompt_tokens": draw(st.integers(0, 9)), "completion_tokens": 2}, "model": "other"}
    plain = draw(st.sampled_from([True, False, False]))
    return json.dumps(document, ensure_ascii=plain, separators=draw(st.sampled_from([None, (",", ":")]))).encode(
        errors="surrogatepass"
    )


class Whole(ChatReader):
    """Reads each event whole."""

    def _run(self, data: bytes) -> str | None:
        return None

    def _same(self, data: bytes) -> str | None:
        return None


def said(kind: type[ChatReader], found: list[bytes]) -> list[Any]:
    """All that a reader makes of events, one by one."""
    return read(kind, [b"data: " + data + b"\n\n" for data in found])


def read(kind: type[ChatReader], parts: list[bytes]) -> list[Any]:
    """All that a reader makes of bytes as they come."""
    reader = kind(CALL)
    reader.start({"content-type": "text/event-stream"})
    told: list[Any] = []
    try:
        for part in parts:
            told.append(reader.feed(part))
        told.append(reader.finish())
    except Damaged as error:
        told.append(str(error))
    more = (reader.more.calls(), reader.more.others(), reader.more.probabilities())
    return [*told, reader.text, reader.id, reader.model, reader.finish_reason, reader.ended, reader.usage(), more]


@settings(max_examples=300, deadline=None)
@given(st.lists(event(), max_size=8))
def test_read_by_its_text_alone_an_event_says_the_same(found: list[bytes]) -> None:
    assert said(ChatReader, found) == said(Whole, found)


@settings(max_examples=300, deadline=None)
@given(st.lists(event(), max_size=8), st.lists(st.integers(0, 400), max_size=4), st.booleans())
def test_events_that_come_together_say_the_same_wherever_they_are_cut(
    found: list[bytes], sizes: list[int], alike: bool
) -> None:
    found = [one for one in found for _ in range(3)] if alike else found
    whole = b"".join(b"data: " + data + b"\n\n" for data in found)
    ends = [0, *sorted(min(size, len(whole)) for size in sizes), len(whole)]
    parts = [whole[begin:end] for begin, end in itertools.pairwise(ends)]

    def told(kind: type[ChatReader]) -> list[Any]:
        *pieces, text, id, model, reason, ended, usage, more = read(kind, parts)
        texts = ["".join(piece) if isinstance(piece, list) else (piece,) for piece in pieces]
        return [texts, text, id, model, reason, ended, usage, more]

    assert told(ChatReader) == told(Whole)


def test_events_that_come_together_and_differ_in_their_text_are_one_piece() -> None:
    parts = [json.dumps({"id": "x", "choices": [{"index": 0, "delta": {"content": text}}]}) for text in ("a", "b", "c")]
    together = "".join(f"data: {part}\n\n" for part in parts).encode()
    assert read(ChatReader, [together, together])[:2] == [["a", "b", "c"], ["abc"]]


def test_an_event_like_the_last_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[bytes] = []
    read = ChatReader._parsed
    monkeypatch.setattr(ChatReader, "_parsed", lambda self, data: whole.append(data) or read(self, data))
    parts = [
        {"index": 0, "delta": {"content": text}, "finish_reason": None} for text in ("one", "two", "a\nb", "three")
    ]
    events = [json.dumps({"id": "x", "choices": [part]}).encode() for part in parts]
    assert said(ChatReader, events)[:4] == [["one"], ["two"], ["a\nb"], ["three"]]
    assert len(whole) == 3  # the first, the one with an escape, and the next after it
