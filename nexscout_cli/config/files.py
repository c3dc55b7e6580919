"""The configuration files: TOML read into dotted keys, and one setting written with the comments kept."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from nexscout_cli import system
from nexscout_cli.config.locations import user_file
from nexscout_cli.config.table import Value
from nexscout_cli.config.values import known
from nexscout_cli.errors import ConfigError, NexScoutError

_MAX_BYTES = 1_000_000


def read_file(path: Path) -> dict[str, Value]:
    """A TOML file's settings as dotted keys; empty where there is no file. Raises ConfigError."""
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
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
        raise ConfigError(f"{path} is not valid TOML: {error}", "correct that line or remove the file") from error


def _flatten(table: dict[str, Value], prefix: str = "") -> dict[str, Value]:
    flat: dict[str, Value] = {}
    for name, value in table.items():
        key = prefix + name
        flat |= _flatten(value, key + ".") if isinstance(value, dict) else {key: value}
    return flat


def save(key: str, value: Value) -> Path:
    """Write one setting into the user's file, comments kept; None removes it. Returns the file's path. Raises ConfigError."""
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
        fd = system.opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(tomlkit.dumps(document))
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", "check the folder's permissions and space"
        ) from error
    return path
