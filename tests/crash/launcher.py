"""The command line in a process that dies at a chosen point, by SIGKILL: ``python -m tests.crash.launcher run …``.

The product knows nothing of it: the functions that bound each step are wrapped before the command starts.
``CRASH_POINT`` names the point and ``CRASH_NTH`` which time it is reached; with ``CRASH_SERVER`` the provider is a
stand-in that makes a real HTTP request there, without the seconds that importing LiteLLM takes.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from nexscout_cli.cli import run as run_command
from nexscout_cli.cli.app import main
from nexscout_cli.engine.call import Call, Completion, OnText, Usage
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.providers import Providers
from nexscout_cli.store.postgres.connections import Connections
from nexscout_cli.store.postgres.groups import Groups
from nexscout_cli.store.postgres.ledger import PostgresLedger
from nexscout_cli.store.postgres.recovery import PostgresRecovery
from nexscout_cli.store.postgres.transactions import PostgresTransactions
from nexscout_cli.store.sqlite import changes, database, loop_writer
from nexscout_cli.store.sqlite.jobs import SqliteJobs
from nexscout_cli.store.sqlite.ledger import SqliteLedger
from nexscout_cli.store.sqlite.recovery import SqliteRecovery

BEFORE, INSIDE, AFTER = "before", "inside", "after"
JOB_STEPS = (
    *("begin", "hold", "reopen", "add_part", "take", "submit", "move", "let_go"),
    *("post", "give_back", "lose", "end", "cancel", "close"),
)


class Wire:
    """The moment at which a request has left and no answer has come."""

    @staticmethod
    def asked() -> None:
        """The request has been sent."""


POINTS: dict[str, tuple[Any, str, str]] = {
    "after the snapshot": (SqliteLedger, "world", AFTER),
    "after the idempotency check": (SqliteLedger, "recall", AFTER),
    "after the cache lookup": (SqliteLedger, "cached", AFTER),
    "after the plan": (Planner, "plan", AFTER),
    "inside T1": (SqliteLedger, "hold", INSIDE),
    "after T1": (SqliteLedger, "hold", AFTER),
    "inside T2": (SqliteLedger, "mark_sent", INSIDE),
    "after T2": (SqliteLedger, "mark_sent", AFTER),
    "before the request leaves": (Providers, "complete", BEFORE),
    "while the provider is answering": (Wire, "asked", AFTER),
    "while the answer streams": (run_command.Screen, "show", AFTER),
    "after the answer": (Providers, "complete", AFTER),
    "inside T3": (SqliteLedger, "post", INSIDE),
    "after T3": (SqliteLedger, "post", AFTER),
    "inside a late delivery": (SqliteLedger, "deliver", INSIDE),
    "after a late delivery": (SqliteLedger, "deliver", AFTER),
    "inside the hit's write": (SqliteLedger, "record_hit", INSIDE),
    "after the hit's write": (SqliteLedger, "record_hit", AFTER),
    "inside a void": (SqliteLedger, "void", INSIDE),
    "after a void": (SqliteLedger, "void", AFTER),
    "inside an unknown": (SqliteLedger, "mark_unknown", INSIDE),
    "after an unknown": (SqliteLedger, "mark_unknown", AFTER),
    "inside a failure": (SqliteLedger, "fail", INSIDE),
    "after a failure": (SqliteLedger, "fail", AFTER),
    "inside a refusal": (SqliteLedger, "record_refusal", INSIDE),
    "inside the recovery": (SqliteRecovery, "recover", INSIDE),
    "inside a decision": (SqliteRecovery, "resolve", INSIDE),
    **{f"inside a job's {step}": (SqliteJobs, step, INSIDE) for step in JOB_STEPS},
}
"""Inside a transaction is at its very end, when all is written and nothing committed."""

_watched: ContextVar[bool] = ContextVar("watched", default=False)
_inside: ContextVar[bool] = ContextVar("inside", default=False)
_stepping: ContextVar[bool] = ContextVar("stepping", default=False)
"""Of a thread, or of one of its coroutines."""


def spill(connection: sqlite3.Connection) -> None:
    """Have pages reach the file before the commit, as with no cache to speak of: what is left is a hot journal."""
    connection.execute("PRAGMA cache_size = 1")


def arm(point: str, nth: int) -> None:
    """Make this process die when the point is reached for the nth time."""
    owner, name, when = POINTS[point]
    left, lock = [nth], threading.Lock()

    def reached() -> None:
        with lock:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            if _watched.get():  # a step of one store that is made by the code of both
                return real(*args, **named)
            if when == BEFORE:
                reached()
            watched, inside = _watched.set(True), _inside.set(when == INSIDE)
            try:
                result = real(*args, **named)
            finally:
                _watched.reset(watched)
                _inside.reset(inside)
            if when == AFTER:
                reached()
            return result

        return wrapped

    wrapped = watched(getattr(owner, name))
    setattr(owner, name, staticmethod(wrapped) if owner is Wire else wrapped)
    for over in (PostgresLedger, PostgresRecovery):
        if owner in over.__bases__ and name in vars(over):
            setattr(over, name, watched(vars(over)[name]))

    class Dying(changes.Commit):
        inside = False

        def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
            if error is None and (self.inside or _inside.get()):
                reached()
            super().__exit__(kind, error, trace)

        def __enter__(self) -> sqlite3.Connection:
            connection = super().__enter__()
            if _inside.get():
                spill(connection)
            return connection

    class Marked(changes.Change[Any]):
        """Knows whether it is what is watched, whoever makes it, with whichever others."""

        def __init__(self, make: Callable[[sqlite3.Connection], Any]) -> None:
            super().__init__(make)
            self.inside = _inside.get()

        def make(self, work: changes.Commit, c: sqlite3.Connection, *, alone: bool) -> None:
            if self.inside and isinstance(work, Dying):
                work.inside = True
                spill(c)
            super().make(work, c, alone=alone)

    for module in (database, loop_writer):
        module.Commit, module.Change = Dying, Marked  # type: ignore[attr-defined]
    commit = PostgresTransactions._commit

    def dying(store: PostgresTransactions, connection: Any) -> None:
        if _inside.get():
            reached()
        commit(store, connection)

    PostgresTransactions._commit = dying  # type: ignore[method-assign]
    arm_functions(reached)


def arm_functions(reached: Callable[[], None]) -> None:
    """A step that is one function of the database is made in a transaction that this process can die in."""
    call, ask, one = Groups._call, PostgresTransactions.ask, Connections.one

    def stepping(groups: Groups, ask: Callable[[Any], Any], begin: str = "") -> Any:
        stepping = _stepping.set(_inside.get() and not begin)  # a step that begins a transaction ends it as well
        try:
            return call(groups, ask, begin)
        finally:
            _stepping.reset(stepping)

    def asking(store: PostgresTransactions, function: str, value: dict[str, Any]) -> Any:
        stepping = _stepping.set(_inside.get())
        try:
            return ask(store, function, value)
        finally:
            _stepping.reset(stepping)

    @contextmanager
    def opened(connections: Connections, begin: str = "") -> Iterator[Any]:
        with one(connections, begin) as connection:
            if not _stepping.get():
                yield connection
                return
            with connection.transaction():
                yield connection
                reached()

    Groups._call = stepping  # type: ignore[method-assign]
    PostgresTransactions.ask = asking  # type: ignore[method-assign]
    Connections.one = opened  # type: ignore[method-assign]


def stand_in(providers: Providers, call: Call, on_text: OnText | None) -> Completion:
    """A provider over plain HTTP at ``CRASH_SERVER``: 504 is an unknown outcome, any other error a refusal to be retried."""
    url = urlsplit(os.environ["CRASH_SERVER"])
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    body = {
        "model": call.model.name,
        "messages": [message._asdict() for message in call.messages],
        "max_tokens": call.max_tokens,
    }
    connection.request("POST", f"{url.path}/chat/completions", json.dumps(body))
    Wire.asked()
    response = connection.getresponse()
    content = json.loads(response.read())
    connection.close()
    if response.status != 200:
        raise ProviderFailure("unknown" if response.status == 504 else "server", "it failed", status=response.status)
    choice, usage = content["choices"][0], content["usage"]
    text = choice["message"]["content"]
    if on_text is not None:
        for start in range(0, len(text), 4):
            on_text(text[start : start + 4])
    return Completion(
        text,
        choice["finish_reason"],
        Usage(usage["prompt_tokens"], usage["completion_tokens"]),
        content["id"],
        call.model.name,
    )


def use_stand_in() -> None:
    """Answer every call by the stand-in."""
    setattr(Providers, "complete", stand_in)  # noqa: B010 - a method, to mypy


if __name__ == "__main__":
    if "CRASH_SERVER" in os.environ:
        use_stand_in()
    # Run as a script this module is not the one that others import: the points are of this one.
    if point := os.environ.get("CRASH_POINT"):
        arm(point, int(os.environ.get("CRASH_NTH", "1")))
    sys.exit(main(sys.argv[1:]))
