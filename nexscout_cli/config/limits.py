"""Limits live in the database, where admins write them; environment and files can only lower what it allows. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from nexscout_cli.config.settings import Settings
from nexscout_cli.config.table import SETTINGS, Value

_NO_FILE = ("default", "argument", "environment ", "database")
DATABASE = "database"
"""The source of a value that stands in the database."""


def is_limit(key: str) -> bool:
    """Whether a setting is a limit."""
    return bool(SETTINGS[key].limit)


def of_files(settings: Settings) -> dict[str, Value]:
    """The limits that configuration files set: a new database begins with them."""
    return {key: settings[key] for key in SETTINGS if is_limit(key) and not settings.source(key).startswith(_NO_FILE)}


def within(asked: Settings, rows: Mapping[str, Value], *, is_admin: bool) -> Settings:
    """The settings as the database allows them; what was asked for beyond that is said in ``ignored``.

    ``rows`` are the limits that admins have written. Where there is none for a setting, an admin's environment and files say
    what they will, and those of others can only lower the default.
    """
    values: dict[str, tuple[Value, str]] = {}
    ignored = []
    for key in (key for key, setting in SETTINGS.items() if setting.limit):
        if key not in rows and is_admin:
            continue
        allowed = rows.get(key, SETTINGS[key].default)
        source = DATABASE if key in rows else "default"
        if asked.source(key) == "default":
            if key in rows:
                values[key] = (allowed, source)
            continue
        wanted = asked[key]
        lowered = _lower(SETTINGS[key].limit, wanted, allowed)
        if lowered != wanted:
            values[key] = (lowered, source)
            ignored.append(
                f"{key} from {asked.source(key)} is beyond what the database allows ({_text(allowed)}): not used"
            )
    return asked.with_sources(values, tuple(ignored)) if values else asked


def _lower(kind: str, wanted: Value, allowed: Value) -> Value:
    """What is used of a wanted value: no more than is allowed. None is no limit at all."""
    if kind == "subset":
        return [each for each in wanted if each in allowed]
    if kind == "fixed" or wanted is None:
        return allowed
    return wanted if allowed is None else min(wanted, allowed)


def _text(value: Value) -> str:
    return "no limit" if value is None else ",".join(value) if isinstance(value, list) else str(value)
