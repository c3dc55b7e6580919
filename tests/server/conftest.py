"""A real server over real HTTP: `nexscout serve` as its own process, with a provider on loopback behind it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest

from tests.contract.books import SqliteBooks
from tests.support.openai_server import OpenAIServer

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Scout:
    """A home, the command line on it, and a server that runs until the test ends."""

    def __init__(self, home: Path, provider: OpenAIServer) -> None:
        self.home, self.provider = home, provider
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("NEXSCOUT_")}
        self.env |= {
            "NEXSCOUT_HOME": str(home),
            "NEXSCOUT_ACTOR": "ada",
            "NEXSCOUT_EMBEDDED_MODEL": "/nonexistent/model.gguf",
            "HOME": str(home),
            "OPENAI_API_KEY": "sk-upstream",
            "OPENAI_BASE_URL": provider.url,
        }
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.lines: list[str] = []

    def __call__(self, *argv: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command line."""
        done = subprocess.run(
            [sys.executable, "-m", "nexscout_cli", *argv],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert not ok or done.returncode == 0, done
        return done

    def key(self, *argv: str) -> str:
        """A new key."""
        return self("keys", "create", *argv).stdout.strip()

    def serve(self, *argv: str, **env: str) -> str:
        """Start the server; returns its address."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nexscout_cli", "serve", "--port", "0", *argv],
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(r"serves (http://\S+)/v1", line):
                self.url = found[1]
                # What nobody reads fills its pipe, and a server that can't say anything stands still.
                self._reader = Thread(target=self.lines.extend, args=(self.process.stdout,), daemon=True)
                self._reader.start()
                return self.url
        raise AssertionError("".join(self.lines))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        """End the server; returns all that it said."""
        if self.process is None:
            return ""
        self.process.send_signal(how)
        self.process.wait(60)
        self._reader.join(60)
        self.process = None
        return "".join(self.lines)

    def ask(self, path: str, body: Any = None, key: str | None = None, **headers: str) -> Reply:
        """One request; a body makes it a POST."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"content-type": "application/json"})
        if key is not None:
            request.add_header("authorization", f"Bearer {key}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    def chat(
        self, text: str, key: str, model: str = "auto", headers: dict[str, str] | None = None, **more: Any
    ) -> Reply:
        """A chat completion of one message."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]} | more
        return self.ask("/v1/chat/completions", body, key, **(headers or {}))

    @property
    def books(self) -> SqliteBooks:
        """What the database holds."""
        return SqliteBooks(self.home / "nexscout.db")


@pytest.fixture(scope="session")
def provider_of_all() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, provider_of_all: OpenAIServer) -> Iterator[Scout]:
    """A server that many tests share, each with a key and a user of its own."""
    scout = Scout(tmp_path_factory.mktemp("served"), provider_of_all)
    scout("simulate", "Hello")  # makes the database: ada owns it
    scout.serve()
    yield scout
    scout.stop()


@pytest.fixture
def provider(provider_of_all: OpenAIServer) -> Iterator[OpenAIServer]:
    """The provider behind the shared server, as new; and as new again for tests that don't ask for it."""
    _as_new(provider_of_all)
    provider_of_all.requests.clear()
    yield provider_of_all
    _as_new(provider_of_all)


def _as_new(provider: OpenAIServer) -> None:
    fresh = OpenAIServer()
    for name in ("reply", "fill", "delay", "pause", "usage", "fail", "finish_reason", "model"):
        setattr(provider, name, getattr(fresh, name))
    fresh._server.server_close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Scout]:
    """A home and a provider of a test's own; the server is the test's to start."""
    with OpenAIServer() as running:
        scout = Scout(tmp_path, running)
        scout("simulate", "Hello")
        yield scout
        scout.stop()
