"""Folders whose ``nexscout.toml`` may change more than how things are shown. Trust is in a file's content, as direnv's is."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from nexscout_cli.config.locations import config_dir
from nexscout_cli.errors import ConfigError


def is_trusted(file: Path) -> bool:
    """Whether the user has trusted this very content of a project's file."""
    return _known().get(str(file.absolute())) == _hash(file)


def trust(file: Path) -> None:
    """Trust a project's file as it is now. Raises ConfigError where that cannot be kept."""
    _write(_known() | {str(file.absolute()): _hash(file)})


def distrust(file: Path) -> bool:
    """Take trust back; False where there was none. Raises ConfigError."""
    known = _known()
    if known.pop(str(file.absolute()), None) is None:
        return False
    _write(known)
    return True


def trusted() -> list[str]:
    """The files that are trusted, by path."""
    return sorted(_known())


def _file() -> Path:
    return config_dir() / "trusted.json"


def _hash(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}", "check its permissions") from error


def _known() -> dict[str, str]:
    """Paths with the hash that was trusted; nothing where the file cannot be read, so that nothing is trusted then."""
    try:
        found = json.loads(_file().read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _write(known: dict[str, str]) -> None:
    path = _file()
    part = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
        part.chmod(0o600)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "check the folder's permissions") from error
