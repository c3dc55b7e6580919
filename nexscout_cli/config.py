"""Settings: what they are, where each came from, and where the files live.

Precedence: flag (handled by the command), environment, project file (``./nexscout.toml``), user file
(``config.toml`` in the config folder), default. A setting ``a.b_c`` is read from ``NEXSCOUT_A_B_C``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from nexscout_cli.errors import ConfigError, NexScoutError

Value = Any
PROJECT_FILE = "nexscout.toml"
_MAX_BYTES = 1_000_000
_MOST_DOLLARS = 1_000_000_000
"""Of a cap: counted in nano-dollars it still fits the database's integers."""


class Setting(NamedTuple):
    """One setting. ``low`` and ``high`` bound numbers; ``project`` tells whether a project file may set it."""

    default: Value
    kind: type
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    project: bool = False
    optional: bool = False


FEATURE_FIRST = ["panic", "forced", "mode", "generation", "deepscan", "emotional", "chatbot", "short", "balanced"]
SEED_ORDER = ["panic", "forced", "mode", "short", "emotional", "generation", "deepscan", "chatbot", "balanced"]

_TIERS: dict[str, tuple[int, int, int, int, str, str, list[str]]] = {
    "free": (100, 50_000, 0, 500, "concise", "brief", ["auto", "fast"]),
    "pro": (1_000, 250_000, 29, 1_500, "balanced", "professional", ["auto", "fast", "pro"]),
    "elite": (5_000, 1_000_000, 99, 3_000, "detailed", "comprehensive", ["auto", "fast", "pro", "expert"]),
    "enterprise": (25_000, 5_000_000, 499, 5_000, "complete", "executive", ["auto", "fast", "pro", "expert"]),
}

SETTINGS: dict[str, Setting] = {
    "user": Setting("", str, "who requests are for when --user is not given; empty: the actor", project=True),
    "feature": Setting("ai_chatbot", str, "the feature when --feature is not given", project=True),
    "users.auto_create": Setting(
        True, bool, "a user an admin mentions for the first time comes into being, at tier free"
    ),
    "routing.policy": Setting(
        "rules",
        str,
        "how a model is chosen: by rules, by the prompt's difficulty, or by asking a cheap model first",
        choices=("rules", "learned", "cascade"),
        project=True,
    ),
    "routing.quality_target": Setting(
        0.95, float, "share of the strong model's advantage that learned and cascade are to keep", 0, 1
    ),
    "routing.order": Setting(FEATURE_FIRST, list, "the routing rules, first match wins"),
    "routing.floor": Setting(0.5, float, "quality below which a model is used only when nothing else is there", 0, 1),
    "firewall.block_tokens": Setting(20_000, int, "predicted tokens above which a call is refused", 1),
    "firewall.warn_tokens": Setting(15_000, int, "predicted tokens above which a call is warned of", 1),
    "firewall.max_bytes": Setting(
        2_000_000, int, "bytes of prompt, context and attachments above which nothing is read", 1
    ),
    "caps.usd.user_day": Setting(None, float, "dollars a user may spend a day", 0, _MOST_DOLLARS, optional=True),
    "caps.usd.user_month": Setting(None, float, "dollars a user may spend a month", 0, _MOST_DOLLARS, optional=True),
    "caps.usd.total_day": Setting(
        None, float, "dollars the installation may spend a day", 0, _MOST_DOLLARS, optional=True
    ),
    "caps.usd.total_month": Setting(
        None, float, "dollars the installation may spend a month", 0, _MOST_DOLLARS, optional=True
    ),
    "caps.tokens.user_month": Setting(None, int, "tokens a user may use a month", 0, optional=True),
    "caps.tokens.total_day": Setting(None, int, "tokens the installation may use a day", 0, optional=True),
    "caps.tokens.total_month": Setting(None, int, "tokens the installation may use a month", 0, optional=True),
    "energy.usd_per_unit": Setting(0.015, float, "dollars that one unit of energy stands for", 0.000001),
    "surge.capacity": Setting(1_000, int, "calls a minute from which surge pricing begins to count", 1),
    "cache.enabled": Setting(True, bool, "answer repeats from the cache", project=True),
    "cache.days": Setting(30, int, "days an answer is kept", 1, 3650),
    "cache.max_tokens": Setting(1_000, int, "answers of this many tokens or more are not kept", 1),
    "cache.features": Setting(
        ["ai_message", "ai_objection", "ai_chatbot", "ai_sequence"], list, "features whose answers are kept"
    ),
    "cache.match": Setting(
        "exact",
        str,
        "what counts as a repeat: the same request, or also a short question that asks the same in other words",
        choices=("exact", "canonical"),
    ),
    "cache.max_mb": Setting(
        None, int, "megabytes of kept answers above which `cache clean` drops the least recently used", 1, optional=True
    ),
    "compress": Setting(
        "auto",
        str,
        "what is left out of prompts: nothing, what carries no meaning, or also sentences beside the point",
        choices=("auto", "off", "lossless", "extract"),
        project=True,
    ),
    "compression.keep": Setting(0.5, float, "share of a long text that extraction keeps", 0.1, 0.9),
    "compression.min_tokens": Setting(1_000, int, "prompts of this many tokens are trimmed under auto", 1),
    "compression.low_energy": Setting(
        0.1, float, "share of the monthly energy below which every prompt is trimmed", 0, 1
    ),
    "learning.patterns": Setting(True, bool, "learn recurring phrases (numbers and names masked)"),
    "providers.timeout": Setting(
        60.0, float, "seconds a call may take; of a stream, the seconds between tokens", 0.1, 3600
    ),
    "providers.stream_timeout": Setting(600.0, float, "seconds a stream may take in all", 0.1, 86_400),
    "providers.retries": Setting(2, int, "further tries at one model after a fault that may pass", 0, 10),
    "providers.backoff_min": Setting(0.5, float, "seconds before the first retry", 0, 60),
    "providers.backoff_max": Setting(8.0, float, "seconds before a retry at the most", 0, 300),
    "store.lock_timeout": Setting(30.0, float, "seconds a writer waits for its turn at the database", 0.1, 600),
    "report.tz": Setting("UTC", str, "time zone of a report's days", project=True),
    "report.baseline": Setting("gpt-4o", str, "the model that savings are counted against"),
}
for _name, (_energy, _daily, _price, _bound, _verbosity, _style, _modes) in _TIERS.items():
    SETTINGS |= {
        f"tiers.{_name}.energy": Setting(_energy, int, f"energy granted to {_name} users each month", 0),
        f"tiers.{_name}.daily_tokens": Setting(_daily, int, f"tokens a {_name} user may use a day", 0),
        f"tiers.{_name}.price": Setting(_price, float, f"what a {_name} user pays a month, in dollars", 0),
        f"tiers.{_name}.answer_tokens": Setting(_bound, int, f"bound on a {_name} user's answers", 1),
        f"tiers.{_name}.verbosity": Setting(_verbosity, str, f"how much a {_name} user's answers say"),
        f"tiers.{_name}.style": Setting(_style, str, f"how a {_name} user's answers sound"),
        f"tiers.{_name}.modes": Setting(_modes, list, f"modes a {_name} user may choose"),
    }


