"""Budgets of a feature and of a tier: shared by all whose requests they are, and by nobody else's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer


@pytest.mark.parametrize(
    ("whose", "held", "free"),
    [
        (("--feature", "ai_message"), ("-u", "bob", "-f", "ai_message"), ("-u", "bob", "-f", "ai_chatbot")),
        (("--tier", "free"), ("-u", "bob", "-f", "ai_message"), ("-f", "ai_message")),
    ],
)
def test_a_shared_budget_holds_for_those_whose_it_is(
    home: Any,
    server: OpenAIServer,
    monkeypatch: pytest.MonkeyPatch,
    whose: tuple[str, ...],
    held: tuple[str, ...],
    free: tuple[str, ...],
) -> None:
    home.serve(server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    for user in ("bob", "cyd"):
        home("user", "set-tier", user, "free")
    home("budget", "set", "0.0000001/day", *whose)
    refused = home("run", *held, "--json", "Write to Sarah", ok=False)
    assert refused.status == 3 and f"the {whose[0].removeprefix('--')}'s daily cap" in refused.out
    assert home("run", *free, "--json", "Write to Sarah").status == 0
    home("budget", "set", "1/day", *whose)
    for user in ("bob", "cyd"):
        assert home("run", "-u", user, "-f", "ai_message", "--json", f"Write to {user}").status == 0
    (row,) = json.loads(home("budget", "list", "--json").out)["rows"]
    assert row["of"] == ":".join((whose[0].removeprefix("--"), whose[1])) and row["used"] > 0
    home("budget", "remove", "day", *whose)
    assert json.loads(home("budget", "list", "--json").out)["rows"] == []
    assert home("db", "check").status == 0


@pytest.mark.parametrize("window", ["day", "week", "month", "ever"])
def test_a_budget_of_the_installation_holds_for_everybody(
    home: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, window: str
) -> None:
    home.serve(server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    home("user", "set-tier", "bob", "free")
    home("budget", "set", f"0.0001/{window}", "--installation")
    assert home("run", "-u", "bob", "-f", "ai_message", "--json", "--max-tokens", "20", "Write to Sarah").status == 0
    home("budget", "set", f"0.0000001/{window}", "--installation")
    for who in ((), ("-u", "bob")):
        refused = home("run", *who, "--json", "Write to Tom", ok=False)
        assert refused.status == 3 and "the installation's" in refused.out
    (row,) = json.loads(home("budget", "list", "--json").out)["rows"]
    assert (row["of"], row["window"]) == ("installation", window) and row["used"] > 0
    home("budget", "remove", window, "--installation")
    assert home("run", "--json", "--max-tokens", "20", "Write to Tom").status == 0
    assert home("db", "check").status == 0


def test_a_name_that_cannot_have_a_budget_is_refused(home: Any, server: OpenAIServer) -> None:
    assert home("budget", "set", "1/day", "--tier", "gold", ok=False).status == 2
    assert home("budget", "set", "1/day", "--feature", "message", ok=False).status == 2
