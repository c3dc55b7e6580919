"""The answer to a request, or why there is none."""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine.request import Json


class AIResponse(NamedTuple):
    """The answer to a request, or why there is none. ``metadata`` has the agreed keys of ``run --json``.

    ``replayed``: it is the first answer under an idempotency key, given again; nothing new was paid.
    """

    success: bool
    result: str | None
    error: dict[str, str] | None
    metadata: dict[str, Json]
    exit_status: int = 0
    replayed: bool = False

    @property
    def paid(self) -> int:
        """Nano-dollars that this answer cost or may still cost."""
        if self.replayed or "cost_usd" not in self.metadata:
            return 0
        return int((self.metadata["cost_usd"] + self.metadata["unsettled_usd"]).scaleb(9))

    def as_json(self) -> dict[str, Json]:
        """The agreed shape of ``run --json``."""
        return {"success": self.success, "result": self.result, "error": self.error, "metadata": self.metadata}
