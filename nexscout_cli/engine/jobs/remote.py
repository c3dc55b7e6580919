"""A provider's batch interface as the engine needs it. What goes wrong is a ProviderFailure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from nexscout_cli.engine.call import Call, Completion
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.request import Json


class Limits(NamedTuple):
    """What one batch takes at the most: rows, and bytes of all of them."""

    rows: int
    bytes: int


class Look(NamedTuple):
    """What a provider says of a batch. ``state`` is its own word.

    ``over``: nothing more will be answered. ``stopped``: why it was ended before all was answered (failed, expired, cancelled);
    ``reason`` says more. ``results`` names where answers are read. ``done``: how many rows it says it has answered, None
    where it does not say.
    """

    state: str
    over: bool
    stopped: str | None = None
    reason: str = ""
    results: tuple[str, ...] = ()
    done: int | None = None


class Outcome(NamedTuple):
    """What became of one row. ``kind``: answered, failed, expired, cancelled. ``body``: the answer as one call would have had it.

    ``message`` says why there is none.
    """

    row: str
    kind: str
    body: dict[str, Json] | None = None
    message: str = ""


class Found(NamedTuple):
    """Whether a batch that may have been made is there. ``unsure``: one that may be it is not over yet."""

    remote_id: str | None = None
    unsure: bool = False


class Remote(Protocol):
    """A provider's batch interface."""

    name: str
    limits: Limits

    def row(self, call: Call, name: str) -> dict[str, Json]:
        """A row as the batch has it; ``name`` comes back with its answer."""

    def create(self, model: Model, name: str, file_id: str | None, rows: Sequence[str]) -> str:
        """Make the batch; returns its id. ``name`` is ours, for :meth:`find`."""

    def find(self, model: Model, name: str, rows: Sequence[str], since: datetime, known: frozenset[str]) -> Found:
        """The batch that an earlier :meth:`create` may have made. ``rows`` are our names for its rows; ``known`` are batches of
        ours that it cannot be.
        """

    def look(self, model: Model, remote_id: str) -> Look:
        """How far it is."""

    def outcomes(self, model: Model, look: Look) -> Iterator[Outcome]:
        """What became of the rows, as far as the provider says so."""

    def completion(self, call: Call, body: dict[str, Json]) -> Completion:
        """The answer in an outcome's body. Raises ProviderFailure for one that is none."""

    def cancel(self, model: Model, remote_id: str) -> None:
        """Ask it to stop."""


@runtime_checkable
class TakesFile(Remote, Protocol):
    """A batch interface to which the rows are uploaded as a file first."""

    def upload(self, model: Model, name: str, rows: Iterable[str]) -> str:
        """Upload the rows, each JSON text; returns the file's id."""


@runtime_checkable
class AnswersLater(Protocol):
    """A provider that has batch interfaces."""

    def remote(self, model: Model) -> Remote | None:
        """The batch interface that serves a model; None where there is none."""
