"""CSV or JSON lines of anybody's making, with a mapping of our names to its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from nexscout_cli.engine.imported.record import BadRow, Imported, Row, amount, count, model_of, moment, name, rest
from nexscout_cli.engine.imported.texts import messages_of
from nexscout_cli.errors import UsageError

NAMES = (
    *("time", "model", "provider", "id", "input", "cached", "cache_write", "cache_write_1h", "output", "reasoning"),
    *("requests", "cost", "user", "feature", "prompt"),
)
"""What can be mapped. ``input`` has cached and written tokens within it, ``output`` has thinking."""
_NEEDED = ("time", "model")


def mapping(text: str | None) -> dict[str, str]:
    """Column names by ours from ``time=created,model=engine``; a name that is not said is its own column. Raises UsageError."""
    found = dict(zip(NAMES, NAMES, strict=True))
    for pair in (text or "").split(","):
        ours, equals, theirs = pair.strip().partition("=")
        if not pair.strip():
            continue
        if not equals or ours not in NAMES:
            raise UsageError(
                f"--columns {pair.strip()!r:.60} maps nothing", f"NAME=COLUMN, NAME one of {', '.join(NAMES)}"
            )
        found[ours] = theirs
    return found


def parser(columns: dict[str, str], texts: bool) -> Callable[[Row], Iterable[Imported]]:
    """A parser of rows with these columns. A row without an id is known by all that is in it."""
    pairs = tuple(columns.items())
    nothing = dict.fromkeys(columns)

    def parse(row: Row) -> Iterable[Imported]:
        missing = [ours for ours in _NEEDED if columns[ours] not in row]
        if missing:
            raise BadRow(f"there is no column {columns[missing[0]]!r} (say which it is: --columns {missing[0]}=COLUMN)")
        if not any(columns[ours] in row for ours in ("input", "output", "cost")):
            raise BadRow("there is no column for tokens or cost (say which: --columns input=COLUMN,output=COLUMN)")
        of = nothing | {ours: row[theirs] for ours, theirs in pairs if theirs in row}
        cached, written, hour = count(of["cached"]), count(of["cache_write"]), count(of["cache_write_1h"])
        thought = count(of["reasoning"])
        return (
            Imported(
                at=moment(of["time"]),
                model=model_of(of["model"]),
                provider=name(of["provider"]),
                key=str(of["id"]) if of["id"] not in (None, "") else _whole(row),
                input=rest(count(of["input"]), cached, written, hour),
                cached=cached,
                cache_write=written,
                cache_write_1h=hour,
                output=rest(count(of["output"]), thought),
                reasoning=thought,
                requests=count(of["requests"]) if of["requests"] not in (None, "") else 1,
                cost=amount(of["cost"]),
                user=name(of["user"]),
                feature=name(of["feature"]),
                messages=messages_of(of["prompt"]) if texts else None,
            ),
        )

    return parse


def _whole(row: Row) -> str:
    text = "\0".join(f"{key}={row[key]}" for key in sorted(row))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
