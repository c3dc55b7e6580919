"""A repeat is answered from the cache; what only looks like one never is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import assemble
from tests.support.openai_server import Body, OpenAIServer

HEAD = "Write a follow-up message to Sarah about our meeting of last Tuesday, in which we spoke about the price and "


@pytest.fixture
def echo(six: Any, server: OpenAIServer) -> Any:
    """A home whose server gives another answer each time."""
    numbers = iter(range(10_000))

    def reply(body: Body) -> str:
        return f"Answer {next(numbers)}"

    server.reply = reply
    return six


def ask(home: Any, *argv: str) -> tuple[str, bool]:
    answer = home("run", "-f", "ai_message", *argv, "--json").json
    return answer["result"], answer["metadata"]["from_cache"]


def test_the_same_line_again_costs_no_tokens_no_energy_and_no_request(echo: Any, server: OpenAIServer) -> None:
    first = echo("run", "-f", "ai_message", HEAD, "--json").json
    again = echo("run", "-f", "ai_message", HEAD, "--json").json
    meta = again["metadata"]
    assert again["result"] == first["result"] and meta["from_cache"] is True
    assert (meta["tokens_used"], meta["input_tokens"], meta["output_tokens"], meta["energy_cost"]) == (0, 0, 0, 0)
    assert meta["cost_usd"] == "0.000000000" and meta["model_used"] == first["metadata"]["model_used"]
    assert server.hits == 1
    assert echo.books.listed("cached", "hit_count", "tokens_saved") == [(1, first["metadata"]["tokens_used"])]
    rows = echo.books.listed("usage", "outcome", "cached_response", "total_tokens", "cost_usd", "energy")
    assert rows[1] == ("hit", 1, 0, 0, 0)


def test_prompts_with_the_same_first_100_characters_never_share_an_answer(echo: Any, server: OpenAIServer) -> None:
    assert len(HEAD) > 100
    answers = [ask(echo, HEAD + tail) for tail in ("the date", "the place", "the date.", "“the  date”", "")]
    assert len({text for text, _ in answers}) == 5 and not any(cached for _, cached in answers)
    assert server.hits == 5
    assert ask(echo, HEAD + "the  date")[1] is False and ask(echo, HEAD + "the date")[1] is True


def test_nothing_that_shapes_the_answer_is_left_out_of_the_key(echo: Any, tmp_path: Path) -> None:
    for name, text in (("one.txt", "One"), ("two.txt", "Two")):
        (tmp_path / name).write_text(text)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.txt").write_text("Another one")
    variants: list[tuple[str, ...]] = [
        (),
        ("-u", "bob"),
        ("-u", "cyd"),
        ("--tone", "warm"),
        ("--tone", "cold"),
        ("--goal", "a call"),
        ("--goal", "a visit"),
        ("-c", "company=TechCo"),
        ("-c", "company=Other"),
        ("-c", "firm=TechCo"),
        ("--attach", "one.txt"),
        ("--attach", "two.txt"),
        ("--attach", "sub/one.txt"),
        ("--attach", "one.txt", "--attach", "two.txt"),
        ("--attach", "two.txt", "--attach", "one.txt"),
        ("--system", "Be kind"),
        ("--system", "Be brief"),
        ("--temperature", "0"),
        ("--temperature", "1"),
        ("--max-tokens", "100"),
        ("--max-tokens", "101"),
        ("-m", "gpt-4o-mini"),
        ("-m", "gpt-4o"),
        ("-m", "claude-3-haiku"),
        ("--mode", "fast"),
        ("--mode", "pro"),
        ("-f", "ai_chatbot"),
        ("-f", "ai_sequence"),
    ]
    for variant in variants:
        assert ask(echo, *variant, "Hello")[1] is False, variant
    for variant in variants:
        assert ask(echo, *variant, "Hello")[1] is True, variant


def test_by_default_every_character_makes_a_difference_but_for_line_ends_at_the_very_end(
    echo: Any, tmp_path: Path
) -> None:
    for text, cached in (
        ("line one\nline two\n", False),
        ("line one\nline two", True),
        ("line one\r\nline two\r\n", False),
        ("line one \nline two", False),
    ):
        (tmp_path / "prompt.txt").write_bytes(text.encode())
        assert ask(echo, "@prompt.txt")[1] is cached, text


def test_matching_by_whitespace_takes_key_order_and_line_ends_for_nothing(echo: Any, tmp_path: Path) -> None:
    echo("config", "set", "cache.match", "whitespace")
    (tmp_path / "a.json").write_text(json.dumps({"a": 1, "b": {"c": 2, "d": 3}}))
    (tmp_path / "b.json").write_text('{"b": {"d": 3, "c": 2},\n "a": 1.0}')
    assert ask(echo, "-c", "@a.json", "Hello")[1] is False
    assert ask(echo, "-c", "@b.json", "Hello")[1] is True
    for text, cached in (
        ("line one\nline two\n", False),
        ("line one\r\nline two\r\n", True),
        ("line one \nline two", True),
        ("line one  \nline two", False),
        ("line one line two", False),
    ):
        (tmp_path / "prompt.txt").write_bytes(text.encode())
        assert ask(echo, "@prompt.txt")[1] is cached, text


@pytest.mark.parametrize(
    "argv", [("-f", "ai_pitchdeck"), ("-f", "ai_coaching"), ("-f", "ai_deepscan"), ("-f", "ai_other"), ("--no-cache",)]
)
def test_what_is_not_to_be_kept_is_asked_again(echo: Any, server: OpenAIServer, argv: tuple[str, ...]) -> None:
    for _ in range(2):
        echo("run", *argv, "Hello")
    assert server.hits == 2


@pytest.mark.parametrize(
    "change", [{"finish_reason": "length"}, {"reply": "word " * 1_100}], ids=["cut", "of 1,000 tokens"]
)
def test_an_answer_that_is_not_whole_or_too_long_is_not_kept(
    six: Any, server: OpenAIServer, change: dict[str, Any]
) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    for _ in range(2):
        six("run", "-f", "ai_message", "Hello")
    assert server.hits == 2 and six.books.count("cached") == 0


def test_a_filtered_answer_is_not_an_answer(six: Any, server: OpenAIServer) -> None:
    server.finish_reason = "content_filter"
    done = six("run", "-f", "ai_message", "Hello", "--json", ok=False)
    assert done.status == 5 and done.json["metadata"]["energy_cost"] == 0
    assert six.books.count("cached") == 0


def test_another_mode_or_tier_has_answers_of_its_own(echo: Any) -> None:
    assert [ask(echo, "-u", "bob", "Hello")[1] for _ in range(2)] == [False, True]
    echo("mode", "set", "fast", "--user", "bob")
    assert [ask(echo, "-u", "bob", "Hello")[1] for _ in range(2)] == [False, True]
    echo("user", "set-tier", "bob", "pro")
    assert [ask(echo, "-u", "bob", "Hello")[1] for _ in range(2)] == [False, True]


def test_a_forced_model_that_is_pointed_elsewhere_is_asked_again(echo: Any) -> None:
    assert [ask(echo, "-m", "gpt-4o", "Hello")[1] for _ in range(2)] == [False, True]
    echo("models", "set", "gpt-4o", "--litellm-model", "openai/gpt-4o-2024-11-20")
    assert [ask(echo, "-m", "gpt-4o", "Hello")[1] for _ in range(2)] == [False, True]


def test_an_answer_expires_after_30_days_and_clean_removes_exactly_what_is_expired(
    echo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime.now(UTC)
    now = [start]
    monkeypatch.setattr(assemble.SystemClock, "now", lambda self: now[0])
    ask(echo, "old")
    now[0] = start + timedelta(days=29)
    assert ask(echo, "old")[1] is True
    ask(echo, "new")
    now[0] = start + timedelta(days=30, seconds=1)
    assert ask(echo, "old -- again")[1] is False
    kept = [echo.books.count("cached")]
    done = echo("cache", "clean", "--quiet")
    assert (done.out, done.err) == ("", "")
    assert [echo.books.count("cached")] == [kept[0] - 1]
    assert ask(echo, "new")[1] is True
    assert ask(echo, "old")[1] is False


def test_a_hit_is_for_a_person_with_an_empty_balance_too(echo: Any, server: OpenAIServer) -> None:
    ask(echo, "-u", "bob", "Hello")
    echo("energy", "set", "bob", "0", "--reason", "test")
    assert ask(echo, "-u", "bob", "Hello")[1] is True and server.hits == 1
