"""All settings with their values, and where each value came from.

Precedence: flag (the command's business), environment, project file (``./nexscout.toml``), user file (``config.toml`` in
the configuration folder), default.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from nexscout_cli.config.files import read_file
from nexscout_cli.config.locations import PROJECT_FILE, user_file
from nexscout_cli.config.table import SETTINGS, Value
from nexscout_cli.config.values import check, env_name, known, parse
from nexscout_cli.errors import ConfigError

PREFIX = "NEXSCOUT_"
SPECIAL = (
    "NEXSCOUT_HOME",
    "NEXSCOUT_DB",
    "NEXSCOUT_ACTOR",
    "NEXSCOUT_EMBEDDED_MODEL",
    "NEXSCOUT_SERVER",
    "NEXSCOUT_SERVER_KEY",
)
"""Variables that are read and are not settings."""
_FOR_TESTS = "NEXSCOUT_TEST_"


class Settings:
    """All settings with their values and sources. ``settings[key]`` gives the value; unknown keys raise KeyError."""

    def __init__(self, values: dict[str, tuple[Value, str]] | None = None, ignored: tuple[str, ...] = ()) -> None:
        self._values = values or {}
        self.ignored = ignored
        """What was asked for and is not used, one line each."""

    def __getitem__(self, key: str) -> Value:
        if key in self._values:
            return self._values[key][0]
        return SETTINGS[key].default

    def source(self, key: str) -> str:
        """Where the value came from: ``default``, ``environment NAME`` or a file's path."""
        return self._values[key][1] if key in self._values else "default"

    @property
    def values(self) -> dict[str, Value]:
        """The values that are no defaults, by key."""
        return {key: value for key, (value, _) in self._values.items()}

    def with_values(self, **values: Value) -> Settings:
        """A copy with other values; ``__`` stands for the dot. For programs and tests. Raises ConfigError."""
        changed = {k.replace("__", "."): v for k, v in values.items()}
        for key, value in changed.items():
            check(key, value, "argument")
        return Settings(self._values | {k: (v, "argument") for k, v in changed.items()})

    def with_sources(self, values: dict[str, tuple[Value, str]], ignored: tuple[str, ...] = ()) -> Settings:
        """A copy with other values, each with where it comes from; ``ignored`` is added to what is not used."""
        return Settings(self._values | values, self.ignored + ignored)


def load() -> Settings:
    """Read files and environment. Raises ConfigError for a file that cannot be read or a value that cannot be used."""
    values: dict[str, tuple[Value, str]] = {}
    for path, project in ((user_file(), False), (Path(PROJECT_FILE), True)):
        given = read_file(path)
        for key in given:
            known(key, str(path))
            if project and not SETTINGS[key].project:
                raise ConfigError(
                    f"{path} may not set {key}: a project's file cannot change money or limits",
                    f"move it to {user_file()}",
                )
        checked = {key: check(key, value, str(path)) for key, value in given.items()}
        untrusted = _untrusted(path, given) if project else []
        values |= {key: (value, str(path)) for key, value in checked.items() if key not in untrusted}
    for key in SETTINGS:
        text = os.environ.get(env_name(key))
        if text:
            values[key] = (parse(key, text, env_name(key)), f"environment {env_name(key)}")
    ignored = (f"{PROJECT_FILE} sets {', '.join(untrusted)}: not used until `nexscout trust`",) if untrusted else ()
    return Settings(values, ignored)


def _untrusted(path: Path, given: dict[str, Value]) -> list[str]:
    """What a project's file sets that it may set only once it is trusted."""
    asks = [key for key in given if SETTINGS[key].project == "trusted"]
    if not asks:
        return []
    from nexscout_cli.config.trust import is_trusted

    return [] if is_trusted(path) else asks


class UnknownVariable(NamedTuple):
    """An environment variable that looks like one of ours and is not; ``nearest`` is the name that was probably meant."""

    name: str
    nearest: str | None

    @property
    def message(self) -> str:
        """What is wrong with it."""
        return f"{self.name[:100]} is not a setting, so it has no effect"

    @property
    def suggestion(self) -> str:
        """What was probably meant, or where the names are."""
        return f"did you mean {self.nearest}?" if self.nearest else "`nexscout config show --json` lists the names"


def unknown_variables() -> list[UnknownVariable]:
    """The ``NEXSCOUT_*`` variables of the environment that have a value and that nothing reads, in order of name."""
    set_here = sorted(name for name in os.environ if name.startswith(PREFIX) and os.environ[name])
    if not set_here:
        return []
    names = {*SPECIAL, *map(env_name, SETTINGS)}
    unknown = [name for name in set_here if name not in names and not name.startswith(_FOR_TESTS)]
    if not unknown:
        return []
    from difflib import get_close_matches

    found = []
    for name in unknown:
        near = get_close_matches(name.upper(), sorted(names), 1, cutoff=0.75)
        found.append(UnknownVariable(name, near[0] if near else None))
    return found
