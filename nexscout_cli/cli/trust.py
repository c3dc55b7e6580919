"""``nexscout trust``: let a folder's ``nexscout.toml`` choose features, policies and the like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from nexscout_cli import config
from nexscout_cli.cli import declared, output
from nexscout_cli.config import trust as trusting
from nexscout_cli.errors import UsageError

app = declared.App()


@app.command()
def trust(
    remove: Annotated[bool, declared.Option("--remove", help="Take trust back.")] = False,
    listed: Annotated[bool, declared.Option("--list", help="Show the files that are trusted.")] = False,
) -> int:
    """Trust the nexscout.toml of this folder, as it is now; when it changes, it has to be trusted anew.

    \b
    nexscout trust
    nexscout trust --remove
    nexscout trust --list

    Without trust such a file can only say how things are shown. Limits it can never change.
    """
    if listed:
        for name in trusting.trusted():
            output.out(name)
        return 0
    file = Path(config.PROJECT_FILE).absolute()
    if remove:
        if not trusting.distrust(file):
            raise UsageError(f"{file} was not trusted", "`nexscout trust --list` shows what is")
        return 0
    if not file.is_file():
        raise UsageError(f"there is no {config.PROJECT_FILE} here", "go to the folder that has it")
    read = config.read_file(file)
    for name in read:
        config.known(name, str(file))
    trusting.trust(file)
    if output.stderr_is_terminal():
        output.note(f"{file} may now set {', '.join(sorted(read)) or 'nothing'}")
    return 0
