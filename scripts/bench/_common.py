"""What the benchmarks of money and speed share: a provider on loopback, child processes, percentiles, tables."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.store.sqlite.store import SqliteStore

ROOT = Path(__file__).resolve().parent.parent.parent
FORK = multiprocessing.get_context("fork")
MODEL = "gpt-4o-mini"
PLENTY = {"tiers__elite__energy": 10**9, "tiers__elite__daily_tokens": 10**12, "surge__capacity": 10**6}
"""Settings under which no balance ends a measurement."""


class Seen(NamedTuple):
    """A request that reached the provider, with what it would bill."""

    prompt: str
    input_tokens: int
    output_tokens: int


def use_checkout(script: str, *, peers: bool = False) -> None:
    """Go on with the checkout's own Python where there is one; make the checkout's packages importable.

    With ``peers`` that Python is set up first, with what the benchmark compares with; where it cannot be (no network),
    a line on stderr says so and the peers that are missing are left out.
    """
    venv = ROOT / ".venv"
    python = venv / "bin" / "python"
    if Path(sys.prefix).resolve() != venv.resolve():
        if peers:
            setup = [sys.executable, str(ROOT / "scripts" / "_setup.py"), "bench", "--no-model"]
            subprocess.run(setup, stdout=sys.stderr, check=False)
        if python.is_file():
            os.execv(python, [str(python), script, *sys.argv[1:]])
    sys.path.insert(0, str(ROOT))


def settle_in(folder: Path) -> None:
    """Keep the caller's settings and keys out, and every file in ``folder``."""
    for name in list(os.environ):
        if name.startswith(("NEXSCOUT_", "LITELLM_", "OPENAI_", "XDG_")) or name.endswith("_API_KEY"):
            del os.environ[name]
    os.environ |= {"NEXSCOUT_HOME": str(folder), "NEXSCOUT_ACTOR": "ada", "OPENAI_API_KEY": "none"}
    os.chdir(folder)  # where LiteLLM's BudgetManager keeps its books


def load_litellm() -> Any:
    """LiteLLM, imported as the product imports it."""
    from nexscout_cli.engine.routing.emotion import emotional_complexity
    from nexscout_cli.providers.litellm import provider

    litellm = provider._load()
    # What is loaded at first use is loaded here, once for all processes that are forked later.
    litellm.token_counter(model=MODEL, text="Hello.")
    emotional_complexity("Hello.")
    return litellm


class Server:
    """A stock provider on loopback in a process of its own."""

    def __init__(self, **how: Any) -> None:
        self._pipe, theirs = FORK.Pipe()
        self._process = FORK.Process(target=_serve, args=(theirs, how), daemon=True)
        self._process.start()
        self.url: str = self._pipe.recv()

    def seen(self) -> list[Seen]:
        """What has arrived since the last time this was asked."""
        self._pipe.send("seen")
        return self._pipe.recv()  # type: ignore[no-any-return]

    def change(self, **how: Any) -> None:
        """Change how it answers from now on."""
        self._pipe.send(how)
        self._pipe.recv()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()


def _serve(pipe: Any, how: dict[str, Any]) -> None:
    from http.server import BaseHTTPRequestHandler

    from tests.support.openai_server import OpenAIServer, count_usage

    BaseHTTPRequestHandler.disable_nagle_algorithm = True  # else each answer waits 40 ms for a delayed acknowledgement
    with OpenAIServer(**how) as server:
        pipe.send(server.url)
        taken = 0
        while True:
            asked = pipe.recv()
            if isinstance(asked, dict):
                for name, value in asked.items():
                    setattr(server, name, value)
                pipe.send(None)
                continue
            bodies = [request.body for request in server.requests[taken : server.hits]]
            taken += len(bodies)
            usages = [count_usage(body, server.answer(body)[0]) for body in bodies]
            pipe.send(
                [
                    Seen(body["messages"][-1]["content"], usage["prompt_tokens"], usage["completion_tokens"])
                    for body, usage in zip(bodies, usages, strict=True)
                ]
            )


def in_child(function: Callable[..., Any], *args: Any) -> Any:
    """What ``function`` returns in a process of its own, forked here."""
    return together(function, [args])[0]


