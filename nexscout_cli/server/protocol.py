"""What the protocols have in common: a request as the engine takes it, and how an answer is told, whole or as events."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nexscout_cli import files
from nexscout_cli.errors import UsageError
from nexscout_cli.jsontext import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.chat import Message
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.response import AIResponse, Metadata

Document = dict[str, Any]


def document(raw: bytes) -> Document:
    """The JSON object that a request's body is. Raises UsageError."""
    value = files.parse_json(files.decode(raw, "the body", len(raw)), "the body")
    if not isinstance(value, dict):
        raise UsageError("the body is not a JSON object", 'for instance {"model": "auto", "messages": []}')
    return value


class Ask(NamedTuple):
    """A request, as a protocol said it. ``usage``: whether a stream is to end with what was used. ``notes``: what was left
    out of it. ``added``: the messages that it adds to the kept conversation of the name ``goes_on``, or that begin one.
    ``previous``: the name of the response that it goes on with.
    """

    request: AIRequest
    stream: bool = False
    usage: bool = True
    notes: tuple[str, ...] = ()
    added: tuple[Message, ...] = ()
    goes_on: str = ""
    previous: str | None = None


class Teller(Protocol):
    """Tells one answer in a protocol. ``id`` is the request's."""

    def whole(self, response: AIResponse) -> Document:
        """The answer as one document."""

    def begin(self) -> Iterator[bytes]:
        """The events before the first piece."""

    def piece(self, text: str) -> Iterator[bytes]:
        """The events of a piece of text."""

    def end(self, response: AIResponse) -> Iterator[bytes]:
        """The events after the last piece: tool calls, why it ended, what was used."""

    def failure(self, document: Document) -> Iterator[bytes]:
        """The event of an error that came after the first piece."""


class Dialect(Protocol):
    """A protocol: its name for errors, how it is read, and who tells its answers."""

    name: str

    def read(self, body: Document, key: ApiKey, headers: Mapping[str, str], settings: Settings) -> Ask:
        """The request in a body. Raises UsageError, NotPermitted."""

    def teller(self, ask: Ask, request_id: str, model: str) -> Teller:
        """Who tells its answer; ``model`` is the one that was named."""


HERE = os.urandom(8).hex()
"""Stands for what differs between the events of one stream; by chance, so that no text of anybody's has it."""


def around(made: bytes) -> list[bytes]:
    """What stands before, between and after the places of :data:`HERE` in an event, whose JSON is so made once a stream."""
    return made.split(b'"%s"' % HERE.encode())


def event(value: Document, name: str | None = None) -> bytes:
    """A server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {dumps(value)}\n\n".encode()


def known_only(body: Document, known: Iterable[str], ignored: Iterable[str] = ()) -> Document:
    """The fields that are given. Raises UsageError for one that is not known: nothing is dropped in silence."""
    names, without_effect = set(known), set(ignored)
    given = {name: value for name, value in body.items() if value is not None and name not in without_effect}
    if unknown := sorted(given.keys() - names):
        raise UsageError(f"{unknown[0]:.60} is not known here", f"known are: {', '.join(sorted(names))}")
    return given


def taken(given: Document, name: str, kinds: type | tuple[type, ...], what: str) -> Any:
    """A field's value, or None. Raises UsageError where it is of another type."""
    value = given.get(name)
    if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool)):
        raise UsageError(f"{name} is {what}, not {type(value).__name__}", f"give {what}")
    return value


def model_of(given: Document) -> str:
    """The model that a body names. Raises UsageError."""
    model = taken(given, "model", str, "text")
    if not model:
        raise UsageError("model is missing", "a model of the catalog, or auto")
    return str(model)


def about(response: AIResponse) -> Document:
    """What no protocol has a place for."""
    known = response.metadata
    assert known is not None
    return {
        "request_id": known.request_id,
        "model": known.model_used,
        "cost_usd": known.cost_usd,
        "unsettled_usd": known.unsettled_usd,
        "energy": known.energy_cost,
        "from_cache": known.from_cache,
        "routing_reason": known.routing_reason,
        "degraded": known.degraded,
        "flags": list(known.flags),
        "warnings": list(known.warnings),
    }


def classes(known: Metadata, name: str) -> int:
    """Tokens of a class."""
    return known.token_classes.get(name, 0)
