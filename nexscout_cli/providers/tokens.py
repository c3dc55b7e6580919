"""Exact token counts that are cheap to start.

Loading a vocabulary with tiktoken takes some 290 ms of CPU. Here it is loaded once, written as a hash table into the
cache folder, and later processes map that file and merge byte pairs themselves: the counts are tiktoken's own. Long
texts, and characters this Python's Unicode tables do not know, still go to tiktoken.
"""

from __future__ import annotations

import heapq
import mmap
import os
import re
import struct
import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zlib import crc32

from nexscout_cli.providers.surrogates import joined

DEFAULT = "o200k_base"
FAST_LIMIT = 20_000
_MAX_PIECE = 2_000
_SLICE = 50_000

# The names litellm's copies of OpenAI's vocabularies have in tiktoken's cache: SHA-1 of where they came from.
_SOURCES = {
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
}
_O200K = re.compile(r"(?:gpt-4o|gpt-4\.[1-9]|gpt-[5-9]|chatgpt|o[134](?:$|-))")
_CL100K = re.compile(r"gpt-(?:4|3\.5)(?:$|-)")


@lru_cache(maxsize=256)
def encoding_for(litellm_model: str) -> tuple[str, bool]:
    """The encoding to count that model's tokens with, and whether it is the provider's own."""
    provider, slash, name = litellm_model.rpartition("/")
    if slash and provider not in ("openai", "azure"):
        return DEFAULT, False
    name = name.removeprefix("ft:")
    if _O200K.match(name):
        return DEFAULT, True
    return ("cl100k_base", True) if _CL100K.match(name) else (DEFAULT, False)


