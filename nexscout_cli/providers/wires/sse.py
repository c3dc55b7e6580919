"""Server-sent events, as the WHATWG HTML standard reads them (section 9.2.6, "Interpreting an event stream")."""

from __future__ import annotations

from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its type ("" where none was named), and its data. The data stay bytes: who parses them checks the encoding."""

    name: bytes
    data: bytes


class EventStream:
    """Turns bytes, cut anywhere, into events. Lines end with CRLF, LF or CR; a byte order mark at the start is skipped."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of a line whose end has not come
        self._after_cr = False
        self._first = True
        self._name = b""
        self._data: list[bytes] = []
        self.waiting = 0
        """Bytes that are kept of an event which is not complete."""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete. What comes after the last blank line waits, and is dropped at the end."""
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]  # the second half of a CRLF
            self._after_cr = False
        if not chunk:
            return []
        if (data := self._alone(chunk)) is not None:
            return [Event(b"", data)]
        self._after_cr = chunk.endswith(b"\r")
        found: list[Event] = []
        for line in chunk.splitlines(keepends=True):
            whole = line.rstrip(b"\r\n")
            if len(whole) == len(line):
                self._parts.append(line)
                self.waiting += len(line)
                continue
            if self._parts:
                whole = b"".join(self._parts) + whole
                self._parts.clear()
            self.waiting += len(line)
            event = self._line(whole)
            if event is not None:
                found.append(event)
        return found

    def _alone(self, chunk: bytes) -> bytes | None:
        """The data where the bytes are one event of one line, as most of a slow stream's are, and nothing waits; else None."""
        if self._parts or self._data or self._name:
            return None
        if chunk[:6] != b"data: " or chunk[-2:] != b"\n\n" or chunk.count(b"\n") != 2 or b"\r" in chunk:
            return None
        self._first = self._after_cr = False
        self.waiting = 0
        return chunk[6:-2]

    def _line(self, line: bytes) -> Event | None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            data, name, self._data, self._name, self.waiting = self._data, self._name, [], b"", 0
            return Event(name, b"\n".join(data)) if data else None
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        elif field == b"event":
            self._name = value.removeprefix(b" ")
        return None  # comments, ids and retry times tell us nothing
