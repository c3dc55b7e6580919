"""``nexscout serve``: the endpoint that applications call."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nexscout_cli import config
from nexscout_cli.cli import declared, output
from nexscout_cli.cli.session import Session
from nexscout_cli.config import MOST_WORKERS, Settings
from nexscout_cli.config.limits import within
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import Interrupted, NexScoutError, UsageError

if TYPE_CHECKING:
    from nexscout_cli.server.shared import Chore
    from nexscout_cli.server.workers import Worker

app = declared.App()

_TIDIED, _WATCHED = 300.0, 60.0
"""Seconds between two times that what was left behind is settled, and that alerts are looked at."""
_COLLECTED = (1_000, 4, 250)
"""New objects after which the collector looks at the new ones, how many times until at those of some age, then at all."""
_IDLE_SECONDS = 10
"""Seconds that an idle connection is kept."""


@app.command()
def serve(
    host: Annotated[str | None, declared.Option("--host", help="Address to listen on (default: serve.host).")] = None,
    port: Annotated[
        int | None,
        declared.Option("--port", min=0, max=65_535, help="Port to listen on (default: serve.port); 0: any."),
    ] = None,
    workers: Annotated[
        int | None,
        declared.Option("--workers", min=1, max=MOST_WORKERS, help="Processes that answer (default: serve.workers)."),
    ] = None,
    quiet: Annotated[bool, declared.Option("-q", "--quiet", help="No line for each request.")] = False,
) -> int:
    """Serve applications over HTTP, as OpenAI and Anthropic do: change one base URL.

    \b
    nexscout keys create --user ana
    nexscout serve
    curl http://127.0.0.1:8300/v1/chat/completions -H "Authorization: Bearer $KEY" \\
      -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'

    It answers on /v1/chat/completions, /v1/responses, /v1/messages, /v1/models, /v1/quote and more; docs/serve.md has all.
    """
    try:
        import uvicorn  # noqa: F401

        from nexscout_cli.server import app, slow_clients  # noqa: F401
        from nexscout_cli.server.workers import Ended, begin, listening
    except ImportError as error:
        raise UsageError(f"the server needs the package {error.name}", "pip install 'nexscout[serve]'") from error
    session = Session(quiet=True, makes=True)
    asked = session.asked
    place = host or asked["serve.host"], asked["serve.port"] if port is None else port
    number = workers or asked["serve.workers"]
    if number == 1:
        return _serve(session, place, quiet)
    role = begin(number, listening(*place), asked["providers.stream_timeout"], output.note)
    if not isinstance(role, Ended):
        return _serve(session, place, quiet, role)
    if role.by is not None:
        raise Interrupted("interrupted")
    return role.status


def _serve(session: Session, place: tuple[str, int], quiet: bool, worker: Worker | None = None) -> int:
    """Serve at a host and port: this process alone, or as one of several workers."""
    import uvicorn

    from nexscout_cli.assemble import bad_row
    from nexscout_cli.links import link_secret
    from nexscout_cli.server.app import application
    from nexscout_cli.server.board import board_of_one
    from nexscout_cli.server.slow_clients import bounded_protocol
    from nexscout_cli.server.workers import listening

    settings = session.settings
    engine = session.engine(writes=True)
    session.store.for_many_commits()
    logging.basicConfig(format="%(message)s", level=logging.WARNING if quiet else logging.INFO)
    # No line says where in the code it comes from, or from which thread: to find that out takes longer than to write it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # type: ignore[attr-defined]
    for name in ("httpcore", "uvicorn.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _prepare(config.cache_dir())
    with suppress(NexScoutError):  # what the first request would load is loaded before it comes
        engine.simulate(AIRequest(session.actor, settings["feature"], "Hello"))
    secret = link_secret(config.secrets_dir())
    rates = config.rates_dir()
    board = worker.memory.board(worker.number, rates) if worker else board_of_one(rates)
    chores = [] if board.worker else _chores(session)
    made = uvicorn.Config(
        application(engine, session.store, settings, secret, bad_row, _limits(session), chores, board),
        http=bounded_protocol(),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=settings["providers.stream_timeout"],
        server_header=False,
        proxy_headers=False,
        date_header=False,
    )
    sockets = worker.sockets if worker else listening(*place)
    server = _server(made, worker)
    _collect_briefly()
    server.run(sockets=sockets)
    return 0 if server.started else 6


def _chores(session: Session) -> list[Chore]:
    """What is done beside answering: old work is settled and folded, and alerts are looked at and told of."""
    from nexscout_cli.notify import tell_due
    from nexscout_cli.server.shared import Chore

    alerts, actor = session.store.alerts, session.actor

    def watch() -> None:
        if alerts.listing(actor):
            alerts.check(actor)
            for _ in tell_due(alerts, actor):
                pass

    chores = [Chore(_TIDIED, session.recover, "finished hours could not be folded")]
    if session.store.users.is_admin(actor):
        chores.append(Chore(_WATCHED, watch, "alerts could not be looked at"))
    return chores


def _limits(session: Session) -> Callable[[], Settings]:
    """Reads the settings as the database's limits allow them now; the store goes by them as well."""

    def read() -> Settings:
        rows, is_admin = session.store.limits.read(session.actor)
        settings = within(session.asked, rows, is_admin=is_admin)
        session.store.rules = store_rules(settings)
        return settings

    return read


def _end_with_the_terminal() -> None:
    """A terminal that goes away ends the server as SIGTERM does; where that is ignored (`nohup`) it goes on."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))


def _collect_briefly() -> None:
    """Have the collector of cycles stop the server for as short a time as can be: what was loaded is never looked at again, and
    what comes is looked at in small portions, of which few are old. It took 100 ms once in a while, and 20 ms often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED)


def _prepare(cache_dir: Path) -> None:
    """Have the tokenizer's table made where there is none, by a process that ends: making it takes 80 MB, reading it none."""
    code = (
        "import sys; from pathlib import Path; from nexscout_cli.providers.tokens import TokenCounter; "
        "TokenCounter(Path(sys.argv[1])).count('Hello')"
    )
    if not any(cache_dir.glob("*.tokens")):
        subprocess.run([sys.executable, "-c", code, str(cache_dir)], stderr=subprocess.DEVNULL, check=False)


def _server(config: Any, worker: Worker | None) -> Any:
    """A server that says where it listens, once it does; a worker tells its parent, and ends when that is gone."""
    import uvicorn

    from nexscout_cli.server.workers import address

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if worker is None:
                _end_with_the_terminal()
                for one in sockets:
                    output.note(f"nexscout serves {address(one)} (process {os.getpid()})")
                return
            asyncio.get_running_loop().add_reader(worker.parent, self._alone, worker.parent)
            worker.serves()

        def _alone(self, pipe: int) -> None:
            asyncio.get_running_loop().remove_reader(pipe)
            self.should_exit = True

    return Server(config)
