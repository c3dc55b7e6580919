"""``nexscout jobs``: batches that providers answer in their own time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from nexscout_cli.cli import batch_later, declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.money import dollars
from nexscout_cli.errors import UsageError

app = declared.App(no_args_is_help=True)
_MOST = 10_000

AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]
Quiet = Annotated[bool, declared.Option("-q", "--quiet", help="No notes.")]
Name = Annotated[str, declared.Argument(metavar="JOB", help="A job, by its name or how that begins.")]


@app.callback()
def jobs() -> None:
    """Batches that providers answer within a day, at half the price (`nexscout batch --later`).

    \b
    nexscout batch prospects.jsonl --later --out answers.jsonl
    nexscout jobs list
    nexscout jobs poll            from cron: go on with all open jobs, and fetch what has come
    """


@app.command("list")
def list_jobs(
    limit: Annotated[int, declared.Option("--limit", min=1, max=_MOST, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The latest jobs and how they stand."""
    session = Session()
    found = session.store.jobs.listing(session.actor, limit)
    if as_json:
        output.emit({"rows": [batch_later.summary(job) for job in found]})
        return
    if not found:
        output.note("no jobs; `nexscout batch FILE --later` makes one")
        return
    rows = [
        (
            *(job.id, job.name, job.state, f"{job.rows:,}", f"{job.answered:,}", f"{job.failed:,}"),
            *(f"${dollars(job.held)}", f"${dollars(job.cost)}", job.created_at[:16]),
        )
        for job in found
    ]
    names = ("job", "file", "state", "rows", "answered", "failed", "held", "cost", "since")
    tables.show(names, rows, right=(3, 4, 5, 6, 7))


@app.command()
def show(
    name: Name,
    answers: Annotated[bool, declared.Option("--answers", help="Its answers so far, a JSON line each.")] = False,
    as_json: AsJson = False,
) -> None:
    """One job: its parts as their providers have them, or its answers."""
    session = Session()
    book, actor = session.store.jobs, session.actor
    job = book.find(actor, name)
    if answers:
        for row in book.rows(actor, job.id, "ended"):
            output.stream(batch_later.answer_line(session, job, row.n) + "\n")
        return
    parts = [
        {
            "part": part.id,
            "provider": part.provider,
            "model": part.model.name,
            "rows": part.rows,
            "state": part.state,
            "provider_state": part.remote_state,
            "provider_id": part.remote_id,
            "note": part.note,
        }
        for part in book.parts(actor, job.id)
    ]
    known = batch_later.summary(job)
    if as_json:
        output.emit(known | {"parts": parts, "rows_by_state": job.counts})
        return
    shown = known | {name: f"${dollars(nano)}" for name, nano in (("cost_usd", job.cost), ("held_usd", job.held))}
    tables.pairs((key.removesuffix("_usd"), value) for key, value in shown.items() if value is not None)
    if parts:
        output.out("")
        tables.show(
            tuple(parts[0]), [tuple("" if v is None else v for v in part.values()) for part in parts], right=(3,)
        )


@app.command()
def poll(
    name: Annotated[str | None, declared.Argument(metavar="[JOB]", help="A job (default: all that are open).")] = None,
    wait: Annotated[bool, declared.Option("--wait", help="Ask again until they have ended.")] = False,
    out: Annotated[
        Path | None, declared.Option("--out", "-o", help="Where its answers go (default: where they were to go).")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Go on with jobs: hand over what was not yet, ask how far they are, fetch what has come.

    Exit 0 when all have ended, 7 when some rows failed, 9 while some are not over. Any process on any host that has the
    database may do it; what has come is posted once.
    """
    session = Session(quiet)
    if out is not None and name is None:
        raise UsageError("--out needs a job", "for instance `nexscout jobs poll JOB --out answers.jsonl`")
    book, actor = session.store.jobs, session.actor
    found = [book.find(actor, name)] if name is not None else book.listing(actor, _MOST, only_open=True)
    if not found:
        if as_json:
            output.emit({"rows": []})
        return 0
    doing = batch_later.jobs_of(session)
    status, shown = 0, []
    for job in found:
        now = batch_later.go_on(session, doing, job, wait=wait)
        _deliver(session, now, out)
        shown.append(batch_later.summary(now))
        status = max(status, batch_later.status_of(now) if as_json else batch_later.told(session, now, as_json=False))
    if as_json:
        output.emit({"rows": shown})
    return status


def _deliver(session: Session, job: Any, out: Path | None) -> None:
    """Write answers to the file that was named, else to the job's own where this host has its folder."""
    where = out or (Path(job.out) if job.out else None)
    if where is None or (out is None and not where.parent.is_dir()):
        return
    batch_later.deliver(session, job, where)


@app.command()
def cancel(name: Name, as_json: AsJson = False, quiet: Quiet = False) -> int:
    """Send nothing more of a job, and ask its providers to stop. What they have answered by then is paid and kept."""
    session = Session(quiet)
    book, actor = session.store.jobs, session.actor
    job = book.find(actor, name)
    book.cancel(actor, job.id)
    job = batch_later.go_on(session, batch_later.jobs_of(session), book.find(actor, job.id), wait=False)
    _deliver(session, job, None)
    if as_json:
        output.emit(batch_later.summary(job))
    elif not quiet:
        ended = job.state == "ended"
        output.note(
            f"{job.id}: {'cancelled' if ended else 'being cancelled; `nexscout jobs poll` fetches what was answered'}"
        )
    return 0
