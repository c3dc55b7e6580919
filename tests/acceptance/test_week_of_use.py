"""A week of several people's use, on a clock of its own: every column has then been written by real code."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import assemble
from nexscout_cli.engine.api_keys import digest
from tests.support.batch_server import BatchServer
from tests.support.openai_server import Body, OpenAIServer

TIERS = {"ada": "elite", "bob": "free", "cyd": "pro", "dan": "elite", "eve": "enterprise"}
PROMPTS = {
    "ai_message": "Dear team, please write a friendly follow-up to customer {n} about our meeting on Tuesday.",
    "ai_objection": "hey the customer {n} says its too expensive lol, what do i say",
    "ai_pitchdeck": "Outline a pitch deck for product {n}",
    "ai_coaching": "Coach me on call {n}",
    "ai_chatbot": "What is the capital of country {n}?",
    "ai_sequence": "Write a sequence of three emails to lead {n}",
    "ai_deepscan": "Scan account {n}\n\n\n\n\n"
    + "\n\n\n\n\n".join(f"Note {k}:    the   price is {k * 7}.     " for k in range(150)),
}
ENDED = ("post", "void")
"""Entries that end a hold."""
OF_ARCHIVES = (
    *("month", "until", "first_at", "folder", "requests", "attempts", "entries", "usage", "predictions", "cost_usd"),
    *("hash", "closings_hash", "is_open", "archived_at", "archived_by"),
)
FILLED_BY_NOBODY = (
    dict.fromkeys(
        (
            *(f"archives.{column}" for column in OF_ARCHIVES),
            *(f"closings.{column}" for column in ("account", "month", "entries", "spent")),
            "jobs.archived_usd",
        ),
        "a week is no month: tests/contract/test_archives.py fills them",
    )
    | dict.fromkeys(("deployment_states.latency_ms",), "the week's clock stands still while a call is made")
    | dict.fromkeys(
        ("job_parts.owner", "job_parts.until", "folding.hour", "folding.token", "folding.until"),
        "filled while a process is at it",
    )
)
"""Columns that no week of use can fill, each with the reason."""


class Week:
    """The days, the people, and what they type."""

    def __init__(self, home: Any, server: OpenAIServer, patch: pytest.MonkeyPatch) -> None:
        self.home, self.server, self.patch = home, server, patch
        self.now = datetime.now(UTC) + timedelta(minutes=1)
        self.answers = 0
        patch.setattr(assemble.SystemClock, "now", lambda clock: self.now)
        patch.setattr(assemble.SystemClock, "sleep", lambda clock, seconds: None)
        server.reply = self.reply

    def reply(self, body: Body) -> str:
        """Long answers for decks, short ones for chat, one of another length each time."""
        self.answers += 1
        long = "deck" in body["messages"][1]["content"]
        return "An answer with some words in it. " * ((140 if long else 3) + self.answers % 4)

    def run(self, user: str, feature: str, prompt: str, *argv: str, ok: bool = True) -> Any:
        """A request of that user, some minutes later."""
        self.now += timedelta(minutes=7)
        return self.home("run", "-u", user, "-f", feature, *argv, prompt, "--json", ok=ok)

    def a_day(self, day: int) -> None:
        """What everyone does every other day."""
        for number, user in enumerate(TIERS):
            for turn, (feature, text) in enumerate(PROMPTS.items()):
                if (turn + number + day) % 2:
                    continue
                prompt = text.format(n=f"{day}{number}")
                self.run(user, feature, prompt)
                if feature in ("ai_message", "ai_sequence"):
                    assert self.run(user, feature, prompt).json["metadata"]["from_cache"]
        self.run(
            "cyd",
            "ai_chatbot",
            f"Summarise {day}",
            "--tone",
            "warm",
            "--goal",
            "a sale",
            "-c",
            "company=TechCo",
            "--stream",
            "--quiet",
        )

    def mishaps(self, day: int) -> None:
        """What goes wrong, or is not allowed, every day."""
        assert self.run("bob", "ai_chatbot", "Hello", "-m", "gpt-4o", ok=False).status == 8
        assert self.run("bob", "ai_chatbot", f"Too dear {day}", "--max-cost", "0", ok=False).status == 3
        self.server.fail = lambda body: (500, {}, "{}") if body["model"] == "gpt-4o" else None
        assert (
            self.run("dan", "ai_pitchdeck", f"A deck in bad weather {day}").json["metadata"]["routing_reason"]
            == "fallback"
        )
        self.server.fail = 401
        assert self.run("eve", "ai_chatbot", f"Nobody is there {day}", ok=False).status == 5
        self.server.fail = None

    def last_day(self) -> None:
        """What happens once, near enough to the end to be seen still."""
        self.home("db", "backup")
        assert len(self.home("db", "seal").out.splitlines()) >= 6
        self.run("eve", "ai_chatbot", "A tokenizer that is not ours", "-m", "claude-3-haiku")
        refusal = '{"error": {"message": "Unsupported value: \'temperature\' does not support 0.2 with this model."}}'
        self.server.fail = lambda body: (400, {}, refusal) if "temperature" in body else None
        self.run("eve", "ai_chatbot", "A model that takes no temperature", "-m", "gpt-4o", "--temperature", "0.2")
        self.server.fail = None
        counted = self.server.usage
        details = {"prompt_tokens_details": {"cached_tokens": 4}, "cost": 0.000001}
        self.server.usage = lambda body, text: {"prompt_tokens": 20, "completion_tokens": 5} | details
        self.run("eve", "ai_chatbot", "Some of it lies in the provider's cache")
        thinker = ("--litellm-model", "openai/gpt-5-mini")
        self.home("models", "add", "thinker", *thinker)
        base = ("--api-base", self.server.url, "--api-key-env", "OPENAI_API_KEY")
        self.home("models", "set", "thinker", *thinker, *base)
        thought = {"completion_tokens_details": {"reasoning_tokens": 3}}
        self.server.usage = lambda body, text: {"prompt_tokens": 20, "completion_tokens": 5} | thought
        self.run("eve", "ai_chatbot", "Think about it", "-m", "thinker")
        self.server.usage = counted
        self.home("user", "set-policy", "eve", "learned")
        hard = "If 3x + 4 = 19 and y = x^2 - 5, what is the remainder when y^5 is divided by 7? Show all steps."
        judged = self.run("eve", "ai_chatbot", hard).json["metadata"]["request_id"]
        self.home("feedback", judged, "bad", "--note", "not what was asked")
        rows = json.dumps([{"customer": f"c{n}", "amount": n, "open": True} for n in range(80)], indent=4)
        self.run("eve", "ai_chatbot", f"Which customer owes most?\n\n{rows}", "--compress", "lossless")
        self.home("config", "set", "caps.usd.user_month", "500")
        self.patch.setenv("NEXSCOUT_CACHE_MATCH", "canonical")
        self.run("dan", "ai_chatbot", "How can I reset my password?")
        meta = self.run("dan", "ai_chatbot", "how to reset my password").json["metadata"]
        assert meta["cache_match"] == "canonical"
        self.home("feedback", meta["request_id"], "good")
        self.patch.delenv("NEXSCOUT_CACHE_MATCH")
        self.patch.setenv("NEXSCOUT_CAPS_USD_TOTAL_MONTH", "100")
        self.run("eve", "ai_chatbot", "A cap that comes late")
        self.patch.delenv("NEXSCOUT_CAPS_USD_TOTAL_MONTH")
        self.home("models", "disable", "claude-3-opus")
        self.home("models", "set", "claude-3-haiku", "--retired")
        self.home("mode", "set", "fast", "--user", "bob")
        self.run("bob", "ai_sequence", "Fast, please")
        self.home("mode", "panic", "on")
        self.run("eve", "ai_pitchdeck", "Panic")
        self.home("energy", "grant", "bob", "50", "--reason", "top-up")
        self.home("energy", "set", "cyd", "700", "--reason", "corrected")
        self.run("cyd", "ai_chatbot", "Once only", "--idempotency-key", "order-1")
        self.patch.setenv("NEXSCOUT_CAPS_USD_USER_DAY", "0.00000001")
        assert self.run("dan", "ai_chatbot", "Capped", ok=False).status == 3
        self.patch.delenv("NEXSCOUT_CAPS_USD_USER_DAY")
        self.server.fail = lambda body: (504, {}, "{}")
        assert self.run("ada", "ai_chatbot", "Lost on the way", "-m", "gpt-4o-mini", ok=False).status == 5
        self.server.fail = None

    def a_server(self) -> None:
        """Keys and budgets as a server needs them, and a key that it has seen."""
        argv = ("--models", "auto", "--rpm", "9", "--expires", "90d", "--budget", "5/day")
        secret = self.home("keys", "create", "--user", "eve", "--name", "a", *argv).out.strip()
        store = assemble.open_store()
        key = store.keys.find(digest(secret))
        assert key is not None
        store.keys.used(key)
        store.close()
        self.home("keys", "revoke", "a")
        self.home("user", "set-role", "eve", "reader")

    def a_talk(self) -> None:
        """A conversation that is kept, of two turns."""
        self.patch.setenv("NEXSCOUT_CONVERSATIONS_KEEP", "on")
        self.run("dan", "ai_chatbot", "Let us talk", "--system", "Be kind")
        self.run("dan", "ai_chatbot", "On with it", "--continue")
        self.patch.delenv("NEXSCOUT_CONVERSATIONS_KEEP")

    def later(self, folder: Path) -> None:
        """A batch that is answered later, one whose answers are lost, and one that its provider does not take."""
        rows = folder / "rows.jsonl"
        lines = [{"id": str(n), "prompt": f"What is {min(n, 2)}?", "user": "dan"} for n in range(4)]
        rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with BatchServer() as provider:
            base = ("--litellm-model", "openai/gpt-4o-mini", "--api-key-env", "OPENAI_API_KEY")
            self.home("models", "add", "later", *base, "--api-base", f"{provider.root}/v1")
            provider.states = ["completed"]
            self.patch.setenv("NEXSCOUT_JOBS_POLL_SECONDS", "0.05")
            later = ("batch", str(rows), "--later", "--model", "later", "--out")
            self.home(*later, str(folder / "a.jsonl"), "--wait")
            provider.lose_output = True
            self.home(*later, str(folder / "b.jsonl"), "--no-cache")
            self.home("jobs", "poll", ok=False)
        self.home("models", "set", "later", *base, "--api-base", "http://127.0.0.1:1/v1")
        self.home(*later, str(folder / "c.jsonl"), "--no-cache")

    def two_places(self) -> None:
        """A model that is served at two places, with limits and prices of their own, of which one fails."""
        limits = (
            "--weight",
            "100",
            "--rpm",
            "500",
            "--tpm",
            "200000",
            "--concurrency",
            "20",
        )  # it is asked, whatever is drawn
        prices = ("--input-price", "0.0002", "--output-price", "0.0008")
        where = ("--target", "openai/gpt-4o-eu", "--api-base", self.server.url, "--api-key-env", "OPENAI_API_KEY")
        self.home("models", "deploy", "gpt-4o-mini", "--name", "eu", *where, *limits, *prices)
        self.home("models", "deploy", "gpt-4o-mini", "--target", "openai/gpt-4.1-mini", "--api-base", self.server.url)
        self.server.fail = lambda body: (429, {"Retry-After": "30"}, "{}") if body["model"] == "gpt-4o-eu" else None
        for turn in range(8):
            self.run("ada", "ai_chatbot", f"Somewhere or other {turn}", "-m", "gpt-4o-mini", "--no-cache")
        self.server.fail = None

    def another_tool(self, folder: Path) -> None:
        """Usage that another tool kept, of which a row is broken, brought in twice."""
        names = "time,model,provider,id,input,cached,cache_write,cache_write_1h,output,reasoning,cost,user,feature\n"
        row = f"{self.now:%Y-%m-%dT%H:%M:%S},gpt-4o-mini,openai,1,100,10,20,30,50,5,0.01,ada,support\n"
        (folder / "usage.csv").write_text(names + row + row.replace("gpt-4o-mini", "").replace(",1,", ",2,"))
        for _ in range(2):
            self.home("import", str(folder / "usage.csv"), "--from", "csv")

    def alarms(self, folder: Path) -> None:
        """Alerts of which one is told, and one cannot be."""
        told, dead = f"file:{folder}/told", "webhook:http://127.0.0.1:1/dead"
        self.home("alerts", "add", "--when", "tokens day > 0.01% of cap", "--for", "users", "--notify", told)
        signed = ("--secret-env", "OPENAI_API_KEY")
        self.home("alerts", "add", "--when", "spend day > 0.000001", "--for", "user:eve", "--notify", dead, *signed)
        self.run("eve", "ai_deepscan", PROMPTS["ai_deepscan"].format(n="alarm"))
        self.home("alerts", "check")
        self.home("alerts", "send")


@pytest.fixture(scope="module")
def week(module_home: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Week]:
    with module_home() as home, OpenAIServer() as server, pytest.MonkeyPatch.context() as patch:
        home.serve(server.url)
        patch.setenv("OPENAI_API_KEY", "x")
        week = Week(home, server, patch)
        for user, tier in TIERS.items():
            home("user", "set-tier", user, tier)
        start = week.now
        for day in range(7):
            week.now = start + timedelta(days=day, hours=day % 3)
            week.a_day(day)
            week.mishaps(day)
        week.later(tmp_path_factory.mktemp("later"))
        week.last_day()
        week.alarms(tmp_path_factory.mktemp("alarms"))
        week.a_talk()
        week.two_places()
        week.a_server()
        week.another_tool(tmp_path_factory.mktemp("another_tool"))
        yield week


def tables(db: Path) -> dict[str, list[tuple[str, Any]]]:
    """Each table and view with its columns and their defaults, from the schema itself."""
    with closing(sqlite3.connect(db)) as c:
        names = [
            row[0]
            for row in c.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' "
                "AND substr(name, 1, 1) <> '_'"
            )
        ]
        found = {}
        for name in names:
            found[name] = [
                (row[1], c.execute(f"SELECT {row[4]}").fetchone()[0] if row[4] is not None else None)
                for row in c.execute(f"PRAGMA table_xinfo({name})")
            ]
    return found


DESIGNED = {
    "ai_model_usage",
    "user_efficiency_profiles",
    "ai_model_configs",
    "cached_ai_responses",
    "ai_cost_predictions",
    "accounts",
    "requests",
    "attempts",
    "ledger_entries",
    "user_energy",
}


@pytest.mark.slow
def test_after_a_week_no_column_is_left_at_its_default_everywhere(week: Week) -> None:
    found = tables(week.home.db)
    assert found.keys() >= DESIGNED
    left = []
    for table, columns in found.items():
        for column, default in columns:
            used = week.home.sql(
                f"""SELECT count(*) FROM "{table}" WHERE "{column}" IS NOT NULL AND "{column}" IS NOT ?
                                     AND (? IS NOT NULL OR "{column}" NOT IN (0, '', '{{}}', '[]'))""",
                default,
                default,
            )[0]
            if not used:
                left.append(f"{table}.{column}")
    assert sorted(left) == sorted(FILLED_BY_NOBODY)


@pytest.mark.slow
def test_after_a_week_every_account_is_the_sum_of_its_entries_and_the_database_is_sound(week: Week) -> None:
    entries = week.home.books.entries()
    ended = {(e["account"], e["owner"], e["period"], e["request_id"], e["n"]) for e in entries if e["kind"] in ENDED}
    sums: Counter[tuple[str, ...]] = Counter()
    for entry in entries:
        account = entry["owner"], entry["account"], entry["period"]
        if entry["kind"] in ("grant", "adjust"):
            sums[*account, "granted"] += entry["amount"]
        elif entry["kind"] == "post":
            sums[*account, "spent"] += entry["amount"]
        elif entry["kind"] == "hold":
            hold = entry["account"], entry["owner"], entry["period"], entry["request_id"], entry["n"]
            sums[*account, "held"] += 0 if hold in ended else entry["amount"]
    wrong = [
        (account, name)
        for account in week.home.books.accounts()
        for name in ("granted", "held", "spent")
        if (account[name] or 0) != sums[account["owner"], account["kind"], account["period"], name]
    ]
    assert wrong == []
    assert week.home("db", "check").status == 0
    spent = [week.home.books.total("usage", "cost_usd")]
    accounts = week.home.books.accounts()
    assert spent == [
        sum(a["spent"] for a in accounts if a["owner"] != "*" and a["kind"] == "usd" and len(a["period"]) == 10)
    ]
    assert [week.home.books.total("usage", "energy")] == [week.home.books.total("accounts", "spent", kind="energy")]
    assert [a for a in accounts if a["granted"] is not None and a["granted"] < a["held"] + a["spent"]] == []


@pytest.mark.slow
def test_after_a_week_what_was_learned_is_of_each_user_and_is_read(week: Week) -> None:
    profiles = {profile["user_id"]: profile for profile in week.home.books.profiles()}
    assert profiles.keys() == TIERS.keys()
    for user, profile in profiles.items():
        rows = [row for row in week.home.books.usage() if row["user_id"] == user]
        counted = len({row["request_id"] for row in rows}), sum(row["outcome"] == "hit" for row in rows)
        assert profile["total_requests"] == counted[0]
        assert profile["cache_hit_rate"] == pytest.approx(counted[1] / counted[0])
        assert profile["writing_style_profile"]["n"] > 10
        assert profile["predicted_daily_usage"] > 0 and profile["total_tokens_saved"] > 0
        assert sum(profile["peak_usage_hours"]) == counted[0]
        patterns = "".join(profile["common_patterns"])
        assert "write a friendly" in patterns.lower() or "follow-up" in patterns.lower(), patterns
        assert not any(character.isdigit() for character in patterns)
    assert "peak" in week.home("user", "show", "bob").out.lower()


@pytest.mark.slow
def test_after_a_week_the_report_is_the_sum_of_the_rows(week: Week) -> None:
    totals = week.home("report", "users", "--since", "30d", "--until", "2099-01-01", "--json").json["totals"]
    nano = week.home.books.total("usage", "cost_usd")
    assert totals["cost_usd"] == f"{nano / 1e9:.9f}"