def together(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What ``function`` returns in processes that run at once, one for each tuple of arguments."""
    ours: list[tuple[Any, Any]] = []
    for values in arguments:
        pipe, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_report, args=(theirs, function, values))
        process.start()
        theirs.close()
        ours.append((pipe, process))
    results = [pipe.recv() for pipe, _ in ours]
    for _, process in ours:
        process.join()
    return results


def _report(pipe: Any, function: Callable[..., Any], values: tuple[Any, ...]) -> None:
    pipe.send(function(*values))


def open_store(path: Path, **settings: Any) -> SqliteStore:
    """The database at ``path``, ada's."""
    from nexscout_cli import assemble
    from nexscout_cli.config import Settings

    return assemble.open_store(Settings().with_values(**settings), "ada", path)


@contextmanager
def open_engine(path: Path, url: str, **settings: Any) -> Iterator[Engine]:
    """An engine at ``path`` whose model answers from ``url``."""
    from nexscout_cli.assemble import build_engine
    from nexscout_cli.config import Settings

    store = open_store(path, **settings)
    store.for_many_commits()  # as a program's engine does
    with store.db.read() as c:
        pointed = c.execute("SELECT api_base FROM ai_model_configs WHERE model = ?", (MODEL,)).fetchone()[0] == url
    if not pointed:
        with store.db.write() as c:
            c.execute("UPDATE ai_model_configs SET api_base = ? WHERE model = ?", (url, MODEL))
    try:
        yield build_engine(store, Settings().with_values(**settings), "ada")
    finally:
        store.close()


def store_of(engine: Engine) -> SqliteStore:
    """The store under an engine that :func:`open_engine` made."""
    return engine.ledger._store  # type: ignore[attr-defined,no-any-return]


def request(prompt: str, **options: Any) -> AIRequest:
    """A request of ada's for one model, so that nothing but budgets decides."""
    from nexscout_cli.engine.request import AIRequest, Options

    return AIRequest("ada", "ai_message", prompt, options=Options(force_model=MODEL, **options))


def pay(engine: Engine, plan: Any) -> list[float]:
    """A paid call's three transactions with nothing between them: hold, mark_sent, post. The seconds each took."""
    from nexscout_cli.engine import bookkeeping
    from nexscout_cli.engine.asked import new_id
    from nexscout_cli.engine.settlement import Charge, Delivery, Posting

    ledger, name, now = engine.ledger, new_id(engine.clock), engine.clock.now()
    charge = Charge(20, 5, plan.model.cost(20, 5))
    lesson = bookkeeping.lesson(plan, charge, 1.0, now, engine.settings)
    delivery = Delivery(plan.energy_of(charge.cost), lesson, {"success": True}, "Hello there.", f"{name:0>64}")
    order = _order(engine, plan, name)
    begun = time.perf_counter()
    attempt = ledger.hold("ada", order)
    held = time.perf_counter()
    ledger.mark_sent("ada", attempt)
    sent = time.perf_counter()
    ledger.post("ada", attempt, Posting(charge, name, delivery))
    return [held - begun, sent - held, time.perf_counter() - sent]


def _order(engine: Engine, plan: Any, name: str) -> Any:
    from nexscout_cli.engine import bookkeeping
    from nexscout_cli.engine.budgets import budgets
    from nexscout_cli.engine.catalog.seed import seeded

    baseline = next(model for model in seeded() if model.name == "gpt-4o")
    return bookkeeping.Order(
        prediction=bookkeeping.prediction(name, plan),
        settlement=bookkeeping.settlement(plan, plan.predicted_tokens, baseline, engine.settings["routing.floor"]),
        fingerprint=name,
        idempotency_key=None,
        version=plan.version,
        seconds=60.0,
        estimate=plan.own_cost,
        hold=plan.own_max_cost,
        hold_tokens=plan.max_total_tokens,
        energy=plan.max_energy,
        budgets=budgets(engine.settings, "elite"),
    )


def durability(connection: sqlite3.Connection) -> dict[str, str]:
    """How durable a commit on that connection is, in SQLite's words."""
    levels = ("OFF", "NORMAL", "FULL", "EXTRA")
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = levels[connection.execute("PRAGMA synchronous").fetchone()[0]]
    return {"journal": journal.upper(), "synchronous": synchronous, "sqlite": sqlite3.sqlite_version}


class BareLoop:
    """``BEGIN IMMEDIATE; INSERT; COMMIT`` and nothing else: what the disk allows, as durable as a given connection."""

    def __init__(self, path: Path, like: sqlite3.Connection) -> None:
        how = durability(like)
        self._connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._connection.execute(f"PRAGMA journal_mode = {how['journal']}")
        self._connection.execute(f"PRAGMA synchronous = {how['synchronous']}")
        self._connection.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, amount INTEGER, note TEXT)")

    def insert(self) -> None:
        """One durable insert."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO t (amount, note) VALUES (?, ?)", (1, "a row of the bare loop"))
        self._connection.execute("COMMIT")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median_ms(values: Sequence[float]) -> float:
    """The median of seconds, in milliseconds."""
    return statistics.median(values) * 1000


def p99_ms(values: Sequence[float]) -> float:
    """The 99th percentile of seconds, in milliseconds."""
    return percentile(values, 0.99) * 1000


def say(text: str) -> None:
    """Tell how far it is, on stderr."""
    print(text, file=sys.stderr, flush=True)


def complexity_router() -> Callable[[str], float] | None:
    """LiteLLM's complexity router as it comes: the tier, then the score within it."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    try:
        from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter
    except ImportError:
        say("this LiteLLM has no complexity router: left out")
        return None
    router = ComplexityRouter("auto", None, derive_savings_baseline=False)
    order = ["NON_REASONING", "SIMPLE", "MEDIUM", "COMPLEX", "REASONING"]

    def score(prompt: str) -> float:
        tier, weighed, _ = router.classify(prompt)
        return 10 * order.index(tier.value) + weighed

    return score


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows under their heads; the first column is text, the others are figures."""
    cells = [list(heads), *([_shown(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    lines = []
    for row in cells:
        first, *rest = [
            cell.ljust(w) if not at else cell.rjust(w) for at, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join((first, *rest)).rstrip())
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


class Judged(NamedTuple):
    """A figure with its limit: at most ``limit``, or at least, where ``floor``."""

    what: str
    figure: float
    limit: float
    aim: float | None = None
    floor: bool = False

    @property
    def ok(self) -> bool:
        """Whether it is within its limit."""
        return self.figure >= self.limit if self.floor else self.figure <= self.limit

    def row(self) -> tuple[Any, ...]:
        """As a row of the table of verdicts."""
        bound = f"{'≥' if self.floor else '≤'} {self.limit:g}"
        return (
            self.what,
            self.figure,
            bound,
            "-" if self.aim is None else f"{self.aim:g}",
            "ok" if self.ok else "MISSED",
        )


VERDICTS = ("judged", "figure", "limit", "aim", "verdict")
