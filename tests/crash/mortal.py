"""The command line in a process that SIGKILL ends at a chosen call: ``MORTAL=fsync:2 python -m tests.crash.mortal …``.

``statement``: at the nth SQL statement of a migration; ``fsync``, ``write``, ``link``, ``replace``: before the nth of them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexscout_cli.cli import batch_out
from nexscout_cli.cli.app import main
from nexscout_cli.store.sqlite import schema
from tests.crash.launcher import use_stand_in

WHERE: dict[str, tuple[Any, str]] = {
    "fsync": (os, "fsync"),
    "write": (batch_out.os, "write"),
    "link": (Path, "hardlink_to"),
    "replace": (Path, "replace"),
}


def arm(what: str, nth: int) -> None:
    """Die there."""
    left = [nth]

    def reached(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if what == "statement":
        migrate = schema.migrate

        def traced(connection: Any) -> None:
            connection.execute("PRAGMA cache_size = 1")  # pages reach the file before the commit: a hot journal is left
            connection.set_trace_callback(reached)
            migrate(connection)
            connection.set_trace_callback(None)

        schema.migrate = traced
        return
    owner, name = WHERE[what]
    real: Callable[..., Any] = getattr(owner, name)

    def wrapped(*args: Any, **named: Any) -> Any:
        reached()
        return real(*args, **named)

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    use_stand_in()
    point, _, number = os.environ.get("MORTAL", "").partition(":")
    if point:
        arm(point, int(number))
    sys.exit(main(sys.argv[1:]))
