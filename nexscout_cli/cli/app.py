"""The command line: what it calls, and the one place where an exception becomes an exit status."""

from __future__ import annotations

import errno
import os
import warnings
from importlib import import_module
from typing import Any

from nexscout_cli.cli import output, quick, signals
from nexscout_cli.cli.commands import COMMANDS, module_of
from nexscout_cli.errors import Interrupted, NexScoutError, StoreError, UsageError

_PRINT = ("report", "log", "why", "simulate", "doctor")
"""Commands that do nothing but print."""


def main(argv: list[str]) -> int:
    """Run a command line and return its exit status. No exception leaves it."""
    argv, debug = _global_flags(argv)
    signals.listen()
    warnings.simplefilter("ignore")  # what libraries say of each other is nothing to the person at the terminal
    as_json = "--json" in (argv[: argv.index("--")] if "--" in argv else argv)
    output.prepare()
    try:
        _check_text(argv)
        status = _called(argv)
        return output.finish(_unless_lost(status if isinstance(status, int) else 0, argv))
    except BaseException as error:  # noqa: BLE001 - the one place where everything ends
        if debug and not isinstance(error, KeyboardInterrupt | SystemExit):
            import traceback

            output.note(output.without_secrets(traceback.format_exc()))
        return output.finish(_status(error, as_json))


def __getattr__(name: str) -> Any:
    """``app``, the whole command line as Typer's: imported only for who asks for it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nexscout_cli.cli.typer_app import app

    return app


def _called(argv: list[str]) -> Any:
    """What the line's command returns. A plain line needs no Typer."""
    calls = quick.read(import_module(module_of(argv[0])).app, argv[1:]) if argv[:1] and argv[0] in COMMANDS else None
    if calls is None:
        from nexscout_cli.cli.typer_app import app

        return app(argv, prog_name="nexscout", standalone_mode=False)
    status: int | None = None
    for function, values in calls:
        status = function(**values)
    return status


def _unless_lost(status: int, argv: list[str]) -> int:
    """The exit status, also where the disk under stdout was full: what was done is done, and must not be done again. But what
    only prints has done nothing then.
    """
    prints = argv[:1] and (argv[0] in _PRINT or argv[1:2] in (["list"], ["show"], ["export"]))
    return StoreError.exit_status if status == 0 and prints and output.stdout_is_lost() else status


def _global_flags(argv: list[str]) -> tuple[list[str], bool]:
    """Take ``--debug`` and ``--no-color`` out of the line, wherever before ``--`` they stand."""
    end = argv.index("--") if "--" in argv else len(argv)
    head = [word for word in argv[:end] if word not in ("--debug", "--no-color")]
    if "--no-color" in argv[:end]:
        os.environ["NO_COLOR"] = "1"
    return head + argv[end:], "--debug" in argv[:end]


def _check_text(argv: list[str]) -> None:
    """Refuse a line with words that are no text: nothing that is kept, sent or printed could hold them."""
    for number, word in enumerate(argv, 1):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(f"word {number} of the line is not valid UTF-8 text", "send valid UTF-8") from None
        if "\0" in word:
            raise UsageError(f"word {number} of the line has a NUL character", "send text only")


def _status(error: BaseException, as_json: bool) -> int:
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted("interrupted")
    if isinstance(error, NexScoutError):
        output.failure(error, as_json)
        return error.exit_status
    # The end of the input where something was asked, by getpass or by Typer, which may not be imported for this.
    if isinstance(error, EOFError) or type(error).__name__ == "Abort":
        output.failure(Interrupted("aborted"), as_json)
        return Interrupted.exit_status
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if hasattr(error, "format_message"):
        return _usage(error, as_json)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        full = StoreError(
            f"cannot write to stdout or a file: {error.strerror}", "make room and try again", code="disk_full"
        )
        output.failure(full, as_json)
        return full.exit_status
    if isinstance(error, OSError) and error.filename is not None:  # no rights, a link in a circle, a disk that fails
        shown = output.harmless(str(error.filename))[:300]
        unusable = StoreError(f"cannot use {shown}: {error.strerror}", "check the permissions of file and folder")
        output.failure(unusable, as_json)
        return unusable.exit_status
    from nexscout_cli.assemble import bad_row

    if (bad := bad_row()) is not None:
        output.failure(bad, as_json)
        return bad.exit_status
    bug = NexScoutError(
        f"unexpected failure: {type(error).__name__}: {output.without_secrets(str(error))[:200]}",
        "this is a bug; run it again with --debug and report what it prints",
    )
    output.failure(bug, as_json)
    return bug.exit_status


def _usage(error: Any, as_json: bool) -> int:
    """A wrong option or argument, as Typer reports it."""
    if type(error).__name__ == "NoArgsIsHelpError":
        output.note(error.format_message())
        return 2
    from nexscout_cli.cli import mistakes

    problem = NexScoutError(*mistakes.told(error), code="usage")
    output.failure(problem, as_json)
    return 2
