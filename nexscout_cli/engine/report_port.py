"""What reports need of a store, as protocols: sums over a window. Money in nano-dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from nexscout_cli.engine.book_types import Filed
    from nexscout_cli.engine.report_values import Deployed, Failed, Person, PromptCache
    from nexscout_cli.engine.report_window import Window

Row = dict[str, Any]


class ReportReader(Protocol):
    """Sums over a window of what the actor may see, from one consistent state; money in nano-dollars."""

    @property
    def now(self) -> datetime:
        """The time of that state."""

    @property
    def window(self) -> Window:
        """The window."""

    @property
    def user(self) -> str | None:
        """Whose figures they are; None: everyone's."""

    @property
    def archived(self) -> Sequence[Filed]:
        """The archives with rows of the window, oldest first: of those months sums are known, and no single calls."""

    def sums(self, *keys: str) -> list[Row]:
        """Sums by ``keys``: user_id, day, model_used, feature. A request counts with its first row."""

    def days(self) -> list[Row]:
        """Sums by day of the window's time zone, in order, days without use left out."""

    def tiers(self) -> dict[str, str]:
        """The present tier of each user."""

    def people(self) -> list[Person]:
        """The users that the actor may see, with the tiers they had."""

    def failed_attempts(self) -> list[Failed]:
        """Attempts of the window that gave no answer, by model, label and day of the window's time zone."""

    def latencies(self) -> dict[str, tuple[int, int]]:
        """Milliseconds from the hold to the post of the window's calls, by model: the P50 and the P95."""

    def deployed_calls(self) -> list[Deployed]:
        """Calls of the window that were made at a deployment, by model and deployment."""

    def kept_answers(self) -> dict[str, int]:
        """How many answers are kept now, by feature."""

    def tokens_saved_by_hits(self) -> dict[str, int]:
        """Tokens that cached answers saved in the window, by feature."""

    def prompt_caches(self) -> list[PromptCache]:
        """Input tokens of the window that providers had in their caches, or wrote there, by model and class."""

    def audits(self) -> tuple[int, int, int, int]:
        """Audits of the window: how many, the same answer, another one, and what the strong answers cost."""

    def token_classes(self) -> dict[str, int]:
        """Tokens of the window that are not plain, by class (see ``engine/usage.py``)."""

    def predictions(self, *keys: str) -> list[Row]:
        """Predictions whose actual tokens are known, summed up by ``keys`` (feature, recommended_model), most first.

        n; predicted, actual and formula: sums of tokens; accuracy: mean of 0..1; error, median_error, formula_error and
        formula_median_error: of |predicted − actual| ÷ actual; covered: share within the P90, None where none has one.
        Without keys one row, or none where nothing is known.
        """

    def by_day(self, step: int = 1) -> Iterator[tuple[str, ReportReader]]:
        """Each day of the window's time zone since the first use, with a reader of it alone; or of ``step`` days from it."""

    def latency(self) -> Row:
        """Of all calls whose time is known: n, and p50 and p95 in milliseconds from the hold to the post, None without one."""

    def predicted(self) -> Row:
        """Predictions whose actual tokens are known: n; sums of tokens: predicted, actual, and p90, which counts the prediction
        where it has none; means as ``predictions`` has them: error, formula_error, covered; None where there is none.
        """


class Reports(Protocol):
    """Where the money went."""

    def reading(self, actor: str, window: Window, user: str | None = None) -> AbstractContextManager[ReportReader]:
        """A reader of one window. ``user`` None: everyone's for an admin, else the actor's own."""

    def now(self, actor: str) -> datetime:
        """The store's time."""
