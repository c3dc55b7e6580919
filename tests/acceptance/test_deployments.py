"""One name, several places: how a model is deployed, where its calls go, and that limits hold among processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.server.errors import answer, status_of
from tests.acceptance.conftest import Home
from tests.support.openai_server import OpenAIServer

MODEL = "gpt-4o-mini"
JSON = {"Content-Type": "application/json"}
ASK = ("run", "-m", MODEL, "--no-cache", "--json")


@pytest.fixture
def other() -> Iterator[OpenAIServer]:
    """A second server."""
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def two(six: Home, other: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose small model is served at two places: its own, and ``eu``, which is asked first."""
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MIN", "0")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MAX", "0")
    six("models", "deploy", MODEL, "--name", "eu", "--api-base", other.url)
    six("models", "deploy", MODEL, "--name", "default", "--weight", "0")
    return six


def listed(home: Home) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = home("models", "deployments", "--json").json["rows"]
    return rows


def test_deployments_are_added_changed_listed_and_taken_away(six: Home) -> None:
    done = six(
        *("models", "deploy", MODEL, "--target", "azure/gpt-4o-mini", "--api-base", "https://eu.example.com"),
        *("--api-key-env", "AZURE_EU_KEY", "--weight", "3", "--rpm", "500", "--tpm", "200000", "--concurrency", "20"),
    )
    assert "openai/gpt-4o-mini stays one of its deployments" in done.err
    own, azure = sorted(listed(six), key=lambda row: row["deployment"] != "default")
    assert (own["deployment"], own["target"], own["weight"], own["rpm"]) == ("default", "openai/gpt-4o-mini", 1, None)
    assert azure["deployment"] == "azure" and azure["api_key_env"] == "AZURE_EU_KEY"
    assert [azure[name] for name in ("weight", "rpm", "tpm", "concurrency")] == [3, 500, 200_000, 20]
    six("models", "deploy", MODEL, "--name", "azure", "--rpm", "0", "--cool-down", "9")
    six("models", "deploy", MODEL, "--rpm", "60")
    found = {row["deployment"]: row for row in listed(six)}
    assert (found["azure"]["rpm"], found["azure"]["cool_down_s"]) == (None, "9.0")
    assert found["default"]["rpm"] == 60
    assert "60" in six("models", "deployments", MODEL).out
    assert six("models", "show", MODEL, "--json").json["deployments"] == ["azure", "default"]
    six("models", "undeploy", MODEL, "azure")
    assert [row["deployment"] for row in listed(six)] == ["default"]
    six("models", "undeploy", MODEL, "default")
    assert listed(six) == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("deploy", "nothing", "--rpm", "5"), "there is no model 'nothing'"),
        (("deploy", MODEL), "there is nothing to deploy"),
        (("deploy", MODEL, "--name", "eu", "--rpm", "5"), "has no deployment 'eu' yet"),
        (("deploy", MODEL, "--target", "azure/x", "--api-base", "ftp://x"), "http or https"),
        (("deploy", MODEL, "--target", "azure/x", "--api-key-env", "sk-1234567890"), "looks like a key"),
        (("deploy", MODEL, "--name", "default", "--api-base", "http://127.0.0.1:1/v1"), "no deployment 'default' yet"),
        (("deploy", "smollm2-135m", "--rpm", "5"), "runs in this process"),
        (("deploy", MODEL, "--target", "embedded/x"), "runs in this process"),
        (("undeploy", MODEL, "eu"), "has no deployment 'eu'"),
        (("point", "nobody", "--api-base", "http://127.0.0.1:1/v1"), "no model of the catalog is nobody's"),
    ],
)
def test_what_cannot_be_deployed_is_refused_and_said(six: Home, argv: tuple[str, ...], words: str) -> None:
    if "no deployment 'default' yet" in words:
        six("models", "deploy", MODEL, "--rpm", "5")
        words = "is served where gpt-4o-mini says"
    done = six("models", *argv, ok=False)
    assert done.status == 2 and words in done.err


