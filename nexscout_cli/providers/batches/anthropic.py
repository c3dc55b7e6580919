"""Anthropic's message batches. Source: Anthropic API reference, "Message Batches"; the guide "Batch processing" on limits."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.jobs.remote import Found, Limits, Look, Outcome
from nexscout_cli.providers.batches import asking
from nexscout_cli.providers.wires import anthropic as wire
from nexscout_cli.providers.wires.reader import an_object, objects
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.providers.wires.targets import target_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nexscout_cli.engine.call import Call, Completion
    from nexscout_cli.engine.model import Model

_APART = timedelta(minutes=10)
"""How far the provider's clock may be from ours."""
_PAGES = 50
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


class AnthropicBatches:
    """``/v1/messages/batches``."""

    name = "anthropic"
    limits = Limits(100_000, 250 * 10**6)
    """The provider takes 100,000 rows or 256 MB."""

    def row(self, call: Call, name: str) -> dict[str, Any]:
        """A request of the batch."""
        target = target_of(call.model)
        assert target is not None
        return {"custom_id": name, "params": json.loads(wire.request(call, target, None).body)}

    def create(self, model: Model, name: str, file_id: str | None, rows: Sequence[str]) -> str:
        """Make the batch."""
        body = b'{"requests":[' + b",".join(row.encode() for row in rows) + b"]}"
        return asking.named(asking.ask(model, self._request(model, "POST", "", body), within=asking.UPLOAD_WITHIN))

    def find(self, model: Model, name: str, rows: Sequence[str], since: datetime, known: frozenset[str]) -> Found:
        """A batch says nothing of its rows until it has ended: one of as many rows, of that time, may be it until then."""
        after, unsure, oldest = "", False, since - _APART
        for _ in range(_PAGES):
            page = asking.ask(model, self._request(model, "GET", f"?limit=100{after}"))
            found = objects(page.get("data"))
            for one in found:
                if asking.named(one) in known or _made(one) < oldest or _rows(one) != len(rows):
                    continue
                if one.get("processing_status") != "ended":
                    unsure = True
                elif self._is_ours(model, one, rows):
                    return Found(asking.named(one))
            if not page.get("has_more") or not found or _made(found[-1]) < oldest:
                return Found(unsure=unsure)
            after = f"&after_id={quote(asking.named(found[-1]))}"
        return Found(unsure=True)

    def _is_ours(self, model: Model, batch: dict[str, Any], rows: Sequence[str]) -> bool:
        first = next(asking.lines(model, self._results(model, batch)), {})
        return first.get("custom_id") in rows

    def look(self, model: Model, remote_id: str) -> Look:
        """The batch's processing status."""
        batch = asking.ask(model, self._request(model, "GET", f"/{quote(remote_id)}"))
        counts = an_object(batch.get("request_counts"))
        done = counts.get("succeeded")
        stopped = next((kind for kind in ("expired", "canceled") if counts.get(kind)), None)
        return Look(
            {"canceling": "cancelling"}.get(str(batch.get("processing_status")), str(batch.get("processing_status"))),
            over=batch.get("processing_status") == "ended",
            stopped=stopped,
            reason=f"the batch was ended before: {stopped}" if stopped else "",
            results=(remote_id,),
            done=done if isinstance(done, int) else None,
        )

    def outcomes(self, model: Model, look: Look) -> Iterator[Outcome]:
        """The lines of the results."""
        for name in look.results:
            for line in asking.lines(model, self._results(model, {"id": name})):
                yield _outcome(line)

    def completion(self, call: Call, body: dict[str, Any]) -> Completion:
        """The message in a line."""
        target = target_of(call.model)
        assert target is not None
        return asking.completion(wire.MessagesReader(call), call, body, wire.not_sent(call, target))

    def cancel(self, model: Model, remote_id: str) -> None:
        """Ask it to stop."""
        asking.cancel(model, self._request(model, "POST", f"/{quote(remote_id)}/cancel"))

    def _results(self, model: Model, batch: dict[str, Any]) -> HttpRequest:
        # Not by its ``results_url``: the key goes to the address that the catalog names, and to no other.
        return self._request(model, "GET", f"/{quote(asking.named(batch))}/results")

    def _request(self, model: Model, method: str, path: str, body: bytes = b"") -> HttpRequest:
        target = target_of(model)
        assert target is not None
        key = asking.key_of(model)
        headers = (("anthropic-version", wire.VERSION), *(() if key is None else (("x-api-key", key),)))
        return HttpRequest(f"{target.url}/batches{path}", headers, body, method)


def _made(batch: dict[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(str(batch.get("created_at")))
    except ValueError:
        raise ProviderFailure("unknown", "the provider's answer has no time") from None


def _rows(batch: dict[str, Any]) -> int:
    counts = an_object(batch.get("request_counts"))
    return sum(int(counts.get(name) or 0) for name in _COUNTS)


def _outcome(line: dict[str, Any]) -> Outcome:
    row, result = str(line.get("custom_id")), an_object(line.get("result"))
    kind = str(result.get("type"))
    if kind == "succeeded":
        return Outcome(row, "answered", an_object(result.get("message")))
    error = an_object(result.get("error"))
    error = an_object(error.get("error")) or error
    message = str(error.get("message") or f"the batch left it {kind}")[:200]
    return Outcome(
        row, {"errored": "failed", "canceled": "cancelled", "expired": "expired"}.get(kind, "failed"), None, message
    )
