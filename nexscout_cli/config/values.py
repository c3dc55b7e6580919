"""A setting's value: read from text, checked against the table."""

from __future__ import annotations

from nexscout_cli.config.table import FEATURE_FIRST, SETTINGS, Setting, Value
from nexscout_cli.errors import ConfigError
from nexscout_cli.terms import MODES, YES_OR_NO


def env_name(key: str) -> str:
    """The environment variable that sets ``key``: ``cache.max_mb`` is read from ``NEXSCOUT_CACHE_MAX_MB``."""
    return "NEXSCOUT_" + key.replace(".", "_").upper()


def known(key: str, where: str) -> Setting:
    """The setting of that name. Raises ConfigError with the nearest name for one that is not known."""
    if key in SETTINGS:
        return SETTINGS[key]
    from difflib import get_close_matches

    near = get_close_matches(key, SETTINGS, 1)
    raise ConfigError(
        f"{where}: there is no setting {key!r}",
        f"did you mean {near[0]}?" if near else "`nexscout config show` lists them all",
    )


def parse(key: str, text: str, where: str) -> Value:
    """A setting's value from text, as the environment and ``config set`` give it. Raises ConfigError."""
    setting = known(key, where)
    text = text.strip()
    if setting.optional and text.lower() in ("", "none", "off"):
        return None
    if setting.kind is list:
        return check(key, [part.strip() for part in text.split(",") if part.strip()], where)
    if setting.kind is bool:
        if text.lower() not in YES_OR_NO:
            raise ConfigError(f"{where}: {key} is on or off, not {text!r:.80}", f"for instance {env_name(key)}=on")
        return YES_OR_NO[text.lower()]
    if setting.kind in (int, float):
        try:
            return check(key, setting.kind(text.replace("_", "")), where)
        except ValueError as error:
            raise ConfigError(f"{where}: {key} is a number, not {text!r:.80}", setting.doc) from error
    return check(key, text, where)


def check(key: str, value: Value, where: str) -> Value:
    """The value, when it has the setting's type and lies in its range. Raises ConfigError otherwise."""
    setting = known(key, where)
    if value is None and setting.optional:
        return None
    if setting.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if setting.kind is bool and value in ("on", "off"):
        value = value == "on"
    if not (_has_kind(value, setting) and _is_allowed(key, value, setting)):
        raise ConfigError(f"{where}: {key} cannot be {value!r:.80}", _expected(key, setting))
    return value


def _has_kind(value: Value, setting: Setting) -> bool:
    if not isinstance(value, setting.kind) or (setting.kind is not bool and isinstance(value, bool)):
        return False
    if setting.kind in (int, float):
        low = -9e18 if setting.low is None else setting.low
        return bool(low <= value <= (setting.high or 9e15))
    if setting.kind is list:
        return all(isinstance(item, str) and item.isprintable() for item in value)
    return setting.kind is bool or bool(value.isprintable())


def _is_allowed(key: str, value: Value, setting: Setting) -> bool:
    """Whether a value of the right type means something for this very setting."""
    if setting.choices:
        return value in setting.choices
    if key == "routing.order":
        return sorted(value) == sorted(FEATURE_FIRST)
    if key.endswith(".modes"):
        return "auto" in value and set(value) <= set(MODES)
    if key == "models.aliases":
        return _are_aliases(value)
    if key == "feature":
        return bool(value.startswith("ai_"))
    if key == "report.tz":
        return _is_zone(value)
    return True


def _are_aliases(entries: list[str]) -> bool:
    """Whether each is SHORT=MODEL, no short name stands twice, and none is a mode or leads to another."""
    pairs = [[part.strip() for part in entry.split("=")] for entry in entries]
    if not all(
        len(pair) == 2 and all(pair) and "=".join(pair) == entry for pair, entry in zip(pairs, entries, strict=True)
    ):
        return False
    short = [pair[0] for pair in pairs]
    return len(set(short)) == len(short) and not set(short) & {*MODES, *(pair[1] for pair in pairs)}


def _is_zone(name: str) -> bool:
    if name == "UTC":
        return True
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _expected(key: str, setting: Setting) -> str:
    if setting.choices:
        return f"one of: {', '.join(setting.choices)}"
    if key == "routing.order":
        return f"each of {', '.join(FEATURE_FIRST)}, once"
    if key == "models.aliases":
        return "entries as mini=gpt-4o-mini, each short name once; none is a mode or leads to another"
    kind = {int: "a whole number", float: "a number", bool: "on or off", str: "text", list: "a list of names"}[
        setting.kind
    ]
    low, high = setting.low, setting.high
    bounds = ("" if low is None else f" from {low:g}") + ("" if high is None else f" to {high:g}")
    return f"{kind}{bounds}: {setting.doc}"
