"""The log: what became of requests, over every outcome there is, for those who may see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.call import Call, Completion, OnText, Usage
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import NotPermitted, UsageError
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite import log
from nexscout_cli.store.sqlite.store import SqliteStore


class Clock:
    """A clock that moves a second with each look at it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 3, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def sleep(self, seconds: float) -> None:
        pass


class Answers:
    """A provider that answers, or fails in the way it is told to."""

    failure: ProviderFailure | BaseException | None = None

    def available(self, model: Model) -> str | None:
        return None if model.name == "gpt-4o" else "not here"

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        if self.failure is not None:
            raise self.failure
        return Completion("A fine answer.", "stop", Usage(40, 10), "p1", call.model.name)


class World:
    """A store with an engine over it."""

    def __init__(self, path: Path) -> None:
        self.provider = Answers()
        self.settings = Settings().with_values(providers__retries=0)
        self.store = SqliteStore(path, Clock(), store_rules(self.settings), "root")
        self.engine = Engine(
            self.store.ledger,
            self.provider,
            self.settings,
            self.store.clock,
            lambda text, model: (len(text) // 4 + 1, True),
            "root",
        )

    def ask(self, prompt: str, user: str = "root", *, cache: bool = False) -> str:
        options = Options(force_model="gpt-4o", allow_cache=cache)
        response = self.engine.run(AIRequest(user, "ai_message", prompt, options=options))
        return str(response.metadata.request_id)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "n.db")


def test_each_request_is_one_line_with_its_outcome_newest_first(world: World) -> None:
    answered = world.ask("hello", cache=True)
    cached = world.ask("hello", cache=True)
    refused = world.ask("word " * 120_000)
    world.provider.failure = ProviderFailure("rejected", "HTTP 400")
    failed = world.ask("hello there")
    world.provider.failure = ProviderFailure("unknown", "the connection was reset")
    unknown = world.ask("hello again")
    rows = world.store.log.latest("root")
    assert [(row["request_id"], row["outcome"]) for row in rows] == [
        (unknown, "unknown"),
        (failed, "failed"),
        (refused, "refused"),
        (cached, "cached"),
        (answered, "answered"),
    ]
    assert rows[4]["cost_usd"] == Decimal("0.000200000")
    assert (rows[4]["input_tokens"], rows[4]["output_tokens"], rows[4]["energy"]) == (40, 10, 1)
    assert rows[3]["total_tokens"] == 0
    assert rows[2]["reason"] == "too_many_tokens"
    assert "reset" in rows[0]["reason"]


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
def test_the_limit_keeps_the_newest_of_all_kinds(world: World, limit: int) -> None:
    ids = [world.ask("one"), world.ask("word " * 120_000), world.ask("two"), world.ask("word " * 120_000)]
    assert [row["request_id"] for row in world.store.log.latest("root", limit=limit)] == ids[::-1][:limit]


def test_a_request_whose_process_died_before_it_was_sent_is_in_progress_and_then_voided(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = world.engine.ledger

    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(type(ledger), "mark_sent", die)
    monkeypatch.setattr(type(ledger), "void", die)
    with pytest.raises(SystemExit):
        world.ask("hello")
    assert [row["outcome"] for row in world.store.log.latest("root")] == ["in progress"]
    monkeypatch.setattr(owner, "alive", lambda _: False)
    world.store.recovery.recover("root")
    assert [row["outcome"] for row in world.store.log.latest("root")] == ["voided"]


def test_one_request_shows_prediction_attempts_and_entries_that_add_up(world: World) -> None:
    request_id = world.ask("hello")
    shown = world.store.log.show("root", request_id)
    assert shown["request"]["request_id"] == request_id
    assert shown["prediction"]["actual_tokens"] == 50
    [attempt] = shown["attempts"]
    assert (attempt["n"], attempt["model"], attempt["state"]) == (1, "gpt-4o", "posted")
    assert attempt["actual"] == Decimal("0.000200000") <= attempt["hold"]
    posts = [entry for entry in shown["entries"] if entry["kind"] == "post"]
    assert {(entry["account"], entry["owner"]) for entry in posts} >= {
        ("energy", "root"),
        ("usd", "root"),
        ("tokens", "root"),
    }
    assert {entry["amount"] for entry in posts if entry["account"] == "usd"} == {attempt["actual"]}
    assert {entry["amount"] for entry in posts if entry["account"] == "tokens"} == {50}
    assert [row["cost_usd"] for row in shown["usage"]] == [attempt["actual"]]


def test_the_beginning_of_an_id_is_enough_where_it_names_only_one(world: World) -> None:
    first, second = world.ask("hello"), world.ask("hello there")
    shared = next(n for n, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
    assert world.store.log.show("root", first[: shared + 1])["request"]["request_id"] == first
    with pytest.raises(UsageError, match="more than one"):
        world.store.log.show("root", first[: max(shared, log.MIN_PREFIX)])
    for name in ("zzzzzzzz", first[:5], "", "%%%%%%", "______"):
        with pytest.raises(UsageError, match="no request"):
            world.store.log.show("root", name)


def test_a_refused_request_can_be_shown_too(world: World) -> None:
    shown = world.store.log.show("root", world.ask("word " * 120_000))
    assert (shown["request"]["outcome"], shown["attempts"], shown["entries"]) == ("refused", [], [])


def test_whoever_is_no_admin_sees_their_own_requests_alone(world: World) -> None:
    world.store.users.set_tier("root", "ann", "elite")
    theirs, own = world.ask("hello"), world.ask("hello", "ann")
    books = world.store.log
    assert [row["request_id"] for row in books.latest("ann")] == [own]
    assert [row["request_id"] for row in world.store.log.latest("root", "ann")] == [own]
    assert books.show("ann", own)["request"]["user_id"] == "ann"
    with pytest.raises(UsageError, match="no request"):
        books.show("ann", theirs)
    with pytest.raises(NotPermitted):
        books.latest("ann", "root")
    with pytest.raises(UsageError, match="no user"):
        world.store.log.latest("root", "nobody")
    with pytest.raises(NotPermitted):
        books.latest("mallory")
