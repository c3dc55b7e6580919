"""What is wrong with a command line is said in plain words, and what to do."""

from __future__ import annotations

import pytest

from nexscout_cli.cli.app import main

SAID = {
    "batch x --concurrency abc": "--concurrency is a whole number from 1 to 200, not abc",
    "batch x --concurrency 9999": "--concurrency is a whole number from 1 to 200, not 9999",
    "log --limit=-1": "--limit is a whole number from 1 to 10000, not -1",
    "run --temperature warm hello": "--temperature is a number, not warm",
    "run --max-tokens 1.5 hello": "--max-tokens is a whole number, not 1.5",
    "repotr": "there is no command 'repotr'\n  did you mean report?",
    "cache nope": "there is no command 'nope'",
    "run --toen dry hello": "there is no option --toen\n  did you mean --mode, --stop or --tone?",
    "why": "REQUEST_ID is missing",
    "run a b c": "too many words: b c\n  put quotes around a text of several words",
    "run hello -m": "-m needs a value",
    "run --json=3 hello": "--json takes no value",
}


@pytest.mark.parametrize("line", SAID)
def test_a_mistake_is_told_in_plain_words_with_the_way_to_the_help(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    told = capsys.readouterr()
    assert (
        told.out == "" and told.err.startswith(f"nexscout: {SAID[line]}") and "--help` shows what there is" in told.err
    )
    assert len(told.err.splitlines()) == 2