class Settings:
    """All settings with their values and sources. ``settings[key]`` gives the value; unknown keys raise KeyError."""

    def __init__(self, values: dict[str, tuple[Value, str]] | None = None) -> None:
        self._values = values or {}

    def __getitem__(self, key: str) -> Value:
        if key in self._values:
            return self._values[key][0]
        return SETTINGS[key].default

    def source(self, key: str) -> str:
        """Where the value came from: ``default``, ``environment NAME`` or a file's path."""
        return self._values[key][1] if key in self._values else "default"

    def with_values(self, **values: Value) -> Settings:
        """A copy with other values; ``__`` stands for the dot. For programs and tests."""
        changed = {k.replace("__", "."): v for k, v in values.items()}
        for key, value in changed.items():
            check(key, value, "argument")
        return Settings(self._values | {k: (v, "argument") for k, v in changed.items()})


def home() -> Path | None:
    """The one folder for data and config that ``NEXSCOUT_HOME`` names, or None."""
    return _place("NEXSCOUT_HOME")


def _place(variable: str) -> Path | None:
    """The path that an environment variable names, or None. Raises ConfigError for one that cannot be."""
    value = os.environ.get(variable)
    if not value:
        return None
    try:
        value.encode()
        path = Path(value).expanduser()
        path.exists()
        if not path.name:
            raise ValueError("a folder")
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{variable} names no usable path: {getattr(error, 'strerror', None) or error}", "name another"
        ) from error
    return path


def data_dir() -> Path:
    """The folder of the database, backups and the embedded model."""
    if folder := home():
        return folder
    from platformdirs import user_data_path

    return user_data_path("nexscout", appauthor=False)


def config_dir() -> Path:
    """The folder of ``config.toml``."""
    if folder := home():
        return folder
    from platformdirs import user_config_path

    return user_config_path("nexscout", appauthor=False)


def cache_dir() -> Path:
    """The folder of what can be made again at any time."""
    if folder := home():
        return folder / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("nexscout", appauthor=False)


def db_path() -> Path:
    """The database file: ``NEXSCOUT_DB`` or ``nexscout.db`` in the data folder."""
    path = _place("NEXSCOUT_DB") or data_dir() / "nexscout.db"
    if path.is_fifo():  # opening one would wait for ever
        raise ConfigError(f"{path} is a pipe, not a database", "point NEXSCOUT_DB elsewhere")
    return path


def user_file() -> Path:
    """The user's own configuration file."""
    return config_dir() / "config.toml"


