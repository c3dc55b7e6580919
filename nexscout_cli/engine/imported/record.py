"""What readers of other tools' records give, and how they read times, counts and amounts that somebody else wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from nexscout_cli.engine.money import to_nano

T = TypeVar("T")
Row = dict[str, Any]
MOST = 10**11
"""Tokens or requests that one record may have: sums of many stay whole numbers of 64 bits."""
_DIGITS = len(str(MOST))
_YEARS = range(1990, 9999)
_NAME = 200
"""Characters of a model, user or feature that are kept."""
_MILLISECONDS = 10**11
"""Seconds since 1970 from which a number is taken for milliseconds."""


class BadRow(Exception):
    """A record that cannot be counted; its text is the reason, the same for all that fail alike."""


class Left(NamedTuple):
    """Something of a file that is no record, and why."""

    reason: str


class Imported(NamedTuple):
    """Usage of one request, or of ``requests`` that the source counts together. Tokens are each in one class.

    ``key`` is the source's own id of it. ``cost`` is what the source says, in nano-dollars. ``half``: it was a batch, which
    costs half. ``messages`` are the prompt as role and text, in order, where the file has them and they were asked for; they
    are never kept.
    """

    at: datetime
    model: str
    provider: str
    key: str
    input: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    requests: int = 1
    cost: int | None = None
    user: str = ""
    feature: str = ""
    half: bool = False
    messages: tuple[tuple[str, str], ...] | None = None

    @property
    def tokens_in(self) -> int:
        """All input tokens."""
        return self.input + self.cached + self.cache_write + self.cache_write_1h

    @property
    def tokens_out(self) -> int:
        """All output tokens."""
        return self.output + self.reasoning


Parse = Callable[[Row], Iterable[Imported]]
"""One row of a source as records; none for a row that is something else. Raises BadRow. May remember earlier rows."""


class Tally:
    """What became of the rows of a source: records, rows that are something else, and those left out by reason."""

    def __init__(self) -> None:
        self.records = 0
        self.other = 0
        self.left: Counter[str] = Counter()

    @property
    def left_out(self) -> int:
        """How many rows were left out."""
        return self.left.total()


def records(rows: Iterable[Row | Left], parse: Parse, tally: Tally) -> Iterator[Imported]:
    """The records of rows; the tally says afterwards what was left out."""
    return understood(rows, parse, tally)


def understood(rows: Iterable[Row | Left], read: Callable[[Row], Iterable[T]], tally: Tally) -> Iterator[T]:
    """What ``read`` finds in each row; a row that it raises BadRow for is left out, and the tally says why."""
    for row in rows:
        if isinstance(row, Left):
            tally.left[row.reason] += 1
            continue
        try:
            found = tuple(read(row))
        except BadRow as problem:
            tally.left[str(problem)] += 1
            continue
        tally.records += len(found)
        tally.other += not found
        yield from found


def moment(value: Any) -> datetime:
    """A time as ISO text, or as seconds or milliseconds since 1970; one without a zone is UTC. Raises BadRow."""
    try:
        if isinstance(value, str) and not value.isdigit():
            found = datetime.fromisoformat(value.removesuffix(" UTC").strip())
            if found.tzinfo is not UTC:
                found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        elif value is None or isinstance(value, bool):
            raise BadRow("it has no time")
        else:
            seconds = float(value)
            found = datetime.fromtimestamp(seconds / 1000 if seconds > _MILLISECONDS else seconds, UTC)
    except (ValueError, OverflowError, TypeError, OSError) as error:
        raise BadRow("its time is not one") from error
    if found.year not in _YEARS:
        raise BadRow("its time is not one")
    return found


def count(value: Any) -> int:
    """A count of tokens or requests, 0 where there is none. Raises BadRow for what is none."""
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
        value = int(value)
    if type(value) is int and 0 <= value <= MOST:
        return value
    if isinstance(value, Decimal | float) and 0 <= value <= MOST and value == int(value):
        return int(value)
    raise BadRow("a count of tokens or requests is not a whole number from 0")


def amount(value: Any) -> int | None:
    """Nano-dollars of an amount in dollars, None where there is none. Raises BadRow for what is not an amount."""
    if value is None or value == "":
        return None
    try:
        return to_nano(value.strip().removeprefix("$") if isinstance(value, str) else value)
    except ValueError as error:
        raise BadRow("its cost is not an amount from 0") from error


def name(value: Any) -> str:
    """A name as text of one line; empty where there is none."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    return _line(text) if len(text) <= _NAME else _line.__wrapped__(text)


@lru_cache(maxsize=1_000)
def _line(text: str) -> str:
    """Logs say the same few names again and again; long texts are not kept."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(ch if ch.isprintable() else " " for ch in text.encode("utf-8", "replace").decode())
    return text.strip()[:_NAME]


def model_of(value: Any) -> str:
    """The name of a model. Raises BadRow where there is none."""
    found = name(value)
    if not found:
        raise BadRow("it names no model")
    return found


def part(row: Row, key: str) -> Row:
    """An object within a row, {} where there is none."""
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def rest(whole: int, *parts: int) -> int:
    """What is left of a count when its parts are taken out. Raises BadRow where they are more than it."""
    left = whole - sum(parts)
    if left < 0:
        raise BadRow("the parts of a count are more than the whole")
    return left
