"""Providers' keys: from the environment, else from where the person keeps them: the system's keyring, or a file.

The file (0600, in the configuration folder) names every key that is kept; one in the keyring has no value there. No key is
in the database, a backup or a log, and what was read here is left out of every error (:func:`loaded`).
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from nexscout_cli import config, system
from nexscout_cli.errors import ConfigError, UsageError

FILE = "provider-keys.json"
SERVICE = "nexscout"
"""What the system's keyring calls us."""
MOST = 10_000
"""Characters of a key."""
_loaded: set[str] = set()
_kept: tuple[object, dict[str, str | None]] = (None, {})
_from_keyring: dict[str, str] = {}


def path() -> Path:
    """The file of keys."""
    return config.config_dir() / FILE


def key_of(variable: str) -> str:
    """The key of a variable's name; empty where there is none. Raises ConfigError for a file or a keyring that is broken."""
    if key := os.environ.get(variable, "").strip():
        return key
    kept = names()
    if variable not in kept:
        return ""
    key = kept[variable] or _in_keyring(variable)
    _loaded.add(key)
    return key


def source(variable: str) -> str | None:
    """Where its key comes from: environment, file or keyring; None where there is none. No key is read for it."""
    if os.environ.get(variable, "").strip():
        return "environment"
    kept = names()
    if variable not in kept:
        return None
    return "keyring" if kept[variable] is None else "file"


def loaded() -> set[str]:
    """The kept keys that this process has read: nothing that is shown may hold one."""
    return _loaded


def names() -> dict[str, str | None]:
    """The variables whose keys are kept, with those that are in the file. Raises ConfigError.

    A file that others may read is refused, not used.
    """
    global _kept
    file = path()
    try:
        about = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}", "check its permissions") from error
    state = (file, about.st_mtime_ns, about.st_size, about.st_mode, about.st_ino)
    if _kept[0] != state:
        if system.HAS_MODES and stat.S_IMODE(about.st_mode) & 0o077:
            raise ConfigError(f"{file} has keys, and others may read it", f"chmod 600 {file}")
        _kept = (state, _read(file))
    return _kept[1]


def _read(file: Path) -> dict[str, str | None]:
    from nexscout_cli.files import read_regular

    try:
        found = json.loads(read_regular(file, 1_000_000))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(key, str | None) for key in found.values()):
        # Nothing of what is in it is said: it may be a key.
        raise ConfigError(f"{file} is not as this program writes it", "remove it, and set the keys anew")
    return found


def keep(variable: str, key: str, *, in_keyring: bool) -> None:
    """Keep a key under a variable's name. Raises UsageError for what is no key, ConfigError where it cannot be written."""
    if not key or len(key) > MOST or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("that is no key: it is empty, too long, or has characters that a key cannot have", "try again")
    _loaded.add(key)
    if in_keyring:
        _ask_keyring("set_password", variable, key)
    elif names().get(variable, "") is None:
        _forget_in_keyring(variable)
    _from_keyring.pop(variable, None)
    _write(names() | {variable: None if in_keyring else key})


def remove(variable: str) -> bool:
    """Keep a key no longer; whether there was one. Raises ConfigError."""
    kept = dict(names())
    if variable not in kept:
        return False
    if kept.pop(variable) is None:
        _forget_in_keyring(variable)
    _from_keyring.pop(variable, None)
    _write(kept)
    return True


def has_keyring() -> bool:
    """Whether the package keyring is installed and has a keyring of the system's to talk to."""
    try:
        import keyring
        from keyring.backends import fail, null

        backend = keyring.get_keyring()
        return not isinstance(backend, fail.Keyring | null.Keyring) and backend.priority >= 1
    except Exception:  # noqa: BLE001 - whatever a keyring's trouble is, the file will do
        return False


def _in_keyring(variable: str) -> str:
    if variable not in _from_keyring:
        found = _ask_keyring("get_password", variable)
        if not found:
            raise ConfigError(
                f"the key of {variable} is no longer in the system's keyring", f"nexscout models key set {variable}"
            )
        _from_keyring[variable] = str(found)
    return _from_keyring[variable]


def _forget_in_keyring(variable: str) -> None:
    """Remove a key from the keyring, where it may be gone already."""
    if _ask_keyring("get_password", variable):
        _ask_keyring("delete_password", variable)


def _ask_keyring(what: str, *words: str) -> Any:
    """Call a function of the keyring's. Raises ConfigError, without what the keyring says: that may repeat a key."""
    try:
        import keyring
    except ImportError:
        raise ConfigError("the package keyring is not installed", "pip install 'nexscout[keyring]'") from None
    try:
        return getattr(keyring, what)(SERVICE, *words)
    except Exception as error:  # noqa: BLE001 - each backend has errors of its own
        problem = ConfigError(
            f"the system's keyring cannot be used ({type(error).__name__})", "unlock it, or keep the key with --file"
        )
    raise problem  # here, and not above: it keeps no link to an exception that may hold a key


def _write(kept: dict[str, str | None]) -> None:
    file = path()
    part = file.with_name(f"{FILE}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not kept:
            file.unlink(missing_ok=True)
            return
        part.unlink(missing_ok=True)  # what was left there keeps its mode
        fd = system.opened(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(fd, "w", encoding="utf-8") as out:
            json.dump(kept, out, indent=1, sort_keys=True)
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"cannot write {file}: {error.strerror}", "check the folder's permissions") from error
