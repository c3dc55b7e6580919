"""The command line, called for one lie after the other in one small process: `lied_to.py FILE`, each line a JSON list of words.

Prints a JSON list: of each call its exit status and stderr; and the most memory, in kilobytes, that the process has had.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
from pathlib import Path

from nexscout_cli.cli.app import main


def call(argv: list[str]) -> tuple[int, str]:
    """One command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(argv)
    return status, err.getvalue()


if __name__ == "__main__":
    ended = [call(json.loads(line)) for line in Path(sys.argv[1]).read_text().splitlines()]
    print(json.dumps({"ended": ended, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
