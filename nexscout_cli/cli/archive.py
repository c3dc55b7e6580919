"""``nexscout db archive``: old months leave the books for files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from nexscout_cli import config
from nexscout_cli.cli import declared, output, request
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.book_types import Leaving
from nexscout_cli.engine.money import dollars, usd
from nexscout_cli.errors import StoreError, UsageError

app = declared.App()


@app.command()
def archive(
    before: Annotated[
        str, declared.Option("--before", metavar="DATE", help="Months before this day or month: 2026-10-01, 2026-10.")
    ],
    to: Annotated[
        Path | None,
        declared.Option("--to", metavar="FOLDER", help="Where the files go; default: archives, in the data folder."),
    ] = None,
    dry_run: Annotated[bool, declared.Option("--dry-run", help="Say what would go; write and remove nothing.")] = False,
    as_json: request.AsJson = False,
) -> int:
    """Move the rows of whole months that are over into Parquet files (admins; over PostgreSQL the database's owner).

    Files are read back and compared before anything is removed. Balances, budgets and `db check` stay exact, reports over whole
    days answer as before; what needs single requests of then says where they are. A run that was cut short is run again.

    \b
    nexscout db archive --before 2026-10-01 --dry-run
    nexscout db archive --before 2026-10-01 --to /mnt/safe/nexscout
    """
    day = _day(before)
    session = Session()
    existing()
    upkeep = session.store.maintenance
    if dry_run:
        return _told_of_leaving(upkeep.archivable(session.actor, day), as_json)
    to = to or config.data_dir() / "archives"
    months = upkeep.archive(session.actor, day, to, _told_of_month)
    if as_json:
        output.emit({"months": [one._asdict() | {"cost_usd": usd(one.cost_usd)} for one in months]})
    elif output.stderr_is_terminal():
        rows = sum(one.requests + one.attempts + one.entries + one.usage + one.predictions for one in months)
        done = f"{rows:,} rows of {len(months)} months are in {to}" if months else "there is nothing to archive"
        output.note(f"{done}; days that were sealed for it: nexscout db seal --all")
    return 0


def _day(text: str) -> str:
    from datetime import date

    try:
        return date.fromisoformat(f"{text}-01" if len(text) == len("2026-10") else text).isoformat()
    except ValueError:
        raise UsageError(f"{text!r:.40} is no day and no month", "for instance --before 2026-10-01") from None


def _told_of_month(month: str, what: str) -> None:
    if output.stderr_is_terminal():
        output.note(f"{month}: {what}")


def _told_of_leaving(months: list[Leaving], as_json: bool) -> int:
    if as_json:
        output.emit({"dry_run": True, "months": [one._asdict() | {"cost_usd": usd(one.cost_usd)} for one in months]})
        return 0
    for one in months:
        against = f"; not yet: {one.against}" if one.against else ""
        output.out(
            f"{one.month}: {one.requests:,} requests, {one.attempts:,} attempts, {one.entries:,} entries, {one.usage:,} rows "
            f"of usage, {one.predictions:,} predictions, ${dollars(one.cost_usd)}{against}"
        )
    if not months and output.stdout_is_terminal():
        output.out("there is nothing to archive")
    return 0


def existing() -> str:
    """Where the database is. Raises StoreError where there is none yet."""
    where = config.db_place()
    if config.db_url() is not None:
        from nexscout_cli.assemble import require_books

        require_books()
    elif not config.has_db():
        raise StoreError(
            f"there is no database at {where} yet", "the first request makes it; or check NEXSCOUT_DB", code="missing"
        )
    return where
