from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import notify
from nexscout_cli.cli import serve
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.alerts import signature
from tests.support.bench import Bench
from tests.support.clock import SettableClock


@pytest.fixture
def bench(home: Path) -> Bench:
    return Bench(home / "nexscout.db", "owner", SettableClock(datetime.now(UTC)))


class Receiver(HTTPServer):
    """A webhook's other end, which answers ``status`` and keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.status = 204

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: object) -> None: ...

            def do_POST(handler) -> None:
                body = handler.rfile.read(int(handler.headers["content-length"]))
                self.heard.append(({k.lower(): v for k, v in handler.headers.items()}, body))
                handler.send_response(self.status)
                handler.send_header("location", "http://127.0.0.1:1/")
                handler.end_headers()

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def add(nexscout: Any, where: str, *argv: str) -> None:
    ran = nexscout("alerts", "add", "--when", "spend day > 0.00001", "--notify", where, *argv)
    assert (ran.exit, ran.stderr) == (0, ""), ran


def sent(nexscout: Any) -> Any:
    return json.loads(nexscout("alerts", "send", "--json").stdout)


def test_a_webhook_hears_of_a_crossing_once_and_signed(
    nexscout: Any, bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "s3cret")
    add(nexscout, f"webhook:{receiver.url}", "--secret-env", "HOOK")
    bench.post(bench.sent())
    assert sent(nexscout) == {"told": 1, "failed": 0} and sent(nexscout) == {"told": 0, "failed": 0}
    ((headers, body),) = receiver.heard
    at = int(headers["x-nexscout-signature"].partition(",")[0].removeprefix("t="))
    assert headers["x-nexscout-signature"] == signature(body, "s3cret", at) and abs(at - time.time()) < 60
    assert json.loads(body)["value"] == "$0.000045000" and json.loads(body)["id"] == 1
    (row,) = json.loads(nexscout("alerts", "history", "--json").stdout)["rows"]
    assert (row["state"], row["tries"], row["error"]) == ("sent", 1, None)


@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_a_webhook_does_not_take_waits_for_another_try(
    nexscout: Any, bench: Bench, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    add(nexscout, f"webhook:{receiver.url}")
    bench.post(bench.sent())
    assert sent(nexscout) == {"told": 0, "failed": 1} and sent(nexscout) == {"told": 0, "failed": 0}
    assert f"1 tries: it answered {status}" in nexscout("alerts", "history").stdout
    assert len(receiver.heard) == 1


def test_a_dead_webhook_loses_nothing_and_blocks_no_call(
    nexscout: Any, bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "SECONDS", 1.0)
    add(nexscout, "webhook:http://127.0.0.1:1/dead")
    add(nexscout, "slack:http://192.0.2.1/never")
    add(nexscout, f"file:{home}/told.jsonl")
    started = time.monotonic()
    for _ in range(3):
        bench.post(bench.sent())
    assert time.monotonic() - started < 1
    assert sent(nexscout) == {"told": 1, "failed": 2}
    assert len((home / "told.jsonl").read_text().splitlines()) == 1
    states = [row["state"] for row in json.loads(nexscout("alerts", "history", "--json").stdout)["rows"]]
    assert sorted(states) == ["pending", "pending", "sent"]


@pytest.mark.parametrize(("command", "told"), [("tee heard", 1), ("false", 0), ("no-such-command-here", 0)])
def test_a_command_has_the_notice_on_its_stdin_and_says_by_its_exit_whether_it_heard(
    nexscout: Any, bench: Bench, home: Path, command: str, told: int
) -> None:
    add(nexscout, f"command:{command}")
    bench.post(bench.sent())
    assert sent(nexscout) == {"told": told, "failed": 1 - told}
    assert (home / "heard").exists() == bool(told)


def test_a_webhook_whose_secret_is_not_there_is_not_told_unsigned(
    nexscout: Any, bench: Bench, receiver: Receiver
) -> None:
    add(nexscout, f"webhook:{receiver.url}", "--secret-env", "NOT_THERE")
    bench.post(bench.sent())
    assert sent(nexscout)["failed"] == 1 and receiver.heard == []


def test_alerts_are_listed_without_the_path_of_an_address_and_removed(nexscout: Any, bench: Bench) -> None:
    add(nexscout, "slack:https://hooks.example.com/services/T0/SECRET", "--for", "users")
    shown = nexscout("alerts", "list").stdout
    assert "hooks.example.com" in shown and "SECRET" not in shown and "users" in shown
    assert nexscout("alerts", "remove", "1") == (0, "", "")
    assert json.loads(nexscout("alerts", "list", "--json").stdout) == {"rows": []}
    assert nexscout("alerts", "remove", "1").exit == 2


def test_a_check_from_cron_is_silent_and_says_how_many_in_json(nexscout: Any, bench: Bench) -> None:
    add(nexscout, "file:x")
    assert nexscout("alerts", "check") == (0, "", "")
    assert json.loads(nexscout("alerts", "check", "--json").stdout) == {"went_off": 0}


@pytest.mark.parametrize(
    "argv",
    [
        ("--when", "spend sometimes", "--notify", "file:x"),
        ("--when", "spend day > 5", "--notify", "pigeon:home"),
        ("--when", "spend day > 5", "--notify", "file:x", "--for", "nobody"),
        ("--when", "spend day > 5", "--notify", "file:x", "--secret-env", "X"),
    ],
)
def test_what_makes_no_alert_is_said_and_nothing_is_entered(nexscout: Any, bench: Bench, argv: tuple[str, ...]) -> None:
    ran = nexscout("alerts", "add", *argv)
    assert ran.exit == 2 and len(ran.stderr.splitlines()) <= 2
    assert json.loads(nexscout("alerts", "list", "--json").stdout) == {"rows": []}


def test_a_rule_that_cannot_be_reckoned_takes_no_posting_back(nexscout: Any, bench: Bench, home: Path) -> None:
    add(nexscout, "file:x")
    bench.damage(
        "UPDATE alerts SET window = 'day', metric = 'spend', scope = 'key', of_cap = 1, bound = 9223372036854775807"
    )
    bench.damage("DROP TABLE alert_events")
    bench.post(bench.sent())
    assert bench.books.total("usage", "cost_usd") == 45_000


def test_a_server_looks_at_alerts_and_tells_of_them_by_itself(nexscout: Any, bench: Bench, receiver: Receiver) -> None:
    add(nexscout, f"webhook:{receiver.url}")
    ran = nexscout("alerts", "add", "--when", "unknown > 0", "--notify", f"slack:{receiver.url}")
    assert ran.exit == 0
    bench.post(bench.sent())
    bench.ledger.mark_unknown("owner", bench.sent(), "no answer", None)
    (watch,) = [chore for chore in serve._chores(Session()) if "alerts" in chore.failed]
    watch.do()
    watch.do()
    assert len(receiver.heard) == 2


def test_a_server_of_somebody_who_is_no_admin_looks_at_no_alerts(
    nexscout: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.store.users.set_tier("owner", "bob", "pro")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    assert [chore.failed for chore in serve._chores(Session())] == ["finished hours could not be folded"]
