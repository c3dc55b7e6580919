from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.answers.charge import charge_for
from nexscout_cli.engine.call import Completion, Usage
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.settlement import Charge
from tests.support.values import catalog, count, request, snapshot


def plan(name: str = "gpt-4o") -> Plan:
    return Planner(Settings(), count).plan(request(force_model=name), snapshot())


def charge(
    usage: Usage | None,
    *,
    text: str = "Hello there",
    finish: str = "stop",
    answered: str | None = None,
    models: tuple[Model, ...] | None = None,
) -> tuple[Plan, Charge]:
    made = plan()
    completion = Completion(text, finish, usage, "id", answered)
    return made, charge_for(made, completion, models or catalog(), made.max_cost, lambda given: len(given))


def test_usage_is_posted_as_billed_at_the_catalogs_price() -> None:
    _, posted = charge(Usage(37, 11))
    assert posted == Charge(37, 11, 37 * 2_500 + 11 * 10_000)


def test_a_missing_usage_is_counted_here_and_flagged() -> None:
    made, posted = charge(None)
    assert posted.flags == ("estimated",)
    assert (posted.input_tokens, posted.output_tokens) == (made.forecast.input_tokens, len("Hello there"))


@pytest.mark.parametrize("wrong", [-1, "12", None, float("nan"), 1.5, True, 128_001, [1]])
@pytest.mark.parametrize("side", [0, 1])
def test_a_usage_that_is_no_number_posts_the_whole_hold_flagged(wrong: Any, side: int) -> None:
    made, posted = charge(Usage(wrong, 5) if side == 0 else Usage(5, wrong))
    assert posted == Charge(
        made.forecast.max_input_tokens, made.forecast.max_output_tokens, made.max_cost, ("usage_invalid",)
    )


def test_nothing_used_at_all_is_not_believed() -> None:
    assert charge(Usage(0, 0))[1].flags == ("usage_invalid",)


def test_whole_numbers_written_as_floats_are_numbers() -> None:
    assert charge(Usage(37.0, 11.0))[1] == Charge(37, 11, 37 * 2_500 + 11 * 10_000)


def test_more_than_the_hold_is_posted_as_billed_and_flagged() -> None:
    made, posted = charge(Usage(10, made_to_exceed()))
    assert posted.flags == ("provider_excess",) and posted.cost > made.max_cost


def made_to_exceed() -> int:
    return plan().forecast.max_output_tokens * 2


def test_a_reader_who_went_away_is_flagged() -> None:
    assert charge(Usage(5, 5), finish="reader_gone")[1].flags == ("reader_gone",)
    assert charge(None, finish="reader_gone")[1].flags == ("reader_gone", "estimated")


def test_when_a_dearer_known_model_answered_its_price_counts() -> None:
    _, posted = charge(Usage(10, 10), answered="claude-3-opus-20240229")
    assert posted.flags == ("other_model",) and posted.cost == 10 * 15_000 + 10 * 75_000


@pytest.mark.parametrize("answered", ["gpt-4o", "openai/gpt-4o", "gpt-4o-2024-11-20", "a-model-nobody-knows", None])
def test_a_version_or_an_unknown_name_changes_no_price(answered: str | None) -> None:
    assert charge(Usage(10, 10), answered=answered)[1] == Charge(10, 10, 10 * 2_500 + 10 * 10_000)


def test_when_a_cheaper_known_model_answered_the_price_stays_and_it_is_flagged() -> None:
    assert charge(Usage(10, 10), answered="gpt-4o-mini-2024-07-18")[1] == Charge(
        10, 10, 10 * 2_500 + 10 * 10_000, ("other_model",)
    )


@pytest.mark.parametrize("answered", ["gpt-4o", "gpt-4o-2024-08-06"])
def test_a_dearer_model_whose_name_begins_the_one_asked_is_another_model(answered: str) -> None:
    made = plan("gpt-4o-mini")
    posted = charge_for(made, Completion("Hi", "stop", Usage(10, 10), "id", answered), catalog(), made.max_cost, len)
    assert posted == Charge(10, 10, 10 * 2_500 + 10 * 10_000, ("other_model",))
