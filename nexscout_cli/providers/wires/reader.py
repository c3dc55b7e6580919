"""What every wire's reader does: bytes of an answer in, pieces of text out, and at the end what was said of the call."""

from __future__ import annotations

import io
import json
import re
from abc import ABC, abstractmethod
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any, NoReturn

from nexscout_cli.engine.call import Call, Usage
from nexscout_cli.engine.request import Json
from nexscout_cli.providers.surrogates import joined
from nexscout_cli.providers.usage import usage_of
from nexscout_cli.providers.wires.more import More
from nexscout_cli.providers.wires.sse import EventStream

BODY_BASE = 2_000_000
BODY_PER_TOKEN = 200
EVENTS_PER_TOKEN = 2_000
"""Bytes that an answer may have: these, and so many for each token it may have. A token takes some 5 bytes of text, more where
it is escaped, and an event with one token some 300.
"""
VALUES_BASE = 100_000
VALUES_PER_TOKEN = 16
"""Values (of objects and lists) that one JSON document may have: three bytes of it may take a hundred of memory."""
LIKELY = 10
"""How many times as much, where the probabilities of tokens were asked for."""
ERROR_LIMIT = 100_000
"""Bytes of an error that are read."""


_read = json.JSONDecoder().raw_decode
_EVENTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")


class Damaged(Exception):
    """The answer cannot be read; the message says why."""


