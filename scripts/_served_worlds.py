"""The same with ``nexscout serve`` as the programs, clients that ask again elsewhere, and a provider; for ``jepsen``."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "bench"))
from _common import MODEL, ROOT
from _worlds import COST, USERS, World


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Servers that are killed break off."""


class Provider:
    """Who answers calls: writes down what arrived, and how it ended, before anybody hears of it."""

    def __init__(self, record: Path, chance: random.Random) -> None:
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = body["messages"][-1]["content"].split()[-1]
                with lock, record.open("ab", buffering=0) as file:
                    outcome = chance.choices(("answered", "refused", "lost"), (30, 1, 1))[0]
                    wait = chance.uniform(0, 0.05)
                    file.write(f"{name} {outcome}\n".encode())
                time.sleep(wait)
                if outcome == "lost":
                    self.close_connection = True
                    return
                told: dict[str, Any] = {"error": {"message": "no", "type": "invalid_request_error", "code": None}}
                if outcome == "answered":
                    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
                    choice = {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": f"Done {name}"},
                    }
                    told = {"id": name, "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice]}
                    told["usage"] = usage
                data = json.dumps(told).encode()
                with suppress(OSError):
                    self.send_response(200 if outcome == "answered" else 400)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Take no more calls."""
        self._server.shutdown()
        self._server.server_close()


_SERVE = """import random, sys
from datetime import timedelta
from nexscout_cli import __main__, assemble
days, chance, now = [0], random.Random(int(sys.argv[1])), assemble.SystemClock.now
def jumping(clock):
    if chance.random() < 0.02:
        days[0] = chance.choice((-1, 0, 1))
    return now(clock) + timedelta(days=days[0])
assemble.SystemClock.now = jumping
sys.argv = ["nexscout", "serve", "--port", sys.argv[2]]
__main__.main()
"""
"""`nexscout serve` whose clock is moved by whole days now and then."""


class Serving:
    """A server's process, with the home and the port that it comes back to."""

    def __init__(self, home: Path, port: int, env: dict[str, str], seed: int) -> None:
        self.home, self.port = home, port
        with (home / "said").open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, str(seed), str(port)],
                env=env | {"NEXSCOUT_HOME": str(home), "HOME": str(home), "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        self.pid = self._process.pid

    def join(self) -> None:
        """Wait for its end."""
        self._process.wait()


class ServedWorld(World):
    """A seed whose programs are servers, with clients and a provider."""

    cap = 400 * COST
    pauses, often = (0.2, 1.0), (2, 4, 4, 1)  # a server takes seconds to come up
    clients = 24

    def _furnish(self, store: Any) -> None:
        """The books as they begin: a key for the clients, the model at the provider."""
        super()._furnish(store)
        self._homes = Path(tempfile.mkdtemp(prefix="nx-served-", dir="/tmp"))
        self._provider = Provider(self._record, random.Random(f"{self._seed}/provider"))
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("NEXSCOUT_")}
        self._env |= {"NEXSCOUT_ACTOR": "ada", "OPENAI_API_KEY": "sk-none", "OPENAI_BASE_URL": self._provider.url}
        self._env |= {"NEXSCOUT_EMBEDDED_MODEL": "/nonexistent/model.gguf", "NEXSCOUT_DB": self.direct}
        self._config(self._homes)
        command = [sys.executable, "-m", "nexscout_cli"]
        env = self._env | {"NEXSCOUT_HOME": str(self._homes), "PYTHONPATH": str(ROOT)}
        doing = [
            ("models", "set", MODEL, "--api-base", self._provider.url),
            *(("keys", "create", "--user", u) for u in USERS),
        ]
        done = [
            subprocess.run([*command, *words], env=env, capture_output=True, text=True, check=True) for words in doing
        ]
        self._keys = [one.stdout.strip() for one in done[1:]]
        self._told: list[tuple[str, str]] = []
        self._slots: list[tuple[Path, int]] = []
        self._over = threading.Event()

    def _config(self, home: Path) -> None:
        plenty = "".join(
            f"[tiers.{tier}]\nenergy = 1000000000\ndaily_tokens = 1000000000000\n" for tier in ("free", "elite")
        )
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(
            f"[caps.usd]\ntotal_day = {self.cap / 1e9:.9f}\n[surge]\ncapacity = 1000000\n[store]\nlock_timeout = 3.0\n{plenty}"
        )

    def _program(self) -> Any:
        home = self._homes / str(len(self._slots))
        self._config(home)
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._slots.append((home, free.getsockname()[1]))
        return self._serving(*self._slots[-1])

    def _serving(self, home: Path, port: int) -> Serving:
        self._started += 1
        return Serving(home, port, self._env | {"NEXSCOUT_DB": self._url}, self._seed * 1000 + self._started)

    def _kill(self) -> None:
        n = self._chance.randrange(len(self._programs))
        killed = self._programs[n]
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
        self._programs[n] = self._serving(killed.home, killed.port)

    def run(self, seconds: float) -> Counter[str]:
        """As over programs, with clients that ask all the while."""
        asking = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(self.clients)]
        for one in asking:
            one.start()
        try:
            return super().run(seconds)
        finally:
            self._over.set()
            for one in asking:
                one.join()
            self._provider.close()

    def _ask(self, n: int) -> None:
        chance, number = random.Random(f"{self._seed}/client/{n}"), 0
        while not self._over.is_set():
            number += 1
            name = f"s{self._seed}c{n}n{number}"
            for _ in range(3):
                if (
                    self._asked(chance.choice(self._slots)[1], name, self._keys[n % len(self._keys)])
                    or self._over.is_set()
                ):
                    break
                time.sleep(chance.uniform(0.05, 0.3))

    def _asked(self, port: int, name: str, key: str) -> bool:
        """Whether a server answered, well or not, what is not to be asked again."""
        body = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": f"Say done to {name}"}]}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}", "Idempotency-Key": name}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/chat/completions", data=json.dumps(body).encode(), headers=headers
        )
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                answer.read()
                self._told.append((name, answer.headers["x-nexscout-request-id"]))
                return True
        except urllib.error.HTTPError as error:
            if error.code == 402:  # the cap is reached
                time.sleep(0.05)
            return error.code in (400, 402)
        except (OSError, http.client.HTTPException):  # it went away before, or in the middle
            return False

    def _compare(self, store: Any, found: list[str]) -> Counter[str]:
        arrived = [line.split() for line in self._record.read_text().splitlines()]
        outcomes = Counter(outcome for _, outcome in arrived)
        for name, times in Counter(name for name, outcome in arrived if outcome == "answered").items():
            if times > 1:
                found.append(f"{name} was answered {times} times")
        with store.read("ada") as t:
            rows = t.execute("SELECT request_id, state, actual FROM attempts").fetchall()
        states = Counter(row[1] for row in rows)
        posted = {row[0]: row[2] for row in rows if row[1] == "posted"}
        found += [
            f"{name} was given to a client and is not posted" for name, asked in self._told if asked not in posted
        ]
        found += [f"{name} is posted at {actual}" for name, actual in posted.items() if actual != COST]
        if len(arrived) > len(rows):
            found.append(f"{len(arrived)} calls arrived, the books have {len(rows)} attempts")
        if not states["posted"] <= outcomes["answered"] <= states["posted"] + states["unknown"]:
            found.append(f"{outcomes['answered']} calls were answered; {dict(states)}")
        if outcomes["lost"] + outcomes["answered"] > states["posted"] + states["unknown"]:
            found.append(f"{outcomes['lost']} calls were broken off; {dict(states)}")
        shutil.rmtree(self._homes, ignore_errors=True)
        return states
