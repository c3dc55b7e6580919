"""``batch --later``: the rows of a file as a job that providers answer in their own time, at half the price."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli import jsontext
from nexscout_cli.cli import batch_out, output
from nexscout_cli.engine.jobs.keeping import request_json
from nexscout_cli.engine.jobs.values import Job, NewRow
from nexscout_cli.engine.money import dollars, usd
from nexscout_cli.engine.request import Caller
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.errors import InProgress, Interrupted, NexScoutError, RowsFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from nexscout_cli.cli.session import Session
    from nexscout_cli.engine.jobs.doing import Jobs
    from nexscout_cli.engine.request import AIRequest

_NAP = 0.5


class Line(NamedTuple):
    """A line of the file: its name, what tells its content from another's, and the request, or what is wrong with it."""

    row_id: str
    digest: str
    request: AIRequest | NexScoutError


def submit(
    session: Session,
    file: Path,
    lines: Sequence[Line],
    out: Path | None,
    purse: int | None,
    *,
    resume: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Begin a job, or go on with the one that ``--resume`` finds; returns the exit status."""
    where = None if out is None else str(out.resolve())
    digest = hashlib.sha256(json.dumps([[line.row_id, line.digest] for line in lines]).encode()).hexdigest()[:16]
    doing, book = jobs_of(session), session.store.jobs
    if out is not None and not resume and out.exists():
        raise UsageError(f"{out} exists", "add --resume to continue it, or name another file")
    if resume and (earlier := book.latest(session.actor, digest, where)) is not None:
        earlier = go_on(session, doing, earlier, wait=wait)
        deliver(session, earlier, out)
        if earlier.state != "ended":
            return told(session, earlier, as_json)
    lines = _left(lines, out) if resume and out is not None else lines
    if not lines:
        if as_json:
            output.emit({"job": None, "rows": 0})
        return 0
    job = Job(f"job-{os.urandom(5).hex()}", session.actor, file.name, digest, where, "open", "", None)
    book.begin(session.actor, job, _rows(lines, job.id, purse))
    quoted = doing.prepare(job)
    if not session.quiet and quoted.rows and not as_json:
        output.note(
            f"{job.id}: {quoted.rows:,} rows at the price of a batch: about ${dollars(quoted.expected)}, at most "
            f"${dollars(quoted.most)}; at once it would be about ${dollars(quoted.full)}"
        )
        _say_where(session, job)
    job = go_on(session, doing, job, wait=wait)
    deliver(session, job, out)
    status = told(session, job, as_json)
    return 0 if status == InProgress.exit_status else status


def _say_where(session: Session, job: Job) -> None:
    """Say which models' deployments take no part: an account's batches are that account's, and only it answers them."""
    asked = {part.model.name for part in session.store.jobs.parts(session.actor, job.id)}
    for model in session.store.catalog.models(session.actor):
        if model.name in asked and len(model.deployments) > 1:
            output.note(
                f"note: {model.name}: a batch goes to its own target, {model.litellm_model}; its deployments take no part"
            )


def _left(lines: Sequence[Line], out: Path) -> list[Line]:
    """The lines that have no answer in the file yet."""
    finished, _ = batch_out.keep_finished(out)
    return [line for line in lines if not batch_out.taken(finished, (line.row_id, line.digest))]


def _rows(lines: Sequence[Line], job: str, purse: int | None) -> list[NewRow]:
    from nexscout_cli.engine.cache.key import identity

    seen: dict[str, int] = {}
    rows = []
    for n, line in enumerate(lines):
        request = line.request
        if isinstance(request, NexScoutError):
            wrong = AIResponse(False, None, request.as_json(), None).as_json()
            rows.append(NewRow(n, line.row_id, line.digest, "-", None, answer=wrong))
            continue
        request = request.settled
        if purse is not None:
            request = request._replace(caller=Caller(run=job, run_cost=purse))
        same = None
        if request.options.allow_cache and request.options.idempotency_key is None:
            first = seen.setdefault(identity(request), n)
            same = first if first != n else None
        rows.append(NewRow(n, line.row_id, line.digest, request.user_id, request_json(request), same))
    return rows


def jobs_of(session: Session) -> Jobs:
    """What goes on with jobs, over the session's engine."""
    from datetime import timedelta

    from nexscout_cli.engine.jobs.doing import Jobs

    engine = session.engine(writes=True)
    unsure: timedelta = timedelta(seconds=session.settings["jobs.unsure_seconds"])
    return Jobs(engine, session.store.jobs, session.actor, wait_for=unsure)


def go_on(session: Session, doing: Jobs, job: Job, *, wait: bool) -> Job:
    """Go on with a job, once or to its end."""
    if not wait:
        return doing.go_on(job)
    from nexscout_cli.engine.jobs import doing as steps

    last: list[str] = []

    def tell(now: Job) -> None:
        line = _standing(now)
        if not session.quiet and output.stderr_is_terminal() and last != [line]:
            output.note(line)
            last[:] = [line]

    try:
        return steps.wait(doing, job, session.settings["jobs.poll_seconds"], _sleeper(session), tell)
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(
            "interrupted; the job goes on", f"`nexscout jobs poll {job.id}` fetches its answers"
        ) from error


def _sleeper(session: Session) -> Callable[[float], bool]:
    import time

    from nexscout_cli.cli import signals

    interrupts = signals.of_this_command()

    def sleep(seconds: float) -> bool:
        with interrupts.exposed():
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0 and not interrupts.stopping:
                time.sleep(min(left, _NAP))
        return not interrupts.stopping

    return sleep


def deliver(session: Session, job: Job, out: Path | None) -> None:
    """Write the answers that have come where they go, each once however often this is done."""
    ended = job.counts.get("ended", 0)
    if out is None or not ended:
        return
    book, actor = session.store.jobs, session.actor
    finished, _ = batch_out.keep_finished(out)
    answers = batch_out.Answers(out, append=True)
    try:
        for one in book.rows(actor, job.id, "ended"):
            if not batch_out.taken(finished, (one.row_id, one.digest)):
                answers.write(answer_line(session, job, one.n))
    finally:
        answers.close()


def answer_line(session: Session, job: Job, n: int) -> str:
    """One row's answer as a batch writes it."""
    row = session.store.jobs.row(session.actor, job.id, n)
    answer = row.answer or {"success": False, "result": None, "error": {"code": "forgotten", "message": "removed"}}
    return jsontext.dumps({"id": row.row_id, **answer, "row": row.digest})


def status_of(job: Job) -> int:
    """0 when all rows were answered, 7 when some failed, 9 while it is not over."""
    if job.state != "ended":
        return InProgress.exit_status
    return RowsFailed.exit_status if job.failed else 0


def summary(job: Job) -> dict[str, Any]:
    """A job as JSON; money in dollars."""
    return {
        "job": job.id,
        "file": job.name,
        "state": job.state,
        "rows": job.rows,
        "succeeded": job.answered,
        "failed": job.failed,
        "waiting": job.rows - job.answered - job.failed,
        "cost_usd": usd(job.cost),
        "held_usd": usd(job.held),
        "out": job.out,
        "created_at": job.created_at,
        "ended_at": job.ended_at,
    }


def told(session: Session, job: Job, as_json: bool) -> int:
    """Say how a job stands; returns its exit status."""
    status = status_of(job)
    if as_json:
        output.emit(summary(job))
    elif not session.quiet and (status or output.stderr_is_terminal()):
        output.note(_standing(job))
        for part in session.store.jobs.parts(session.actor, job.id):
            if part.note and part.state != "ended":
                output.note(f"  {part.id}: {part.note}")
    return status


def _standing(job: Job) -> str:
    counted = f"{job.answered:,} answered, {job.failed:,} failed"
    if job.state == "ended":
        return f"{job.id}: {counted}, ${dollars(job.cost)}"
    waiting = job.rows - job.answered - job.failed
    return (
        f"{job.id}: {waiting:,} waiting, {counted}, ${dollars(job.held)} held; `nexscout jobs poll {job.id}` asks again"
    )
