"""Rows of a job before they are handed over: planned and held one by one, then put into parts a provider takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine import bookkeeping
from nexscout_cli.engine.execution import MAX_REPLANS
from nexscout_cli.engine.jobs.keeping import call_of, plan_json, request_of
from nexscout_cli.engine.jobs.values import model_of
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.errors import Blocked, Interrupted, NexScoutError, StalePlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nexscout_cli.engine.jobs.ports import JobBook
    from nexscout_cli.engine.jobs.remote import AnswersLater, Limits
    from nexscout_cli.engine.jobs.values import Row
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.request import Json

_HELD_FOR = 7 * 86_400.0
"""Seconds until an attempt that was held and never handed over is given up; a dead process's is at once."""
_FULL = ("token_budget", "usd_cap", "not_enough_energy")
"""Refusals that may end once rows that are under way have cost less than they hold."""
_REST = 1_000
"""Bytes that a part's frame may have beside its rows."""


class Quote(NamedTuple):
    """What rows were quoted, in nano-dollars: expected, at most, and expected at full price."""

    rows: int = 0
    expected: int = 0
    most: int = 0
    full: int = 0


class Preparing:
    """Makes rows that wait into rows that are held, and those into parts."""

    def __init__(self, engine: Engine, book: JobBook, provider: AnswersLater, actor: str) -> None:
        self._engine, self._book, self._provider, self._actor = engine, book, provider, actor

    def hold_waiting(self, job: str) -> Quote:
        """Plan and hold every row that waits; what needs no call, or may not be made, has its answer or error at once.

        Raises Interrupted between two rows where a signal asks to stop.
        """
        quoted, full = Quote(), set[str]()
        under_way = bool(self._book.rows(self._actor, job, "held", "sent"))
        for row in self._book.rows(self._actor, job, "waiting"):
            if row.user_id in full:
                continue
            if self._engine.interrupts.stopping:
                raise Interrupted("interrupted; nothing of it was sent", f"`nexscout jobs poll {job}` goes on with it")
            if row.same_as is None:
                one = self._hold(self._book.row(self._actor, job, row.n), waits=under_way or quoted.rows > 0)
                if one is None:
                    full.add(row.user_id)
                else:
                    quoted = Quote(*(a + b for a, b in zip(quoted, one, strict=True)))
        return quoted

    def _hold(self, row: Row, *, waits: bool) -> Quote | None:
        """Hold one row; None where a budget is full and the row ``waits`` for what other rows of its job hold."""
        if row.request is None:
            self._book.end(self._actor, row, _forgotten().as_json())
            return Quote()
        request = request_of(row.request)
        for _ in range(MAX_REPLANS + 1):
            begun = self._engine.for_later(request, actor=self._actor)
            if isinstance(begun, AIResponse):
                if waits and begun.error is not None and begun.error["code"] in _FULL:
                    return None
                self._book.end(self._actor, row, begun.as_json())
                return Quote()
            asked, snapshot, plan = begun
            remote = self._provider.remote(plan.model)
            assert remote is not None, "only models with a batch interface are planned"
            order = bookkeeping.order(
                asked.request_id,
                plan,
                plan.predicted_tokens,
                snapshot,
                self._engine.settings,
                fingerprint=asked.fingerprint,
                seconds=_HELD_FOR,
                cache_key=None,
            )
            body = remote.row(call_of(plan, self._engine.settings["providers.timeout"]), asked.request_id)
            try:
                self._book.hold(self._actor, order, row, plan_json(plan, asked), body)
            except StalePlan:
                continue
            except NexScoutError as error:
                self._book.end(self._actor, row, AIResponse(False, None, error.as_json(), None).as_json())
                return Quote()
            prices = plan.model.class_prices
            full = plan.model._replace(price_in=prices["default_input"], price_out=prices["default_output"])
            forecast = plan.forecast
            return Quote(1, plan.own_cost, plan.own_max_cost, full.cost(forecast.input_tokens, forecast.output_tokens))
        busy = Blocked("budgets and balances keep changing under this row", "try again in a moment", code="contention")
        self._book.end(self._actor, row, AIResponse(False, None, busy.as_json(), None).as_json())
        return Quote()

    def make_parts(self, job: str) -> None:
        """Put the rows that are held into parts: of one model each, within what its provider takes at once."""
        groups: dict[str, tuple[dict[str, Json], list[tuple[int, int]]]] = {}
        for n, model, size in self._book.sizes(self._actor, job):
            place = "\n".join(str(model[name]) for name in ("litellm_model", "api_base", "api_key_env"))
            groups.setdefault(place, (model, []))[1].append((n, size))
        for model, rows in groups.values():
            remote = self._provider.remote(model_of(model))
            assert remote is not None, "only models with a batch interface are held"
            for places in chunks(rows, remote.limits):
                self._book.add_part(self._actor, job, remote.name, model, places)


def chunks(rows: Sequence[tuple[int, int]], limits: Limits) -> Iterator[list[int]]:
    """The places of rows (place, bytes), in groups within the limits. A row that is too large for any has a group of its own."""
    places: list[int] = []
    size = _REST
    for n, own in rows:
        own += 2  # what stands between two
        if places and (len(places) == limits.rows or size + own > limits.bytes):
            yield places
            places, size = [], _REST
        places.append(n)
        size += own
    if places:
        yield places


def _forgotten() -> AIResponse:
    error = Blocked("the person whose row it is was forgotten", "nothing is to be done", code="forgotten")
    return AIResponse(False, None, error.as_json(), None)
