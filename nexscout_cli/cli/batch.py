"""``nexscout batch``: many requests from a file, some at a time, resumable."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from nexscout_cli import files, jsontext
from nexscout_cli.cli import batch_file, batch_out, declared, output, request, request_options, signals
from nexscout_cli.cli.batch_out import Answers
from nexscout_cli.cli.request_options import Given, takes_options
from nexscout_cli.cli.session import Session
from nexscout_cli.engine import batch_rows
from nexscout_cli.engine.budgets import own_budgets
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.request import AIRequest, Caller
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.validate import check_options
from nexscout_cli.errors import Interrupted, NexScoutError, RowsFailed, UsageError

app = declared.App()
_MAX_CONCURRENCY = 200
_ALL_THE_SAME = 3
"""Rows that fail for one reason, and none that does not, until that is said."""
_LINE = re.compile(r"^line \d+[:,]? *")


@app.command(no_args_is_help=True)
@takes_options
def batch(
    file: Annotated[
        Path,
        declared.Argument(metavar="FILE.jsonl|.csv", help="One request a line; a CSV column for each field or option."),
    ],
    out: Annotated[
        Path | None, declared.Option("--out", "-o", help="Where answers go, a JSON line each (default: stdout).")
    ] = None,
    concurrency: Annotated[
        int, declared.Option("--concurrency", min=1, max=_MAX_CONCURRENCY, help="Calls at once.")
    ] = 5,
    resume: Annotated[
        bool, declared.Option("--resume", help="Continue --out: rows answered there are not asked again.")
    ] = False,
    max_cost: Annotated[
        str | None, declared.Option("--max-cost", help="The most all rows together may cost, in dollars.")
    ] = None,
    later: Annotated[
        bool, declared.Option("--later", help="Let providers answer within a day, at half the price: `nexscout jobs`.")
    ] = False,
    wait: Annotated[bool, declared.Option("--wait", help="With --later: stay until all is answered.")] = False,
    given: Given = request_options.OF_A_BATCH,
    as_json: Annotated[bool, declared.Option("--json", help="A JSON summary on stdout; needs --out.")] = False,
    quiet: Annotated[bool, declared.Option("-q", "--quiet", help="No progress and no notes.")] = False,
) -> int:
    """Answer many requests, five at a time; identical ones share one call.

    \b
    nexscout batch prospects.jsonl --out answers.jsonl
    nexscout batch prospects.csv --out answers.jsonl --max-cost 1.50
    nexscout batch prospects.jsonl --out answers.jsonl --resume
    nexscout batch prospects.jsonl --out answers.jsonl --later        half the price, within a day

    \b
    {"id": "1", "feature": "ai_message", "prompt": "Write to Sarah", "context": {"company": "TechCo"}}

    Options given here hold for every row that has none of its own. Exit 7 when some rows failed; each says why on its own line.
    """
    session = Session(quiet, makes=True)
    if (resume or (as_json and not later)) and out is None:
        raise UsageError(f"{'--resume' if resume else '--json'} needs --out", "for instance --out answers.jsonl")
    purse = request.dollars(max_cost, "--max-cost")
    if wait and not later:
        raise UsageError("--wait needs --later", "a batch without --later waits anyway")
    lines = batch_file.read_lines(file)
    defaults = request.build(session, "", given)
    check_options(defaults.options)
    if later:
        return _later(session, file, lines, defaults, out, purse, resume=resume, wait=wait, as_json=as_json)
    finished, spent = batch_out.keep_finished(out) if resume and out is not None else (Counter(), 0)
    job = _Job(session, file, defaults, out, append=resume)
    if purse is not None:
        purse = job.draw_on(purse, spent, lines)
    asked: list[AIRequest] = []
    for row_id, line in lines:
        row = (row_id, _digest(line))
        if batch_out.taken(finished, row):
            job.skipped += 1
            continue
        try:
            asked.append(job.parse(line, row))
            job.rows.append(row)
        except NexScoutError as error:
            job.write(row, AIResponse(False, None, error.as_json(), None, error.exit_status))
    return job.run(asked, concurrency, purse, as_json)


def _parsed(session: Session, file: Path, line: Any, defaults: AIRequest) -> AIRequest:
    """The request of a line. Raises NexScoutError for what is wrong with it."""
    if isinstance(line, NexScoutError):
        raise line
    folder = file.resolve().parent
    limit = session.settings["firewall.max_bytes"]
    return batch_rows.parse(line, defaults, lambda name: files.attachment(folder / name, limit, within=folder))


def _later(
    session: Session,
    file: Path,
    lines: list[tuple[str, Any]],
    defaults: AIRequest,
    out: Path | None,
    purse: int | None,
    **how: bool,
) -> int:
    """Make a job of the lines; returns the exit status."""
    from nexscout_cli.cli import batch_later

    def asked(line: Any) -> AIRequest | NexScoutError:
        try:
            return _parsed(session, file, line, defaults)
        except NexScoutError as error:
            return error

    found = [batch_later.Line(row_id, _digest(line), asked(line)) for row_id, line in lines]
    return batch_later.submit(session, file, found, out, purse, **how)


class _Job:
    """A batch under way: what has been answered is on disk at once, so that nothing is lost when it is stopped."""

    def __init__(self, session: Session, file: Path, defaults: AIRequest, out: Path | None, *, append: bool) -> None:
        self.session, self.file, self.defaults = session, file, defaults
        self.rows: list[tuple[str, str]] = []
        self.out = out
        self.skipped = self.succeeded = self.failed = 0
        self.cost = 0
        self._reader_gone = False
        self._lock = threading.Lock()
        self._tick: Any = lambda: None
        self._copies: Counter[tuple[str, str]] = Counter()
        self._file = Answers(out, append=append) if out is not None else None
        self._nonce = batch_out.nonce(out, append=append) if out is not None else ""
        self._reasons: Counter[str] = Counter()
        self._told = False

    def draw_on(self, purse: int, spent: int, lines: list[tuple[str, Any]]) -> int:
        """Let every row draw on one purse; returns what is left of it by the books, where failed and unknown rows cost as well.

        ``spent`` is what the answers in the file cost, from a time when the batch had no purse.
        """
        if self.out is None and not self.session.remote:
            return purse
        name = self._nonce or secrets.token_hex(8)
        self.defaults = self.defaults._replace(caller=Caller(run=f"batch {name}", run_cost=purse))
        rows = (line for _, line in lines if isinstance(line, dict))
        if self.session.remote:
            return max(0, purse - spent)
        users = {str(row.get("user") or row.get("user_id") or self.defaults.user_id) for row in rows}
        return max(0, purse - max(spent, sum(map(self._used_by, users))))

    def _used_by(self, user: str) -> int:
        """What one user's rows of this batch have cost or hold, in nano-dollars."""
        budgets = own_budgets(self.defaults._replace(user_id=user))
        try:
            used = self.session.store.energy.used(self.session.actor, user, budgets)
        except NexScoutError:  # nobody's, or not to be seen: those rows say so themselves
            return 0
        return sum(each.all for each in used.values())

    def parse(self, line: Any, row: tuple[str, str]) -> AIRequest:
        """The request of a line, under a key of its own: an answer paid for and not written down is not paid for again."""
        asked = _parsed(self.session, self.file, line, self.defaults)
        if asked.options.idempotency_key is None and self.out is not None:
            self._copies[row] += 1
            key = f"batch {_digest([self._nonce, *row, self._copies[row]])}"
            asked = asked._replace(options=asked.options._replace(idempotency_key=key))
        return asked

    def done(self, index: int, response: AIResponse) -> None:
        """Hear of an answer, from any thread."""
        self.write(self.rows[index], response)
        self._tick()

    def write(self, row: tuple[str, str], response: AIResponse) -> None:
        """Put an answer, or a bad row's own error, where answers go."""
        with self._lock:
            if response.success:
                self.succeeded += 1
            else:
                self.failed += 1
                self._tell(response)
            self.cost += response.paid
            text = jsontext.dumps({"id": row[0], **response.as_json(), "row": row[1]})
            if self._file is None:
                self._print(text)
            else:
                self._file.write(text)

    def _tell(self, response: AIResponse) -> None:
        """Say once, while there is still time to stop, why every row so far has failed."""
        assert response.error is not None
        reason = _LINE.sub("", response.error["message"])
        self._reasons[reason] += 1
        if self.succeeded or self._told or self.session.quiet or len(self._reasons) > 1:
            return
        if self._reasons[reason] == min(_ALL_THE_SAME, len(self.rows) or _ALL_THE_SAME):
            self._told = True
            output.note(f"every row so far fails: {reason}")
            if response.error.get("suggestion"):
                output.note(f"  {response.error['suggestion']}")

    def _print(self, text: str) -> None:
        try:
            output.stream(text + "\n")
        except BrokenPipeError:
            # Answers that nobody reads are not to be paid for.
            self._reader_gone = True
            signals.of_this_command().stop()
            raise Interrupted("nobody reads the answers any more") from None

    def run(self, asked: list[AIRequest], concurrency: int, purse: int | None, as_json: bool) -> int:
        """Answer what was asked; returns the exit status."""
        from nexscout_cli.engine import batch as batches

        engine: Any = self.session.remote or self.session.engine(writes=True)
        if not self.session.remote:
            self.session.store.for_many_commits()
        purse = None if self.session.remote else purse  # the server keeps it
        try:
            if output.stderr_is_terminal() and not self.session.quiet:
                self._with_progress(
                    lambda: batches.run(engine, asked, concurrency, max_cost=purse, done=self.done), len(asked)
                )
            else:
                batches.run(engine, asked, concurrency, max_cost=purse, done=self.done)
        except Interrupted as error:
            if not self._reader_gone:
                raise
            raise Interrupted(
                "nobody reads the answers any more; what was in flight has been settled", "--out FILE keeps them"
            ) from error
        finally:
            if self._file is not None:
                self._file.close()
        if self.out is not None and not self.failed:
            batch_out.forget_nonce(self.out)
        summary = {
            "rows": self.succeeded + self.failed + self.skipped,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "skipped": self.skipped,
            "cost_usd": usd(self.cost),
        }
        if as_json:
            output.emit(summary)
        if not self.session.quiet and (self.failed or output.stderr_is_terminal()):
            output.note(
                f"{self.succeeded} answered, {self.failed} failed, {self.skipped} done before, ${self.cost / 1e9:.6f}"
            )
        return RowsFailed.exit_status if self.failed else 0

    def _with_progress(self, work: Any, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        with Progress(
            TextColumn("answering"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=output.console(stderr=True),
            transient=True,
        ) as progress:
            task = progress.add_task("answering", total=total)
            self._tick = lambda: progress.advance(task)
            work()


def _digest(line: Any) -> str:
    """What tells a row's content from another's, so that --resume does not skip a row that was edited."""
    text = repr(line) if isinstance(line, NexScoutError) else json.dumps(line, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
