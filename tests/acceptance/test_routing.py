"""Every row of the routing table, by ``simulate --json`` and ``run --json``, for each tier and each set of models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.openai_server import OpenAIServer

EMBEDDED = "smollm2-135m"
EMBEDDED_FILE = os.environ.get("NEXSCOUT_EMBEDDED_MODEL", "")
SIX = {
    "gpt-4o-mini": "gpt-4o-mini",
    "gpt-4o": "gpt-4o",
    "gpt-4o-mini-high": "gpt-4o-mini",
    "claude-3-haiku": "claude-haiku-test",
    "claude-3-sonnet": "claude-sonnet-test",
    "claude-3-opus": "claude-opus-test",
}

TIERS = ("free", "pro", "elite", "enterprise")
PLAIN = "Our company sells software for gardeners and we met their people at a fair in spring, as you may know. " * 6
SAD = "I'm furious, they lied to me, and I want them to know that I hate every minute of this betrayal!"
DEEP = " ".join(
    f"Entry {n}: the number {n * 7919} was found beside {n * 104729} in the book of {1700 + n % 300}."
    for n in range(230)
)
SMALL, MEDIUM, LARGE = (
    ("gpt-4o-mini", "claude-3-haiku"),
    ("gpt-4o-mini-high", "claude-3-sonnet"),
    ("gpt-4o", "claude-3-opus"),
)
MODES = {
    "free": ("fast",),
    "pro": ("fast", "pro"),
    "elite": ("fast", "pro", "expert"),
    "enterprise": ("fast", "pro", "expert"),
}


def embedded_model() -> str:
    """The embedded model's file; the test is skipped where there is none."""
    path = EMBEDDED_FILE
    if not path or not Path(path).is_file():
        pytest.skip("the embedded model's file is not here (NEXSCOUT_EMBEDDED_MODEL)")
    return path


class Row(NamedTuple):
    """A row: options and prompt, and what they must come to with all six and with Anthropic's names alone."""

    case: str
    argv: tuple[str, ...]
    prompt: str
    models: tuple[str, str]
    reason: str
    mode: str | None = None
    panic: bool = False


def table(tier: str) -> list[Row]:
    """The design's table for a tier."""
    complex_generation = MEDIUM if tier == "free" else LARGE
    by_mode = {"fast": SMALL, "pro": MEDIUM, "expert": LARGE}
    return [
        Row("panic", ("-f", "ai_pitchdeck"), "Our deck", SMALL, "panic", panic=True),
        Row("forced model", ("-f", "ai_message", "-m", "claude-3-haiku"), PLAIN, ("claude-3-haiku",) * 2, "forced"),
        *(
            Row(f"forced mode {mode}", ("-f", "ai_message", "-m", mode), "Hello", by_mode[mode], "forced")
            for mode in MODES[tier]
        ),
        *(
            Row(f"user mode {mode}", ("-f", "ai_sequence"), "Hello", by_mode[mode], f"manual_{mode}", mode=mode)
            for mode in MODES[tier]
        ),
        *(
            Row(f"--mode {mode}", ("-f", "ai_sequence", "--mode", mode), "Hello", by_mode[mode], f"manual_{mode}")
            for mode in MODES[tier]
        ),
        Row("pitch deck", ("-f", "ai_pitchdeck"), "Our deck", complex_generation, "complex_generation"),
        Row("coaching", ("-f", "ai_coaching"), "Coach me", complex_generation, "complex_generation"),
        Row("deep scan, large", ("-f", "ai_deepscan"), DEEP, LARGE, "deep_analysis"),
        Row("deep scan, small", ("-f", "ai_deepscan"), "Scan this", SMALL, "simple_short_prompt"),
        Row("objection", ("-f", "ai_objection"), "Too dear", MEDIUM, "emotional_complexity"),
        Row("emotional", ("-f", "ai_message"), SAD, MEDIUM, "emotional_complexity"),
        Row("short chat", ("-f", "ai_chatbot"), PLAIN[:598] + ".", SMALL, "simple_chat"),
        Row("long chat", ("-f", "ai_chatbot"), PLAIN[:599] + ".", MEDIUM, "complex_chat"),
        Row("short prompt", ("-f", "ai_message"), PLAIN[:398] + ".", SMALL, "simple_short_prompt"),
        Row("any other feature, short", ("-f", "ai_newsletter"), "Hello", SMALL, "simple_short_prompt"),
        Row("otherwise", ("-f", "ai_message"), PLAIN[:399] + ".", MEDIUM, "balanced"),
    ]


CASES = [pytest.param(tier, row, id=f"{tier}-{row.case}") for tier in TIERS for row in table(tier)]


@pytest.fixture(scope="module", params=["six", "anthropic", "embedded"])
def world(request: pytest.FixtureRequest, module_home: Any) -> Iterator[tuple[str, Any, OpenAIServer]]:
    """A home with a user in each tier, for all cases of this file: they differ in nothing but what ``prepare`` sets."""
    with module_home() as home, OpenAIServer("Fine.") as server, pytest.MonkeyPatch.context() as patch:
        home.serve(server.url)
        for tier in TIERS:
            home("user", "set-tier", f"user-{tier}", tier)
            home("energy", "grant", f"user-{tier}", "100000")
        if request.param == "anthropic":
            for name in ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini-high"):
                home("models", "disable", name)
        if request.param == "embedded":
            patch.setenv("NEXSCOUT_EMBEDDED_MODEL", embedded_model())
        else:
            patch.setenv("OPENAI_API_KEY", "x")
        yield request.param, home, server


