from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.providers import tokens
from nexscout_cli.providers.embedded import model_file
from tests.support.bench import Bench
from tests.support.clock import SettableClock
from tests.support.openai_server import OpenAIServer

SECRET = "sk-a-secret-that-is-nowhere-shown"


@pytest.fixture
def model(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the embedded model's size, and its runtime."""
    path = home / "model.gguf"
    with path.open("wb") as file:
        file.truncate(model_file.SIZE)
    monkeypatch.setenv("NEXSCOUT_EMBEDDED_MODEL", str(path))
    monkeypatch.setattr(model_file, "runtime_present", lambda: True)
    monkeypatch.setattr("nexscout_cli.providers.embedded.provider.runtime_present", lambda: True)
    return path


def checks(ran: Any, name: str) -> list[dict[str, str]]:
    return [check for check in json.loads(ran.stdout)["checks"] if check["name"] == name]


def test_with_the_embedded_model_alone_all_that_is_needed_is_there(nexscout: Any, model: Path) -> None:
    ran = nexscout("doctor")
    assert (ran.exit, ran.stderr) == (0, "")
    assert "1 of 7 available: smollm2-135m" in ran.stdout
    assert "✗" not in ran.stdout
    assert len(ran.stdout.splitlines()) <= 25


def test_without_any_model_it_exits_6_and_says_how_to_get_one(nexscout: Any, model: Path) -> None:
    model.unlink()
    ran = nexscout("doctor")
    assert ran.exit == 6
    assert "✗ models     0 of 7 available" in ran.stdout
    assert "nexscout models pull" in ran.stdout and "export OPENAI_API_KEY=" in ran.stdout


def test_keys_are_shown_by_name_alone(nexscout: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    bench = Bench(home / "nexscout.db", "owner")
    bench.sql("UPDATE ai_model_configs SET api_key_env = 'HOUSE_KEY' WHERE model = 'gpt-4o'")
    monkeypatch.setenv("HOUSE_KEY", SECRET)
    for ran in (nexscout("doctor"), nexscout("doctor", "--json")):
        assert ran.exit == 0
        assert SECRET not in ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["keys"] == {
        "OPENAI_API_KEY": True,
        "ANTHROPIC_API_KEY": False,
        "GEMINI_API_KEY": False,
        "HOUSE_KEY": True,
    }
    assert json.loads(ran.stdout)["models_available"] == ["gpt-4o-mini", "gpt-4o-mini-high", "gpt-4o"]


def test_each_retired_name_gets_the_command_that_points_it_elsewhere(nexscout: Any, model: Path) -> None:
    fixes = [check["fix"] for check in checks(nexscout("doctor", "--json"), "models") if "retired" in check["message"]]
    assert [fix.split()[:4] for fix in fixes] == [
        ["nexscout", "models", "set", f"claude-3-{name}"] for name in ("haiku", "sonnet", "opus")
    ]
    for fix in fixes:
        assert nexscout(*fix.split()[1:]).exit == 0, fix
    assert not any("retired" in check["message"] for check in checks(nexscout("doctor", "--json"), "models"))


def test_a_price_that_is_not_the_providers_is_noted(nexscout: Any, model: Path) -> None:
    (line,) = checks(nexscout("doctor", "--json"), "prices")
    assert line["status"] == "warn"
    assert line["message"].startswith("gpt-4o-mini-high is counted at $0.0003 in, $0.0012 out per 1k")
    assert "$0.00015 in, $0.0006 out" in line["message"]


def test_a_disabled_model_gets_the_command_that_enables_it(nexscout: Any, model: Path) -> None:
    nexscout("models", "disable", "gpt-4o")
    fixes = [check["fix"] for check in checks(nexscout("doctor", "--json"), "models")]
    assert "nexscout models enable gpt-4o" in fixes


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"garbage" * 99, "is not a NexScout database")])
def test_a_database_that_cannot_be_opened_is_a_line_and_not_a_crash(
    nexscout: Any, model: Path, home: Path, content: bytes, said: str
) -> None:
    (home / "nexscout.db").write_bytes(content)
    ran = nexscout("doctor", "--json")
    (line,) = checks(ran, "database")
    assert (ran.exit, line["status"]) == (6, "fail")
    assert said in line["message"] and "backup" in line["fix"]
    assert (home / "nexscout.db").read_bytes() == content


def test_books_that_do_not_balance_are_told(nexscout: Any, model: Path, home: Path) -> None:
    bench = Bench(home / "nexscout.db", "owner", SettableClock(datetime.now(UTC)))
    for n in range(6):
        bench.hold(bench.plan(user=f"user{n}"))
    bench.damage("UPDATE accounts SET held = held + 1")
    ran = nexscout("doctor", "--json")
    lines = checks(ran, "database")
    assert ran.exit == 6
    assert "held is" in lines[0]["message"] and lines[-1]["message"].endswith("more")


