"""Server-sent events: our parser against the standard's text, taken literally, over streams cut anywhere."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.providers.wires.sse import Event, EventStream


def by_the_standard(stream: bytes) -> list[Event]:
    """WHATWG HTML 9.2.6, step by step, on the whole stream: decode, split into lines, dispatch at blank lines."""
    text = stream.decode("utf-8").removeprefix("\ufeff")
    *lines, _unfinished = re.split("\r\n|\n|\r", text)
    data, kind, found = "", "", []
    for line in lines:
        if line == "":
            if data:
                found.append(Event(kind.encode(), data.removesuffix("\n").encode()))
            data, kind = "", ""
        elif line.startswith(":"):
            continue
        else:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                kind = value
            elif field == "data":
                data += value + "\n"
    return found


def in_pieces(pieces: list[bytes]) -> list[Event]:
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)]


LINES = st.sampled_from(
    [
        "data: one",
        "data:two",
        "data:  two blanks",
        "data",
        "data:",
        "event: ping",
        "event:",
        "id: 7",
        "retry: 10",
        ": comment",
        ":",
        "other: x",
        "data : not data",
        "data: é €",
        'data: {"a": "b\\u2028c"}',
        "data: \u2028 is no line end",
        "data: \x0b nor \x0c \x1c \x85",
        "",
        "",
        "",
    ]
)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])
STREAMS = st.builds(
    lambda bom, lines: (bom + "".join(line + end for line, end in lines)).encode(),
    st.sampled_from(["", "", "\ufeff"]),
    st.lists(st.tuples(LINES, ENDS), max_size=12),
)


@given(STREAMS, st.lists(st.integers(1, 9), max_size=8))
def test_events_are_read_as_the_standard_says_wherever_the_stream_is_cut(stream: bytes, sizes: list[int]) -> None:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(stream[at : at + size])
        at += size
    assert in_pieces([*pieces, stream[at:]]) == by_the_standard(stream)


@given(STREAMS)
def test_cut_at_every_byte_the_events_are_the_same(stream: bytes) -> None:
    whole = by_the_standard(stream)
    for at in range(len(stream) + 1):
        assert in_pieces([stream[:at], stream[at:]]) == whole
    assert in_pieces([stream[i : i + 1] for i in range(len(stream))]) == whole


@given(STREAMS)
def test_cut_after_every_event_the_events_are_the_same(stream: bytes) -> None:
    pieces = re.findall(rb".*?\n\n|.+", stream, re.DOTALL)
    assert in_pieces(pieces) == by_the_standard(stream)


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"event: ping\n\ndata: a\n\n", [b"a"]),
        (b"retry: 10\n\ndata: a\n\n", [b"a"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\n\ndata: never ended", [b"a"]),
        (b"data: a\n\ndata: no blank line\n", [b"a"]),
    ],
)
def test_what_providers_really_send_is_understood(stream: bytes, data: list[bytes]) -> None:
    assert [event.data for event in in_pieces([stream])] == data
