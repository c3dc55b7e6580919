"""Jobs that providers do in their own time: their rows, the parts they were handed over in, and what came back."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.jobs.values import Job, NewRow, Part, Row
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite import accounts, holds, postings
from nexscout_cli.store.sqlite.job_rows import (
    NAMES,
    SEEN,
    attempt_of,
    end_row,
    found,
    job_of,
    part_of,
    row_of,
    rows_of_part,
    wait_again,
    written,
)
from nexscout_cli.store.sqlite.states import elsewhere, set_state
from nexscout_cli.store.sqlite.transaction import Transaction, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.settlement import Attempt, Failure, Order, Posting
    from nexscout_cli.store.sqlite.work import Work

_MOVED = ("state", "file_id", "remote_id", "remote_state", "misses", "note", "begun_at", "ended_at")


class SqliteJobs:
    """Jobs. Whoever made one, and admins, may see it and go on with it."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def begin(self, actor: str, job: Job, rows: Sequence[NewRow]) -> None:
        """Enter a job with its rows."""
        with self._store.write(actor) as t:
            t.require_user(actor)
            t.execute(
                "INSERT INTO jobs (id, actor, name, digest, out, state, created_at) VALUES (?, ?, ?, ?, ?, 'open', ?)",
                (job.id, actor, job.name, job.digest, job.out, t.stamp),
            )
            t.executemany(
                "INSERT INTO job_rows (job, n, row_id, digest, user_id, state, same_as, request, answer) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(job.id, row.n, row.row_id, row.digest, row.user_id),
                        "waiting" if row.answer is None else "ended",
                        *(row.same_as, written(row.request), written(row.answer)),
                    )
                    for row in rows
                ],
            )

    def find(self, actor: str, name: str) -> Job:
        """The job whose id begins so. Raises UsageError where there is none, or more than one."""
        with self._store.read(actor) as t:
            return job_of(t, found(t, name))

    def listing(self, actor: str, limit: int, *, only_open: bool = False) -> list[Job]:
        """The jobs that the actor may see, the newest first."""
        which = "AND j.state <> 'ended'" if only_open else ""
        with self._store.read(actor) as t:
            rows = t.execute(
                f"SELECT * FROM jobs j WHERE {SEEN} {which} ORDER BY created_at DESC, id DESC LIMIT :limit",
                {"actor": actor, "limit": limit},
            ).fetchall()
            return [job_of(t, row) for row in rows]

    def latest(self, actor: str, digest: str, out: str | None) -> Job | None:
        """The actor's newest job of a file with that content whose answers go to ``out``."""
        with self._store.read(actor) as t:
            row = t.execute(
                "SELECT * FROM jobs WHERE actor = ? AND digest = ? AND coalesce(out, '') = ? "
                "ORDER BY created_at DESC, id DESC LIMIT 1",
                (actor, digest, out or ""),
            ).fetchone()
            return None if row is None else job_of(t, row)

    def reopen(self, actor: str, job: str) -> None:
        """Let rows wait again whose holds were given back because their process died."""
        lost = """SELECT r.n FROM job_rows r JOIN attempts a ON a.request_id = r.request_id AND a.n = 1
            WHERE r.job = ? AND r.state = 'held' AND a.state = 'voided'"""
        with self._store.read(actor) as t:
            found(t, job)
            if not t.execute(f"{lost} LIMIT 1", (job,)).fetchone():
                return
        with self._store.write(actor) as t:
            for (n,) in t.execute(lost, (job,)).fetchall():
                wait_again(t, job, n)

    def rows(self, actor: str, job: str, *states: str) -> list[Row]:
        """The rows in those states (none: all), in order, without what they ask and answer."""
        which = f"AND r.state IN ({', '.join('?' * len(states))})" if states else ""
        with self._store.read(actor) as t:
            found(t, job)
            rows = t.execute(
                "SELECT job, r.n AS n, row_id, digest, user_id, r.state, same_as, r.request_id, part, a.state AS attempt_state "
                f"FROM job_rows r LEFT JOIN attempts a ON a.request_id = r.request_id AND a.n = 1 "
                f"WHERE r.job = ? {which} ORDER BY r.n",
                (job, *states),
            )
            return [Row(**{name: one[name] for name in NAMES}) for one in rows]

    def row(self, actor: str, job: str, n: int) -> Row:
        """One row with all that is kept of it."""
        with self._store.read(actor) as t:
            found(t, job)
            return row_of(t, job, n)

    def hold(self, actor: str, order: Order, row: Row, kept: dict[str, Any], body: dict[str, Any]) -> Attempt | None:
        """T1 of a row that waits; None where another process was faster."""

        def make(t: Transaction) -> Attempt | None:
            taken = t.execute(
                "UPDATE job_rows SET state = 'held', request_id = ?, kept = ?, body = ?, part = NULL "
                "WHERE job = ? AND n = ? AND state = 'waiting'",
                (order.prediction.request_id, written(kept), json.dumps(body), row.job, row.n),
            )
            return holds.hold(t, order) if taken.rowcount else None

        return self._store.together(
            actor,
            make,
            order.prediction.user_id,
            lambda made: ("SELECT 1 FROM attempts WHERE request_id = ?", (order.prediction.request_id,)),
        )

    def end(self, actor: str, row: Row, answer: dict[str, Any]) -> None:
        """Give a row its answer for which nothing is held, or its error; nothing where it has one."""
        with self._store.write(actor) as t:
            found(t, row.job)
            end_row(t, row, answer)

    def sizes(self, actor: str, job: str) -> list[tuple[int, dict[str, Any], int]]:
        """Of each row that is held and in no part: its place, its model, and the bytes of its body."""
        with self._store.read(actor) as t:
            found(t, job)
            rows = t.execute(
                f"SELECT n, kept, {t.sql.bytes_of.format('body')} AS size FROM job_rows "
                "WHERE job = ? AND state = 'held' AND part IS NULL AND body IS NOT NULL ORDER BY n",
                (job,),
            )
            return [(row["n"], json.loads(row["kept"])["model"], row["size"]) for row in rows]

    def add_part(self, actor: str, job: str, provider: str, model: dict[str, Any], places: Sequence[int]) -> None:
        """Put rows into a new part; those that another process has put into one stay there."""
        with self._store.write(actor) as t:
            found(t, job)
            count = t.execute("SELECT count(*) FROM job_parts WHERE job = ?", (job,)).fetchone()[0]
            name = f"{job}-{count + 1}"
            t.execute(
                "INSERT INTO job_parts (id, job, provider, model, state, created_at) VALUES (?, ?, ?, ?, 'new', ?)",
                (name, job, provider, written(model), t.stamp),
            )
            for n in places:
                t.execute(
                    "UPDATE job_rows SET part = ? WHERE job = ? AND n = ? AND state = 'held' AND part IS NULL",
                    (name, job, n),
                )
            if not t.execute("SELECT 1 FROM job_rows WHERE part = ?", (name,)).fetchone():
                t.execute("DELETE FROM job_parts WHERE id = ?", (name,))

    def parts(self, actor: str, job: str) -> list[Part]:
        """The parts, in order."""
        with self._store.read(actor) as t:
            found(t, job)
            return [part_of(t, row) for row in t.execute("SELECT * FROM job_parts WHERE job = ?", (job,)).fetchall()]

    def take(self, actor: str, part: str, seconds: float) -> Part | None:
        """Keep other processes from a part for so long; None while one has it, or where it has ended."""
        with self._store.write(actor) as t:
            row = t.execute("SELECT * FROM job_parts WHERE id = ?", (part,)).fetchone()
            if row is None or row["state"] == "ended":
                return None
            found(t, row["job"])
            mine = row["owner"] in (None, owner.me())
            if not mine and row["until"] > t.stamp and owner.alive(row["owner"]):
                return None
            until = stamp(t.now + timedelta(seconds=seconds))
            t.execute("UPDATE job_parts SET owner = ?, until = ? WHERE id = ?", (owner.me(), until, part))
            return part_of(t, row)

    def let_go(self, actor: str, part: str) -> None:
        """Let others have it."""
        with self._store.write(actor) as t:
            t.execute("UPDATE job_parts SET owner = NULL, until = NULL WHERE id = ? AND owner = ?", (part, owner.me()))

    def submit(self, actor: str, part: Part, state: str) -> int:
        """The rows of a part that hold something are the job's from here on; returns how many those are."""
        with self._store.write(actor) as t:
            if t.execute("SELECT state FROM job_parts WHERE id = ?", (part.id,)).fetchone()[0] != "new":
                raise elsewhere(f"part {part.id}")
            count = 0
            for row in rows_of_part(t, part.id, "held"):
                if row["attempt_state"] != "held":
                    wait_again(t, part.job, row["n"])
                    continue
                set_state(t, row["attempt"], "submitted", reason="answered in a batch")
                t.execute("UPDATE job_rows SET state = 'sent' WHERE job = ? AND n = ?", (part.job, row["n"]))
                count += 1
            ended = t.stamp if not count else None
            t.execute(
                "UPDATE job_parts SET state = ?, ended_at = ? WHERE id = ?",
                ("ended" if ended else state, ended, part.id),
            )
            return count

    def move(self, actor: str, part: str, *, begun: bool = False, **changes: Any) -> None:
        """Write down how far a part is: state, file_id, remote_id, remote_state, misses, note; ``begun``: now."""
        with self._store.write(actor) as t:
            if begun:
                changes["begun_at"] = t.stamp
            if changes.get("state") == "ended":
                changes["ended_at"] = t.stamp
            known = [name for name in changes if name in _MOVED]
            t.execute(
                f"UPDATE job_parts SET {', '.join(f'{name} = ?' for name in known)} WHERE id = ?",
                (*(changes[name] for name in known), part),
            )
            if changes.get("state") == "sent":  # the provider has them now
                t.execute("UPDATE job_rows SET body = NULL WHERE part = ?", (part,))

    def bodies(self, actor: str, part: str) -> list[tuple[str, str]]:
        """The names (request ids) and bodies of a part's rows, in order."""
        with self._store.read(actor) as t:
            rows = t.execute(
                "SELECT request_id, body FROM job_rows WHERE part = ? AND state = 'sent' AND body IS NOT NULL ORDER BY n",
                (part,),
            )
            return [(row["request_id"], row["body"]) for row in rows]

    def remote_ids(self, actor: str, provider: str) -> frozenset[str]:
        """The batches of a provider's that parts of any job have."""
        with self._store.read(actor) as t:
            rows = t.execute(
                "SELECT remote_id FROM job_parts WHERE provider = ? AND remote_id IS NOT NULL", (provider,)
            )
            return frozenset(row[0] for row in rows)

    def post(self, actor: str, row: Row, posting: Posting, answer: dict[str, Any] | None) -> None:
        """T3, and the row's answer. Without an answer: the row's cost alone."""
        attempt = attempt_of(row)

        def make(t: Transaction) -> None:
            postings.post(t, attempt, posting)
            if answer is not None:
                end_row(t, row, answer)

        proof = ("SELECT 1 FROM attempts WHERE id = ? AND state = 'posted'", (attempt.id,))
        self._store.together(actor, make, row.user_id, lambda _: proof)

    def give_back(self, actor: str, row: Row, reason: str, failure: Failure, answer: dict[str, Any] | None) -> None:
        """Void a row's hold, and end it with that error; without one it goes on at full price."""
        attempt = attempt_of(row)
        with self._store.write(actor) as t:
            set_state(t, attempt.id, "voided", reason=reason, failure="rejected")
            accounts.release(t, attempt.id, {"usd": None, "tokens": None}, "")
            postings.fail(t, failure)
            if answer is None:
                t.execute("UPDATE job_rows SET state = 'back' WHERE job = ? AND n = ?", (row.job, row.n))
            else:
                end_row(t, row, answer)

    def lose(self, actor: str, row: Row, reason: str, failure: Failure, answer: dict[str, Any]) -> None:
        """Keep a row's hold, for nobody knows what it has cost, and end it with that error."""
        attempt = attempt_of(row)
        with self._store.write(actor) as t:
            set_state(t, attempt.id, "unknown", reason=reason, failure="unknown")
            postings.fail(t, failure)
            end_row(t, row, answer)

    def fail(self, actor: str, row: Row, failure: Failure, answer: dict[str, Any]) -> None:
        """End a row whose cost was posted and which has no answer for anybody."""
        with self._store.write(actor) as t:
            postings.fail(t, failure)
            end_row(t, row, answer)

    def cancel(self, actor: str, job: str) -> None:
        """Nothing more of the job is to be sent."""
        with self._store.write(actor) as t:
            found(t, job)
            t.execute("UPDATE jobs SET state = 'cancelling' WHERE id = ? AND state = 'open'", (job,))

    def close(self, actor: str, job: str) -> bool:
        """End a job all of whose rows have ended; False where some have not."""
        open_rows = "SELECT 1 FROM job_rows WHERE job = ? AND state <> 'ended' LIMIT 1"
        with self._store.write(actor) as t:
            found(t, job)
            if t.execute(open_rows, (job,)).fetchone():
                return False
            t.execute("UPDATE jobs SET state = 'ended', ended_at = ? WHERE id = ? AND state <> 'ended'", (t.stamp, job))
            return True

    def clean(self, before_days: int) -> int:
        """Remove what is kept of jobs that ended so long ago; returns how many."""
        with self._store.write("") as t:
            oldest = stamp(t.now - timedelta(days=before_days))
            ids = [
                (row[0],) for row in t.execute("SELECT id FROM jobs WHERE state = 'ended' AND ended_at < ?", (oldest,))
            ]
            for table, column in (("job_rows", "job"), ("job_parts", "job"), ("jobs", "id")):
                t.executemany(f"DELETE FROM {table} WHERE {column} = ?", ids)
        return len(ids)
