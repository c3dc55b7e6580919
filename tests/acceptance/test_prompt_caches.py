"""What a provider has in its cache is quoted at its rate, held at the plain one, posted as billed and reported apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.openai_server import Body, OpenAIServer, count_usage

LONG = "Rules of the house: " + " ".join(f"rule {n} says {n * 7}." for n in range(600))


def cached_usage(body: Body, text: str) -> dict[str, Any]:
    """As OpenAI bills it: from the second request on, the beginning in steps of 128."""
    usage: dict[str, Any] = count_usage(body, text)
    seen.append(len(seen))
    read = 1_024 + (usage["prompt_tokens"] - 1_100) // 128 * 128 if len(seen) > 1 else 0
    return usage | {"prompt_tokens_details": {"cached_tokens": read}}


seen: list[int] = []


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    seen.clear()
    with OpenAIServer(usage=cached_usage) as server:
        yield server


@pytest.fixture
def served(home: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    home.serve(server.url)
    home("config", "set", "compress", "off")
    return home


def quote(served: Any, prompt: str, *argv: str) -> dict[str, Any]:
    found: dict[str, Any] = served("simulate", prompt, "--system", LONG, "-m", "gpt-4o-mini", "--json", *argv).json
    return found


def test_a_beginning_sent_a_moment_ago_is_quoted_at_the_cached_rate_and_held_at_the_plain_one(served: Any) -> None:
    before = quote(served, "What is rule 7?")
    assert before["prompt_cache"]["cached"] == 0
    served("run", "What is rule 6?", "--system", LONG, "-m", "gpt-4o-mini")
    after = quote(served, "What is rule 7?")
    assert after["prompt_cache"]["cached"] >= 1_024 and after["prompt_cache"]["written"] == 0
    assert float(after["predicted_cost_usd"]) < 0.75 * float(before["predicted_cost_usd"])
    assert after["max_cost_usd"] == before["max_cost_usd"]
    assert quote(served, "What is rule 7?", "-u", "bob")["prompt_cache"]["cached"] == 0


def test_what_the_cache_saved_is_reported_apart(served: Any) -> None:
    served("run", "What is rule 6?", "--system", LONG, "-m", "gpt-4o-mini")
    served("run", "What is rule 8?", "--system", LONG, "-m", "gpt-4o-mini")
    saved = served("report", "savings", "--json").json["prompt_cache"]
    assert saved["read_tokens"] >= 1_024 and saved["written_tokens"] == 0
    assert float(saved["saved_usd"]) == pytest.approx(saved["read_tokens"] * 0.075e-6, abs=1e-8)
    assert "prompt caches" in " ".join(served("report", "savings").out.split())
    assert served("db", "check").status == 0


def test_no_text_of_a_prompt_is_kept_for_it_and_it_can_be_turned_off(served: Any) -> None:
    served("run", "What is rule 6?", "--system", LONG, "-m", "gpt-4o-mini")
    (heads,) = served.sql("SELECT prompt_heads FROM user_efficiency_profiles WHERE user_id = 'ada'")
    assert "w1" in heads and "rule" not in heads
    served("config", "set", "providers.prompt_cache", "off")
    assert quote(served, "What is rule 7?")["prompt_cache"] == {"cached": 0, "written": 0}
