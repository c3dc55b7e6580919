"""A server as the command line's engine: with NEXSCOUT_SERVER set, commands ask `nexscout serve` instead of a database here.

The key (NEXSCOUT_SERVER_KEY) says who asks.
"""

from __future__ import annotations

import os
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from nexscout_cli.engine.failures import ReaderGone
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.options import OPTIONS, default_of
from nexscout_cli.engine.response import AIResponse, Metadata
from nexscout_cli.errors import NexScoutError, StoreError, UsageError
from nexscout_cli.jsontext import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nexscout_cli.engine.request import AIRequest

SERVER, KEY = "NEXSCOUT_SERVER", "NEXSCOUT_SERVER_KEY"
_SECONDS = 600.0
_EXIT_OF = {401: 8, 402: 3, 403: 8, 404: 2, 409: 9, 413: 2, 422: 3, 429: 3, 502: 5, 503: 6}


def server() -> Remote | None:
    """The server that the environment names; None where it names none. Raises UsageError."""
    url = os.environ.get(SERVER, "").strip()
    return Remote(url, os.environ.get(KEY, "").strip()) if url else None


def refuse(what: str) -> UsageError:
    """What to say of something that a server does not do."""
    return UsageError(f"{what} needs the database itself", f"unset {SERVER}, or run it where the server runs")


class Remote:
    """Answers and quotes as an engine does, by asking a server. Raises StoreError where it cannot be reached."""

    lets_others_go_on = False  # who waits for the server keeps a thread

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{SERVER} is no address: {url:.80}", "for instance http://127.0.0.1:8300")
        if not key:
            raise UsageError(f"{KEY} is not set", "`nexscout keys create` makes a key on the server")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._where, self._path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/").removesuffix("/v1")
        self._key = key

    def run(self, request: AIRequest, on_text: Any = None, confirm: Any = None, *, patient: bool = False) -> AIResponse:
        """The server's answer; how ``patient`` a call is with limits is the server's to say.

        Raises what the command line shows of a server that refuses.
        """
        if confirm is not None:
            raise refuse("--confirm")
        form, shown = _form(request), list[str]()

        def show(piece: str) -> None:
            shown.append(piece)
            on_text(piece)

        try:
            if on_text is None:
                document = self._ask("POST", "/v1/run", form, _headers(request))
            else:
                document = self._ask("POST", "/v1/run", form | {"stream": True}, _headers(request), show)
        except ReaderGone:  # the connection is closed; the server ends the call and bills what came
            return AIResponse(True, "".join(shown), None, Metadata("", flags=("reader_gone",)))
        return AIResponse.from_json(document)._replace(exit_status=int(document.get("exit_status", 0)), replayed=False)

    def share(self, request: AIRequest, first: AIResponse) -> AIResponse:
        """The answer to a request whose twin was answered: the server knows it."""
        return self.run(request)

    def simulate(self, request: AIRequest) -> dict[str, Any]:
        """The server's quote, as ``simulate --json`` gives it, with ``exit_status``."""
        return self._ask("POST", "/v1/quote", _form(request), _headers(request))

    def report(self, **asked: str | None) -> dict[str, Any]:
        """A report, as ``report --json`` gives it."""
        given = {name: value for name, value in asked.items() if value is not None}
        return self._ask("GET", f"/v1/report?{urlencode(given)}")

    def latest(self, limit: int) -> list[dict[str, Any]]:
        """The latest requests."""
        return list(self._ask("GET", f"/v1/requests?limit={limit}")["rows"])

    def request(self, name: str) -> dict[str, Any]:
        """One request with its attempts and entries."""
        return dict(self._ask("GET", f"/v1/requests/{quote(name, safe='')}")["log"])

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        kind = HTTPSConnection if self._secure else HTTPConnection
        connection = kind(self._host, self._port, timeout=_SECONDS)
        said = {"authorization": f"Bearer {self._key}", "content-type": "application/json", **(headers or {})}
        try:
            data = None if body is None else dumps(body).encode()
            connection.request(method, self._path + path, data, said)
            answer = connection.getresponse()
            document = loads(answer.read()) if on_text is None else _streamed(answer, on_text)
        except (OSError, HTTPException, UnicodeError) as error:
            raise StoreError(
                f"the server at {self._where} cannot be reached: {error}",
                "`nexscout serve` starts one; unset NEXSCOUT_SERVER to work without",
                code="no_server",
            ) from error
        except ValueError as error:
            raise StoreError(
                f"what answers at {self._where} is no nexscout server", f"check {SERVER}", code="no_server"
            ) from error
        finally:
            connection.close()
        if not isinstance(document, dict):
            raise StoreError(
                f"what answers at {self._where} is no nexscout server", f"check {SERVER}", code="no_server"
            )
        if answer.status >= 400 and "success" not in document:
            raise _refusal(answer.status, document)
        return document


def _streamed(answer: HTTPResponse, on_text: Callable[[str], None]) -> Any:
    """The document at the end of a stream, whose pieces are handed over as they come. Raises ValueError where there is none."""
    if answer.getheader("content-type", "").partition(";")[0] != "text/event-stream":
        return loads(answer.read())
    for line in answer:
        if line.startswith(b"data: "):
            document = loads(line.removeprefix(b"data: "))
            if "piece" not in document:
                return document
            on_text(document["piece"])
    raise HTTPException("the answer broke off")


def _refusal(status: int, document: dict[str, Any]) -> NexScoutError:
    error = document.get("error")
    said = error.get("nexscout") if isinstance(error, dict) else None
    if not isinstance(said, dict):
        return StoreError(f"the server refused with {status}", "its log may say more", code="no_server")
    failure = NexScoutError(
        str(said.get("message")),
        str(said.get("suggestion") or ""),
        code=str(said.get("code")),
        details=said.get("details"),
    )
    failure.exit_status = 4 if failure.code == "not_enough_energy" else _EXIT_OF.get(status, 2 if status < 500 else 6)
    return failure


def _form(request: AIRequest) -> dict[str, Any]:
    """A request as a line of a batch has it: what is not said is the server's to decide."""
    form: dict[str, Any] = {"prompt": request.prompt, "feature": request.feature}
    for name in ("goal", "tone", "context"):
        if (value := getattr(request, name)) is not None:
            form[name] = value
    if request.attachments:
        form["attachments"] = [one.name for one in request.attachments]
        form["attached"] = {one.name: one.text for one in request.attachments}
    if request.messages:
        form["messages"] = [message.as_json() for message in request.messages]
    if request.images:
        form["images"] = [one.url for one in request.images]
    options = {}
    for name, option in OPTIONS.items():
        value = getattr(request.options, name)
        if value != default_of(option):
            options[name] = usd(value) if option.kind == "dollars" else value
    return form | ({"options": options} if options else {})


def _headers(request: AIRequest) -> dict[str, str]:
    """The run that a batch's rows draw on together."""
    caller = request.caller
    if caller.run is None or caller.run_cost is None:
        return {}
    return {
        "x-nexscout-run": caller.run.replace(" ", "-")[:64],
        "x-nexscout-run-max-cost": f"{usd(caller.run_cost):f}",
    }
