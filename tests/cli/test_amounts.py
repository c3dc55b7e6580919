"""Amounts that are nothing, tiny or huge, wherever one is given: kept as they are, or refused in a line with an example."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NONSENSE = ["-1", "nan", "inf", "1e30", "1e999999999", "9" * 23, "9" * 5_000, "x"]
PLACES = {
    "price": ("models", "set", "gpt-4o", "--input-price={}"),
    "other price": ("models", "set", "gpt-4o", "--cached-price={}"),
    "cap": ("config", "set", "caps.usd.total_day", "--", "{}"),
    "cap of tokens": ("config", "set", "caps.tokens.total_day", "--", "{}"),
    "grant": ("energy", "grant", "owner", "--", "{}"),
    "budget": ("budget", "set", "--user", "owner", "--", "{}/day"),
    "budget of tokens": ("budget", "set", "--user", "owner", "--", "{}t/day"),
    "budget of a key": ("keys", "create", "--budget={}/day"),
    "budget of a key in tokens": ("keys", "create", "--budget={}t/ever"),
    "a call's": ("simulate", "--max-cost={}", "hello"),
}


@pytest.mark.parametrize("amount", NONSENSE, ids=lambda text: text[:12])
def test_what_is_no_amount_is_refused_in_two_lines_wherever_it_is_given(
    nexscout: Callable[..., Any], amount: str
) -> None:
    for place, words in PLACES.items():
        done = nexscout(*(word.format(amount) for word in words))
        assert done.exit == 2 and done.stdout == "", (place, done)
        lines = done.stderr.splitlines()
        assert 1 <= len(lines) <= 2 and max(map(len, lines)) < 300 and "bug" not in done.stderr, (place, done)


@pytest.mark.parametrize("name", ["input", "output", "cached", "cache-write", "reasoning"])
def test_a_price_finer_than_is_kept_is_refused_and_the_smallest_is_kept(
    home: Path, nexscout: Callable[..., Any], name: str
) -> None:
    done = nexscout("models", "set", "gpt-4o", f"--{name}-price", "1e-30")
    assert done.exit == 2 and "finer" in done.stderr
    assert nexscout("models", "set", "gpt-4o", f"--{name}-price", "1e-9").exit == 0
    connection = sqlite3.connect(home / "nexscout.db")
    query = "SELECT input_price, output_price, class_prices FROM ai_model_configs WHERE model = 'gpt-4o'"
    into, out, classes = connection.execute(query).fetchone()
    connection.close()
    assert {"input": into == 1, "output": out == 1}.get(name, f'"{name.replace("-", "_")}": 1' in classes), classes


def test_a_new_model_is_not_free_by_a_price_that_rounds_to_nothing(nexscout: Callable[..., Any]) -> None:
    words = (
        "models",
        "add",
        "house",
        "--api-base",
        "http://127.0.0.1:9/v1",
        "--max-tokens",
        "9000",
        "--quality",
        "0.5",
    )
    done = nexscout(*words, "--input-price", "1e-30", "--output-price", "1e-30")
    assert done.exit == 2 and "finer" in done.stderr
    assert nexscout("models", "show", "house").exit == 2


def test_the_most_that_may_be_given_can_be_given_and_the_books_are_sound(nexscout: Callable[..., Any]) -> None:
    for words in (
        ("energy", "grant", "owner", "1000000000000"),
        ("budget", "set", "1000000000000000t/day", "--user", "owner"),
        ("budget", "set", "1000000/month", "--user", "owner"),
        ("config", "set", "caps.usd.total_day", "1000000000"),
        ("models", "set", "gpt-4o", "--input-price", "1000"),
    ):
        done = nexscout(*words)
        assert done.exit == 0, (words, done)
    assert nexscout("simulate", "hello", "-m", "gpt-4o").exit in (0, 3, 4)
    assert nexscout("db", "check").exit == 0
