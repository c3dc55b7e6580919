"""The command line in a process that SIGKILL ends at a chosen call: ``MORTAL=fsync:2 python -m tests.crash.mortal …``.

``statement``: at the nth SQL statement of a migration; ``commit``: when all of a transaction is written and nothing committed;
``client``: when a package client has been started; ``fsync``, ``write``, ``link``, ``replace``: before the nth of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexscout_cli.cli import batch_out
from nexscout_cli.cli.app import main
from nexscout_cli.providers.embedded import model_file, pull
from nexscout_cli.store.sqlite import database, schema
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
    if what == "commit":
        enter, leave = database.Commit.__enter__, database.Commit.__exit__

        def begun(self: database.Commit) -> Any:
            connection = enter(self)
            connection.execute("PRAGMA cache_size = 1")
            return connection

        def ended(self: database.Commit, kind: Any, error: Any, trace: Any) -> None:
            if error is None:
                reached()
            leave(self, kind, error, trace)

        setattr(database.Commit, "__enter__", begun)  # noqa: B010 - a method, to mypy
        setattr(database.Commit, "__exit__", ended)  # noqa: B010
        return
    if what == "client":
        start = subprocess.Popen.__init__

        def started(self: Any, *args: Any, **named: Any) -> None:
            start(self, *args, **named)
            reached()

        setattr(subprocess.Popen, "__init__", started)  # noqa: B010
        return
    owner, name = WHERE[what]
    real: Callable[..., Any] = getattr(owner, name)

    def wrapped(*args: Any, **named: Any) -> Any:
        reached()
        return real(*args, **named)

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    use_stand_in()
    if "SMALL_MODEL" in os.environ:  # the SHA-256 and the size of a file that stands for the embedded model's 98 MB
        pull.SHA256, size = os.environ["SMALL_MODEL"].split(":")
        model_file.SIZE = pull.SIZE = int(size)
    point, _, number = os.environ.get("MORTAL", "").partition(":")
    if point:
        arm(point, int(number))
    sys.exit(main(sys.argv[1:]))
