"""The command line, called for one lie after the other in one small process: `lied_to.py FILE`, each line a JSON list of words.

Prints JSON: of each call its exit status, its stderr, and the most memory, in kilobytes, that the process had had after it.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
from pathlib import Path

from nexscout_cli.cli.app import main


def call(argv: list[str]) -> tuple[int, str, int]:
    """One command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(argv)
    return status, err.getvalue(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(json.dumps([call(json.loads(line)) for line in Path(sys.argv[1]).read_text().splitlines()]))