def test_only_an_admin_deploys(six: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    six("user", "set-tier", "bob", "pro")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    for argv in (("deploy", MODEL, "--rpm", "5"), ("point", "openai", "--api-base", "http://127.0.0.1:1/v1")):
        assert six("models", *argv, ok=False).status == 8


def test_all_of_a_providers_models_and_places_are_pointed_elsewhere_at_once(home: Home) -> None:
    home("models", "deploy", "claude-3-haiku", "--target", "openai/haiku-alike")
    changed = home("models", "point", "openai", "--api-base", "http://127.0.0.1:9/v1", "--json").json["changed"]
    assert sorted(changed) == ["claude-3-haiku", "gpt-4o", "gpt-4o-mini", "gpt-4o-mini-high"]
    models = {row["model"]: row["api_base"] for row in home("models", "list", "--all", "--json").json["rows"]}
    assert models["gpt-4o"] == "http://127.0.0.1:9/v1" and models["claude-3-haiku"] is None
    assert listed(home)[0]["api_base"] == "http://127.0.0.1:9/v1"
    home("models", "point", "openai", "--api-base", "none")
    assert home("models", "show", "gpt-4o", "--json").json["api_base"] is None


@pytest.mark.parametrize(
    "failure",
    [
        (429, JSON | {"Retry-After": "30"}, '{"error": {"message": "slow down"}}'),
        (500, JSON, '{"error": {"message": "down"}}'),
        (401, JSON, '{"error": {"message": "no such key"}}'),
        (404, JSON, '{"error": {"message": "no such deployment"}}'),
        (504, JSON, "{}"),
    ],
)
@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_a_call_that_fails_at_one_place_goes_to_the_next_before_any_pause(
    two: Home, server: OpenAIServer, other: OpenAIServer, failure: Any, stream: str
) -> None:
    other.fail = lambda body: failure
    done = two(*ASK[:-1], stream, "Hello")
    assert done.out.strip() == "Hello there." and (other.hits, server.hits) == (1, 1)
    states = two.books.listed("attempts", "n", "deployment", "state")
    assert states == [(1, "eu", "unknown" if failure[0] == 504 else "voided"), (2, "default", "posted")]
    two(*ASK, "Hello again")  # eu cools down
    assert (other.hits, server.hits) == (1, 2)
    assert two("db", "check").status == 0


def test_what_is_wrong_with_the_request_is_not_sent_to_every_place(
    two: Home, server: OpenAIServer, other: OpenAIServer
) -> None:
    other.fail = server.fail = 400
    assert two(*ASK, "Hello", ok=False).status == 5
    assert (other.hits, server.hits) == (1, 0)


def test_when_every_place_fails_each_is_tried_again_and_then_it_is_said(
    two: Home, server: OpenAIServer, other: OpenAIServer
) -> None:
    other.fail = server.fail = 500
    done = two(*ASK, "Hello", ok=False)
    assert done.status == 5 and (other.hits, server.hits) == (3, 3)
    assert "gpt-4o-mini at eu" in done.json["error"]["message"] and "at default" in done.json["error"]["message"]
    assert two("db", "check").status == 0


def test_a_hold_is_at_the_dearest_place_and_a_post_at_the_one_that_answered(two: Home) -> None:
    plain = Decimal(two("simulate", "-m", MODEL, "Hello", "--json").json["max_cost_usd"])
    two("models", "deploy", MODEL, "--name", "eu", "--input-price", "0.0015", "--output-price", "0.006")
    dear = two("simulate", "-m", MODEL, "Hello", "--json").json
    assert Decimal(dear["max_cost_usd"]) == 10 * plain
    done = two(*ASK, "Hello").json["metadata"]
    assert done["plan"]["max_cost_usd"] == dear["max_cost_usd"]
    hold, actual, where = two.books.listed("attempts", "hold", "actual", "deployment")[0]
    assert where == "eu" and actual == done["input_tokens"] * 1500 + done["output_tokens"] * 6000 and actual <= hold
    two("models", "deploy", MODEL, "--name", "default", "--weight", "1000")
    two("models", "deploy", MODEL, "--name", "eu", "--weight", "0")
    done = two(*ASK, "Hello").json["metadata"]
    hold, actual, where = two.books.listed("attempts", "hold", "actual", "deployment")[-1]
    assert where == "default" and actual == done["input_tokens"] * 150 + done["output_tokens"] * 600
    assert two("db", "check").status == 0


def test_a_call_waits_for_room_and_gives_up_after_the_wait_that_is_set(
    two: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    two("models", "undeploy", MODEL, "eu")
    two("models", "deploy", MODEL, "--rpm", "1")
    two(*ASK, "Hello")
    monkeypatch.setenv("NEXSCOUT_DEPLOYMENTS_WAIT", "5")
    done = two(*ASK, "Hello", ok=False)
    assert done.status == 5 and done.json["error"]["code"] == "at_limits" and server.hits == 1
    assert status_of(done.json["error"], done.status) == 429
    assert 1 <= done.json["error"]["details"]["retry_after"] <= 60
    head = answer("openai", 429, done.json["error"], {}).headers
    assert head["x-should-retry"] == "true"
    assert head["retry-after"] == str(done.json["error"]["details"]["retry_after"])
    assert "every deployment is at its limits" in done.json["error"]["message"]
    assert two.sql("SELECT rejected_reason FROM ai_cost_predictions WHERE approved = 0") == ["at_limits"]
    assert two("run", "--no-cache", "--json", "Hello").json["metadata"]["model_used"] != MODEL  # another one has room
    assert two("db", "check").status == 0


def test_a_place_without_its_key_is_not_asked(two: Home, other: OpenAIServer, server: OpenAIServer) -> None:
    two("models", "deploy", MODEL, "--name", "eu", "--api-key-env", "NO_SUCH_KEY")
    two(*ASK, "Hello")
    assert (other.hits, server.hits) == (0, 1)


def test_places_of_other_wires_answer_under_one_name(two: Home, other: OpenAIServer, server: OpenAIServer) -> None:
    two("models", "undeploy", MODEL, "eu")
    base = ("--api-base", other.root, "--api-key-env", "OPENAI_API_KEY")
    two("models", "deploy", MODEL, "--name", "claude", "--target", "anthropic/claude-x", *base)
    done = two(*ASK, "Hello").json
    assert done["result"] == "Hello there." and done["metadata"]["flags"] == []
    assert other.requests[0].path == "/v1/messages" and other.requests[0].body["model"] == "claude-x"


def test_reports_and_the_log_show_each_place(two: Home, other: OpenAIServer) -> None:
    other.fail = 500
    name = two(*ASK, "Hello").json["metadata"]["request_id"]
    rows = two("report", "providers", "--json").json["deployments"]
    assert [(row["deployment"], row["calls"], row["errors"], row["share"]) for row in rows] == [
        ("default", 1, 0, "1.0"),
        ("eu", 0, 1, "0.0"),
    ]
    shown = two("report", "providers").out
    assert "deployments" in shown and " eu " in shown and "100.0%" in shown
    assert f"{MODEL} at eu" in two("log", name).out
    assert [one["deployment"] for one in two("log", name, "--json").json["attempts"]] == ["eu", "default"]


@pytest.mark.slow
def test_no_call_of_ten_processes_is_lost_and_no_limit_is_passed(
    two: Home, server: OpenAIServer, other: OpenAIServer, tmp_path: Path
) -> None:
    """One place is slow and limited, the other one fails by turns; the rest goes to a third."""
    server.delay = 0.2
    turns = iter(range(10**6))
    other.fail = lambda body: (500 if next(turns) % 2 else 429, JSON, '{"error": {"message": "not now"}}')
    with OpenAIServer() as third:
        two("models", "deploy", MODEL, "--name", "third", "--api-base", third.url)
        two("models", "deploy", MODEL, "--name", "default", "--weight", "3", "--rpm", "30", "--concurrency", "4")
        options = {"force_model": MODEL, "allow_cache": False, "skip_energy_charge": True}
        for n in range(10):
            rows = [{"id": f"{n}-{i}", "prompt": f"Number {n} {i}", "options": options} for i in range(12)]
            (tmp_path / f"{n}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        argv = [sys.executable, "-m", "nexscout_cli", "batch"]
        running = [
            subprocess.Popen([*argv, f"{n}.jsonl", "--out", f"{n}.out"], cwd=tmp_path, stderr=subprocess.PIPE)
            for n in range(10)
        ]
        assert [(one.communicate()[1], one.returncode) for one in running] == [(b"", 0)] * 10
    answers = [json.loads(line) for n in range(10) for line in (tmp_path / f"{n}.out").read_text().splitlines()]
    assert len(answers) == 120 and all(answer["success"] for answer in answers)
    times = sorted(request.time for request in server.requests)
    assert max(sum(since <= time < since + 60 for time in times) for since in times) <= 30
    assert server.max_in_flight <= 4
    rows = {row["deployment"]: row for row in two("report", "providers", "--json").json["deployments"]}
    assert rows["eu"]["calls"] == 0 and rows["eu"]["errors"] == other.hits
    assert rows["default"]["calls"] + rows["third"]["calls"] == 120 and server.hits == rows["default"]["calls"]
    assert two("db", "check").status == 0


def test_what_is_no_chat_model_is_not_deployed(six: Home) -> None:
    refused = six("models", "deploy", MODEL, "--target", "openai/text-embedding-3-small", ok=False)
    assert refused.status == 2 and "is not a chat model" in refused.err and listed(six) == []


def test_a_provider_with_a_free_model_is_pointed_elsewhere_and_what_is_paid_stays_so(
    six: Home, other: OpenAIServer
) -> None:
    six(
        "models",
        "add",
        "house",
        "--litellm-model",
        "openai/gpt-4o-mini",
        "--api-base",
        "http://127.0.0.1:9/v1",
        "--free",
    )
    refused = six("models", "point", "openai", "--api-base", other.url, ok=False)
    assert refused.status == 2 and "house" in refused.err and "--free" in refused.err
    six("models", "point", "openai", "--api-base", other.url, "--free")
    rows = {name: six("models", "show", name, "--json").json for name in ("house", MODEL)}
    assert {row["api_base"] for row in rows.values()} == {other.url}
    assert float(rows["house"]["output_price_per_1k"]) == 0 and float(rows[MODEL]["output_price_per_1k"]) == 0.0006
