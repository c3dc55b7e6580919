"""``nexscout config``: settings, where each came from, and where the files live."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from nexscout_cli import config as settings
from nexscout_cli.cli import declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.config.limits import is_limit
from nexscout_cli.errors import ConfigError, UsageError

app = declared.App(no_args_is_help=True)

AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]


@app.callback()
def config() -> None:
    """Look at settings and change them.

    \b
    nexscout config show
    nexscout config set caps.usd.total_day 5
    nexscout config path

    A flag wins over the environment, that over the project's file, that over the user's, that over the default. Limits (caps,
    tiers and the like) stand in the database, and only admins write them: environment and files can only lower them.
    """


@app.command()
def show(
    key: Annotated[str | None, declared.Argument(metavar="[KEY]", help="One setting.")] = None, as_json: AsJson = False
) -> int:
    """Show each setting with its value, where that came from, and what it means.

    \b
    nexscout config show
    nexscout config show caps.usd.total_day
    nexscout config show --json
    """
    if key is not None:
        _as_usage(lambda: settings.known(key, "config show"))
    session = Session()
    loaded = session.settings if settings.has_db() else session.asked
    rows = [
        {
            "key": name,
            "value": loaded[name],
            "source": loaded.source(name),
            "default": setting.default,
            "environment": settings.env_name(name),
            "doc": setting.doc,
        }
        for name, setting in settings.SETTINGS.items()
        if key in (None, name)
    ]
    if as_json:
        unknown = [each.name for each in settings.unknown_variables()]
        output.emit({"rows": rows, "unknown_environment": unknown} if key is None else rows[0])
    elif key is None:
        tables.show(
            ("setting", "value", "from", "what it is"),
            [[row["key"], _text(row["value"]), row["source"], row["doc"]] for row in rows],
        )
    else:
        tables.pairs([(name, _text(value)) for name, value in rows[0].items()])
    return 0


@app.command("set")
def set_(
    key: Annotated[str, declared.Argument(metavar="KEY", help="From `nexscout config show`.")],
    value: Annotated[str, declared.Argument(help="Lists take commas; none removes a setting that may be absent.")],
    as_json: AsJson = False,
) -> int:
    """Write a setting into the user's file, where comments stay; a limit into the database (admins).

    \b
    nexscout config set caps.usd.total_day 5
    nexscout config set caps.usd.total_day none
    nexscout config set cache.features ai_message,ai_chatbot
    """
    parsed = _as_usage(lambda: settings.parse(key, value, "config set"))
    if is_limit(key):
        path = _set_limit(key, parsed)
    else:
        path = str(settings.save(key, parsed))
    for place in _overrides(key):
        lower = ", where it is lower" if is_limit(key) else ""
        output.note(f"note: {place} sets {key} too, and wins{lower}")
    if as_json:
        output.emit({"key": key, "value": parsed, "path": path})
    elif output.stderr_is_terminal():
        output.note(f"{key} = {_text(parsed)} in {path}")
    return 0


def _set_limit(key: str, value: Any) -> str:
    """Write a limit where those whom it binds cannot reach it; None lets the default hold again."""
    session = Session(quiet=True)
    if value is None:
        session.store.limits.remove(session.actor, key)
    else:
        session.store.limits.set(session.actor, key, value)
    return settings.db_place()


@app.command()
def path(as_json: AsJson = False) -> int:
    """Show the files and folders in use.

    \b
    nexscout config path
    nexscout config path --json
    """
    from nexscout_cli.providers.embedded.model_file import model_path

    places = {
        "user_file": settings.user_file(),
        "project_file": Path(settings.PROJECT_FILE).absolute(),
        **({} if settings.db_url() else {"database": settings.db_path()}),
        "data": settings.data_dir(),
        "cache": settings.cache_dir(),
        "embedded_model": model_path(settings.data_dir()),
    }
    rows = [{"what": name, "path": str(place), "exists": place.exists()} for name, place in places.items()]
    if settings.db_url():
        rows.insert(2, {"what": "database", "path": settings.db_place(), "exists": True})
    if as_json:
        output.emit({"rows": rows})
    else:
        tables.pairs(
            [
                (str(row["what"]).replace("_", " "), f"{row['path']}{'' if row['exists'] else '   (not there)'}")
                for row in rows
            ]
        )
    return 0


def _as_usage(check: Any) -> Any:
    """What a wrong KEY or VALUE on the command line is: a usage error, not a broken configuration."""
    try:
        return check()
    except ConfigError as error:
        raise UsageError(error.message, error.suggestion) from error


def _overrides(key: str) -> list[str]:
    """What outranks the user's file for a setting."""
    places = [settings.env_name(key)] if os.environ.get(settings.env_name(key)) else []
    files = [Path(settings.PROJECT_FILE), *([settings.user_file()] if is_limit(key) else [])]
    return places + [str(file) for file in files if key in settings.read_file(file)]


def _text(value: Any) -> str:
    """A value as ``config set`` takes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