class TokenCounter:
    """Counts tokens. ``cache_dir`` is where the tables are kept; where it cannot be written tiktoken does the work."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._tables: dict[str, _Table | None] = {}
        self._slow: dict[str, Any] = {}
        self._lock = threading.RLock()

    def count(self, text: str, encoding: str = DEFAULT) -> int:
        """Tokens in ``text``, all of it ordinary: ``<|endoftext|>`` means nothing, a lone surrogate counts as U+FFFD.

        Exact, but for a run of more than 25,000 characters with no space before a letter or digit: that may be cut,
        and each cut adds one token, so that the time stays bounded and the count errs upwards.
        """
        text = joined(text)
        if len(text) <= FAST_LIMIT:
            shadow = text if text.isascii() else text.translate(_SHADOW)
            if _UNKNOWN not in shadow and (table := self._table(encoding)) is not None:
                total = table.count(text, shadow)
                if total is not None:
                    return total
        return sum(len(self._tiktoken(encoding).encode_ordinary(part)) + extra for part, extra in _slices(text))

    def _table(self, encoding: str) -> _Table | None:
        if encoding not in self._tables:
            with self._lock:  # many threads may ask at once, and one is enough to make it
                if encoding not in self._tables:
                    self._tables[encoding] = self._open(encoding)
        return self._tables[encoding]

    def _open(self, encoding: str) -> _Table | None:
        source = _folder() / _SOURCES[encoding]
        try:
            stat = source.stat()
            path = self._cache_dir / f"{encoding}-1-{stat.st_size:x}-{stat.st_mtime_ns:x}.tokens"
            table = _Table.read(path, encoding)
            if table is None:
                _write(path, self._tiktoken(encoding))
                table = _Table.read(path, encoding)
            return table
        except OSError:
            return None

    def _tiktoken(self, encoding: str) -> Any:
        with self._lock:
            return self._loaded(encoding)

    def _loaded(self, encoding: str) -> Any:
        if encoding not in self._slow:
            import tiktoken

            before = os.environ.get("TIKTOKEN_CACHE_DIR")
            os.environ["TIKTOKEN_CACHE_DIR"] = str(_folder())
            try:
                self._slow[encoding] = tiktoken.get_encoding(encoding)
            finally:
                if before is None:
                    del os.environ["TIKTOKEN_CACHE_DIR"]
                else:
                    os.environ["TIKTOKEN_CACHE_DIR"] = before
        return self._slow[encoding]


def _folder() -> Path:
    spec = find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("litellm, which carries the vocabularies, is not installed")
    return Path(spec.submodule_search_locations[0], "litellm_core_utils", "tokenizers")


def _slices(text: str) -> Iterator[tuple[str, int]]:
    """The text in parts, each with what its end costs extra: a run of a million spaces overflows tiktoken's stack."""
    start = 0
    while len(text) - start > _SLICE:
        end = start + _SLICE
        # A token always begins at a space that follows no space and precedes a letter or digit: cutting there is exact.
        cut = next(
            (
                i
                for i in range(end - 1, start + _SLICE // 2, -1)
                if text[i] == " " and not text[i - 1].isspace() and text[i + 1].isalnum()
            ),
            0,
        )
        yield text[start : cut or end], 0 if cut else 1
        start = cut or end
    yield text[start:], 0


# --- splitting -------------------------------------------------------------------------------------------------------
# Python's re knows no \p{L}. Each non-ASCII character is replaced by a stand-in for its class, so that a pattern over
# ASCII and eight stand-ins finds the same pieces tiktoken's does.

_UPPER, _LOWER, _OTHER_LETTER, _MARK, _NUMBER, _SPACE, _REST, _LONG_S, _UNKNOWN = map(chr, range(0x80, 0x89))
_SPACES = frozenset("\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {chr(c) for c in range(0x2000, 0x200B)}
_CLASSES = {"Lu": _UPPER, "Lt": _UPPER, "Ll": _LOWER, "Lm": _OTHER_LETTER, "Lo": _OTHER_LETTER, "Cn": _UNKNOWN}


class _Shadow(dict[int, str]):
    def __missing__(self, code: int) -> str:
        char = chr(code)
        if code < 0x80:
            stand_in = char
        elif char in _SPACES:
            stand_in = _SPACE
        elif char == "\u017f":  # the only letter that folds to one of those in 's 't 're …
            stand_in = _LONG_S
        else:
            category = unicodedata.category(char)
            by_kind = {"M": _MARK, "N": _NUMBER}.get(category[0], _REST)
            stand_in = _CLASSES.get(category, by_kind)
        self[code] = stand_in
        return stand_in


_SHADOW = _Shadow()


def _pattern(encoding: str) -> re.Pattern[str]:
    space, number = rf"\t-\r {_SPACE}", rf"0-9{_NUMBER}"
    letter = rf"A-Za-z{_UPPER}{_LOWER}{_OTHER_LETTER}{_LONG_S}"
    s = f"[sS{_LONG_S}]"
    tail = rf"(?:'(?:{s}|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))"
    if encoding == "cl100k_base":
        return re.compile(
            "|".join(
                (
                    tail,
                    rf"[^\r\n{letter}{number}]?+[{letter}]++",
                    rf"[{number}]{{1,3}}+",
                    rf" ?[^{space}{letter}{number}]++[\r\n]*+",
                    rf"[{space}]++\Z",
                    rf"[{space}]*[\r\n]",
                    rf"[{space}]+(?![^{space}])",
                    rf"[{space}]",
                )
            )
        )
    upper = rf"A-Z{_UPPER}{_OTHER_LETTER}{_MARK}"
    lower = rf"a-z{_LOWER}{_OTHER_LETTER}{_MARK}{_LONG_S}"
    return re.compile(
        "|".join(
            (
                rf"[^\r\n{letter}{number}]?[{upper}]*[{lower}]+{tail}?",
                rf"[^\r\n{letter}{number}]?[{upper}]+[{lower}]*{tail}?",
                rf"[{number}]{{1,3}}",
                rf" ?[^{space}{letter}{number}]+[\r\n/]*",
                rf"[{space}]*[\r\n]+",
                rf"[{space}]+(?![^{space}])",
                rf"[{space}]+",
            )
        )
    )


# --- the table -------------------------------------------------------------------------------------------------------
# header (magic, length of the file, number of slots) · slots: where a token lies, 0 for none · tokens in the order of
# their ranks, each a length byte and its bytes. A token's place therefore orders like its rank.

_HEADER = struct.Struct("<8sQQ")
_MAGIC = b"nxtokens"


class _Table:
    """A vocabulary in a mapped file."""

    def __init__(self, data: mmap.mmap, slots: int, encoding: str) -> None:
        self._data = data
        self._mask = slots - 1
        self._slots = memoryview(data)[_HEADER.size : _HEADER.size + 4 * slots].cast("I")
        self._pattern = _pattern(encoding)
        self._known: dict[bytes, int] = {}

    @classmethod
    def read(cls, path: Path, encoding: str) -> _Table | None:
        """The table in that file; None when it is not there or not whole."""
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (FileNotFoundError, ValueError):
            return None
        if len(data) < _HEADER.size:
            return None
        magic, length, slots = _HEADER.unpack_from(data)
        return cls(data, slots, encoding) if magic == _MAGIC and length == len(data) else None

    def count(self, text: str, shadow: str) -> int | None:
        """Tokens in ``text``; None when a piece is too long to merge here."""
        total, known = 0, self._known
        for match in self._pattern.finditer(shadow):
            piece = text[match.start() : match.end()].encode()
            tokens = known.get(piece)
            if tokens is None:
                if len(piece) > _MAX_PIECE:
                    return None
                tokens = known[piece] = 1 if self._place(piece) else self._merge(piece)
            total += tokens
        return total

    def _place(self, token: bytes) -> int:
        data, slots, mask = self._data, self._slots, self._mask
        size = len(token)
        slot = crc32(token) & mask
        while at := slots[slot]:
            if data[at] == size and data[at + 1 : at + 1 + size] == token:
                return at
            slot = (slot + 1) & mask
        return 0

    def _merge(self, piece: bytes) -> int:
        """How many tokens byte pair encoding leaves: it merges the pair of lowest rank, the leftmost of equals."""
        size = len(piece)
        following = list(range(1, size + 1))
        before = list(range(-1, size - 1))
        heap: list[tuple[int, int, int]] = []

        def consider(start: int) -> None:
            middle = following[start]
            if middle < size and (place := self._place(piece[start : following[middle]])):
                heapq.heappush(heap, (place, start, following[middle]))

        for start in range(size - 1):
            consider(start)
        left = size
        gone = bytearray(size + 1)
        while heap:
            _, start, end = heapq.heappop(heap)
            middle = following[start]
            if gone[start] or middle >= size or following[middle] != end:
                continue
            gone[middle] = 1
            following[start] = end
            if end < size:
                before[end] = start
            left -= 1
            consider(start)
            if before[start] >= 0:
                consider(before[start])
        return left


def _write(path: Path, encoding: Any) -> None:
    """Write the table of a loaded tiktoken encoding, moved into place whole."""
    ranks: dict[bytes, int] = encoding._mergeable_ranks
    slots = 1 << (2 * len(ranks) - 1).bit_length()
    index = memoryview(bytearray(4 * slots)).cast("I")
    area = bytearray()
    first = _HEADER.size + 4 * slots
    for token in sorted(ranks, key=ranks.__getitem__):
        slot = crc32(token) & (slots - 1)
        while index[slot]:
            slot = (slot + 1) & (slots - 1)
        index[slot] = first + len(area)
        area.append(len(token))
        area += token
    import tempfile  # costs as much as everything else here, and is needed once

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".tokens-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_HEADER.pack(_MAGIC, first + len(area), slots))
            file.write(index.cast("B"))
            file.write(area)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
