"""``nexscout models key``: the providers' keys that are kept at rest."""

from __future__ import annotations

import getpass
import re
import sys
from typing import Annotated

from nexscout_cli import files, provider_keys
from nexscout_cli.cli import declared, output, tables
from nexscout_cli.engine.catalog import endpoints
from nexscout_cli.errors import Blocked, UsageError

app = declared.App(no_args_is_help=True)

Provider = Annotated[
    str, declared.Argument(metavar="PROVIDER", help="A provider, as openai, or the name of a variable, as HOUSE_KEY.")
]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]
_PROVIDER = re.compile(r"[a-z][a-z0-9_-]{0,60}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{2,80}")


@app.callback()
def key() -> None:
    """Keep the keys of providers, in the system's keyring or in a file that only you can read.

    \b
    nexscout models key set openai
    nexscout models key list
    nexscout models key remove openai

    A variable in the environment comes first. Keys of the server are another thing: `nexscout keys`.
    """


@app.command("set")
def set_(
    provider: Provider,
    file: Annotated[bool, declared.Option("--file", help="In the file, also where there is a keyring.")] = False,
    as_json: AsJson = False,
) -> int:
    """Keep a provider's key. It is asked for, or read from stdin; it is never an argument, nor shown.

    \b
    nexscout models key set openai
    pass show openai | nexscout models key set openai
    nexscout models key set HOUSE_KEY --file
    """
    variable = _variable(provider)
    if files.stdin_is_piped():
        secret = _piped()
    elif sys.stdin is not None and sys.stdin.isatty():
        secret = getpass.getpass(f"{variable}: ").strip()
    else:
        raise UsageError("there is no terminal to ask for the key on", "pipe it in")
    in_keyring = not file and provider_keys.has_keyring()
    provider_keys.keep(variable, secret, in_keyring=in_keyring)
    where = "the system's keyring" if in_keyring else str(provider_keys.path())
    used = provider_keys.source(variable)
    if as_json:
        output.emit({"variable": variable, "kept_in": "keyring" if in_keyring else "file", "used_from": used})
        return 0
    if output.stderr_is_terminal():
        output.note(f"{variable} is kept in {where}")
    if used == "environment":
        output.note(f"note: {variable} is set in the environment, which comes first")
    return 0


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """List the keys that are kept, and where each is; none is shown.

    \b
    nexscout models key list
    """
    rows = [
        {"variable": name, "kept_in": "keyring" if kept is None else "file", "used_from": provider_keys.source(name)}
        for name, kept in sorted(provider_keys.names().items())
    ]
    if as_json:
        output.emit({"rows": rows})
        return 0
    tables.show(
        ("variable", "kept in", "used from"), [[row["variable"], row["kept_in"], row["used_from"]] for row in rows]
    )
    return 0


@app.command()
def remove(provider: Provider) -> int:
    """Keep a provider's key no longer.

    \b
    nexscout models key remove openai
    """
    variable = _variable(provider)
    if not provider_keys.remove(variable):
        raise UsageError(f"no key of {variable} is kept", "`nexscout models key list` shows them")
    return 0


def _piped() -> str:
    """What stdin says. Raises UsageError, for what is too long to be a key as well."""
    try:
        return files.read_stdin(provider_keys.MOST).strip()
    except Blocked as error:
        raise UsageError("that is no key: it is too long", "pipe in the key alone") from error


FUNCTIONS = {"set": set_, "rm": remove}
"""What `nexscout keys` has too, by its names there."""


def _variable(provider: str) -> str:
    """The variable of a provider's key. Raises UsageError, and never repeats what may be a key."""
    if _VARIABLE.fullmatch(provider):
        return provider
    if _PROVIDER.fullmatch(provider) and not endpoints.looks_like_key(provider):
        from nexscout_cli.providers import prices

        if (meant := prices.meant_provider(provider)) is not None:
            raise UsageError(
                f"no provider is called {provider}",
                f"did you mean {meant}? For one of your own name the variable, as HOUSE_KEY",
            )
        if variable := endpoints.key_variable(f"{provider}/any"):
            return variable
        raise UsageError(f"{provider} needs no key", "name the variable where yours does")
    raise UsageError(
        "that names no provider and no variable; a key is never an argument",
        "for instance `nexscout models key set openai`",
    )
