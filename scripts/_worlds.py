"""Programs over one PostgreSQL, what befalls them, and what must be true of the books afterwards; for ``jepsen``."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "bench"))
from _common import FORK, MODEL, say

USERS = ("ada", "bob", "cleo")
COST = 6_000
"""Nano-dollars of a call by the price of its model, which is what is held for it too."""
ROOM = 40
"""Calls that the cap has room for at a time, spent or held."""
_UNLOCKED = """CREATE OR REPLACE FUNCTION nexscout.change_accounts(items jsonb, refused text) RETURNS void LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE c record; room bigint; was bigint;
BEGIN
  FOR c IN SELECT (i->>0)::bigint AS id, sum((i->>1)::bigint) AS more, sum((i->>2)::bigint) AS less, sum((i->>3)::bigint) AS spent
      FROM jsonb_array_elements(items) AS x(i) GROUP BY 1 ORDER BY 1 LOOP
    SELECT granted - base - held - accounts.spent, held INTO room, was FROM accounts WHERE id = c.id;
    IF c.more > 0 AND room < c.more THEN
      RAISE 'it is not covered' USING ERRCODE = refused;
    END IF;
    PERFORM pg_sleep(0.003);
    UPDATE accounts SET held = was + c.more - c.less, spent = accounts.spent + c.spent WHERE id = c.id;
  END LOOP;
END $$"""


class Proxy:
    """Hands bytes on between programs and the database, until it cuts them off."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder, self._server = folder, str(server / ".s.PGSQL.5432")
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:  # closed
                return
            theirs = socket.socket(socket.AF_UNIX)
            try:
                theirs.connect(self._server)
            except OSError:
                ours.close()
                theirs.close()
            else:
                self._pairs.append((ours, theirs))
                for source, target in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Break every connection there is."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        shutil.rmtree(self.folder, ignore_errors=True)


class _Anyone:
    def available(self, model: object) -> None:
        """Every model could be asked."""


class JumpingClock:
    """This machine's clock, moved by whole days now and then."""

    def __init__(self, chance: random.Random) -> None:
        self._chance, self._days = chance, 0

    def now(self) -> datetime:
        """The time as this program sees it."""
        if self._chance.random() < 0.05:
            self._days = self._chance.choice((-1, 0, 1))
        return datetime.now().astimezone() + timedelta(days=self._days)


def settings(**more: Any) -> Any:
    """Settings under which the cap alone ends anything."""
    from nexscout_cli.config import Settings

    plenty: dict[str, Any] = {
        "surge__capacity": 10**6,
        "store__lock_timeout": 3.0,
        "caps__usd__total_day": ROOM * COST / 1e9,
    }
    for tier in ("free", "elite"):
        plenty |= {f"tiers__{tier}__energy": 10**9, f"tiers__{tier}__daily_tokens": 10**12}
    return Settings().with_values(**plenty, **more)


def open_books(url: str) -> Any:
    """The books at a URL, ada's."""
    from nexscout_cli import assemble

    os.environ["NEXSCOUT_DB"] = url
    return assemble.open_store(settings(), "ada")


