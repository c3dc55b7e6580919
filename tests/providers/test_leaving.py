"""How a command's process ends where native code with threads of its own was loaded."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, sys, types

libc = ctypes.CDLL(None)
libc["__cxa_atexit"](libc.abort, None, None)  # what a native library does at the very end may crash
for name in sys.argv[1].split(","):
    sys.modules[name] = types.ModuleType(name)
import nexscout_cli.cli.app, atexit
real = nexscout_cli.cli.app.main

def run(argv):
    atexit.register(lambda: print("said goodbye"))
    return real(argv)

nexscout_cli.cli.app.main = run
sys.argv = ["nexscout", *sys.argv[2:]]
from nexscout_cli.__main__ import main
main()
"""


def ended(folder: Path, loaded: str, *line: str) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(folder), "NEXSCOUT_HOME": str(folder), "NEXSCOUT_ACTOR": "ada"}
    return subprocess.run([sys.executable, "-c", PROGRAM, loaded, *line], env=env, capture_output=True, text=True)


@pytest.mark.parametrize(("line", "status"), [(("config", "path"), 0), (("mode", "set", "nosuch"), 2)])
def test_with_llama_cpp_a_command_ends_whole_and_before_native_code_is_taken_apart(
    tmp_path: Path, line: tuple[str, ...], status: int
) -> None:
    done = ended(tmp_path, "xllamacpp", *line)
    assert done.returncode == status
    assert done.stdout.endswith("said goodbye\n") and ("config" in done.stdout or status == 2)


def test_without_it_a_command_ends_as_programs_do(tmp_path: Path) -> None:
    done = ended(tmp_path, "something_else", "config", "path")
    assert done.returncode == -signal.SIGABRT and done.stdout.endswith("said goodbye\n")