class ErrorAnswer(Exception):
    """The provider answered with an error, be it under status 200. ``code`` is an HTTP status or the provider's word."""

    def __init__(self, code: Json, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Reader(ABC):
    """Reads one answer. Subclasses know the shapes: ``_whole`` of a whole answer, ``_event`` of one event of a stream.

    ``text`` so far, ``finish_reason`` in OpenAI's words, ``reported`` usage in the provider's own words and unchecked,
    ``id`` and ``model`` as the provider names them. ``ended``: the provider said that the answer is complete. ``more`` are
    what came beside the first answer's text: tool calls and further answers.
    """

    counts = ("prompt_tokens", "completion_tokens")
    """The names of the two counts in this wire's usage."""

    def __init__(self, call: Call) -> None:
        self._limit, self._events_limit = limits(call)
        self._values = most_values(call)
        self.more = More()
        self._size = 0
        self._body: list[bytes] = []
        self._events: EventStream | None = None
        self._half = ""
        self._text = io.StringIO()
        self.streamed = self.ended = False
        self.finish_reason: str | None = None
        self.reported: dict[str, Json] = {}
        self.id: str | None = None
        self.model: str | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return self._text.getvalue()

    def start(self, headers: Mapping[str, str]) -> None:
        """The head has come: its content type says whether events follow, whatever had been asked for."""
        self.streamed = "text/event-stream" in headers.get("content-type", "").lower()
        self._events = EventStream() if self.streamed else None

    def feed(self, data: bytes) -> list[str]:
        """The pieces of text that these bytes bring; an empty one is a sign of life without text, such as thinking.

        Raises Damaged for what cannot be read and for more bytes than the answer's bound allows, ErrorAnswer for an error.
        """
        self._size += len(data)
        if self._size > (self._limit if self._events is None else self._events_limit):
            raise _too_large(self._limit if self._events is None else self._events_limit)
        if self._events is None:
            self._body.append(data)
            return []
        if not self._events.waiting and (piece := self._run(data)) is not None:
            pieces, events = [piece], []
        else:
            pieces, events = [], self._events.feed(data)
        for event in events:
            if event.data == b"[DONE]":
                continue
            piece = self._same(event.data)
            if piece is None:
                piece = self._valid(self._event(self._parsed(event.data)))
            if piece is not None:
                pieces.append(piece)
        if max(self._events.waiting, self._text.tell()) > self._limit:
            raise _too_large(self._limit)
        return pieces

    def finish(self) -> list[str]:
        """The body has ended. Returns the last pieces; raises as ``feed`` does, Damaged also for a stream that was cut."""
        if self._events is None:
            body = b"".join(self._body)
            self._body = []
            if looks_like_events(body):  # under a wrong content type
                self._events, self._size, self.streamed = EventStream(), 0, True
                parts = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
                return [*(piece for part in parts for piece in self.feed(part)), *self.finish()]
            self._text.write(joined(self._whole(self._parsed(body))))
            return [self.text] if self.text else []
        if not self.ended:
            raise Damaged("the stream was cut")
        if self._half:
            self._text.write("\ufffd")
        return ["\ufffd"] if self._half else []

    def _run(self, data: bytes) -> str | None:
        """The text of whole events that all differ from the last one in nothing else, where the wire can tell; else None."""
        return None

    def _same(self, data: bytes) -> str | None:
        """The text of an event that differs from the last one in nothing else, where the wire can tell; else None."""
        return None

    @abstractmethod
    def _whole(self, document: dict[str, Any]) -> str:
        """The text of a whole answer."""

    @abstractmethod
    def _event(self, document: dict[str, Any]) -> str | None:
        """The text of one event; None where nothing happened."""

    def _valid(self, text: str | None) -> str | None:
        """Text that can be stored and printed: a character may come in two halves, in two events."""
        if not text:
            return text
        text = self._half + text
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = joined(text[: len(text) - len(self._half)])
        self._text.write(text)
        return text

    def _parsed(self, data: bytes) -> dict[str, Any]:
        """A JSON object, of no more values than an answer can have. Raises Damaged."""
        if values(data) > self._values:
            raise Damaged(f"the answer has more than {self._values} values")
        return parsed(data)

    def _note(self, *, id: Json = None, model: Json = None, usage: Json = None, tier: Json = None) -> None:
        """Keep what the answer says of itself; a ``usage`` that is not an object is kept as the value of both counts."""
        if isinstance(id, str) and id:
            self.id = id
        if isinstance(model, str) and model:
            self.model = model
        if isinstance(tier, str):
            self.reported["service_tier"] = tier
        if usage is not None:
            self.reported |= usage if isinstance(usage, dict) else dict.fromkeys(self.counts, usage)

    def usage(self) -> Usage | None:
        """What the provider reported, unchecked; None where it reported nothing."""
        return usage_of(self.reported)


def limits(call: Call) -> tuple[int, int]:
    """The bytes that an answer may have: whole, and as a stream of events."""
    return BODY_BASE + BODY_PER_TOKEN * tokens(call), BODY_BASE + EVENTS_PER_TOKEN * tokens(call)


def most_values(call: Call, base: int = VALUES_BASE) -> int:
    """The values that one JSON document of an answer may have."""
    return base + VALUES_PER_TOKEN * tokens(call)


def looks_like_events(body: bytes) -> bool:
    """Whether a body is a stream of events, whatever its content type says."""
    return _EVENTS.match(body) is not None


def values(data: bytes) -> int:
    """How many values a JSON document has at the most, told without reading it."""
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def tokens(call: Call) -> int:
    """The tokens that all answers of a call may have, counted more often where their probabilities come too."""
    return int(call.max_tokens * (call.options.get("n") or 1) * (LIKELY if call.options.get("logprobs") else 1))


def _too_large(limit: int) -> Damaged:
    return Damaged(f"the answer is larger than {limit} bytes")


def parsed(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises Damaged for anything else: bad UTF-8, too deep, too long a number, another type."""
    try:
        document = _document(data.removeprefix(BOM_UTF8).decode())
    except (ValueError, RecursionError):
        raise Damaged("the answer is damaged") from None
    if not isinstance(document, dict):
        raise Damaged("the answer is damaged")
    return document


def _document(text: str) -> Json:
    """What ``json.loads`` makes of it, which looks for blanks around it and for its options first. Raises ValueError."""
    if text[:1] == "{":
        document, end = _read(text)
        if end == len(text):
            return document
    return json.loads(text)


def an_object(value: Json) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Json) -> list[dict[str, Any]]:
    """The objects of a list; none where the value is not a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def a_text(value: Json) -> str:
    """The value where it is text, "" where there is none. Raises Damaged for another type."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Damaged("the answer is damaged: its text is not a string")
    return value


def fail(error: Json, code: Json = None) -> NoReturn:
    """Raise the error that an answer carries, whatever its shape."""
    if isinstance(error, dict):
        metadata = an_object(error.get("metadata"))
        said = [error.get("message") or error.get("detail") or metadata.get("raw"), error.get("type")]
        message = next((str(part) for part in said if part), "no reason given")
        raise ErrorAnswer(next((error[k] for k in ("code", "status", "type") if error.get(k)), code), message)
    raise ErrorAnswer(code, str(error))
