"""Signals: the first SIGINT, SIGTERM or SIGHUP stops what goes on and lets it be settled, the second leaves at once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from nexscout_cli.cli import output
from nexscout_cli.engine.interrupts import Interrupts
from nexscout_cli.errors import Interrupted

_SHOW_CURSOR = b"\x1b[?25h\n"  # a progress bar hides it
_LEFT = b"nexscout: left at once; what was in flight is not settled\n  `nexscout doctor` says what became of it\n"
_STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_command = Interrupts()


def of_this_command() -> Interrupts:
    """What the signals of the command that runs are told to; its engine looks there."""
    return _command


def listen() -> None:
    """Handle signals from now on, for a new command."""
    global _command
    _command = Interrupts()
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell has it for what runs in the background
            signal.signal(number, _signalled)


def _signalled(signum: int, frame: object) -> None:
    if _command.stopping:
        with suppress(OSError):
            os.write(2, (_SHOW_CURSOR if output.stderr_is_terminal() else b"") + _LEFT)
        os._exit(Interrupted.exit_status)
    _command.arrived()
