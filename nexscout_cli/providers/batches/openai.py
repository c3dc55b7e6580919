"""OpenAI's batches. Source: OpenAI API reference, "Batch" and "Files"; the guide "Batch API" on limits and states."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nexscout_cli.engine.jobs.remote import Found, Limits, Look, Outcome
from nexscout_cli.providers.batches import asking
from nexscout_cli.providers.wires import openai as wire
from nexscout_cli.providers.wires.reader import an_object, objects
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.providers.wires.targets import target_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from nexscout_cli.engine.call import Call, Completion
    from nexscout_cli.engine.model import Model

_END = "/chat/completions"
_STOPPED = ("failed", "expired", "cancelled")
_OURS = "nexscout_part"
_PAGES = 50
"""Pages of a hundred batches that are looked through for one of ours."""
_APART = timedelta(minutes=10)
"""How far the provider's clock may be from ours."""


class OpenAIBatches:
    """``/v1/files`` and ``/v1/batches``."""

    name = "openai"
    limits = Limits(50_000, 190 * 10**6)
    """The provider takes 50,000 rows and 200 MB; 190 leave room for how it counts."""

    def row(self, call: Call, name: str) -> dict[str, Any]:
        """A line of the file."""
        target = target_of(call.model)
        assert target is not None
        body = json.loads(wire.request(call, target, None).body)
        return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}

    def upload(self, model: Model, name: str, rows: Iterable[str]) -> str:
        """Upload the rows as a file."""
        mark = f"nexscout-{os.urandom(12).hex()}"
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}.jsonl"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        )
        body = b"".join((head.encode(), *(f"{row}\n".encode() for row in rows), f"\r\n--{mark}--\r\n".encode()))
        request = self._request(model, "POST", "/files", body, f"multipart/form-data; boundary={mark}")
        return asking.named(asking.ask(model, request, within=asking.UPLOAD_WITHIN))

    def create(self, model: Model, name: str, file_id: str | None, rows: Sequence[str]) -> str:
        """Make the batch of an uploaded file."""
        body = {
            "input_file_id": file_id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {_OURS: name},
        }
        return asking.named(asking.ask(model, self._request(model, "POST", "/batches", json.dumps(body).encode())))

    def find(self, model: Model, name: str, rows: Sequence[str], since: datetime, known: frozenset[str]) -> Found:
        """By the part's name, which stands in the batch's metadata."""
        oldest, after = (since - _APART).timestamp(), ""
        for _ in range(_PAGES):
            page = asking.ask(model, self._request(model, "GET", f"/batches?limit=100{after}"))
            found = objects(page.get("data"))
            for one in found:
                if an_object(one.get("metadata")).get(_OURS) == name:
                    return Found(asking.named(one))
            made = found[-1].get("created_at") if found else None
            if not page.get("has_more") or not isinstance(made, int | float) or made < oldest:
                return Found()
            after = f"&after={quote(asking.named(found[-1]))}"
        return Found(unsure=True)

    def look(self, model: Model, remote_id: str) -> Look:
        """The batch's status."""
        batch = asking.ask(model, self._request(model, "GET", f"/batches/{quote(remote_id)}"))
        state = str(batch.get("status"))
        stopped = state if state in _STOPPED else None
        files = tuple(str(batch[key]) for key in ("output_file_id", "error_file_id") if batch.get(key))
        done = an_object(batch.get("request_counts")).get("completed")
        told = [str(one.get("message")) for one in objects(an_object(batch.get("errors")).get("data"))]
        reason = "; ".join(told[:3]) or (f"the batch {_WORDS[state]}" if stopped else "")
        return Look(
            state,
            over=stopped is not None or state == "completed",
            stopped=stopped,
            reason=reason[:200],
            results=files,
            done=done if isinstance(done, int) else None,
        )

    def outcomes(self, model: Model, look: Look) -> Iterator[Outcome]:
        """The lines of both files."""
        for file in look.results:
            for line in asking.lines(model, self._request(model, "GET", f"/files/{quote(file)}/content")):
                yield _outcome(line)

    def completion(self, call: Call, body: dict[str, Any]) -> Completion:
        """The answer in a line."""
        return asking.completion(wire.ChatReader(call), call, body, ())

    def cancel(self, model: Model, remote_id: str) -> None:
        """Ask it to stop."""
        asking.cancel(model, self._request(model, "POST", f"/batches/{quote(remote_id)}/cancel"))

    def _request(
        self, model: Model, method: str, path: str, body: bytes = b"", kind: str = "application/json"
    ) -> HttpRequest:
        target = target_of(model)
        assert target is not None
        key = asking.key_of(model)
        headers = () if key is None else ((target.key_header, f"{target.key_prefix}{key}"),)
        return HttpRequest(target.url.removesuffix(_END) + path, (*headers, ("content-type", kind)), body, method)


_WORDS = {"failed": "was refused", "expired": "was not finished within its day", "cancelled": "was cancelled"}


def _outcome(line: dict[str, Any]) -> Outcome:
    row = str(line.get("custom_id"))
    response, error = an_object(line.get("response")), an_object(line.get("error"))
    body = an_object(response.get("body"))
    if response.get("status_code") == 200 and body:
        return Outcome(row, "answered", body)
    said = an_object(body.get("error")) or error
    message = str(said.get("message") or said.get("code") or "no reason given")[:200]
    kind = {"batch_expired": "expired", "batch_cancelled": "cancelled"}.get(str(error.get("code")), "failed")
    return Outcome(row, kind, None, message)
