"""Where the files live: the database, the configuration, the embedded model, and what can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from nexscout_cli.errors import ConfigError

PROJECT_FILE = "nexscout.toml"
"""A project's settings, looked for in the current folder."""


def home() -> Path | None:
    """The one folder for data and configuration that ``NEXSCOUT_HOME`` names, or None."""
    return _place("NEXSCOUT_HOME")


def _place(variable: str) -> Path | None:
    """The path that an environment variable names, or None. Raises ConfigError for one that cannot be used."""
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
            f"{variable} does not name a usable path: {getattr(error, 'strerror', None) or error}", "name another"
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
    """The folder of files that can be made again at any time."""
    if folder := home():
        return folder / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("nexscout", appauthor=False)


def db_path() -> Path:
    """The database file: ``NEXSCOUT_DB``, or ``nexscout.db`` in the data folder. Raises ConfigError for a pipe and a URL."""
    if db_url() is not None:
        raise ConfigError("NEXSCOUT_DB holds a URL, where a file is needed", "set NEXSCOUT_DB to a path")
    if (kind := other_url(os.environ.get("NEXSCOUT_DB", "").strip())) is not None:
        raise ConfigError(
            f"NEXSCOUT_DB holds a URL of {kind}, which nexscout can't use", "set it to a path or postgresql://…"
        )
    path = _place("NEXSCOUT_DB") or data_dir() / "nexscout.db"
    if path.is_fifo():  # opening one would wait for ever
        raise ConfigError(f"{path} is a pipe, not a database", "set NEXSCOUT_DB to another file")
    return path


def db_url() -> str | None:
    """The PostgreSQL URL that ``NEXSCOUT_DB`` holds, None where it holds a path or nothing."""
    value = os.environ.get("NEXSCOUT_DB", "").strip()
    return value if is_url(value) else None


def is_url(place: str) -> bool:
    """Whether a place of books is a PostgreSQL URL and not a path."""
    return place.lower().startswith(("postgresql://", "postgres://"))


def other_url(place: str) -> str | None:
    """What a place of books is a URL of, where nexscout can't use it; None for others. Else a file of that name would be made,
    and nobody would see it.
    """
    kind, mark, _ = place.partition("://")
    is_word = kind[:1].isalpha() and all(letter.isalnum() or letter in "+-." for letter in kind)
    return kind if mark and is_word and not is_url(place) else None


def secrets_dir() -> Path:
    """The folder of secrets that commands and a server on this machine share: beside the database file, else with the data."""
    return db_path().parent if db_url() is None else data_dir()


def rates_dir() -> Path:
    """The folder in which all servers of this machine that work on the same books count requests a minute."""
    if (url := db_url()) is not None:
        import hashlib

        return data_dir() / f"rates-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
    path = db_path().resolve()
    return path.with_name(f"{path.name}-rates")


def has_db() -> bool:
    """Whether the database is a file that is there, or on a server."""
    return db_url() is not None or db_path().exists()


def db_place() -> str:
    """The database for a person to read: its path, or its URL without password and most options. Raises ConfigError."""
    url = db_url()
    return str(db_path()) if url is None else without_password(url)


_PLACES = ("host", "hostaddr", "port", "dbname")
"""Options of a URL that say where the database is."""


def without_password(url: str) -> str:
    """A database's URL without its password, and of its options only those that say where it is."""
    start, _, rest = url.partition("://")
    place, _, options = rest.partition("?")
    who, at, where = place.rpartition("@")
    kept = "&".join(one for one in options.split("&") if one.partition("=")[0] in _PLACES)
    return f"{start}://{who.partition(':')[0]}{at}{where}{'?' if kept else ''}{kept}"


def user_file() -> Path:
    """The user's own configuration file."""
    return config_dir() / "config.toml"