def test_a_table_that_is_damaged_is_a_line_and_not_a_crash(nexscout: Any, model: Path, home: Path) -> None:
    bench = Bench(home / "nexscout.db", "owner")
    bench.store.close()
    content = bytearray(bench.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    bench.path.write_bytes(content)
    ran = nexscout("doctor")
    assert ran.exit == 6
    assert "✗ database" in ran.stdout and "tokenizer" in ran.stdout


def test_a_config_that_does_not_load_is_a_line_and_the_rest_is_examined(nexscout: Any, model: Path, home: Path) -> None:
    (home / "config.toml").write_text("[cache]\ndays = 'many'\n")
    ran = nexscout("doctor", "--json")
    (line,) = checks(ran, "config")
    assert (ran.exit, line["status"]) == (6, "fail")
    assert "cache.days" in line["message"]
    assert checks(ran, "database")[0]["status"] == "ok"


def test_the_files_that_were_read_are_named(nexscout: Any, model: Path, home: Path) -> None:
    assert "defaults" in checks(nexscout("doctor", "--json"), "config")[0]["message"]
    (home / "config.toml").write_text("[cache]\ndays = 3\n")
    (home / "nexscout.toml").write_text("feature = 'ai_message'\n")
    message = checks(nexscout("doctor", "--json"), "config")[0]["message"]
    assert message == f"{home}/config.toml, {home}/nexscout.toml"


def test_unresolved_attempts_are_counted_with_what_to_type(nexscout: Any, model: Path, home: Path) -> None:
    bench = Bench(home / "nexscout.db", "owner", SettableClock(datetime.now(UTC)))
    attempt = bench.unknown()
    (line,) = checks(nexscout("doctor", "--json"), "attempts")
    assert (line["status"], line["fix"]) == ("warn", "nexscout db resolve")
    assert line["message"].startswith("1 of unknown outcome") and f"{attempt.hold}" in line["message"]


def test_tokenizer_files_that_are_missing_are_told(
    nexscout: Any, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tokens, "_folder", lambda: tmp_path)
    ran = nexscout("doctor", "--json")
    assert (ran.exit, checks(ran, "tokenizer")[0]["status"]) == (6, "fail")


def test_an_embedded_model_of_the_wrong_size_is_told(nexscout: Any, model: Path) -> None:
    model.write_bytes(b"GGUF")
    (line,) = checks(nexscout("doctor", "--json"), "embedded")
    assert (line["status"], line["fix"]) == ("warn", "nexscout models pull")
    assert "wrong size" in line["message"]


def test_someone_who_is_no_user_is_told_how_to_become_one(
    nexscout: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nexscout("mode")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "eve")
    ran = nexscout("doctor", "--json")
    (line,) = checks(ran, "actor")
    assert (ran.exit, line["status"]) == (6, "fail")
    assert "set-tier eve" in line["fix"]


def test_a_large_database_is_not_checked_in_full(nexscout: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexscout_cli.cli.doctor._LARGE", 10)
    ran = nexscout("doctor")
    assert ran.exit == 0 and "`nexscout db check` says more" in ran.stdout


def test_a_terminal_without_unicode_gets_plain_marks_and_litellm_is_not_imported(model: Path, home: Path) -> None:
    code = (
        "import sys; from nexscout_cli.cli.app import main; status = main(['doctor']); "
        "assert 'litellm' not in sys.modules and 'rich' not in sys.modules, 'imported'; sys.exit(status)"
    )
    env = {
        "NEXSCOUT_HOME": str(home),
        "NEXSCOUT_EMBEDDED_MODEL": str(model),
        "NEXSCOUT_ACTOR": "Zoë",
        "PYTHONIOENCODING": "ascii",
    }
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=home, env=env)
    assert ran.returncode in (0, 6), ran.stderr
    assert ran.stderr == b""
    assert ran.stdout.startswith(b"+ nexscout") and b"Zo\\xeb, admin" in ran.stdout


@pytest.mark.parametrize(
    ("fail", "verdict", "status"), [(None, "taken", 0), (401, "refused", 6), (403, "refused", 6), (500, "unsure", 0)]
)
def test_each_key_is_tested_by_a_request_that_costs_nothing(
    nexscout: Any, model: Path, monkeypatch: pytest.MonkeyPatch, fail: int | None, verdict: str, status: int
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    with OpenAIServer(fail=fail) as server:
        for name in ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini-high"):
            nexscout("models", "set", name, "--api-base", server.url)
        for name in ("claude-3-haiku", "claude-3-sonnet", "claude-3-opus"):
            nexscout("models", "set", name, "--api-base", server.root)
        ran = nexscout("doctor", "--keys")
        assert server.requests == [] and len(server.listed) == 2
        assert server.listed[0]["authorization"] == f"Bearer {SECRET}" and server.listed[1]["x-api-key"] == SECRET
    assert ran.exit == status and SECRET not in ran.stdout + ran.stderr
    assert f"OPENAI_API_KEY at {server.url}: {verdict}" in ran.stdout
    assert ("put a valid key into OPENAI_API_KEY" in ran.stdout) is (verdict == "refused")


def test_a_key_that_cannot_be_tested_is_said_to_be_unsure(
    nexscout: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    for name in ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini-high"):
        nexscout("models", "set", name, "--api-base", "http://127.0.0.1:9/v1")
    ran = nexscout("doctor", "--keys")
    assert ran.exit == 0 and "OPENAI_API_KEY at http://127.0.0.1:9/v1: unsure; no answer" in ran.stdout
