"""Counts for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nexscout_cli.engine.response import AIResponse


class _Commits:
    """How long commits take, and their transactions, as Prometheus reads it."""

    def __init__(self, commits: Callable[[], tuple[int, float, int, float] | None]) -> None:
        self._commits = commits

    def collect(self) -> Iterator[SummaryMetricFamily]:
        """Both metrics, where they are known."""
        if (found := self._commits()) is not None:
            yield SummaryMetricFamily("nexscout_commit_seconds", "Seconds of the books' commits.", *found[:2])
            said = "Seconds of the books' transactions that were waited for, statements and commit."
            yield SummaryMetricFamily("nexscout_transaction_seconds", said, *found[2:])


class Metrics:
    """What this process has answered. Nothing here names a user, a key or a prompt.

    ``commits``: what the books say of those they have made; None where that is not known.
    """

    def __init__(self, commits: Callable[[], tuple[int, float, int, float] | None]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Commits(commits))
        self._requests = Counter(
            "nexscout_http_requests", "HTTP requests.", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "nexscout_http_seconds", "Seconds to an answer's head.", ("path",), registry=self._registry
        )
        self._answers = Counter("nexscout_answers", "Answers.", ("model", "outcome"), registry=self._registry)
        self._cost = Counter("nexscout_cost_usd", "Dollars posted.", ("model",), registry=self._registry)
        self._tokens = Counter("nexscout_tokens", "Tokens.", ("model", "side"), registry=self._registry)
        self._known: dict[tuple[Any, ...], Any] = {}
        self._in_flight = Gauge("nexscout_in_flight", "Requests that are worked on.", registry=self._registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request; ``path`` is the route's pattern."""
        self._of(self._requests, path, status).inc()
        self._of(self._seconds, path).observe(seconds)

    def _of(self, metric: Any, *labels: object) -> Any:
        """A metric with these labels; to look it up in the package again takes several times as long as to count."""
        found = self._known.get((id(metric), labels))
        if found is None:
            found = self._known[id(metric), labels] = metric.labels(*map(str, labels))
        return found

    def answered(self, response: AIResponse) -> None:
        """Count an answer, or a failure."""
        known = response.metadata
        model = (known and known.model_used) or "none"
        outcome = "failed" if not response.success else "cached" if known and known.from_cache else "answered"
        self._of(self._answers, model, outcome).inc()
        if known is not None and not known.from_cache and not response.replayed:
            self._of(self._cost, model).inc(float(known.cost_usd))
            self._of(self._tokens, model, "input").inc(known.input_tokens)
            self._of(self._tokens, model, "output").inc(known.output_tokens)

    def text(self, in_flight: int) -> tuple[bytes, str]:
        """All of it in Prometheus's format, and that format's name."""
        self._in_flight.set(in_flight)
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
