"""Certificates of providers are checked, against the system's authorities or those that SSL_CERT_FILE names."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from nexscout_cli.coroutines import CoroutineExecutor
from nexscout_cli.engine.call import Call, Completion
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.providers import Providers, transport
from tests.support.openai_server import answer

Ask = Callable[[str], Completion]
LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


class Handler(BaseHTTPRequestHandler):
    """Answers every request."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer())))
        self.end_headers()
        self.wfile.write(answer())
        self.server.asked += 1  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    """A server whose clients may hang up."""

    asked = 0

    def handle_error(self, *_: Any) -> None:
        """That is what these tests are about."""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def serve(authority: trustme.CA) -> Iterator[Callable[..., Quiet]]:
    """Starts a server with a certificate of the authority's."""
    started: list[Quiet] = []

    def start(*names: str, **how: Any) -> Quiet:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names, **how).configure_cert(context)
        server = Quiet(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["thread", "coroutine"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Asks a model at a base address, by each of the two ways that HTTP goes."""
    monkeypatch.setenv("TEST_PROVIDER_KEY", "sk-x")
    for kept in (transport.tls, transport._pool):
        kept.cache_clear()
    with CoroutineExecutor(1) as executor:

        def made(base: str) -> Completion:
            row = Model("m", "openai/m", "small", 1, 1, 9999, 0.7, 0.9, "", True, False, base, "TEST_PROVIDER_KEY", {})
            call = Call(row, (Message("user", "Hello?"),), 50, None, 5.0, 10.0, False)
            complete = Providers(Path("/nonexistent")).complete
            return complete(call, None) if request.param == "thread" else executor.submit(complete, call, None).result()

        yield made
    for kept in (transport.tls, transport._pool):
        kept.cache_clear()


def address(server: Quiet, host: str = "localhost") -> str:
    return f"https://{host}:{server.server_address[1]}/v1"


def test_a_certificate_of_an_authority_that_nobody_named_is_refused_before_anything_is_sent(
    ask: Ask, serve: Callable[..., Quiet]
) -> None:
    server = serve("localhost")
    with pytest.raises(ProviderFailure) as caught:
        ask(address(server))
    assert (caught.value.kind, server.asked) == ("unreached", 0)
    assert "certificate" in str(caught.value).lower()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_believed(
    ask: Ask,
    serve: Callable[..., Quiet],
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "own.pem")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "own.pem"))
    server = serve("localhost")
    assert ask(address(server)).text == "Hi." and server.asked == 1


@pytest.mark.parametrize(
    ("names", "how"),
    [
        (("elsewhere.example",), {}),
        (("localhost",), {"not_after": LONG_AGO + dt.timedelta(days=9), "not_before": LONG_AGO}),
    ],
    ids=["another host's", "expired"],
)
def test_a_certificate_that_does_not_fit_is_refused_whoever_signed_it(
    ask: Ask,
    serve: Callable[..., Quiet],
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    how: dict[str, Any],
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "own.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    server = serve(*names, **how)
    with pytest.raises(ProviderFailure) as caught:
        ask(address(server))
    assert (caught.value.kind, server.asked) == ("unreached", 0)


def test_authorities_in_a_file_that_is_not_there_are_said(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/own.pem")
    with pytest.raises(ProviderFailure) as caught:
        ask("https://localhost:1/v1")
    assert caught.value.kind == "unreached"
