"""What is refused, with which exit, and that nothing is charged, held or sent for it."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.openai_server import Body, OpenAIServer, tokens

EMBEDDED_FILE = os.environ.get("NEXSCOUT_EMBEDDED_MODEL", "")
VOCABULARY = """
    the a our their her company meeting garden price contract spring letter river machine student answer promise
    number city bridge winter teacher window story music engine kitchen doctor village morning paper island reason
    season market history question quietly slowly often never perhaps bought sold carried opened wrote found lost
    painted repaired measured green heavy narrow distant curious patient broken golden early silent careful with
    under behind against between toward beyond without
"""
WORDS = VOCABULARY.split()


def prose(size: int) -> str:
    """Varied prose of that many tokens: no sentence twice, nothing a compressor could leave out."""
    chance = random.Random(7)
    text = ""
    while tokens(text) < size:
        for _ in range(200):
            sentence = " ".join(chance.choice(WORDS) for _ in range(chance.randint(6, 18)))
            text += f"{sentence.capitalize()} in {chance.randint(1000, 9999)}. "
    return text


def untouched(home: Any) -> bool:
    """Whether nothing is charged, held, called or kept."""
    money = [(home.books.total("accounts", "held"), home.books.total("accounts", "spent"))]
    rows = [sum(home.books.count(kind) for kind in ("attempts", "usage", "requests", "cached"))]
    return money == [(0, 0)] and rows == [0]


def rejections(home: Any) -> list[Any]:
    return home.books.listed("predictions", "approved", "rejected_reason", "actual_tokens")


@pytest.mark.parametrize("as_json", [False, True])
def test_thirty_thousand_tokens_of_prose_are_blocked_before_anything_is_sent(
    six: Any, server: OpenAIServer, tmp_path: Path, as_json: bool
) -> None:
    (tmp_path / "long.txt").write_text(prose(30_000))
    done = six("run", "-f", "ai_deepscan", "@long.txt", *(["--json"] if as_json else []), ok=False)
    assert done.status == 3
    assert "20,000" in done.err and "smaller parts" in done.err
    if as_json:
        assert done.json["success"] is False and done.json["result"] is None
        assert done.json["error"]["code"] == "too_many_tokens" and "smaller parts" in done.json["error"]["suggestion"]
    else:
        assert done.out == ""
    assert server.hits == 0 and untouched(six)
    assert rejections(six) == [(0, "too_many_tokens", None)]
    assert six("simulate", "-f", "ai_deepscan", "@long.txt", ok=False).status == 3


def test_above_15_000_tokens_it_warns_and_answers(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text(prose(15_600))
    answer = json.loads(six("run", "-f", "ai_deepscan", "@long.txt", "--json").out)
    assert answer["result"] == "Hello there." and server.hits == 1
    assert any("20,000" in warning for warning in answer["metadata"]["warnings"])


def test_both_limits_can_be_set(six: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXSCOUT_FIREWALL_BLOCK_TOKENS", "30")
    assert six("run", "Hello", ok=False).status == 3


def test_an_empty_balance_is_exit_4_with_a_way_out(six: Any, server: OpenAIServer) -> None:
    six("energy", "set", "bob", "0", "--reason", "test")
    done = six("run", "-u", "bob", "Hello", "--json", ok=False)
    assert done.status == 4 and done.json["error"]["code"] == "not_enough_energy"
    assert "--model smollm2-135m" in done.json["error"]["suggestion"] and "--model smollm2-135m" in done.err
    assert server.hits == 0 and rejections(six) == [(0, "not_enough_energy", None)]
    assert six("energy", "show", "--user", "bob", "--json").json["balance"] == 0


def test_with_an_empty_balance_the_embedded_model_still_answers(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not EMBEDDED_FILE or not Path(EMBEDDED_FILE).is_file():
        pytest.skip("the embedded model's file is not here (NEXSCOUT_EMBEDDED_MODEL)")
    monkeypatch.setenv("NEXSCOUT_EMBEDDED_MODEL", EMBEDDED_FILE)
    six("energy", "set", "bob", "0", "--reason", "test")
    meta = six("run", "-u", "bob", "-m", "smollm2-135m", "--max-tokens", "16", "Say hello", "--json").json["metadata"]
    assert (meta["model_used"], meta["energy_cost"], meta["cost_usd"], server.hits) == (
        "smollm2-135m",
        0,
        "0.000000000",
        0,
    )


def test_a_balance_for_the_expected_call_alone_shortens_the_answer_and_is_never_passed(
    six: Any, server: OpenAIServer
) -> None:
    server.fill = True
    six("energy", "set", "ada", "1", "--reason", "test")
    answer = six("run", "-f", "ai_pitchdeck", "Our deck", "--json").json
    plan = answer["metadata"]["plan"]
    assert plan["shape"]["max_tokens"] < 3_000 and any("bounded" in warning for warning in plan["warnings"])
    assert answer["metadata"]["energy_cost"] == 1
    assert [granted - held - spent for granted, held, spent in [six.books.account("ada")]] == [0]


CAPS = ["CAPS_USD_USER_DAY", "CAPS_USD_USER_MONTH", "CAPS_USD_TOTAL_DAY", "CAPS_USD_TOTAL_MONTH"]


@pytest.mark.parametrize("cap", CAPS)
def test_a_dollar_cap_blocks_with_exit_3_before_it_is_passed(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, cap: str
) -> None:
    server.fill = True
    monkeypatch.setenv(f"NEXSCOUT_{cap}", "0.006")
    statuses = [six("run", "-f", "ai_message", "--no-cache", f"Hello {n}", "--json", ok=False) for n in range(9)]
    refused = next(done for done in statuses if done.status)
    assert statuses[0].status == 0 and refused.status == 3
    assert refused.json["error"]["code"] == "usd_cap" and refused.json["error"]["suggestion"]
    day = len("2026-11-22") if cap.endswith("DAY") else len("2026-11")
    owner = "ada" if "USER" in cap else "*"
    accounts = six.books.listed("accounts", "period", "granted", "held", "spent", kind="usd", owner=owner)
    ((granted, held, spent),) = (rest for period, *rest in accounts if len(period) == day)
    assert (granted, held) == (6_000_000, 0) and 4_000_000 < spent <= 6_000_000


TOKEN_CAPS = ["TIERS_ELITE_DAILY_TOKENS", "CAPS_TOKENS_USER_MONTH", "CAPS_TOKENS_TOTAL_DAY", "CAPS_TOKENS_TOTAL_MONTH"]


@pytest.mark.parametrize("cap", TOKEN_CAPS)
def test_a_token_budget_blocks_with_exit_3_before_it_is_passed(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, cap: str
) -> None:
    server.fill = True
    monkeypatch.setenv(f"NEXSCOUT_{cap}", "5000")
    statuses = [six("run", "-f", "ai_message", "--no-cache", f"Hello {n}", "--json", ok=False) for n in range(5)]
    refused = next(done for done in statuses if done.status)
    assert statuses[0].status == 0 and refused.status == 3
    assert refused.json["error"]["code"] == "token_budget" and "5,000" in refused.json["error"]["message"]
    assert max(six.books.listed("accounts", "spent", kind="tokens")) <= 5000
    assert six.books.total("accounts", "held", kind="tokens") == 0


def test_near_a_cap_the_ladder_is_descended_before_anything_is_refused(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.usage = lambda body, text: {"prompt_tokens": 40, "completion_tokens": 600, "total_tokens": 640}
    monkeypatch.setenv("NEXSCOUT_CAPS_USD_USER_DAY", "0.02")
    used = []
    for n in range(40):
        done = six("run", "-f", "ai_pitchdeck", f"Deck {n}", "--json", ok=False)
        if done.status:
            break
        used.append(done.json["metadata"]["model_used"])
    assert done.status == 3 and done.json["error"]["code"] == "usd_cap"
    descent = ["gpt-4o", "gpt-4o-mini-high", "claude-3-haiku", "gpt-4o-mini"]
    assert used == sorted(used, key=descent.index) and used[0] == "gpt-4o" and len(set(used)) > 1
    accounts = six.books.listed("accounts", "period", "spent", kind="usd", owner="ada")
    (spent,) = (spent for period, spent in accounts if len(period) == 10)
    assert 19_000_000 < spent <= 20_000_000


def test_max_cost_refuses_what_would_be_dearer_and_bounds_what_would_not(six: Any, server: OpenAIServer) -> None:
    server.fill = True
    refused = six("run", "--max-cost", "0.000001", "Hello", ok=False)
    assert refused.status == 3 and "--max-cost" in refused.err and server.hits == 0 and untouched(six)
    meta = six("run", "-m", "gpt-4o", "--max-cost", "0.005", "Hello", "--json").json["metadata"]
    assert 0.0045 < float(meta["cost_usd"]) <= 0.005


def test_no_model_at_all_says_what_to_do(home: Any) -> None:
    done = home("run", "Hello", "--json", ok=False)
    assert (
        done.status == 3
        and done.json["error"]["code"] == "no_model"
        and "models pull" in done.json["error"]["suggestion"]
    )
    assert untouched(home)


@pytest.mark.parametrize(
    "argv",
    [
        ("--mode", "turbo", "Hello"),
        ("-m", "nothing", "Hello"),
        ("-c", "novalue", "Hello"),
        ("-c", "@missing.json", "Hello"),
        ("--attach", "missing.txt", "Hello"),
        ("--temperature", "3", "Hello"),
        ("--max-tokens", "0", "Hello"),
        ("--max-cost", "-1", "Hello"),
        ("--max-cost", "much", "Hello"),
        ("--idempotency-key", "", "Hello"),
        ("-f", "message", "Hello"),
        ("--policy", "best", "Hello"),
        ("   ",),
        ("--temperature", "nan", "Hello"),
        ("--nonsense", "Hello"),
        ("-u", "*", "Hello"),
    ],
    ids=" ".join,
)
def test_what_is_wrong_on_the_line_is_exit_2_with_what_to_do(
    six: Any, server: OpenAIServer, argv: tuple[str, ...]
) -> None:
    done = six("run", *argv, "--json", ok=False)
    assert done.status == 2 and done.json["success"] is False and done.json["error"]["message"]
    assert len(done.err.strip().splitlines()) <= 2
    assert server.hits == 0 and untouched(six)


def test_a_name_mistyped_gets_a_suggestion(six: Any) -> None:
    assert "gpt-4o-mini" in six("run", "-m", "gpt4o-mini", "Hello", ok=False).err


def test_a_refusal_is_not_remembered_against_the_next_try(six: Any, server: OpenAIServer) -> None:
    six("energy", "set", "bob", "0", "--reason", "test")
    assert six("run", "-u", "bob", "Hello", ok=False).status == 4
    six("energy", "grant", "bob", "5")
    six("run", "-u", "bob", "Hello")
    assert server.hits == 1


def test_answers_for_two_users_are_charged_to_each_their_own(six: Any, server: OpenAIServer) -> None:
    for user in ("bob", "cyd", "bob"):
        six("run", "-u", user, "--no-cache", "Hello")
    assert six.books.listed("accounts", "owner", "spent", kind="energy") == [("bob", 2), ("cyd", 1)]


def body_text(body: Body) -> str:
    return str(body["messages"][1]["content"])


def test_what_the_model_is_sent_is_prompt_context_and_attachments(
    six: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / "notes.md").write_text("Price: 40")
    (tmp_path / "more.json").write_text('{"seats": 3}')
    six(
        "run",
        "-c",
        "company=TechCo",
        "-c",
        "@more.json",
        "--attach",
        "notes.md",
        "--system",
        "Be kind",
        "--temperature",
        "0.3",
        "Hello",
    )
    assert body_text(server.requests[0].body) == (
        'Hello\n\nContext:\n{"company":"TechCo","seats":3}\n\n<attachment name="notes.md">\nPrice: 40\n</attachment>'
    )
    assert server.requests[0].body["messages"][0]["content"].startswith("Be kind\n")
    assert server.requests[0].body["temperature"] == 0.3
