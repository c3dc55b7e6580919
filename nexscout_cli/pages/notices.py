"""Alerts as a page shows them: the rules there are, and what went off of late. Admins only, as the store sees to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.alerts import address, amount, outcome

if TYPE_CHECKING:
    from nexscout_cli.engine.alerts import Notice, Rule
    from nexscout_cli.engine.store_ports import Store

_LATEST = 20


def rules(store: Store, actor: str) -> list[dict[str, str | int]]:
    """The alerts there are."""
    return [
        {"alert": one.id, "when": one.when_text, "for": _whom(one), "tells": address(one.notify), "by": one.created_by}
        for one in store.alerts.listing(actor)
    ]


def notices(store: Store, actor: str) -> list[dict[str, str | int]]:
    """What went off, newest first."""
    return [
        {
            "went off": one.fired_at[:16].replace("T", " "),
            "what": one.when_text,
            "for": _whom(one),
            "window": one.period,
            "value": amount(one.metric, one.value),
            "bound": amount(one.metric, one.bound),
            "told": outcome(one),
        }
        for one in store.alerts.history(actor, _LATEST)
    ]


def _whom(one: Rule | Notice) -> str:
    return f"{one.scope} {one.subject}" if one.subject else one.scope
