"""Batches that providers answer later: each documented state of theirs, at half the price to the nano-dollar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import assemble
from nexscout_cli.cli.app import main
from tests.support.batch_server import BatchServer, priced

GIVEN, TAKEN = 41, 9
MINI = (GIVEN * 150_000 // 2 + TAKEN * 600_000 // 2 + 999) // 1000
"""Nano-dollars of one row by gpt-4o-mini: half of 150,000 and 600,000 pico-dollars a token, rounded up once."""


class Later:
    """Ada's home, whose providers are on loopback."""

    def __init__(self, folder: Path, server: BatchServer, capture: Any) -> None:
        self.folder, self.server, self._capture = folder, server, capture
        server.usage = lambda body: (GIVEN, TAKEN)

    def __call__(self, *argv: str) -> tuple[int, str]:
        status = main(list(argv))
        return status, self._capture.readouterr().out

    def file(self, count: int = 4, **more: Any) -> str:
        rows = [{"id": str(n), "prompt": f"What is {n} and {n}?", **more} for n in range(count)]
        (self.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return "rows.jsonl"

    def submit(self, *argv: str, count: int = 4, **more: Any) -> tuple[int, dict[str, Any]]:
        status, out = self("batch", self.file(count, **more), "--later", "--out", "out.jsonl", "--json", *argv)
        return status, json.loads(out, parse_float=str)

    def poll(self, times: int = 1, *argv: str) -> tuple[int, dict[str, Any]]:
        for _ in range(times):
            status, out = self("jobs", "poll", *argv, "job", "--json")
        return status, json.loads(out, parse_float=str)["rows"][0]

    def answers(self) -> dict[str, dict[str, Any]]:
        lines = (self.folder / "out.jsonl").read_text().splitlines()
        found = {row["id"]: row for row in map(json.loads, lines)}
        assert len(found) == len(lines)
        return found

    def states(self) -> list[str]:
        return [row[0] for row in self.sql("SELECT state FROM attempts ORDER BY id")]

    def sql(self, query: str) -> list[Any]:
        store = assemble.open_store()
        try:
            with store._work.read("ada") as t:  # type: ignore[attr-defined]
                return [tuple(row) for row in t.execute(query).fetchall()]
        finally:
            store.close()

    def change(self, statement: str) -> None:
        """What no command does: as a process has left it that was killed."""
        store = assemble.open_store()
        with store._work.write("ada") as t:  # type: ignore[attr-defined]
            assert t.execute(statement).rowcount == 1
        store.close()

    def sound(self) -> bool:
        return self("db", "check")[0] == 0


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Iterator[Later]:
    with BatchServer() as server:
        values = {
            "HOME": str(tmp_path),
            "NEXSCOUT_HOME": str(tmp_path),
            "NEXSCOUT_ACTOR": "ada",
            "NEXSCOUT_JOBS_POLL_SECONDS": "0.05",
            "OPENAI_API_KEY": "sk-secret-1",
            "OPENAI_BASE_URL": f"{server.root}/v1",
            "ANTHROPIC_API_KEY": "sk-secret-2",
            "ANTHROPIC_BASE_URL": server.root,
            "GEMINI_API_KEY": "sk-secret-3",
            "GEMINI_API_BASE": f"{server.root}/v1beta",
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield Later(tmp_path, server, capsys)


def test_a_batch_that_is_answered_costs_half_and_each_row_once(later: Later) -> None:
    status, job = later.submit()
    assert (status, job["state"], job["waiting"]) == (0, "open", 4)
    assert later.states() == ["submitted"] * 4 and later.sound()
    for _ in range(3):
        assert later.poll()[0] == 9  # validating, in progress, finalizing
    status, job = later.poll()
    assert (status, job["succeeded"], job["cost_usd"]) == (0, 4, f"{4 * MINI / 1e9:.9f}")
    assert job["held_usd"] == "0.000000000"
    assert {row["result"] for row in later.answers().values()} == {"Hello."}
    assert later.sql("SELECT DISTINCT cost_usd FROM ai_model_usage") == [(MINI,)]
    assert later.poll()[1]["succeeded"] == 4 and len(later.answers()) == 4
    assert later.sound()


def test_what_was_held_is_the_worst_case_at_the_price_of_a_batch(later: Later) -> None:
    later("batch", later.file(1, options={"max_tokens": 1000, "force_model": "gpt-4o"}), "--later", "--json")
    (hold, estimate, plan), *_ = later.sql("SELECT hold, estimate, plan FROM attempts")
    forecast = json.loads(plan)["forecast"]
    assert hold == (forecast[2] * 1_250_000 + forecast[3] * 5_000_000 + 999) // 1000
    assert estimate == (forecast[0] * 1_250_000 + forecast[1] * 5_000_000 + 999) // 1000


@pytest.mark.parametrize(
    ("state", "fates", "posted", "after"),
    [
        ("completed", ("answered", "failed"), 2, ["posted", "voided"] * 2),
        ("expired", ("answered", "expired"), 2, ["posted", "voided"] * 2),
        ("cancelled", ("answered", "missing"), 2, ["posted", "voided"] * 2),
        ("failed", ("missing",), 0, ["voided"] * 4),
        ("completed", ("answered", "missing"), 2, ["posted", "unknown"] * 2),
    ],
)
def test_each_end_of_a_batch_settles_every_row(
    later: Later, state: str, fates: tuple[str, ...], posted: int, after: list[str]
) -> None:
    later.server.states = ["in_progress", state]
    later.server.fate = lambda number: fates[number % len(fates)]
    later.submit()
    status, job = later.poll(2)
    assert (status, job["state"], job["succeeded"]) == (7, "ended", posted)
    assert later.states() == after
    assert job["cost_usd"] == f"{posted * MINI / 1e9:.9f}"
    assert sum(row["success"] for row in later.answers().values()) == posted
    assert later.sound()


def test_answers_that_are_lost_leave_their_holds_until_somebody_decides(later: Later) -> None:
    later.server.states, later.server.lose_output = ["completed"], True
    later.submit()
    assert later.poll(2)[0] == 9  # it may come yet
    status, job = later.poll()
    assert (status, later.states()) == (7, ["unknown"] * 4)
    assert float(job["held_usd"]) > 0 and later.sound()


def test_what_was_given_back_is_sent_at_full_price_where_that_is_wanted(later: Later) -> None:
    later.server.states = ["expired"]
    later.server.fate = lambda number: "answered" if number == 0 else "expired"
    later.submit("--fallback")
    status, job = later.poll()
    assert (status, job["succeeded"], len(later.server.answered_at_once)) == (0, 4, 3)
    assert all("service_tier" not in body for body in later.server.answered_at_once)
    costs = sorted(row[0] for row in later.sql("SELECT cost_usd FROM ai_model_usage WHERE outcome = 'posted'"))
    full = (GIVEN * 150_000 + TAKEN * 600_000 + 999) // 1000
    assert costs == [MINI, full, full, full] and later.sound()
    assert job["cost_usd"] == f"{sum(costs) / 1e9:.9f}"  # what a job has cost is all that its rows have


def test_what_a_row_holds_that_was_sent_at_full_price_and_lost_is_told_with_its_job(later: Later) -> None:
    later.server.states = ["expired"]
    later.server.fate = lambda number: "expired"
    later.server.hangs_up = True
    later.submit("--fallback")
    status, job = later.poll()
    held = later.sql("SELECT sum(hold) FROM attempts WHERE state = 'unknown'")[0][0]
    assert status == 7 and held > 0 and job["held_usd"] == f"{held / 1e9:.9f}"
    # Killed before it could say so, it finds the call when it is asked again.
    later.change("UPDATE job_rows SET state = 'back', request_id = 'away', answer = NULL WHERE n = 0")
    shown = json.loads(later("jobs", "show", "job", "--json")[1], parse_float=str)
    assert shown["held_usd"] == job["held_usd"] and later.sound()


def test_a_job_that_is_cancelled_keeps_and_pays_what_was_answered(later: Later) -> None:
    later.submit()
    later.server.fate = lambda number: "answered" if number else "cancelled"
    assert later("jobs", "cancel", "job", "--json")[0] == 0
    status, job = later.poll(2)
    assert (status, job["state"], job["succeeded"], later.states()) == (7, "ended", 3, ["voided"] + ["posted"] * 3)
    assert later.sound()


@pytest.mark.parametrize(
    ("name", "target", "states"),
    [
        ("claude", "anthropic/claude-test", ["in_progress", "ended"]),
        ("gem", "gemini/gemini-test", ["in_progress", "completed"]),
    ],
)
def test_other_providers_batches_are_answered_and_refuse_rows_as_well(
    later: Later, name: str, target: str, states: list[str]
) -> None:
    key = "ANTHROPIC_API_KEY" if name == "claude" else "GEMINI_API_KEY"
    status, _ = later("models", "add", name, "--litellm-model", target, "--type", "small", *priced(key))
    assert status == 0
    later.server.states = states
    later.server.fate = lambda number: "failed" if number == 1 else "answered"
    later.submit("--model", name)
    assert later.poll()[0] == 9
    status, job = later.poll()
    cost = (GIVEN * 500_000 + TAKEN * 2_500_000 + 999) // 1000
    assert (status, job["succeeded"], job["cost_usd"]) == (7, 3, f"{3 * cost / 1e9:.9f}")
    assert later.states() == ["posted", "voided", "posted", "posted"] and later.sound()


def test_a_model_without_a_batch_interface_is_refused_and_the_others_run(later: Later) -> None:
    rows = [{"id": "a", "prompt": "One?"}, {"id": "b", "prompt": "Two?", "options": {"force_model": "smollm2-135m"}}]
    (later.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    later.server.states = ["completed"]
    status, out = later("batch", "rows.jsonl", "--later", "--out", "out.jsonl", "--wait", "--json")
    assert (status, json.loads(out)["succeeded"]) == (7, 1)
    assert "no batch interface" in later.answers()["b"]["error"]["message"]


def test_age_decides_nothing_of_what_a_living_job_owns(later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime, timedelta

    later.submit()
    monkeypatch.setattr(assemble.SystemClock, "now", lambda clock: datetime.now(UTC) + timedelta(days=3))
    assert later("cache", "clean", "--quiet")[0] == 0  # recovers first
    assert later.states() == ["submitted"] * 4
    assert later.poll(4)[1]["succeeded"] == 4


def test_identical_rows_are_asked_once_and_a_wrong_one_is_its_own_error(later: Later) -> None:
    rows = ['{"id": "a", "prompt": "Same?"}', '{"id": "b", "prompt": "Same?"}', '{"id": "c"}']
    (later.folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    later.server.states = ["completed"]
    status, _ = later("batch", "rows.jsonl", "--later", "--out", "out.jsonl", "--wait", "--json")
    answers = later.answers()
    assert status == 7 and answers["a"]["result"] == answers["b"]["result"] == "Hello."
    assert answers["b"]["metadata"]["from_cache"] and not answers["c"]["success"]
    assert len(later.states()) == 1 and later.sound()


def test_what_a_person_asked_leaves_with_them_and_the_cost_stays(later: Later) -> None:
    later.submit()
    assert later("user", "forget", "ada", "--yes")[0] == 0
    assert later.sql("SELECT count(*) FROM job_rows WHERE request IS NOT NULL OR body IS NOT NULL") == [(0,)]
    assert later.poll(4)[1]["cost_usd"] == f"{4 * MINI / 1e9:.9f}"
    assert later.sound()


def test_a_budget_for_the_whole_job_is_never_held_beyond(later: Later) -> None:
    later.server.states = ["completed"]
    later.submit("--max-cost", "0.0006", "--max-tokens", "500", count=6)
    ((held,),) = later.sql("SELECT sum(hold) FROM attempts")
    assert 0 < held <= 600_000 and len(later.states()) < 6
    status, job = later.poll(6)
    assert (status, job["cost_usd"]) == (0, f"{6 * MINI / 1e9:.9f}") and later.sound()


def test_rows_beyond_a_budget_wait_for_what_those_before_them_hold(later: Later) -> None:
    later.server.states = ["completed"]
    later("budget", "set", "0.0005/day", "--user", "ada")
    assert later.submit("--max-tokens", "500", count=6)[1]["failed"] == 0
    assert 0 < len(later.states()) < 6
    status, job = later.poll(6)
    assert (status, job["succeeded"], later.states()) == (0, 6, ["posted"] * 6)
    assert later.sound()


def test_a_batch_larger_than_a_provider_takes_goes_in_parts(later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    from nexscout_cli.engine.jobs.remote import Limits
    from nexscout_cli.providers.batches.openai import OpenAIBatches

    monkeypatch.setattr(OpenAIBatches, "limits", Limits(2, 10**6))
    later.server.states = ["completed"]
    assert later.submit("--wait", count=5)[1]["succeeded"] == 5
    assert [len(batch.rows) for batch in later.server.batches.values()] == [2, 2, 1]


def test_a_batch_says_that_deployments_take_no_part_in_it(later: Later, capsys: Any) -> None:
    assert later("models", "deploy", "gpt-4o-mini", "--name", "eu", "--api-base", f"{later.server.root}/v1")[0] == 0
    assert main(["batch", later.file(), "--later", "--out", "out.jsonl"]) == 0
    said = capsys.readouterr().err
    assert "note: gpt-4o-mini: a batch goes to its own target, openai/gpt-4o-mini; its deployments take no part" in said
    assert said.count("take no part") == 1
