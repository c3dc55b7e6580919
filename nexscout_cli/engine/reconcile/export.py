"""Rows of a provider's usage or cost export, as lines to compare. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, NamedTuple

from nexscout_cli.engine.imported.record import (
    BadRow,
    Imported,
    Left,
    Parse,
    Row,
    Tally,
    moment,
    name,
    part,
    understood,
)
from nexscout_cli.engine.money import NANO

SOURCES = ("openai-usage", "anthropic-usage", "openrouter", "litellm", "langfuse", "csv")
"""Whose exports can be compared."""
PROVIDERS = {"openai-usage": ("openai",), "anthropic-usage": ("anthropic",), "openrouter": ("openrouter",)}
"""Whose calls an export has, where it is one provider's alone."""
_TELLING = (
    ("starting_at", "anthropic-usage"),
    ("usage_date_utc", "anthropic-usage"),
    ("generation_id", "openrouter"),
    ("endpoint_id", "openrouter"),
    ("num_model_requests", "openai-usage"),
    ("amount_value", "openai-usage"),
    ("results", "openai-usage"),
    ("start_time", "openai-usage"),
    ("usageDetails", "langfuse"),
    ("startTime", "litellm"),
)
"""Names by which a row shows whose it is, the most telling first."""
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|20\d{6})$")
_MOST = 10**6
_CENTS = 100


class Line(NamedTuple):
    """What an export says of a time and a model. None where it does not say; ``cost`` in nano-dollars, below 0 for a credit.

    ``ours``: the cost is what our price table says, not the export. ``key`` is the provider's id of a request, "" of a sum.
    """

    at: datetime
    model: str
    requests: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cached: int = 0
    cost: int | None = None
    ours: bool = False
    key: str = ""


def source_of(row: Row) -> str:
    """Whose export a row is from."""
    return next((source for key, source in _TELLING if key in row), "csv")


def lines(
    rows: Iterable[Row | Left], parse: Parse, price: Callable[[Imported], int | None], tally: Tally
) -> Iterator[Line]:
    """The lines of an export; rows of costs and of usage are told apart by what they have."""

    def read(row: Row) -> list[Line]:
        return list(_costs(row)) or [_usage(record, price) for record in parse(row)]

    return understood(rows, read, tally)


def bare(model: str) -> str:
    """A model's name as providers' exports have in common: without its maker, its date, or a variant behind a colon."""
    return _DATE.sub("", model.rpartition("/")[2].partition(":")[0].strip().lower())


def _usage(record: Imported, price: Callable[[Imported], int | None]) -> Line:
    own = record.cost
    # A bucket's key is made of its times and groups, and is nobody's id.
    single = record.requests == 1 and " " not in record.key
    return Line(
        record.at,
        record.model,
        record.requests,
        record.tokens_in,
        record.tokens_out,
        record.cached,
        own if own is not None else price(record),
        own is None,
        record.key if single else "",
    )


def _costs(row: Row) -> Iterator[Line]:
    """The amounts of a row of a cost export; none for another row."""
    results = row.get("results")
    at = row.get("start_time", row.get("starting_at", row.get("usage_date_utc")))
    for one in results if isinstance(results, list) else (row,):
        if not isinstance(one, dict):
            continue
        amount = one.get("amount")
        if isinstance(amount, dict):  # OpenAI: dollars
            yield Line(moment(at), _item(one), cost=_signed(amount.get("value")))
        elif "amount_value" in one:
            yield Line(moment(at), _item(one), cost=_signed(one["amount_value"]))
        elif amount is not None and ("starting_at" in row or "cost_type" in one):  # Anthropic: cents
            yield Line(moment(at), _described(one), cost=_signed(amount, _CENTS))
        elif "cost_usd" in one and "usage_date_utc" in one:
            yield Line(moment(at), _described(one), cost=_signed(one["cost_usd"]))


def _item(row: Row) -> str:
    """The model of a line item, which is followed by what of it is billed."""
    return name(row.get("line_item")).partition(",")[0] or "everything"


def _described(row: Row) -> str:
    return name(row.get("model")) or name(part({"d": row}, "d").get("description")) or "everything"


def _signed(value: Any, divisor: int = 1) -> int:
    """Nano-dollars of an amount, to the nearest; credits are below 0. Raises BadRow."""
    try:
        amount = Decimal(str(value)) / divisor
    except InvalidOperation as error:
        raise BadRow("its cost is not an amount") from error
    if not amount.is_finite() or abs(amount) > _MOST:
        raise BadRow("its cost is not an amount")
    return int((amount * NANO).to_integral_value(ROUND_HALF_EVEN))
