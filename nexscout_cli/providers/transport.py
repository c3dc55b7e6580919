"""HTTP for our own wires: one request at a time a thread, over kept connections, with deadlines that hold whatever a server does.

The library is httpcore: synchronous and asynchronous with one interface, and half the import time of httpx.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpcore

from nexscout_cli import waiting
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.recent import Recent

KEEP = 4.0
"""Seconds that an idle connection is kept: shorter than the 5 s after which common servers close one."""
_current = threading.local()
_proxies: Recent[str | None] = Recent()


class Exchange:
    """One request and its answer: the deadline, and how far it came.

    ``quiet``: seconds that may pass between signs of life, ``total``: in all. ``sent``: bytes of the request may have
    reached the server. ``speaks``: the first words of a stream were passed on.
    """

    def __init__(self, quiet: float, total: float) -> None:
        self._quiet = quiet
        now = time.monotonic()
        self._end = now + total
        self._silent_end = now + quiet
        self.sent = self.speaks = False

    def left(self) -> float:
        """Seconds left. Raises ReadTimeout when there are none."""
        left = min(self._end, self._silent_end) - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left

    def alive(self) -> None:
        """A sign of life has come: the quiet time starts anew."""
        self._silent_end = time.monotonic() + self._quiet

    @property
    def over(self) -> bool:
        """Whether the total time is used up."""
        return time.monotonic() >= self._end

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Each step, as httpcore tells it."""
        if event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            self.sent = True


def send(
    request: HttpRequest, exchange: Exchange
) -> AbstractContextManager[tuple[int, dict[str, str], Iterable[bytes]]]:
    """Send the request; gives status, headers (names in lower case) and the body's bytes as they come.

    No redirect is followed and no encoding asked for. Raises httpcore's exceptions, and UnicodeError for a header that
    cannot be sent. A coroutine waits on its loop; by a proxy (:func:`is_by_proxy`) only threads can go.
    """
    loop = waiting.here()
    if loop is not None:
        from nexscout_cli.providers import loop_transport

        return loop_transport.send(request, exchange, loop, _headers(request), tls)
    return _send(request, exchange)


def is_by_proxy(url: str) -> bool:
    """Whether the environment names a proxy for an address."""
    return _proxies.get(url, lambda: _proxy_for(url)) is not None


def _headers(request: HttpRequest) -> list[tuple[bytes, bytes]]:
    headers = [("accept-encoding", "identity"), ("user-agent", "nexscout")]
    if not any(name == "content-type" for name, _ in request.headers):
        headers.append(("content-type", "application/json"))
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in (*headers, *request.headers)]


@contextmanager
def _send(request: HttpRequest, exchange: Exchange) -> Iterator[tuple[int, dict[str, str], Iterable[bytes]]]:
    encoded = _headers(request)
    _current.exchange = exchange
    try:
        with _pool(os.getpid(), _proxy_for(request.url), request.url.startswith("https:")).stream(
            request.method, request.url, headers=encoded, content=request.body, extensions={"trace": exchange.trace}
        ) as response:
            yield (
                response.status,
                {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers},
                response.iter_stream(),
            )
    finally:
        _current.exchange = None


@cache
def _pool(pid: int, proxy: str | None, secure: bool) -> Any:
    """A process's kept connections: a forked child has its own. Certificates are read for the first secure address alone."""
    options: dict[str, Any] = {
        "ssl_context": tls() if secure else None,
        "max_connections": None,
        "max_keepalive_connections": 100,
        "keepalive_expiry": KEEP,
        "network_backend": _Backend(),
    }
    if proxy is None:
        return httpcore.ConnectionPool(**options)
    if proxy.startswith("socks"):
        return httpcore.SOCKSProxy(proxy, **options)
    return httpcore.HTTPProxy(proxy, proxy_ssl_context=tls() if proxy.startswith("https:") else None, **options)


@cache
def tls() -> ssl.SSLContext:
    """The system's certificates, or those of SSL_CERT_FILE alone; certifi's where the system has none."""
    file = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if file:
        return ssl.create_default_context(cafile=file)
    context = ssl.create_default_context()
    folder = ssl.get_default_verify_paths().capath  # certificates in a folder are read when one is needed
    if not context.cert_store_stats()["x509_ca"] and not (folder and any(Path(folder).iterdir())):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY)."""
    if not any(name.lower().endswith("_proxy") and value for name, value in os.environ.items()):
        return None
    from urllib.parse import urlsplit
    from urllib.request import getproxies_environment, proxy_bypass_environment

    address = urlsplit(url)
    proxies = getproxies_environment()
    if proxy_bypass_environment(address.hostname or "", proxies):
        return None
    found = proxies.get(address.scheme) or proxies.get("all")
    return f"http://{found}" if found and "://" not in found else found


class _Stream(httpcore.NetworkStream):
    """A connection whose every read and write ends by the deadline of the exchange that uses it."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _current.exchange.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _current.exchange.left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _current.exchange.left()))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Connects within the deadline, the look-up of the name included."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        exchange: Exchange = _current.exchange
        error: Exception = httpcore.ConnectError(f"no address for {host}")
        for address in _addresses(host, port, exchange):
            try:
                return _Stream(httpcore.SyncBackend().connect_tcp(address, port, exchange.left(), None, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _addresses(host: str, port: int, exchange: Exchange) -> list[str]:
    """The numeric addresses of a host. A look-up cannot be interrupted, so one that may take long has a thread of its own."""
    if host.replace(".", "").isdigit() or ":" in host:
        return [host]
    found: list[str] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(row[4][0]) for row in rows))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=look_up, daemon=True, name="nexscout-look-up")
    thread.start()
    thread.join(exchange.left())
    if failed:
        raise httpcore.ConnectError(f"{host}: {failed[0].strerror or failed[0]}")
    if not found:
        raise httpcore.ConnectTimeout(f"{host}: no answer from the name servers")
    return found
