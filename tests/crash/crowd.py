"""Many processes on one database, some of them killed: ``python -m tests.crash.crowd JSON``.

All are forked from one process that has imported everything, wait for each other, and then do their work at once. What
each came to is appended to ``outcomes`` in the home, a JSON line an operation; stdout says how many were killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlite_utils

from nexscout_cli import assemble, config
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.store.sqlite import database, models, schema
from tests.crash.launcher import use_stand_in

Task = dict[str, Any]


class FileClock:
    """A clock whose time is what a file says, in seconds; for many processes at once."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def now(self) -> datetime:
        return datetime.fromtimestamp(float(self.file.read_text()), UTC)

    def set(self, moment: datetime) -> None:
        temporary = self.file.with_suffix(".new")
        temporary.write_text(str(moment.timestamp()))
        temporary.replace(self.file)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        return


def say(**what: Any) -> None:
    """Append an outcome, whole."""
    log = os.open("outcomes", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(log, json.dumps(what).encode() + b"\n")
    os.close(log)


def outcomes() -> list[dict[str, Any]]:
    """What has been said so far; a line that is being written has no end yet."""
    try:
        whole, _, _ = Path("outcomes").read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]
    except FileNotFoundError:
        return []


def call(task: Task, start: Callable[[], None], first: int) -> None:
    """Ask ``calls`` times as ``user``, each under a key of its own or all under ``key``; ``until`` ends it early."""
    clock = FileClock(Path(task["clock"])) if "clock" in task else assemble.SystemClock()
    store = assemble.open_store(actor="ada", clock=clock)
    engine = assemble.build_engine(store, config.load(), "ada", clock=clock)
    start()
    for number in range(first, task["calls"]):
        name = f"{task['name']}-{number}"
        key = task.get("key") or (name if "clock" not in task else None)
        options = Options(force_model="gpt-4o-mini", allow_cache=False, idempotency_key=key)
        response = engine.run(AIRequest(task["user"], "ai_message", task.get("prompt", name), options=options))
        code = response.error["code"] if response.error else None
        metadata = response.metadata and response.metadata.request_id
        say(name=task["name"], call=number, status=response.exit_status, code=code, request=metadata)
        if response.exit_status == task.get("until"):
            return


def opened(task: Task, start: Callable[[], None], first: int) -> None:
    """Open the database, whatever it takes, and say whose it is."""
    start()
    store = assemble.open_store(actor=task["user"])
    with store.db.read() as c:
        owners = [row["user_id"] for row in c.execute("SELECT user_id FROM users WHERE role = 'admin'")]
        version = c.execute("PRAGMA user_version").fetchone()[0]
    say(owners=owners, version=version)


def write(task: Task, start: Callable[[], None], first: int) -> None:
    """Write ``calls`` rows as fast as the queue allows."""
    db = database.Database(Path("queue.db"))
    db.open(lambda c: None)
    start()
    for number in range(task["calls"]):
        with db.write() as c:
            c.execute("INSERT INTO t VALUES (?, ?)", (task["name"], number))


WORK = {"call": call, "open": opened, "write": write}


def with_another_migration() -> None:
    """Become a program with one migration more than this one."""
    migrations = sqlite_utils.Migrations("nexscout")
    for known in schema.MIGRATIONS._migrations:
        migrations()(known.fn)
    version = database.SCHEMA_VERSION + 1

    @migrations()
    def more(db: sqlite_utils.Database) -> None:
        db.conn.execute("ALTER TABLE users ADD COLUMN nickname TEXT")
        die_if_told()
        db.conn.execute(f"PRAGMA user_version = {version}")

    schema.MIGRATIONS = migrations
    database.SCHEMA_VERSION = version


def die_if_told() -> None:
    """The first to come here dies, where the test has asked for that."""
    try:
        Path("die").unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class Crowd:
    """The processes, by their tasks; a process that was killed is started again where it was."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = tasks
        self.living: dict[int, int] = {}

    def fork(self, index: int, first: int = 0, *, wait: bool = False) -> None:
        """Start the process of a task, at its ``first`` operation."""
        pid = os.fork()
        if pid:
            self.living[pid] = index
            return
        status = 1
        try:
            task = self.tasks[index]
            WORK[task["do"]](task, (lambda: self._together(index)) if wait else (lambda: None), first)
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _together(self, index: int) -> None:
        Path(f"ready-{index}").touch()
        while not Path("go").exists():
            time.sleep(0.001)

    def run(self, kills: int, seed: int) -> dict[str, int]:
        """Start all at once, kill some, wait for all; how many were killed and how many failed."""
        for index in range(len(self.tasks)):
            self.fork(index, wait=True)
        while sum(1 for _ in Path().glob("ready-*")) < len(self.tasks):
            time.sleep(0.002)
        Path("go").touch()
        chance = random.Random(seed)
        total = sum(task.get("calls", 1) for task in self.tasks)
        when = sorted(chance.sample(range(total * 4 // 5), kills))
        killed = failed = 0
        while self.living:
            if when and len(outcomes()) >= when[0]:
                time.sleep(chance.random() * 0.03)
                victim = chance.choice(sorted(self.living))
                os.kill(victim, signal.SIGKILL)
                pid, status = os.waitpid(victim, 0)
                if os.WIFSIGNALED(status):  # else it had ended by itself, and another one is to die
                    when.pop(0)
            else:
                pid, status = os.waitpid(-1, os.WNOHANG if when else 0)
            if not pid:
                time.sleep(0.001)
                continue
            index = self.living.pop(pid)
            if os.WIFSIGNALED(status):
                killed += 1
                name = self.tasks[index].get("name")
                self.fork(index, sum(outcome.get("name") == name for outcome in outcomes()))
            elif os.WEXITSTATUS(status):
                failed += 1
        return {"killed": killed, "failed": failed}


def main() -> None:
    """Do as the JSON says: ``tasks``, ``kills``, ``seed``, ``newer``."""
    asked = json.loads(sys.argv[1])
    use_stand_in()
    if asked.get("newer"):
        with_another_migration()
    add_missing = models.add_missing

    def seeded(*what: Any) -> list[str]:
        names = add_missing(*what)
        die_if_told()
        return names

    models.add_missing = seeded
    for left in (*Path().glob("ready-*"), Path("go"), Path("outcomes")):
        left.unlink(missing_ok=True)
    print(json.dumps(Crowd(asked["tasks"]).run(asked.get("kills", 0), asked.get("seed", 0))))


if __name__ == "__main__":
    main()
