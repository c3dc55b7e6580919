"""Reports over HTTP: the same figures as ``nexscout report --format json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.report_window import Only, between, zone
from nexscout_cli.engine.reports.build import COLUMNS
from nexscout_cli.engine.reports.build import report as built
from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.store_ports import Store

_KNOWN = ("name", "since", "until", "tz", "user", "model", "feature")


def report(store: Store, settings: Settings, actor: str, asked: dict[str, str]) -> dict[str, Any]:
    """A report; ``asked`` has its name, since, until, tz, user, model and feature. Raises UsageError, NotPermitted."""
    if unknown := sorted(asked.keys() - set(_KNOWN)):
        raise UsageError(f"{unknown[0]:.40} is not known here", f"known are: {', '.join(_KNOWN)}")
    name = asked.get("name", "overview")
    if name not in COLUMNS:
        raise UsageError(f"there is no report {name!r:.40}", f"one of: {', '.join(COLUMNS)}")
    now = store.reports.now(actor)
    window = between(now, asked.get("since", "7d"), asked.get("until"), zone(asked.get("tz") or settings["report.tz"]))
    window = window._replace(only=Only(asked.get("model"), asked.get("feature")))
    return built(store, actor, name, window, settings, asked.get("user"))
