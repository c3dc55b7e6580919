"""Records into the store: priced, each under its key, in batches; or only counted, for a dry run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.engine.imported.record import Imported
from nexscout_cli.engine.money import PICO_PER_NANO
from nexscout_cli.engine.usage import Rates

if TYPE_CHECKING:
    from nexscout_cli.engine.book_types import ImportRow
    from nexscout_cli.engine.store_ports import Imports

RatesOf = Callable[[str, str], Rates | None]
"""The price of a model by its provider ("" where it is not known) and name; None where the table has none."""
_BATCH = 30_000
"""Records that one transaction takes: others write in between."""
_CLASSES = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning")
_MODELS = 1_000
"""Models that are told apart in a summary; more are one."""


class Prices:
    """What records cost by the price table; a model is looked up once."""

    def __init__(self, rates_of: RatesOf) -> None:
        self._rates_of = rates_of
        self._known: dict[tuple[str, str], tuple[int, ...] | None] = {}

    def cost(self, record: Imported) -> int | None:
        """Nano-dollars of a record, rounded up once; None where its model has no price."""
        key = (record.provider, record.model)
        if key not in self._known:
            rates = self._rates_of(*key)
            self._known[key] = rates and (*(rates.of(name) for name in _CLASSES), rates.request_fee)
        prices = self._known[key]
        if prices is None:
            return None
        plain, cached, written, hour, made, thought, fee = prices
        pico = (
            record.input * plain
            + record.cached * cached
            + record.cache_write * written
            + record.cache_write_1h * hour
            + record.output * made
            + record.reasoning * thought
        )
        whole = -(-pico // PICO_PER_NANO) + fee * record.requests
        return -(-whole // 2) if record.half else whole


@dataclass(slots=True)
class Line:
    """What a model comes to in a file. ``cost`` is nano-dollars: the source's where it says one, else the table's."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: int = 0
    source_priced: int = 0
    table_priced: int = 0
    unpriced: int = 0


class Summary:
    """What a file has: by model, and from when to when."""

    def __init__(self) -> None:
        self.models: dict[str, Line] = {}
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.records = 0

    def add(self, record: Imported, table: int | None) -> None:
        """Count a record, which costs ``table`` nano-dollars by the price table."""
        line = self.models.get(record.model)
        if line is None:
            known = len(self.models) < _MODELS
            line = self.models.setdefault(record.model if known else "other models", Line())
        line.requests += record.requests
        line.tokens_in += record.tokens_in
        line.tokens_out += record.tokens_out
        if record.cost is not None:
            line.cost += record.cost
            line.source_priced += 1
        elif table is not None:
            line.cost += table
            line.table_priced += 1
        else:
            line.unpriced += 1
        at = record.at
        self.first = at if self.first is None or at < self.first else self.first
        self.last = at if self.last is None or at > self.last else self.last
        self.records += 1


class Brought(NamedTuple):
    """What became of a source: its row in the books (None for a dry run), its summary, and records that were known."""

    row: ImportRow | None
    summary: Summary
    known: int


class Into(NamedTuple):
    """Where records go: the book, in whose name, of which source, from files of what name, and whose use it was where a
    record does not say. ``book`` None: there is none yet, for a dry run.
    """

    book: Imports | None
    actor: str
    source: str
    name: str
    user: str


def bring(into: Into, found: Iterable[Imported], prices: Prices, left_out: Callable[[], int]) -> Brought:
    """Enter records. What fails half-way leaves none of them behind. ``left_out`` is asked at the end."""
    book, actor, summary, known = into.book, into.actor, Summary(), 0
    assert book is not None
    number = book.begin(actor, into.source, into.name)
    try:
        for batch in batches(found):
            rows = []
            for record in batch:
                table = prices.cost(record)
                summary.add(record, table)
                rows.append(_row(into, record, table))
            known += len(rows) - book.add(actor, number, rows)
        return Brought(book.finish(actor, number, known, left_out()), summary, known)
    except BaseException:
        book.forget(actor, number)
        raise


def look(into: Into, found: Iterable[Imported], prices: Prices) -> Brought:
    """Only count records, and those that are in the books or in the files twice."""
    summary, known, seen = Summary(), 0, set[bytes]()
    for batch in batches(found):
        fresh = []
        for record in batch:
            key = key_of(into.source, record.key)
            if key in seen:
                known += 1
                continue
            seen.add(key)
            fresh.append(key)
            summary.add(record, prices.cost(record))
        known += into.book.known(into.actor, fresh) if into.book else 0
    return Brought(None, summary, known)


def batches(found: Iterable[Imported]) -> Iterator[tuple[Imported, ...]]:
    """Records in groups of one transaction."""
    records = iter(found)
    while batch := tuple(islice(records, _BATCH)):
        yield batch


def key_of(source: str, key: str) -> bytes:
    """By what a record of a source is known again."""
    return blake2b(f"{source}\0{key}".encode("utf-8", "replace"), digest_size=16).digest()


def _row(into: Into, record: Imported, table: int | None) -> tuple[Any, ...]:
    """A record in the order that the store takes it in (see ``Imports`` in ``engine/store_ports.py``)."""
    return (
        key_of(into.source, record.key),
        record.at,
        record.model,
        record.provider,
        record.user or into.user,
        record.feature,
        record.requests,
        *(record.input, record.cached, record.cache_write, record.cache_write_1h, record.output, record.reasoning),
        record.cost,
        table,
    )