def program(url: str, record: Path, seed: int) -> None:
    """One program: threads that make calls until they are stopped."""
    values = settings()
    while True:  # the database may be starting
        try:
            store = open_books(url)
            break
        except Exception:  # noqa: BLE001 - whatever it is, the next try is soon
            time.sleep(0.1)
    chances = [random.Random(f"{seed}/{n}") for n in range(4)]
    threads = [threading.Thread(target=_calls, args=(store, values, record, chance), daemon=True) for chance in chances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _calls(store: Any, values: Any, record: Path, chance: random.Random) -> None:
    clock = JumpingClock(chance)
    while True:
        try:
            _call(store, values, record, chance, clock)
        except Exception as error:  # noqa: BLE001 - the checker judges what is in the books, whatever this is
            if chance.random() < 0.02:
                say(f"    {type(error).__name__}: {str(error)[:90]}")
            time.sleep(0.02)


def _call(store: Any, values: Any, record: Path, chance: random.Random, clock: Any) -> None:
    from nexscout_cli.engine import bookkeeping
    from nexscout_cli.engine.asked import new_id
    from nexscout_cli.engine.planning.planner import Planner
    from nexscout_cli.engine.request import AIRequest, Options
    from nexscout_cli.engine.settlement import Charge, Delivery, Posting
    from nexscout_cli.engine.world import read_snapshot

    user = chance.choice(USERS)
    asked = AIRequest(
        user, "ai_message", "Write to Sarah about week 18", options=Options(force_model=MODEL, max_tokens=64)
    )
    snapshot = read_snapshot(store.ledger, _Anyone(), values, "ada", asked)
    plan = Planner(values, lambda text, model: (len(text) // 4 + 1, True)).plan(asked, snapshot)
    if plan.error is not None:
        time.sleep(0.02)
        return
    name, charge = new_id(clock), Charge(20, 5, COST)
    order = bookkeeping.order(name, plan, plan.predicted_tokens, snapshot, values, fingerprint=name, seconds=60.0)
    joined = chance.random() < 0.5
    attempt = store.ledger.hold("ada", order._replace(hold=COST, estimate=COST, cache_key=None, sent=joined))
    if not joined:
        store.ledger.mark_sent("ada", attempt)
    outcome = chance.choices(("answered", "refused", "lost"), (8, 1, 1))[0]
    with record.open("ab", buffering=0) as file:  # what the provider knows
        file.write(f"{name} {outcome}\n".encode())
    if outcome == "answered":
        lesson = bookkeeping.lesson(plan, charge, 1.0, clock.now(), values)
        delivery = Delivery(min(attempt.hold_energy, 1), lesson, {"success": True}, "Hello.", None)
        store.ledger.post("ada", attempt, Posting(charge, name, delivery))
        return
    if outcome == "refused":
        store.ledger.void("ada", attempt, "refused")
    else:
        store.ledger.mark_unknown("ada", attempt, "lost", None)
    store.ledger.fail("ada", bookkeeping.failure(name, plan, "providers_failed", "none", clock.now(), values))


class World:
    """A seed's database, proxy and programs."""

    cap = ROOM * COST
    """Nano-dollars that all may hold and spend together."""
    pauses, often = (0.05, 0.3), (4, 3, 5, 1)
    """Seconds between two faults; how often programs are killed and stopped, connections cut, the database stopped."""

    def __init__(self, server: Any, folder: Path, seed: int, *, unlocked: bool) -> None:
        import psycopg

        self._server, self._chance, self._seed = server, random.Random(seed), seed
        self._record = folder / f"record-{seed}"
        self._record.touch()
        self._name = f"seed{seed}"
        with closing(psycopg.connect(server.dsn, autocommit=True)) as root:
            root.execute(f"CREATE DATABASE {self._name}".encode())
        self.direct = f"postgresql://postgres@/{self._name}?host={server.folder}"
        store = open_books(self.direct)
        self._furnish(store)
        store.close()
        if unlocked:
            with closing(psycopg.connect(self.direct, autocommit=True)) as root:
                root.execute(_UNLOCKED.encode())
        room = Path(tempfile.mkdtemp(prefix="nx-cut-", dir="/tmp"))
        self._proxy = Proxy(room, server.folder)
        self._url = f"postgresql://postgres@/{self._name}?host={room}"
        self._started = 0
        self._programs = [self._program() for _ in range(self._chance.randint(2, 4))]
        self.seen: list[str] = []

    def _furnish(self, store: Any) -> None:
        for user in USERS[1:]:
            store.users.set_tier("ada", user, "free")

    def _program(self) -> Any:
        self._started += 1
        process = FORK.Process(
            target=program, args=(self._url, self._record, self._seed * 1000 + self._started), daemon=True
        )
        process.start()
        return process

    def run(self, seconds: float) -> Counter[str]:
        """Let chance break things for so long; returns what it did."""
        begun = time.monotonic()
        while self._record.stat().st_size < 500 and time.monotonic() - begun < 120:  # until calls are under way
            time.sleep(0.02)
        done: Counter[str] = Counter()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self._chance.uniform(*self.pauses))
            self._look()
            what = self._chance.choices(("kill", "pause", "cut", "stop"), self.often)[0]
            done[what] += 1
            getattr(self, f"_{what}")()
        for one in self._programs:
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
            one.join()
        self._proxy.close()
        self._wait_for_the_last_step()
        self._look()
        return done

    def _wait_for_the_last_step(self) -> None:
        """Until the server has heard that the programs are gone: what they had sent may be under way after their death, and
        only recovery that begins after it can settle what came of it.
        """
        import psycopg

        end = time.monotonic() + 30
        with closing(psycopg.connect(self.direct, autocommit=True)) as watcher:
            others = """SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
            while (left := watcher.execute(others).fetchone()) and left[0]:
                if time.monotonic() > end:
                    self.seen.append(f"{left[0]} connections of dead programs are still there")
                    return
                time.sleep(0.02)

    def _kill(self) -> None:
        n = self._chance.randrange(len(self._programs))
        os.kill(self._programs[n].pid, signal.SIGKILL)
        self._programs[n].join()
        self._programs[n] = self._program()

    def _pause(self) -> None:
        paused = self._chance.choice(self._programs).pid
        os.kill(paused, signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.05, 0.4))
        os.kill(paused, signal.SIGCONT)

    def _cut(self) -> None:
        self._proxy.cut()

    def _stop(self) -> None:
        self._server.stop(signal.SIGQUIT)
        self._server.start()

    def _look(self) -> None:
        """Whether what is held and spent is within the cap now."""
        import psycopg

        with closing(psycopg.connect(self.direct)) as watcher:
            over = watcher.execute(
                "SELECT owner, kind, held, spent, granted FROM nexscout.accounts WHERE held + spent + base > granted"
            ).fetchall()
            entered = watcher.execute(
                "SELECT coalesce(sum(amount), 0) FROM nexscout.ledger_entries e WHERE account IN (SELECT id FROM "
                "nexscout.accounts WHERE owner = '*') AND (kind = 'post' OR kind = 'hold' AND NOT EXISTS (SELECT 1 FROM "
                "nexscout.ledger_entries o WHERE o.attempt = e.attempt AND o.account = e.account AND o.kind <> 'hold'))"
            ).fetchone()
        self.seen += [f"over its cap: {row}" for row in over]
        if entered is not None and entered[0] > self.cap:
            self.seen.append(f"entries hold and spend {entered[0]:,} of {self.cap:,}")

    def violations(self) -> tuple[list[str], Counter[str]]:
        """What is wrong now that all programs are dead, and how many attempts ended in each state."""
        from nexscout_cli.errors import NexScoutError

        store = open_books(self.direct)
        try:
            store.recovery.recover("ada")
        except NexScoutError as error:  # a constraint of the database may see first what the checker looks for
            self.seen.append(f"the books cannot be recovered: {error}")
        found = [
            *dict.fromkeys(self.seen),
            *(f"db check: {one.name}: {one.message}" for one in store.maintenance.check("ada")),
        ]
        states = self._compare(store, found)
        store.close()
        return found, states

    def remove(self) -> None:
        """Drop the database: a server that was stopped hard looks at every file of all databases before it answers."""
        import psycopg

        with closing(psycopg.connect(self._server.dsn, autocommit=True)) as root:
            root.execute(f"DROP DATABASE {self._name} WITH (FORCE)".encode())

    def _compare(self, store: Any, found: list[str]) -> Counter[str]:
        """Compare the books with what the provider knows; returns the states of attempts."""
        arrived: dict[str, str] = {}
        for line in self._record.read_text().splitlines():
            name, _, outcome = line.partition(" ")
            if name in arrived:
                found.append(f"{name} arrived twice")
            arrived[name] = outcome
        with store.read("ada") as t:
            rows = t.execute("SELECT request_id, state, actual FROM attempts").fetchall()
        kept = {row[0]: (row[1], row[2]) for row in rows}
        if len(kept) != len(rows):
            found.append("a request has two attempts")
        found += [f"{name} arrived and is not in the books" for name in arrived.keys() - kept.keys()]
        allowed = {"answered": ("posted", "unknown"), "refused": ("voided", "unknown"), "lost": ("unknown",)}
        for name, (state, actual) in kept.items():
            if state not in allowed.get(arrived.get(name, ""), ("voided", "unknown")):
                found.append(f"{name} is {state}, the provider says {arrived.get(name, 'nothing')}")
            if state == "posted" and actual != COST:
                found.append(f"{name} is posted at {actual}")
        return Counter(state for state, _ in kept.values())
