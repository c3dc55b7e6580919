"""The store's book of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.jobs.values import Job, NewRow, Part, Row
    from nexscout_cli.engine.request import Json
    from nexscout_cli.engine.settlement import Attempt, Failure, Order, Posting


class JobBook(Protocol):
    """Jobs. Whoever made one, and admins, may see it and go on with it. Each method is one transaction."""

    def begin(self, actor: str, job: Job, rows: Sequence[NewRow]) -> None:
        """Enter a job with its rows."""

    def find(self, actor: str, name: str) -> Job:
        """The job whose id begins so. Raises UsageError where there is none, or more than one."""

    def listing(self, actor: str, limit: int, *, only_open: bool = False) -> list[Job]:
        """The jobs that the actor may see, the newest first."""

    def latest(self, actor: str, digest: str, out: str | None) -> Job | None:
        """The actor's newest job of a file with that content whose answers go to ``out``."""

    def reopen(self, actor: str, job: str) -> None:
        """Let rows wait again whose holds were given back because their process died."""

    def rows(self, actor: str, job: str, *states: str) -> list[Row]:
        """The rows in those states (none: all), in order, without what they ask and answer."""

    def row(self, actor: str, job: str, n: int) -> Row:
        """One row with all that is kept of it."""

    def hold(self, actor: str, order: Order, row: Row, kept: dict[str, Json], body: dict[str, Json]) -> Attempt | None:
        """T1 of a row that waits; None where another process was faster. Raises as :meth:`Ledger.hold` does."""

    def end(self, actor: str, row: Row, answer: dict[str, Json]) -> None:
        """Give a row its answer for which nothing is held, or its error; nothing where it has one."""

    def sizes(self, actor: str, job: str) -> list[tuple[int, dict[str, Json], int]]:
        """Of each row that is held and in no part: its place, its model, and the bytes of its body."""

    def add_part(self, actor: str, job: str, provider: str, model: dict[str, Json], places: Sequence[int]) -> None:
        """Put rows into a new part; those that another process has put into one stay there."""

    def parts(self, actor: str, job: str) -> list[Part]:
        """The parts, in order."""

    def take(self, actor: str, part: str, seconds: float) -> Part | None:
        """Keep other processes from a part for so long; None while one has it."""

    def let_go(self, actor: str, part: str) -> None:
        """Let others have it."""

    def submit(self, actor: str, part: Part, state: str) -> int:
        """The rows of a part that hold something are the job's from here on; returns how many those are."""

    def move(self, actor: str, part: str, *, begun: bool = False, **changes: Json) -> None:
        """Write down how far a part is: state, file_id, remote_id, remote_state, misses, note; ``begun``: now."""

    def bodies(self, actor: str, part: str) -> list[tuple[str, str]]:
        """The names (request ids) and bodies of a part's rows, in order."""

    def remote_ids(self, actor: str, provider: str) -> frozenset[str]:
        """The batches of a provider's that parts of any job have."""

    def post(self, actor: str, row: Row, posting: Posting, answer: dict[str, Json] | None) -> None:
        """T3, and the row's answer. Without an answer: the row's cost alone."""

    def give_back(self, actor: str, row: Row, reason: str, failure: Failure, answer: dict[str, Json] | None) -> None:
        """Void a row's hold, and end it with that error; without one it goes on at full price."""

    def lose(self, actor: str, row: Row, reason: str, failure: Failure, answer: dict[str, Json]) -> None:
        """Keep a row's hold, for nobody knows what it has cost, and end it with that error."""

    def fail(self, actor: str, row: Row, failure: Failure, answer: dict[str, Json]) -> None:
        """End a row whose cost was posted and which has no answer for anybody."""

    def cancel(self, actor: str, job: str) -> None:
        """Nothing more of the job is to be sent."""

    def close(self, actor: str, job: str) -> bool:
        """End a job all of whose rows have ended; False where some have not."""

    def clean(self, before_days: int) -> int:
        """Remove jobs that ended so long ago; returns how many."""
