"""What is known of two models: on which kinds of prompts the better one gains more than strong models do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.routing.difficulty import difficulty
from nexscout_cli.engine.routing.pairs import LEAST, compared, factors
from nexscout_cli.engine.shipped_data import table
from tests.support.values import OPENAI, count, request, snapshot

CODE = (
    "[PYTHON]\ndef f(x):\n    return x * 2\nassert f(3) == ??\n[/PYTHON]\nWhat stands in place of the question marks?"
)
SUM = "Ann has 3 apples and buys 4 more at 2 dollars each. How many dollars does she pay, and how many apples has she?"


def a_table(strong: dict[str, list[float]], weak: dict[str, list[float]]) -> dict[str, dict[str, object]]:
    return {"gain": {"a code": 0.3, "a sum": 0.3, "b sum": 0.2}, "models": {"big": strong, "small": weak}}


def test_the_better_model_counts_for_more_where_it_gained_more() -> None:
    found = compared(
        a_table({"a code": [400, 0.9], "a sum": [400, 0.9]}, {"a code": [400, 0.6], "a sum": [400, 0.89]}),
        "big",
        "small",
    )
    assert found["code"] > 1.5 and found["sum"] < 0.5
    assert difficulty(CODE, factors=found).probability > difficulty(CODE).probability
    assert difficulty(SUM, factors=found).probability < difficulty(SUM).probability
    assert difficulty(CODE, factors=found).bucket == difficulty(CODE).bucket
    long = CODE.replace("return x * 2", "if x > 2 and x < 9, then y = x\n    " * 40)
    assert difficulty(long, factors=found).probability > difficulty(long).probability


def test_few_questions_move_little() -> None:
    much, little = (
        compared(
            a_table({"a code": [n, 0.9], "b sum": [600, 0.9]}, {"a code": [n, 0.3], "b sum": [600, 0.7]}),
            "big",
            "small",
        )
        for n in (600, 10)
    )
    assert 1 < little["code"] < much["code"]


@pytest.mark.parametrize(
    ("strong", "weak"),
    [
        ({"a code": [400, 0.6]}, {"a code": [400, 0.9]}),
        ({"a code": [400, 0.9]}, {"a code": [400, 0.89]}),
        ({"a code": [400, 0.9]}, {"a sum": [400, 0.1]}),
        ({}, {"a code": [400, 0.1]}),
    ],
    ids=["worse", "hardly better", "on other questions", "never measured"],
)
def test_nothing_is_said_where_nothing_was_gained_on_the_same_questions(
    strong: dict[str, list[float]], weak: dict[str, list[float]]
) -> None:
    assert compared(a_table(strong, weak), "big", "small") == {}


def test_of_one_kind_alone_nothing_can_be_told() -> None:
    found = compared(a_table({"a code": [400, 0.9]}, {"a code": [400, 0.5]}), "big", "small")
    assert found == {"code": pytest.approx(1)}


@given(st.lists(st.tuples(st.integers(1, 900), st.floats(0, 1)).map(list), min_size=6, max_size=6))
def test_no_kind_counts_for_nothing_or_for_less(cells: list[list[float]]) -> None:
    names = ("a code", "a sum", "b sum")
    made = a_table(dict(zip(names, cells[:3], strict=True)), dict(zip(names, cells[3:], strict=True)))
    assert all(value >= LEAST for value in compared(made, "big", "small").values())


def test_a_model_is_known_by_its_name_and_with_a_version_behind_it() -> None:
    assert factors("gpt-4o", "gpt-4o-mini")
    assert factors("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18") == factors("gpt-4o", "gpt-4o-mini")
    assert factors("gpt-4o", "gpt-4o") == factors("gpt-4o", "nobody") == factors("", "") == {}


def test_the_table_says_where_it_comes_from_and_names_no_cell_of_which_nothing_is_expected() -> None:
    made = table("pairs")
    assert "Apache-2.0" in str(made["source"])
    assert {cell for cells in made["models"].values() for cell in cells} <= made["gain"].keys()
    assert min(made["gain"].values()) > 0


def test_a_request_is_judged_by_the_two_models_that_it_may_get_and_says_so() -> None:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.planning.planner import Planner
    from nexscout_cli.engine.routing import explain

    made = Planner(Settings(), count).plan(request(CODE, policy="learned"), snapshot("elite", names=OPENAI)).decision
    known = factors("gpt-4o", "gpt-4o-mini")["code"]
    assert made.factor == round(known, 2)
    assert made.difficulty == round(difficulty(CODE, factors={"code": known}).probability, 4)
    assert any(f"gains {made.factor:g} times as much as usual" in line for line in explain.requirement(made.as_json()))
