"""Session files of Codex (``~/.codex/sessions/**/*.jsonl``): events, of which ``token_count`` has sums since the start.

Input from and to the cache is inside the input, thinking inside the output. An event that repeats the sums before it is no
request. Where sums fall, the session began to count anew, and the event's own ``last_token_usage`` counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexscout_cli.engine.imported.record import Imported, Row, count, model_of, moment, name, part, rest

_NAMES = (
    *("input_tokens", "cached_input_tokens", "cache_write_input_tokens"),
    *("output_tokens", "reasoning_output_tokens"),
)
_UNNAMED = "gpt-5"
"""What sessions asked before they said so."""


class Session:
    """One session's file: remembers its id, the model in use and the sums so far."""

    def __init__(self) -> None:
        self._id = ""
        self._folder = ""
        self._model = ""
        self._before = [0] * len(_NAMES)
        self._n = 0

    def parse(self, row: Row) -> Iterable[Imported]:
        """The usage since the event before."""
        payload = part(row, "payload")
        kind = payload.get("type") if row.get("type") == "event_msg" else row.get("type")
        if kind == "session_meta":
            self._id = name(payload.get("id"))
            self._folder = name(str(payload.get("cwd") or "").rstrip("/").rpartition("/")[2])
        elif kind == "turn_context":
            self._model = name(payload.get("model")) or self._model
        elif kind == "token_count":
            return self._counted(row, part(payload, "info"))
        return ()

    def _counted(self, row: Row, info: Row) -> Iterable[Imported]:
        total, last = part(info, "total_token_usage"), part(info, "last_token_usage")
        now = [count(total.get(key)) for key in _NAMES] if total else None
        if now is None or any(new < old for new, old in zip(now, self._before, strict=True)):
            used = [count(last.get(key)) for key in _NAMES]
        else:
            used = [new - old for new, old in zip(now, self._before, strict=True)]
        if now is not None:
            self._before = now
        if not any(used):
            return ()
        self._n += 1
        given, cached, written, made, thought = used
        at = moment(row.get("timestamp"))
        return (
            Imported(
                at=at,
                model=model_of(info.get("model") or self._model or _UNNAMED),
                provider="openai",
                key=f"{self._id or at.isoformat()} {self._n} {now}",
                input=rest(given, cached, written),
                cached=cached,
                cache_write=written,
                output=rest(made, thought),
                reasoning=thought,
                feature=self._folder,
            ),
        )
