"""What an answer may have beside one text: tool calls, further answers, probabilities; gathered in pieces as it comes."""

from __future__ import annotations

from typing import Any

from nexscout_cli.engine.call import Choice, Completion
from nexscout_cli.engine.chat import ToolCall
from nexscout_cli.engine.request import Json
from nexscout_cli.jsontext import plain
from nexscout_cli.providers.surrogates import joined

SIGNED = "~"
"""What stands before a call's signature in its id: Gemini wants the signature back with the call, and the format of chat
completions has no other place for it."""
MOST = 128
"""Tool calls, and answers, that are taken of one call."""


def unsigned(id: str) -> str:
    """A call's id without a signature of Gemini's, which other providers would refuse: they bound an id's length and signs."""
    return id.partition(SIGNED)[0] or id


class _Part:
    """One answer in the making. Tool calls are lists of id, name and pieces of arguments, by their place."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.calls: dict[int, tuple[list[str], list[str], list[str]]] = {}
        self.finish = "stop"
        self.logprobs: list[Json] = []
        self.whole_logprobs: Json = None


class More:
    """Gathers tool calls and answers. ``number`` is an answer's place; the first one's text is the reader's."""

    def __init__(self) -> None:
        self._parts: dict[int, _Part] = {}

    def _part(self, number: int) -> _Part | None:
        if number not in self._parts and len(self._parts) >= MOST:
            return None
        return self._parts.setdefault(number, _Part())

    def call(self, number: int, place: int, id: Json, name: Json, arguments: Json) -> None:
        """A tool call, or a piece of one: what is text is taken, and joined to what came before.

        Arguments may be the object itself, as some local servers have them.
        """
        if isinstance(arguments, dict):
            arguments = plain(arguments)
        part = self._part(number)
        if part is None or (place not in part.calls and len(part.calls) >= MOST):
            return
        pieces = part.calls.setdefault(place, ([], [], []))
        for known, piece in zip(pieces, (id, name, arguments), strict=True):
            if isinstance(piece, str) and piece:
                known.append(piece)

    def text(self, number: int, piece: str) -> None:
        """A piece of a further answer's text."""
        if (part := self._part(number)) is not None:
            part.texts.append(piece)

    def finish(self, number: int, reason: str) -> None:
        """Why an answer ended."""
        if (part := self._part(number)) is not None:
            part.finish = reason

    def logprobs(self, number: int, given: Json) -> None:
        """How likely the tokens of a piece were, as the provider wrote it."""
        part = self._part(number) if isinstance(given, dict) else None
        if part is None:
            return
        if isinstance(given.get("content"), list):
            part.logprobs += given["content"]
        else:
            part.whole_logprobs = given

    def calls(self, number: int = 0) -> tuple[ToolCall, ...]:
        """An answer's tool calls, in the order of their places; one without a name is none."""
        part = self._parts.get(number)
        if part is None:
            return ()
        found = [(place, *map("".join, pieces)) for place, pieces in sorted(part.calls.items())]
        return tuple(
            ToolCall(joined(id) or f"call_{place}", joined(name), joined(arguments) or "{}")
            for place, id, name, arguments in found
            if name
        )

    def probabilities(self, number: int = 0) -> Json:
        """How likely an answer's tokens were; None where nothing was said of it."""
        part = self._parts.get(number)
        if part is None:
            return None
        return {"content": part.logprobs} if part.logprobs else part.whole_logprobs

    def added_to(self, completion: Completion) -> Completion:
        """The answer with all that came beside its text."""
        return completion._replace(tool_calls=self.calls(), others=self.others(), logprobs=self.probabilities())

    def others(self) -> tuple[Choice, ...]:
        """The answers but the first, in their order."""
        return tuple(
            Choice(joined("".join(part.texts)), part.finish, self.calls(number), self.probabilities(number))
            for number, part in sorted(self._parts.items())
            if number > 0
        )


def place_of(value: Any, default: int) -> int:
    """A place in a list, as a provider says it."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10_000 else default
