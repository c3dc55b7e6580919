"""What reports tell of providers that failed, and of answers that saved nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer

ERROR = json.dumps({"error": {"message": "made to fail", "type": "test"}})
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MIN", "0.01")


def failing(*statuses: int) -> Any:
    left = iter(statuses)

    def fail(body: dict[str, Any]) -> Any:
        status = next(left, None)
        return None if status is None else (status, JSON, ERROR)

    return fail


def test_a_day_with_a_dead_key_is_in_the_report_which_still_ends_with_0(six: Any, server: OpenAIServer) -> None:
    server.fail = failing(401, 401)
    assert [six("run", "Hello", "--no-cache", ok=False).status for _ in range(2)] == [5, 5]
    six("run", "Hello again")
    today = datetime.now(UTC).date().isoformat()
    said = six("report", "--since", "today").out
    assert "2 (66.7%): 2 key refused; 0 went on elsewhere" in said
    assert f"openai on {today} (2 calls)" in said
    overview = six("report", "--json").json["providers"]
    assert (overview["errors"], overview["kinds"]) == (2, {"refused_key": 2})
    assert overview["refused_keys"] == [{"day": today, "provider": "openai", "errors": 2}]
    assert "openai refused its key" in six("report", "providers").out


def test_providers_are_reported_with_retries_fallbacks_unknowns_and_latency(six: Any, server: OpenAIServer) -> None:
    server.fail = failing(500, 429, 500, 404, 408)
    for _ in range(3):
        six("run", "-f", "ai_pitchdeck", "--no-cache", "Our deck", ok=False)
    made = six("report", "providers", "--json").json
    totals = made["totals"]
    assert (totals["server"], totals["limited"], totals["rejected"], totals["unknown"]) == (2, 1, 1, 1)
    assert totals["errors"] == six.books.count("attempts", state="voided") + six.books.count(
        "attempts", state="unknown"
    )
    assert totals["retries"] + totals["fallbacks"] == totals["errors"]
    assert totals["calls"] == six.books.count("attempts", state="posted")
    timed = [row for row in made["rows"] if row["calls"]]
    assert timed and all(0 <= row["latency_p50_ms"] <= row["latency_p95_ms"] for row in timed)
    assert {row["provider"] for row in made["rows"]} == {"openai"}
    assert "P95 ms" in six("report", "providers").out


def test_an_answer_below_the_floor_and_one_that_was_not_delivered_saved_nothing(six: Any, server: OpenAIServer) -> None:
    six("models", "set", "gpt-4o-mini", "--quality", "0.3")
    six("run", "-m", "gpt-4o-mini", "Hello")
    again = six("run", "-m", "gpt-4o-mini", "Hello", "--json").json["metadata"]
    assert again["from_cache"]
    saved = six("report", "savings", "--json").json["totals"]
    # The first saved nothing at all, the second what the first had cost.
    assert saved["saved_usd"] == saved["caching_saved_usd"] == saved["cost_usd"]
    assert Decimal(saved["routing_saved_usd"]) == Decimal(saved["compression_saved_usd"]) == 0
    server.reply = lambda body: "" if body["model"] == "gpt-4o" else "Here."
    six("run", "-m", "gpt-4o", "--fallback", "--no-cache", "Hello you")
    empty, answered = six.books.listed("usage", "baseline_usd")[-2:]
    assert empty == 0 and answered > 0


def test_a_summary_says_what_it_is_of_when_and_in_which_zone(six: Any, server: OpenAIServer) -> None:
    six("run", "Hello")
    first = six("report", "users", "--since", "2026-01-01", "--until", "2026-02-01", "--tz", "Europe/Berlin").out
    assert first.splitlines()[0] == "users, 2026-01-01 00:00 to 2026-02-01 00:00 (Europe/Berlin)"
    assert "baseline: what gpt-4o would have cost" in " ".join(six("report", "savings").out.split())
    assert "from a user's first day on" in " ".join(six("report", "unprofitable").out.split())


def test_a_target_that_does_not_name_its_provider_is_reported_as_its_providers(six: Any, server: OpenAIServer) -> None:
    six("models", "set", "gpt-4o-mini", "--litellm-model", "gpt-4o-mini", "--api-base", server.url)
    six("run", "-m", "gpt-4o-mini", "Hello")
    rows = six("report", "providers", "--since", "today", "--json").json["rows"]
    assert [row["provider"] for row in rows] == ["openai"]
