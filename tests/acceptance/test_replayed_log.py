"""A log's forecast beside what the same requests really cost: a server on loopback gives the log's answers."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.assemble import tokenizer
from nexscout_cli.engine.catalog.seed import seeded
from tests.support.openai_server import Body, OpenAIServer

TOPICS = (
    "meetings",
    "prices",
    "rivers",
    "onions",
    "trains",
    "taxes",
    "dogs",
    "novels",
    "clocks",
    "gardens",
    "bridges",
    "tea",
)
START = datetime(2026, 11, 1, tzinfo=UTC)


def asked() -> list[tuple[str, str]]:
    """A month in small: prompts and their answers, every third asked again."""
    rows = []
    for n in range(60):
        topic, kind = TOPICS[n % 12], n // 12
        prompt = (
            f"Write a short note number {kind} about {topic} for a customer.",
            f"{topic}: what should I know? Case {kind}.",
            f"Summarise what follows about {topic}.\n\n\n\n" + f"Item  {kind}   of {topic}   is   fine.   \n\n\n" * 40,
        )[n % 3]
        rows.append((prompt, f"Here is something on {topic}, in a few words that help. " * (3 + n % 7)))
    return [*rows, *rows[::3]]


@pytest.fixture
def log(home: Any) -> Path:
    """The same requests as another tool logged them, all of gpt-4o, at its price."""
    model = next(one for one in seeded() if one.name == "gpt-4o")
    path = Path.cwd() / "log.csv"
    count = tokenizer()
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("time", "id", "model", "input", "output", "cost", "prompt"))
        for n, (prompt, answer) in enumerate(asked()):
            given, made = count(prompt, "openai/gpt-4o")[0] + 8, count(answer, "openai/gpt-4o")[0]
            cost = f"{model.cost(given, made) / 1e9:.9f}"
            lines.writerow((START + timedelta(minutes=9 * n), n, "gpt-4o", given, made, cost, prompt))
    return path


def test_the_forecast_of_a_log_is_what_its_requests_cost(home: Any, server: OpenAIServer, log: Path, six: Any) -> None:
    found = home("replay", str(log), "--from", "csv", "--available", "--json").json
    answers = dict(asked())

    def reply(body: Body) -> str:
        said = " ".join(body["messages"][-1]["content"].split())
        return max(answers.items(), key=lambda pair: (" ".join(pair[0].split()) in said, len(pair[0])))[1]

    server.reply = reply
    for prompt, _ in asked():
        home("run", prompt)
    real = home.books.total("usage", "cost_usd")
    forecast = [int(Decimal(found[f"would_have_cost_usd{end}"]).scaleb(9)) for end in ("_low", "", "_high")]
    assert abs(forecast[1] - real) <= 0.1 * real, (forecast, real)
    assert forecast[0] <= real <= forecast[2]
    assert (
        found["outcomes"] == {"planned": 60, "hit": 20} and len(home.books.listed("usage", "id", outcome="hit")) == 20
    )
    parts = sum(Decimal(saved) for saved in found["saved_usd"].values())
    assert parts == Decimal(found["cost_usd"]) - Decimal(found["would_have_cost_usd"])
