"""The answer to a request, or why there is none."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple, Protocol

from nexscout_cli.engine.call import Choice
from nexscout_cli.engine.chat import ToolCall
from nexscout_cli.engine.request import Json

_NOTHING = Decimal("0E-9")


class Told(Protocol):
    """What can be told as JSON."""

    def as_json(self) -> dict[str, Json]:
        """Its agreed shape."""


class Metadata(NamedTuple):
    """How a request was answered. Tokens and cost are sums over its posted attempts; money is in dollars, exact.

    ``unsettled_usd`` is what attempts of unknown outcome still hold. ``cache_match``: exact or canonical for a cached answer,
    None for a new one. ``truncated``: cut at its bound. ``degraded``: by a model that was the last resort. ``quoted`` is the
    plan that delivered. ``token_classes``: the tokens that are not plain, by class.
    ``budget_left_usd``: what the narrowest budget in dollars had left when it was planned, less the cost. ``finish_reason``
    says why the answer ended: stop, length, tool_calls, content_filter.
    """

    request_id: str
    model_used: str | None = None
    tokens_used: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    energy_cost: int = 0
    from_cache: bool = False
    cache_match: str | None = None
    compression_applied: bool = False
    cost_usd: Decimal = _NOTHING
    unsettled_usd: Decimal = _NOTHING
    execution_time_ms: int = 0
    routing_reason: str | None = None
    degraded: bool = False
    truncated: bool = False
    token_classes: dict[str, int] = {}  # noqa: RUF012 - never changed
    finish_reason: str | None = None
    budget_left_usd: Decimal | None = None
    flags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    quoted: Told | dict[str, Json] | None = None

    @property
    def plan(self) -> dict[str, Json] | None:
        """The plan that delivered, as ``simulate --json`` shows it; made when it is asked for."""
        return self.quoted if self.quoted is None or isinstance(self.quoted, dict) else self.quoted.as_json()

    def as_json(self) -> dict[str, Json]:
        """The agreed keys of ``run --json``."""
        known = self._asdict() | {"flags": list(self.flags), "warnings": list(self.warnings)}
        del known["quoted"]
        return known | {"plan": self.plan}

    @classmethod
    def from_json(cls, kept: dict[str, Json]) -> Metadata:
        """The record that :meth:`as_json` made, of this version or an earlier one."""
        known = {name: kept[name] for name in cls._fields if name in kept} | {"quoted": kept.get("plan")}
        for name in ("flags", "warnings"):
            known[name] = tuple(kept.get(name, ()))
        return cls(**known)


class AIResponse(NamedTuple):
    """The answer to a request, or why there is none. ``metadata`` is None where nothing was begun: for a bad batch row.

    ``choices`` are all answers, as chat completions have them, where there is more to say than a text: tool calls, several
    answers, probabilities. ``parsed`` is the answer's JSON value where it has the schema that was asked for.
    ``replayed``: it is the first answer under an idempotency key, given again; nothing new was paid.
    """

    success: bool
    result: str | None
    error: dict[str, str] | None
    metadata: Metadata | None
    exit_status: int = 0
    replayed: bool = False
    choices: tuple[Choice, ...] = ()
    parsed: Json = None

    @property
    def answers(self) -> tuple[Choice, ...]:
        """All answers, also where there is one text alone."""
        if self.choices:
            return self.choices
        reason = None if self.metadata is None else self.metadata.finish_reason
        return (Choice(self.result or "", "stop" if reason in (None, "reader_gone") else str(reason)),)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The functions that the answer calls."""
        return self.choices[0].tool_calls if self.choices else ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be known of the answer."""
        return self.metadata.warnings if self.metadata else ()

    @property
    def paid(self) -> int:
        """Nano-dollars that this answer cost or may still cost."""
        if self.replayed or self.metadata is None:
            return 0
        return int((self.metadata.cost_usd + self.metadata.unsettled_usd).scaleb(9))

    def as_json(self) -> dict[str, Json]:
        """The agreed shape of ``run --json``."""
        metadata = {} if self.metadata is None else self.metadata.as_json()
        shown: dict[str, Json] = {"success": self.success, "result": self.result, "error": self.error}
        if self.parsed is not None:
            shown["parsed"] = self.parsed
        if self.choices:
            shown["choices"] = [choice.as_json() for choice in self.choices]
        return shown | {"metadata": metadata}

    @classmethod
    def from_json(cls, kept: dict[str, Json]) -> AIResponse:
        """A whole answer that :meth:`as_json` made, given again."""
        metadata = Metadata.from_json(kept["metadata"])
        choices = tuple(Choice.from_json(one) for one in kept.get("choices", ()))
        return cls(
            kept["success"],
            kept["result"],
            kept["error"],
            metadata,
            replayed=True,
            choices=choices,
            parsed=kept.get("parsed"),
        )
