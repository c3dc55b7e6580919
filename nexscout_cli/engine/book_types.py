"""What the books tell people: values that the store's ports return. Energy in units, amounts in nano-dollars."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

MAX_ENERGY = 10**12
"""Units of energy that one grant may give, and that a balance may be set to, at most."""


class Energy(NamedTuple):
    """A user's energy, in units, and today's tokens. ``balance`` is granted − held − spent."""

    user_id: str
    tier: str
    granted: int
    held: int
    spent: int
    balance: int
    daily_tokens_used: int
    daily_token_budget: int


class UserRow(NamedTuple):
    """A user in a list. ``balance`` counts a monthly grant that is due; ``model_mode`` is panic while an admin has it on."""

    user_id: str
    tier: str
    balance: int
    daily_token_budget: int
    efficiency_rating: float
    preferred_mode: str
    avg_token_per_request: float
    predicted_daily_usage: int
    model_mode: str
    role: str


class ApiKey(NamedTuple):
    """A key of the server, without its secret. It is its user: tier, budgets, rows.

    ``models``: the only ones it may name, () for all. ``rpm``: requests a minute, None for any number.
    """

    id: str
    user_id: str
    models: tuple[str, ...] = ()
    rpm: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class Unresolved(NamedTuple):
    """An attempt of unknown outcome, what it holds, and since when."""

    request_id: str
    n: int
    user_id: str
    model: str
    hold: int
    reason: str | None
    settled_at: str


class AttemptRow(NamedTuple):
    """An attempt that was sent and is posted or unknown. ``provider_id`` is the provider's own id of it, where it said one."""

    request_id: str
    n: int
    model: str
    state: str
    hold: int
    actual: int | None
    provider_id: str | None
    created_at: str
    settled_at: str | None


class Feedback(NamedTuple):
    """A verdict on record; ``bucket`` 0..4 is the prompt's difficulty, None where no policy estimated it."""

    request_id: str
    user_id: str
    feature: str
    bucket: int | None
    model: str
    verdict: str
    note: str | None
    replaced: bool


class Backup(NamedTuple):
    """A copy of the database: where it was put, when (a stamp), whether texts are in it, and whether it is still there."""

    path: str
    made_at: str
    has_text: bool
    there: bool


class Seal(NamedTuple):
    """What a finished day's books hash to, with all the days before: ``day`` YYYY-MM-DD, ``hash`` 64 hex digits."""

    day: str
    hash: str


class Filed(NamedTuple):
    """A month (YYYY-MM) whose rows lie in files in ``folder``: what ended before the day ``until``, as everybody may know it."""

    month: str
    until: str
    folder: str


class Archive(NamedTuple):
    """A month (YYYY-MM) whose rows lie in files in ``folder``: what ended before the day ``until``, the first of the next month.

    How many rows went, of each table; ``cost_usd`` is what its usage cost (nano-dollars); ``archived_at`` a stamp.
    """

    month: str
    until: str
    folder: str
    requests: int
    attempts: int
    entries: int
    usage: int
    predictions: int
    cost_usd: int
    archived_at: str


class Leaving(NamedTuple):
    """A month that could be archived: how many rows would go, what its usage cost (nano-dollars), and what speaks ``against``
    it, "" for nothing.
    """

    month: str
    requests: int
    attempts: int
    entries: int
    usage: int
    predictions: int
    cost_usd: int
    against: str


class ImportRow(NamedTuple):
    """An import. ``rows`` are in the books from it, ``known`` were there before, ``left_out`` could not be used.

    ``requests`` and ``cost_usd`` (nano-dollars) are sums of its rows; of these ``source_priced`` rows have a cost from the
    source, ``unpriced`` none at all. ``finished_at`` is None while it runs, and where it was cut short.
    """

    id: int
    source: str
    name: str
    actor: str
    rows: int
    known: int
    left_out: int
    created_at: str
    finished_at: str | None
    requests: int
    cost_usd: int
    source_priced: int
    unpriced: int


class InFlight(NamedTuple):
    """An attempt that is not settled: held, sent or unknown; ``hold`` in nano-dollars, ``since`` when it was held."""

    request_id: str
    n: int
    user_id: str
    model: str
    state: str
    hold: int
    since: datetime


class Minute(NamedTuple):
    """What came into the books in one minute: nano-dollars posted, answers (hits among them), attempts that failed."""

    cost: int
    answers: int
    hits: int
    errors: int


class Live(NamedTuple):
    """What goes on now: attempts that are not settled, oldest first, and the latest minutes, in order; the last of them is
    the minute that runs.
    """

    now: datetime
    calls: list[InFlight]
    minutes: list[Minute]


class Problem(NamedTuple):
    """Something wrong: ``name`` is what was examined, ``message`` what was found, ``fix`` what to do about it."""

    name: str
    message: str
    fix: str
