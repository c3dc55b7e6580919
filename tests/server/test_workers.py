"""One command, several workers behind one address: whoever of them is asked, it is one server."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.server.browsing import Browser, hidden, token
from tests.server.conftest import Reply, Scout
from tests.server.crowd import crowd
from tests.support.openai_server import OpenAIServer
from tests.support.postgres import new_database

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
CLIENTS, ALLOWED = 200, 10


Each = Callable[[Callable[[], Any]], list[Any]]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def workers(scout: Scout) -> list[int]:
    """The processes of its workers, as it said when it began."""
    (line,) = [line for line in scout.lines if "serves" in line]
    found = re.search(r"workers ([\d, ]+)\)", line)
    assert found is not None, line
    return [int(pid) for pid in found[1].split(",")]


def lives(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return state(pid) != "Z"
    except OSError:
        return False


@contextmanager
def asleep(pid: int) -> Iterator[None]:
    """Inside, a worker does nothing, so that the other one is who answers. It is stopped while it holds nobody up."""
    stopped(pid)
    while any(f" WRITE {pid} " in line for line in Path("/proc/locks").read_text().splitlines()):
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)
        stopped(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stopped(pid: int) -> None:
    """Stop a process, and wait until it is."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state(pid) == "T")


def state(pid: int) -> str:
    """A process's state, as its system tells it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def serving(home: Path, *argv: str, **env: str) -> Iterator[Scout]:
    """Two workers of one server."""
    with OpenAIServer() as provider:
        scout = Scout(home, provider)
        scout.env |= env
        scout("models", "set", "gpt-4o-mini", "--api-base", provider.url)
        scout.serve(*argv)
        yield scout
        scout.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scout]:
    with serving(tmp_path_factory.mktemp("workers"), "--workers", "2") as scout:
        yield scout


@pytest.fixture
def two(running: Scout) -> Iterator[Scout]:
    """Two workers over SQLite, and a provider that is as new."""
    running.provider.reply, running.provider.delay = "Hello there.", 0.0
    running.provider.requests.clear()
    yield running


@pytest.fixture
def each(two: Scout) -> Each:
    """Does something at one worker, then at the other."""

    def do(work: Callable[[], Any]) -> list[Any]:
        done = []
        for pid in reversed(workers(two)):
            with asleep(pid):
                done.append(work())
        return done

    return do


def storm(scout: Scout) -> Counter[int]:
    """200 clients at once, whose key has a budget of 10 calls; the provider answers when the others were refused."""
    quote = scout.ask("/v1/quote", BODY, scout.key()).json["max_cost_usd"]
    key = scout.key("--budget", f"{ALLOWED * quote:.9f}/day")
    return crowd([scout], key, BODY, clients=CLIENTS, allowed=ALLOWED, seconds=60)


def test_of_200_clients_on_a_budget_of_10_calls_10_are_answered_and_190_get_402(two: Scout) -> None:
    assert storm(two) == {200: ALLOWED, 402: CLIENTS - ALLOWED}
    assert two.provider.hits == ALLOWED
    two("db", "check")


def test_the_budget_holds_over_postgresql_and_is_refused_alike(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", NEXSCOUT_DB=new_database()) as scout:
        assert storm(scout) == {200: ALLOWED, 402: CLIENTS - ALLOWED}
        assert scout.provider.hits == ALLOWED
        key = scout.key("--rpm", "4")
        statuses = []
        for pid in workers(scout):
            with asleep(pid):
                statuses += [scout.ask("/v1/models", None, key).status for _ in range(4)]
        assert statuses == [200] * 4 + [429] * 4
        scout("db", "check")


def test_a_key_has_its_requests_a_minute_once_and_not_at_each_worker(two: Scout, each: Each) -> None:
    key = two.key("--rpm", "5")
    said = each(lambda: [two.ask("/v1/models", None, key).status for _ in range(4)])
    assert said == [[200] * 4, [200, 429, 429, 429]]


def test_one_name_and_one_question_are_one_call_while_another_worker_makes_it(two: Scout) -> None:
    key, held = two.key(), threading.Event()

    def reply(_: object) -> str:
        assert held.wait(60)
        return "Hi"

    two.provider.reply = reply
    one, other = workers(two)
    with ThreadPoolExecutor(2) as pool:
        with asleep(other):
            first = pool.submit(two.ask, "/v1/chat/completions", BODY, key, idempotency_key="a")
            until(lambda: two.provider.hits == 1)
        with asleep(one):
            again = two.ask("/v1/chat/completions", BODY, key, idempotency_key="a")
            assert (again.status, again.json["error"]["code"]) == (409, "in_progress")
            second = pool.submit(two.ask, "/v1/chat/completions", BODY, key)
            time.sleep(
                0.2
            )  # time for it to reach the other worker; to be answered it has to wait for the first one's call
        held.set()
        assert (first.result().status, second.result().status) == (200, 200)
    with asleep(one):
        replayed = two.ask("/v1/chat/completions", BODY, key, idempotency_key="a")
    assert replayed.json["choices"] == first.result().json["choices"]
    assert two.provider.hits == 1


def test_who_signs_in_at_one_worker_is_signed_in_at_the_other_until_they_sign_out(two: Scout, each: Each) -> None:
    browser, key = Browser(two.url), two.key()
    one, other = workers(two)
    with asleep(one):
        assert browser.sign_in(key).status == 303
    with asleep(other):
        page = browser("/requests")
        assert page.status == 200
    assert [got.status for got in each(lambda: browser("/requests"))] == [200, 200]
    with asleep(one):
        assert browser("/sign-out", {"form": token(page.text)}).status == 303
    browser.cookies["nexscout_session"] = "guess"
    assert [got.status for got in each(lambda: browser("/requests"))] == [303, 303]


def test_a_link_signs_in_once_whichever_worker_is_asked(two: Scout, each: Each) -> None:
    address = urlsplit(two("open", "--port", str(urlsplit(two.url).port)).stdout.strip())
    said = each(lambda: Browser(two.url)(f"{address.path}?{address.query}").status)
    assert said == [303, 401]


def test_what_an_admin_is_asked_at_one_worker_is_done_at_the_other_once(two: Scout) -> None:
    browser = Browser(two.url)
    browser.sign_in(two.key())
    one, other = workers(two)
    with asleep(one):
        page = browser("/admin").text
        asked = browser("/admin", {"form": token(page), "do": "tier", "user": "eve", "tier": "pro"})
    fields = hidden(asked.text, "/admin/do")
    with asleep(other):
        assert browser("/admin/do", fields).status == 303
    with asleep(one):
        assert browser("/admin/do", fields).status == 409
        assert "eve" in browser("/admin").text


def test_metrics_are_the_sums_of_all_workers_and_outlive_one(two: Scout, each: Each) -> None:
    key = two.key()

    def count(text: str) -> dict[str, float]:
        rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in rows}

    def metrics() -> dict[str, float]:
        return count(two.ask("/metrics", None, key).body.decode())

    models, answers = (
        'nexscout_http_requests_total{path="/v1/models",status="200"}',
        'nexscout_answers_total{model="gpt-4o-mini",outcome="answered"}',
    )
    before = metrics()
    each(lambda: [two.ask("/v1/models", None, key) for _ in range(3)])
    each(lambda: two.chat(f"Hello {time.monotonic()}", key, model="gpt-4o-mini"))
    for seen in each(metrics):
        assert isinstance(seen, dict)
        assert seen[models] - before.get(models, 0) == 6 and seen[answers] - before.get(answers, 0) == 2
        timed = seen['nexscout_http_seconds_count{path="/v1/models"}']
        assert timed == sum(value for name, value in seen.items() if 'http_requests_total{path="/v1/models"' in name)
        assert seen["nexscout_in_flight"] == 1


def test_a_worker_killed_in_mid_storm_is_begun_anew_and_nothing_is_forgotten_or_billed_twice(two: Scout) -> None:
    key = two.key("--budget", "0.01/day")
    two.provider.delay = 0.1
    before, victim = two.books.count("attempts"), workers(two)[1]

    def ask(n: int) -> int:
        try:
            return two.chat(f"Question {n}", key, model="gpt-4o-mini", max_tokens=20).status
        except (OSError, HTTPException):
            return 0

    with ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(ask, n) for n in range(90)]
        until(lambda: two.provider.hits >= 10)
        os.kill(victim, signal.SIGKILL)
        said = Counter(one.result() for one in asked)
    assert said[200] >= 60 and set(said) <= {0, 200}
    until(lambda: any("another one begins" in line for line in two.lines))
    (line,) = [line for line in two.lines if "another one begins" in line]
    assert f"worker 2 (process {victim}) was ended by SIGKILL" in line
    assert two.chat("Hello after all", key).status == 200
    two("run", "--no-cache", "-m", "gpt-4o-mini", "Hello once more")
    states = [row["state"] for row in two.books.attempts()[before:]]
    assert set(states) <= {"posted", "voided", "unknown"}
    assert len(two.provider.requests) <= states.count("posted") + states.count("unknown")
    account = [row for row in two.books.accounts() if row["owner"].startswith("*key:")][-1]
    assert 0 < account["spent"] + account["held"] <= 10_000_000
    two("db", "check")


def test_a_flood_finds_the_places_of_one_process_and_sigterm_lets_what_runs_at_each_worker_end(tmp_path: Path) -> None:
    with serving(tmp_path, NEXSCOUT_SERVE_WORKERS="2", NEXSCOUT_SERVE_MAX_AT_ONCE="6") as scout:
        key, pids, held = scout.key(), workers(scout), threading.Event()

        def reply(_: object) -> str:
            assert held.wait(60)
            return "Hi"

        scout.provider.reply = reply
        with ThreadPoolExecutor(6) as pool:
            asked: list[Future[Reply]] = []
            for pid in pids:
                with asleep(pid):
                    asked += [pool.submit(scout.chat, f"Hello {pid} {n}", key) for n in range(3)]
                    until(functools.partial(lambda n: scout.provider.hits == n, len(asked)))
            for pid in pids:
                with asleep(pid):
                    busy = scout.chat("One more", key)
                    assert (busy.status, busy.headers["retry-after"]) == (503, "1")
            assert scout.process is not None
            process = scout.process
            process.send_signal(signal.SIGTERM)
            held.set()
            answers = [one.result() for one in asked]
            said = scout.stop()
        assert [answer.status for answer in answers] == [200] * 6
        assert process.returncode == 130 and said.count("interrupted") == 1 and "Traceback" not in said
        assert not any(map(lives, pids))
        assert scout.books.count("attempts", state="posted") == 6
        lines = [line for line in said.splitlines() if "path" in line]
        assert len(lines) == 8 and all(line.startswith("{") and line.endswith("}") for line in lines)


@pytest.mark.parametrize("number", ["0", "-1", "65", "99999999999999999999", "x", "1.5"])
def test_a_number_of_workers_that_cannot_be_is_refused_in_a_line(alone_home: Scout, number: str) -> None:
    done = alone_home("serve", "--workers", number, ok=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"nexscout: --workers is a whole number from 1 to 64, not {number}"


@pytest.fixture
def alone_home(tmp_path: Path, provider_of_all: OpenAIServer) -> Scout:
    return Scout(tmp_path, provider_of_all)


def test_an_address_that_is_taken_is_said_in_a_line_with_one_worker_and_with_two(two: Scout) -> None:
    port = str(urlsplit(two.url).port)
    for number in ("1", "2"):
        done = two("serve", "--port", port, "--workers", number, ok=False)
        assert done.returncode == 6
        assert done.stderr.startswith(f"nexscout: cannot listen on 127.0.0.1, port {port}: ")


def test_a_terminal_that_goes_away_ends_the_server_without_a_traceback(alone_home: Scout) -> None:
    alone_home.serve("--workers", "1")
    process = alone_home.process
    said = alone_home.stop(signal.SIGHUP)
    assert process is not None and process.returncode == 130 and "Traceback" not in said
    assert said.splitlines()[-1] == "nexscout: interrupted"


def test_what_keeps_the_first_worker_from_beginning_is_said_once_and_ends_the_server(alone_home: Scout) -> None:
    alone_home.env["NEXSCOUT_DB"] = "/proc/none/books.db"
    done = alone_home("serve", "--port", "0", "--workers", "3", ok=False)
    assert done.returncode == 6 and done.stderr.count("nexscout: ") == 1


def test_one_worker_is_one_process(shared: Scout) -> None:
    assert shared.process is not None
    assert Path(f"/proc/{shared.process.pid}/task/{shared.process.pid}/children").read_text() == ""


def test_where_the_parent_is_killed_no_worker_goes_on_serving(two: Scout) -> None:
    assert two.process is not None
    children = Path(f"/proc/{two.process.pid}/task/{two.process.pid}/children").read_text()
    storm(two)  # whose lines in the log are whole, however many write them at once
    place = urlsplit(two.url)
    said = two.stop(signal.SIGKILL)
    until(lambda: not any(map(lives, map(int, children.split()))))
    lines = [line for line in said.splitlines() if "path" in line]
    assert len(lines) > CLIENTS and all(json.loads(line)["ms"] >= 0 for line in lines)
    with pytest.raises(OSError), socket.create_connection((place.hostname or "", place.port or 0), timeout=5):
        pass
    two("db", "check")