def env_name(key: str) -> str:
    """The environment variable that sets ``key``."""
    return "NEXSCOUT_" + key.replace(".", "_").upper()


def load() -> Settings:
    """Read files and environment. Raises ConfigError for a file that cannot be read or a value that cannot be used."""
    values: dict[str, tuple[Value, str]] = {}
    for path, project in ((user_file(), False), (Path(PROJECT_FILE), True)):
        for key, value in read_file(path).items():
            known(key, str(path))
            if project and not SETTINGS[key].project:
                raise ConfigError(
                    f"{path} may not set {key}: a project's file has no say over money or limits",
                    f"move it to {user_file()}",
                )
            values[key] = (check(key, value, str(path)), str(path))
    for key in SETTINGS:
        text = os.environ.get(env_name(key))
        if text:
            values[key] = (parse(key, text, env_name(key)), f"environment {env_name(key)}")
    return Settings(values)


def read_file(path: Path) -> dict[str, Value]:
    """A TOML file's settings as dotted keys; none where there is no file."""
    if not os.path.lexists(path):
        return {}
    from nexscout_cli.files import read_regular

    try:
        data = read_regular(path, _MAX_BYTES)
    except NotADirectoryError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "check its permissions") from error
    except NexScoutError as error:
        raise ConfigError(error.message, "a configuration is a small text file") from error
    import tomllib

    try:
        return _flatten(tomllib.loads(data.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", "mend that line or remove the file") from error


def _flatten(table: dict[str, Value], prefix: str = "") -> dict[str, Value]:
    flat: dict[str, Value] = {}
    for name, value in table.items():
        key = prefix + name
        flat |= _flatten(value, key + ".") if isinstance(value, dict) else {key: value}
    return flat


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
    """A setting's value from text, as the environment and ``config set`` give it."""
    setting = known(key, where)
    text = text.strip()
    if setting.optional and text.lower() in ("", "none", "off"):
        return None
    if setting.kind is list:
        return check(key, [part.strip() for part in text.split(",") if part.strip()], where)
    if setting.kind is bool:
        words = {
            "1": True,
            "true": True,
            "on": True,
            "yes": True,
            "0": False,
            "false": False,
            "off": False,
            "no": False,
        }
        if text.lower() not in words:
            raise ConfigError(f"{where}: {key} is on or off, not {text!r:.80}", f"for instance {env_name(key)}=on")
        return words[text.lower()]
    if setting.kind in (int, float):
        try:
            return check(key, setting.kind(text.replace("_", "")), where)
        except ValueError as error:
            raise ConfigError(f"{where}: {key} is a number, not {text!r:.80}", setting.doc) from error
    return check(key, text, where)


def check(key: str, value: Value, where: str) -> Value:
    """The value, when it has the setting's type and lies in its range; raises ConfigError otherwise."""
    setting = known(key, where)
    if value is None and setting.optional:
        return None
    if setting.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if setting.kind is bool and value in ("on", "off"):
        value = value == "on"
    wrong = not isinstance(value, setting.kind) or (setting.kind is not bool and isinstance(value, bool))
    if not wrong and setting.kind in (int, float):
        wrong = value != value or not (setting.low if setting.low is not None else -9e18) <= value <= (
            setting.high or 9e15
        )
    if not wrong and setting.kind is list:
        wrong = not all(isinstance(item, str) and item.isprintable() for item in value)
    if not wrong and setting.kind is str:
        wrong = not value.isprintable()
    if not wrong and setting.choices:
        wrong = value not in setting.choices
    if not wrong and key == "routing.order":
        wrong = sorted(value) != sorted(FEATURE_FIRST)
    if not wrong and key.endswith(".modes"):
        wrong = "auto" not in value or not set(value) <= {"auto", "fast", "pro", "expert"}
    if not wrong and key == "feature":
        wrong = not value.startswith("ai_")
    if not wrong and key == "report.tz":
        wrong = not _is_zone(value)
    if wrong:
        raise ConfigError(f"{where}: {key} cannot be {value!r:.80}", _expected(key, setting))
    return value


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
    kind = {int: "a whole number", float: "a number", bool: "on or off", str: "text", list: "a list of names"}[
        setting.kind
    ]
    low, high = setting.low, setting.high
    bounds = ("" if low is None else f" from {low:g}") + ("" if high is None else f" to {high:g}")
    return f"{kind}{bounds}: {setting.doc}"


def save(key: str, value: Value) -> Path:
    """Write one setting into the user's file, comments kept, and return the file's path."""
    import tomlkit

    path = user_file()
    for name in read_file(path):
        known(name, str(path))
    document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    parts = key.split(".")
    table: Any = document
    for part in parts[:-1]:
        table = table.setdefault(part, tomlkit.table())
    if value is None:
        table.pop(parts[-1], None)
    else:
        table[parts[-1]] = value
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(tomlkit.dumps(document))
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "check the folder's permissions") from error
    return path
