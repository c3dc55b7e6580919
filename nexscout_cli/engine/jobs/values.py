"""A job: rows of a batch that a provider answers later, and the parts in which they were handed over. Values alone."""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine.model import Model
from nexscout_cli.engine.request import Json
from nexscout_cli.engine.settlement import Attempt

TIER = "batch"
"""The service tier of a call that is answered later; no user names it, and no provider is told of it."""


class NewRow(NamedTuple):
    """A row as it is entered. ``row_id`` and ``digest`` are its line's name and content in the file; ``same_as`` is the place
    of an identical row whose answer it shares. ``answer``: it has one already, for instance because its line is wrong.
    """

    n: int
    row_id: str
    digest: str
    user_id: str
    request: dict[str, Json] | None
    same_as: int | None = None
    answer: dict[str, Json] | None = None


class Row(NamedTuple):
    """A row of a job. ``state``:

    ======= ===========================================================================
    waiting nothing is held for it
    held    its worst case is held; it is in no provider's hands
    sent    a provider's batch has it, or is being given it
    back    the batch gave it back: it is to be sent at full price
    ended   it has an answer, or an error
    ======= ===========================================================================

    ``attempt`` and ``attempt_state``: what it holds. ``request`` is None once its person was forgotten, or it has ended.
    """

    job: str
    n: int
    row_id: str
    digest: str
    user_id: str
    state: str
    same_as: int | None = None
    request_id: str | None = None
    part: str | None = None
    request: dict[str, Json] | None = None
    kept: dict[str, Json] | None = None
    answer: dict[str, Json] | None = None
    attempt: Attempt | None = None
    attempt_state: str | None = None


class Part(NamedTuple):
    """What one batch of a provider's takes. ``model`` says where it is reached. ``state``: new, uploading, creating, sent, ended.

    ``file_id`` and ``remote_id`` are the provider's names for the rows' file and for the batch, ``remote_state`` its last
    word on it. ``begun_at``: when the batch was first asked for (ISO time). ``misses``: how often its answers could not be
    had although it had ended.
    """

    id: str
    job: str
    provider: str
    model: Model
    state: str
    file_id: str | None
    remote_id: str | None
    remote_state: str | None
    begun_at: str | None
    misses: int
    note: str | None
    rows: int
    created_at: str
    ended_at: str | None


class Job(NamedTuple):
    """A job. ``state``: open, cancelling, ended. ``counts``: rows by state; ``answered`` and ``failed`` are of those that
    ended. ``held``: nano-dollars that its rows hold, ``cost``: what they have cost so far. ``out``: the file its answers go to.
    """

    id: str
    actor: str
    name: str
    digest: str
    out: str | None
    state: str
    created_at: str
    ended_at: str | None
    counts: dict[str, int] = {}  # noqa: RUF012 - never changed
    answered: int = 0
    failed: int = 0
    held: int = 0
    cost: int = 0

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(self.counts.values())


def model_of(kept: dict[str, Json]) -> Model:
    """A model from its fields as JSON."""
    lists = {name: tuple(kept[name]) for name in ("abilities", "refused_options") if kept.get(name) is not None}
    return Model(**kept | lists)
