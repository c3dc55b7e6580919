"""The table of request options: complete, and right in every form a value can come in."""

from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.engine import option_names, options
from nexscout_cli.engine.options import FIELDS, OPTIONS, TABLE
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.errors import UsageError


def test_every_option_of_a_request_has_an_entry_and_every_entry_a_field() -> None:
    assert sorted(OPTIONS) == sorted(Options._fields)
    assert sorted(FIELDS) == sorted(set(AIRequest._fields) - {"prompt", "options", "caller"})
    assert len(OPTIONS) + len(FIELDS) == len(TABLE)


def test_no_flag_stands_for_two_options() -> None:
    flags = [flag for option in TABLE for flag in option.flags]
    assert len(flags) == len(set(flags)) and all(option.flags[-1].startswith("--") for option in TABLE if option.flags)


@pytest.mark.parametrize("option", TABLE, ids=lambda option: option.name)
def test_an_entry_is_explained_and_its_example_is_a_value_it_can_have(option: options.Option) -> None:
    assert option.help.endswith(".")
    assert all(choice in option.help for choice in option.choices)
    if option.example:
        options.from_json(option, options.from_cell(option, option.example, "x"), "x")


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_the_default_of_an_option_is_none_or_a_value_it_can_have(option: options.Option) -> None:
    default = options.default_of(option)
    assert default == getattr(Options(), option.name)
    if default is not None:
        options.check(option, default, option.name)


GOOD: list[tuple[str, Any]] = [
    ("allow_cache", False),
    ("skip_energy_charge", True),
    ("force_model", "gpt-4o"),
    ("mode", "fast"),
    ("max_tokens", 1),
    ("max_tokens", 10**30),
    ("max_cost", 0),
    ("system", ""),
    ("temperature", 0),
    ("temperature", 2.0),
    ("idempotency_key", "k" * 200),
    ("policy", "cascade"),
    ("compress", "off"),
    ("keep", 0.1),
    ("keep", 0.9),
]
BAD: list[tuple[str, Any, str]] = [
    ("allow_cache", None, "true or false"),
    ("allow_cache", 1, "true or false"),
    ("skip_energy_charge", "yes", "true or false"),
    ("force_model", 5, "must be text"),
    ("mode", "turbo", "mode cannot be 'turbo'"),
    ("mode", ["fast"], "mode cannot be a list"),
    ("max_tokens", 0, "a whole number of at least 1"),
    ("max_tokens", True, "a whole number of at least 1"),
    ("max_tokens", 2.0, "a whole number of at least 1"),
    ("max_tokens", -(10**5_000), "this small"),
    ("max_cost", -1, "nano-dollars"),
    ("max_cost", 0.5, "nano-dollars"),
    ("temperature", 2.1, "a number from 0 to 2"),
    ("temperature", float("nan"), "a number from 0 to 2"),
    ("temperature", "hot", "a number from 0 to 2"),
    ("idempotency_key", "", "text of 1 to 200 characters"),
    ("idempotency_key", "k" * 201, "text of 1 to 200 characters"),
    ("policy", "best", "policy cannot be 'best'"),
    ("compress", "zip", "compress cannot be 'zip'"),
    ("keep", 0.05, "a number from 0.1 to 0.9"),
    ("keep", 1, "a number from 0.1 to 0.9"),
]


@pytest.mark.parametrize(("name", "value"), GOOD, ids=str)
def test_a_value_that_a_program_may_hand_over(name: str, value: Any) -> None:
    options.check(OPTIONS[name], value, name)


@pytest.mark.parametrize(
    ("name", "value", "says"), BAD, ids=[f"{name} {number}" for number, (name, *_) in enumerate(BAD)]
)
def test_a_value_that_no_option_can_have_is_refused_in_short(name: str, value: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        options.check(OPTIONS[name], value, name)
    assert says in caught.value.message and caught.value.message.startswith(f"{name} cannot be")
    assert len(caught.value.message) < 200 and caught.value.suggestion


def test_a_choice_that_is_nearly_right_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        options.check(OPTIONS["mode"], "Fats", "mode")
    assert caught.value.suggestion == "did you mean fast? one of: auto, fast, pro, expert"


@pytest.mark.parametrize("value", [0.05, "0.05"])
def test_dollars_of_a_document_become_nano_dollars(value: Any) -> None:
    assert options.from_json(OPTIONS["max_cost"], value, "x") == 50_000_000


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("allow_cache", "no", False),
        ("allow_cache", "TRUE", True),
        ("skip_energy_charge", " on ", True),
        ("skip_energy_charge", "0", False),
        ("max_tokens", "200", 200),
        ("max_tokens", " 200 ", 200),
        ("temperature", "0.7", 0.7),
        ("max_cost", "0.05", "0.05"),
        ("system", " Be kind ", " Be kind "),
        ("mode", "fast", "fast"),
    ],
)
def test_a_cell_is_what_a_document_would_say(name: str, text: str, value: Any) -> None:
    found = options.from_cell(OPTIONS[name], text, "x")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("allow_cache", "maybe"),
        ("max_tokens", "many"),
        ("max_tokens", "2.5"),
        ("max_tokens", "0"),
        ("max_tokens", "9" * 5_000),
        ("temperature", "nan"),
        ("temperature", "1e999"),
        ("max_cost", "-1"),
        ("max_cost", "cheap"),
        ("mode", "turbo"),
    ],
)
def test_a_wrong_cell_is_refused_under_its_own_name(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"line 3, column {name}"):
        options.from_cell(OPTIONS[name], text, f"line 3, column {name}")


@pytest.mark.parametrize(
    ("meant", "name"),
    [
        ("model", "force_model"),
        ("no_cache", "allow_cache"),
        ("--no-charge", "skip_energy_charge"),
        ("Max-Tokens", "max_tokens"),
        ("tempreature", "temperature"),
        ("reasoning_effort", "effort"),
        ("user", "end_user"),
        ("colour", None),
    ],
)
def test_the_option_that_was_meant_is_found(meant: str, name: str | None) -> None:
    assert option_names.nearest(meant) == name
