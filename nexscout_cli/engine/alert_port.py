"""The store's book of alerts, as a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nexscout_cli.engine.alerts import Notice, Rule


class Alerts(Protocol):
    """Alerts, and the notices that wait to be told. Admins only. A posting looks at the rules by itself."""

    def add(self, actor: str, rule: Rule) -> int:
        """Enter a rule; returns its number."""

    def remove(self, actor: str, number: int) -> None:
        """Remove a rule, its history, and notices that wait."""

    def listing(self, actor: str) -> list[Rule]:
        """The rules there are."""

    def check(self, actor: str) -> int:
        """Look at every rule for all it is about; returns how many went off now: once a rule, subject and window."""

    def history(self, actor: str, limit: int) -> list[Notice]:
        """What went off, newest first."""

    def claim(self, actor: str) -> Notice | None:
        """The next notice that is due, for this caller alone for a while; None where there is none."""

    def told(self, actor: str, notice: Notice, error: str | None) -> None:
        """What became of a claimed notice: told where ``error`` is None, else tried again later, or given up."""
