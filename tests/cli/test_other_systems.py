"""A system without POSIX locks and accounts, as Windows is: one plain line, never a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = "import sys; sys.modules.update(dict.fromkeys(('fcntl', 'pwd', 'grp', 'resource', 'termios', 'readline')))\n"
"""What an interpreter on Windows does not have."""


def without_posix(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT + code], capture_output=True, text=True, check=False)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return without_posix(f"sys.argv[1:] = {list(words)!r}\nfrom nexscout_cli.__main__ import main\nmain()")


@pytest.mark.parametrize("words", [("run", "Hello"), ("--help",), ("report",), ("db", "check")])
def test_a_command_says_in_one_line_that_the_system_is_not_supported(words: tuple[str, ...]) -> None:
    ended = command(*words)
    assert ended.returncode == 1 and not ended.stdout
    (line,) = ended.stderr.splitlines()
    assert line.startswith("nexscout does not run on this system") and "WSL 2" in line


def test_the_version_is_told_everywhere() -> None:
    ended = command("--version")
    assert (ended.returncode, ended.stderr) == (0, "") and ended.stdout.startswith("nexscout ")


@pytest.mark.parametrize("name", ["open_engine", "run_ai_optimized", "budget", "openai_client"])
def test_a_function_that_needs_the_books_says_so_when_it_is_imported(name: str) -> None:
    ended = without_posix(f"try:\n    from nexscout_cli import {name}\nexcept ImportError as error:\n    print(error)")
    assert (ended.returncode, ended.stderr) == (0, "") and ended.stdout.startswith(
        "nexscout does not run on this system"
    )


def test_types_can_be_imported_everywhere() -> None:
    code = "from nexscout_cli import AIRequest, Options\nprint(AIRequest('ana', 'ai_message', 'Hi').prompt)"
    ended = without_posix(code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Hi\n", "")
