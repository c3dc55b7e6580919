"""Events that differ in their text alone are read by that alone, and say what they would have said read whole."""

from __future__ import annotations

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

    def _same(self, data: bytes) -> str | None:
        return None


def said(kind: type[ChatReader], found: list[bytes]) -> list[Any]:
    """All that a reader makes of events, one by one."""
    reader = kind(CALL)
    reader.start({"content-type": "text/event-stream"})
    told: list[Any] = []
    try:
        for data in found:
            told.append(reader.feed(b"data: " + data + b"\n\n"))
        told.append(reader.finish())
    except Damaged as error:
        told.append(str(error))
    more = (reader.more.calls(), reader.more.others(), reader.more.probabilities())
    return [*told, reader.text, reader.id, reader.model, reader.finish_reason, reader.ended, reader.usage(), more]


@settings(max_examples=300, deadline=None)
@given(st.lists(event(), max_size=8))
def test_read_by_its_text_alone_an_event_says_the_same(found: list[bytes]) -> None:
    assert said(ChatReader, found) == said(Whole, found)


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
