"""Counts for Prometheus, of all workers together."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nexscout_cli.engine.response import AIResponse
    from nexscout_cli.server.board import Counts, Name

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_REQUESTS, _SECONDS, _SUM, _ANSWERS, _COST, _TOKENS = "requests", "seconds", "seconds sum", "answers", "cost", "tokens"
_COMMITS, _AWAITED = (("commits",), ("commit seconds",)), (("awaited",), ("awaited seconds",))
_COUNTERS = (
    (_REQUESTS, "nexscout_http_requests", "HTTP requests.", ("path", "status")),
    (_ANSWERS, "nexscout_answers", "Answers.", ("model", "outcome")),
    (_COST, "nexscout_cost_usd", "Dollars posted.", ("model",)),
    (_TOKENS, "nexscout_tokens", "Tokens.", ("model", "side")),
)
_BUCKETS = (*map(str, _BOUNDS), "+Inf")


class Metrics:
    """What has been answered. Nothing here names a user, a key or a prompt.

    ``counts`` has it, for all workers. ``commits``: what the books say of those of this process; None where that is not known.
    """

    def __init__(self, counts: Counts, commits: Callable[[], tuple[int, float, int, float] | None]) -> None:
        self._counts, self._commits = counts, commits
        self._told: tuple[float, ...] = (0, 0.0, 0, 0.0)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request; ``path`` is the route's pattern."""
        add = self._counts.add
        add((_REQUESTS, path, str(status)))
        add((_SECONDS, path, _BUCKETS[bisect_left(_BOUNDS, seconds)]))
        add((_SUM, path), seconds)

    def answered(self, response: AIResponse) -> None:
        """Count an answer, or a failure."""
        known = response.metadata
        model = (known and known.model_used) or "none"
        outcome = "failed" if not response.success else "cached" if known and known.from_cache else "answered"
        self._counts.add((_ANSWERS, model, outcome))
        if known is not None and not known.from_cache and not response.replayed:
            self._counts.add((_COST, model), float(known.cost_usd))
            self._counts.add((_TOKENS, model, "input"), known.input_tokens)
            self._counts.add((_TOKENS, model, "output"), known.output_tokens)

    def tell(self) -> None:
        """Tell the other workers of commits that were made since this was called last."""
        if (now := self._commits()) is not None:
            for name, told, made in zip((*_COMMITS, *_AWAITED), self._told, now, strict=True):
                self._counts.add(name, made - told)
            self._told = now

    def text(self, in_flight: int) -> tuple[bytes, str]:
        """All of it in Prometheus's format, and that format's name."""
        self.tell()
        registry = CollectorRegistry()
        registry.register(_Collected(self._counts.sums(), in_flight))
        return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collected:
    """Sums, as Prometheus's package reads them."""

    def __init__(self, sums: dict[Name, float], in_flight: int) -> None:
        self._sums, self._in_flight = sums, in_flight

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        of: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for (kind, *said), value in sorted(self._sums.items()):
            of.setdefault(kind, []).append((tuple(said), value))
        for kind, name, about, labels in _COUNTERS:
            family = CounterMetricFamily(name, about, labels=labels)
            for each, value in of.get(kind, ()):
                family.add_metric(each, value)
            yield family
        yield self._seconds(of)
        yield GaugeMetricFamily("nexscout_in_flight", "Requests that are worked on.", self._in_flight)
        for (count, seconds), name, about in (
            (_COMMITS, "nexscout_commit_seconds", "Seconds of the books' commits."),
            (
                _AWAITED,
                "nexscout_transaction_seconds",
                "Seconds of transactions that requests waited for, with the commit.",
            ),
        ):
            if count in self._sums:
                yield SummaryMetricFamily(name, about, int(self._sums[count]), self._sums[seconds])

    def _seconds(self, of: dict[str, list[tuple[tuple[str, ...], float]]]) -> Metric:
        family = HistogramMetricFamily("nexscout_http_seconds", "Seconds to an answer's head.", labels=("path",))
        counted = dict(of.get(_SECONDS, ()))
        for (path,), total in of.get(_SUM, ()):
            buckets, so_far = [], 0.0
            for bound in _BUCKETS:
                so_far += counted.get((path, bound), 0.0)
                buckets.append((bound, so_far))
            family.add_metric((path,), buckets, total)
        return family