def prepare(home: Any, tier: str, row: Row) -> tuple[str, ...]:
    """Make the state of a row; the options and the prompt of its command line."""
    user = f"user-{tier}"
    if home("mode", "show", "--json").json["panic"] is not row.panic:
        home("mode", "panic", "on" if row.panic else "off")
    if home.books.profile(user)["preferred_mode"] != (row.mode or "auto"):
        home("mode", "set", row.mode or "auto", "--user", user)
    return ("--user", user, *row.argv, row.prompt)


def expected(models: str, row: Row) -> tuple[str, str]:
    """Which model and why, with that set of models."""
    if models == "embedded":
        return EMBEDDED, "best_available"
    return row.models[0 if models == "six" else 1], row.reason


@pytest.mark.parametrize(("tier", "row"), CASES)
def test_simulate_and_run_choose_what_the_table_says(world: tuple[str, Any, OpenAIServer], tier: str, row: Row) -> None:
    models, home, server = world
    line = prepare(home, tier, row)
    if models == "embedded" and row.case == "forced model":
        assert home("simulate", *line, "--json", ok=False).status == 3
        return
    plan = home("simulate", *line, "--json").json
    assert (plan["recommended_model"], plan["routing_reason"]) == expected(models, row)
    assert plan["allow_proceed"] is True
    if models == "embedded":
        return
    before = server.hits
    meta = home("run", *line, "--no-cache", "--json").json["metadata"]
    assert (meta["model_used"], meta["routing_reason"]) == expected(models, row)
    assert (server.hits, server.requests[-1].body["model"]) == (before + 1, SIX[meta["model_used"]])
    assert home.books.listed("usage", "model_used", "routing_reason")[-1:] == [expected(models, row)]


FORBIDDEN = [
    ("free", "gpt-4o"),
    ("free", "gpt-4o-mini-high"),
    ("free", "claude-3-sonnet"),
    ("free", "claude-3-opus"),
    ("free", "pro"),
    ("free", "expert"),
    ("pro", "gpt-4o"),
    ("pro", "claude-3-opus"),
    ("pro", "expert"),
]


@pytest.mark.parametrize(("tier", "name"), FORBIDDEN)
def test_what_a_tier_may_not_force_is_refused_with_exit_8_and_nothing_is_sent(
    six: Any, server: OpenAIServer, tier: str, name: str
) -> None:
    six("user", "set-tier", "bob", tier)
    for command in ("simulate", "run"):
        done = six(command, "-u", "bob", "-m", name, "Hello", "--json", ok=False)
        assert done.status == 8
        assert done.json["error"]["code"] == "not_permitted" and done.json["error"]["suggestion"]
    if name in MODES["enterprise"]:
        assert six("mode", "set", name, "--user", "bob", ok=False).status == 8
    assert server.hits == 0


@pytest.mark.parametrize(
    ("tier", "name"),
    [("free", "gpt-4o-mini"), ("pro", "claude-3-sonnet"), ("elite", "claude-3-opus"), ("enterprise", "gpt-4o")],
)
def test_what_a_tier_may_force_is_what_is_asked(six: Any, server: OpenAIServer, tier: str, name: str) -> None:
    six("user", "set-tier", "bob", tier)
    meta = six("run", "-u", "bob", "-m", name, "Hello", "--json").json["metadata"]
    assert (meta["model_used"], meta["routing_reason"], server.requests[-1].body["model"]) == (
        name,
        "forced",
        SIX[name],
    )


def test_the_thinking_models_instruction_reaches_the_server(six: Any, server: OpenAIServer) -> None:
    six("run", "-f", "ai_objection", "Too dear")
    assert server.requests[-1].body["messages"][0]["content"].startswith("Think the problem through")


def test_retired_names_are_not_routed_to_and_tried_with_a_warning_when_forced(
    home: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    assert home("simulate", "-f", "ai_pitchdeck", "Our deck", "--json", ok=False).json["error"]["code"] == "no_model"
    home("models", "set", "claude-3-opus", "--api-base", server.root, "--retired")
    done = home("run", "-m", "claude-3-opus", "Hello", "--json")
    assert done.json["metadata"]["model_used"] == "claude-3-opus"
    assert any("retired" in warning for warning in done.json["metadata"]["warnings"])


def test_panic_sets_in_by_itself_when_95_percent_of_the_installations_day_are_gone(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.usage = lambda body, text: {"prompt_tokens": 100, "completion_tokens": 950, "total_tokens": 1050}
    monkeypatch.setenv("NEXSCOUT_CAPS_USD_TOTAL_DAY", "0.04")
    deck = ("simulate", "-f", "ai_pitchdeck", "Our deck", "--json")
    assert six(*deck).json["routing_reason"] == "complex_generation"
    for n in range(4):
        six("run", "-m", "gpt-4o", "--max-tokens", "1000", f"Hello {n}")  # $0.039 in all
    monkeypatch.setenv("NEXSCOUT_CAPS_USD_TOTAL_DAY", "0.041")
    plan = six(*deck).json
    assert (plan["routing_reason"], plan["recommended_model"], plan["mode"]) == ("panic", "gpt-4o-mini", "panic")
