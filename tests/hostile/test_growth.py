"""No text makes a function that reads texts take more than its share: four times the text takes about four times the time.

What is compared is CPU time at n and 4n, the best of several; no figure in seconds is judged.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nexscout_cli.engine.answers import doubt
from tests.support.families import main_families, repeated
from tests.support.growth import MOST, growth
from tests.support.imports import FILES, name_of
from tests.support.text_functions import functions

N = 1_500
OTHERS = {
    "nexscout_cli.engine.api_keys": "matches the names of keys, of 64 characters at most, and how long they hold",
    "nexscout_cli.engine.budget_words": "reads an amount that a person writes for a budget",
    "nexscout_cli.engine.alerts": "reads the line of an alert, which a person writes",
    "nexscout_cli.engine.reconcile.export": "matches the end of a model's name",
    "nexscout_cli.engine.chat": "matches names, and addresses by one class of characters after another",
    "nexscout_cli.engine.chat_options": "splits the line of a schema, and matches names",
    "nexscout_cli.engine.planning.extras": "matches the names of models",
    "nexscout_cli.engine.report_window": "reads a command line's times, of nine digits at most",
}
"""Modules with patterns that need no measuring, and why."""
TABLE = functions(Path("unused"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict:  # type: ignore[type-arg]
    found = functions(tmp_path_factory.mktemp("tokens"))
    for function in found.values():
        function.reads("What is 1 + 1 = 2? `x`")  # compiles patterns, reads weights
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_time_grows_no_faster_than_the_text(table: dict, name: str) -> None:  # type: ignore[type-arg]
    slow = {}
    for family, text in main_families():
        found = growth(table[name].reads, text, N)
        if found is not None and found.ratio > MOST:
            slow[family] = f"{found.ratio:.1f} times, {found.large:.2f} s"
    assert not slow


@pytest.mark.slow
def test_thai_clauses_after_a_bracket_that_is_never_closed_take_linear_time(table: dict) -> None:  # type: ignore[type-arg]
    found = growth(table["markdown"].reads, lambda n: "[" + ("ก " * n)[:n], 8_000)
    assert found is None or found.ratio <= MOST


@pytest.mark.slow
def test_a_long_run_of_letters_in_a_diff_takes_linear_time(table: dict) -> None:  # type: ignore[type-arg]
    found = growth(table["unified diff"].reads, lambda n: "- " * n + "ß" * n, 2_000)
    assert found is None or found.ratio <= MOST


@pytest.mark.slow
def test_a_question_that_names_one_thing_over_and_over_takes_linear_time(table: dict) -> None:  # type: ignore[type-arg]
    found = growth(table["code's question"].reads, repeated("ß{", "😀def a:\nlet x "), 8_000)
    assert found is None or found.ratio <= MOST


def test_the_measurement_finds_a_pattern_that_takes_quadratic_time() -> None:
    pattern = re.compile(r"(?P<tick>`+)(?s:[^`]{1,2000})(?P=tick)")
    found = growth(pattern.findall, repeated("`"), N)
    assert found is not None and found.ratio > MOST


def test_the_measurement_lets_pass_what_takes_linear_time() -> None:
    found = growth(lambda text: [ord(c) + 1 for c in text * 100], repeated("`"), N, short=0)
    assert found is not None and found.ratio <= MOST


def test_every_module_of_the_engine_with_patterns_is_measured() -> None:
    with_patterns = {
        name_of(path) for path in FILES if "engine" in path.parts and re.search(r"^import re$", path.read_text(), re.M)
    }
    assert with_patterns
    assert with_patterns - {function.module for function in TABLE.values()} == set(OTHERS)


@pytest.mark.parametrize(
    "answer",
    [
        "9" * 400,
        "The answer is " + "9" * 9_000,
        "1" * 300 + ".5",
        "[0x" + "f" * 15_000 + "]",
        "[" * 9_000,
        "-" * 9_000 + "1",
    ],
    ids=lambda answer: f"{answer[:12]}… of {len(answer)}",
)
def test_an_answer_of_huge_or_deep_values_is_read_without_an_error(answer: str) -> None:
    asked = "How many apples are left? Give valid json."
    assert 0 <= doubt.doubt(asked, answer, "stop").score <= 1
    assert isinstance(doubt.agree(asked, answer, answer), bool)
