"""Gemini's batches, with the rows in the request. Source: Gemini API reference, "Batch API"; the guide of that name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nexscout_cli.engine.jobs.remote import Found, Limits, Look, Outcome
from nexscout_cli.providers.batches import asking
from nexscout_cli.providers.wires import gemini as wire
from nexscout_cli.providers.wires.reader import an_object, objects
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.providers.wires.targets import target_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from nexscout_cli.engine.call import Call, Completion
    from nexscout_cli.engine.model import Model

_STOPPED = {"failed": "failed", "cancelled": "cancelled", "expired": "expired"}
_ALL_ANSWERS = 512 * 2**20
"""Bytes that the answers of a batch may have: they come in one document."""
_PAGES = 50


class GeminiBatches:
    """``models/NAME:batchGenerateContent`` and ``batches``."""

    name = "gemini"
    limits = Limits(10_000, 19 * 10**6)
    """The provider takes 20 MB of rows in a request; of their number it says nothing."""

    def row(self, call: Call, name: str) -> dict[str, Any]:
        """A request of the batch."""
        target = target_of(call.model)
        assert target is not None
        return {"request": json.loads(wire.request(call, target, None).body), "metadata": {"key": name}}

    def create(self, model: Model, name: str, file_id: str | None, rows: Sequence[str]) -> str:
        """Make the batch."""
        frame = json.dumps({"batch": {"displayName": name, "inputConfig": {"requests": {"requests": ["ROWS"]}}}})
        before, after = (part.encode() for part in frame.split('"ROWS"'))
        body = before + b",".join(row.encode() for row in rows) + after
        target = target_of(model)
        assert target is not None
        request = self._request(model, "POST", f"{target.url}:batchGenerateContent", body)
        return asking.named(asking.ask(model, request, within=asking.UPLOAD_WITHIN), "name")

    def find(self, model: Model, name: str, rows: Sequence[str], since: datetime, known: frozenset[str]) -> Found:
        """By the part's name, which is the batch's display name."""
        after = ""
        for _ in range(_PAGES):
            page = asking.ask(model, self._request(model, "GET", f"{self._base(model)}/batches?pageSize=100{after}"))
            for one in objects(page.get("operations")):
                if an_object(one.get("metadata")).get("displayName") == name:
                    return Found(asking.named(one, "name"))
            if not page.get("nextPageToken"):
                return Found()
            after = f"&pageToken={quote(str(page['nextPageToken']))}"
        return Found(unsure=True)

    def look(self, model: Model, remote_id: str) -> Look:
        """The batch's state."""
        batch = self._batch(model, remote_id)
        about = an_object(batch.get("metadata"))
        state = str(about.get("state", "")).removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_").lower()
        stopped = _STOPPED.get(state)
        done = str(an_object(about.get("batchStats")).get("successfulRequestCount", ""))
        message = str(an_object(batch.get("error")).get("message") or "")
        return Look(
            state,
            over=batch.get("done") is True or stopped is not None or state == "succeeded",
            stopped=stopped,
            reason=(message or (f"the batch has {state}" if stopped else ""))[:200],
            results=(remote_id,),
            done=int(done) if done.isdigit() else None,
        )

    def outcomes(self, model: Model, look: Look) -> Iterator[Outcome]:
        """The responses that stand in the batch itself."""
        for name in look.results:
            answer = an_object(self._batch(model, name).get("response"))
            found = an_object(answer.get("inlinedResponses")).get("inlinedResponses")
            for one in objects(found):
                row = str(an_object(one.get("metadata")).get("key"))
                if isinstance(one.get("response"), dict):
                    yield Outcome(row, "answered", one["response"])
                else:
                    yield Outcome(
                        row, "failed", None, str(an_object(one.get("error")).get("message") or "no reason given")[:200]
                    )

    def completion(self, call: Call, body: dict[str, Any]) -> Completion:
        """The answer in a response."""
        target = target_of(call.model)
        assert target is not None
        return asking.completion(wire.ContentReader(call), call, body, wire.not_sent(call, target))

    def cancel(self, model: Model, remote_id: str) -> None:
        """Ask it to stop."""
        asking.cancel(model, self._request(model, "POST", f"{self._base(model)}/{quote(remote_id)}:cancel"))

    def _batch(self, model: Model, remote_id: str) -> dict[str, Any]:
        request = self._request(model, "GET", f"{self._base(model)}/{quote(remote_id)}")
        return asking.ask(model, request, within=asking.UPLOAD_WITHIN, most=_ALL_ANSWERS)

    @staticmethod
    def _base(model: Model) -> str:
        target = target_of(model)
        assert target is not None
        return target.url.removesuffix(f"/models/{target.model}")

    @staticmethod
    def _request(model: Model, method: str, url: str, body: bytes = b"") -> HttpRequest:
        key = asking.key_of(model)
        return HttpRequest(url, () if key is None else (("x-goog-api-key", key),), body, method)
