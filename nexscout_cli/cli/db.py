"""``nexscout db``: where the database is, whether it is sound, copies of it, and what becomes of unknown attempts."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

from nexscout_cli import config
from nexscout_cli.cli import archive, declared, output, request
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.book_types import Problem, Seal, Unresolved
from nexscout_cli.engine.money import dollars, usd
from nexscout_cli.errors import StoreError, UsageError

app = declared.App(no_args_is_help=True)

AsJson = request.AsJson


@app.callback()
def db() -> None:
    """Look after the database.

    \b
    nexscout db path
    nexscout db check             do the books balance? exit 0 or 6
    nexscout db seal              what each day's books hash to, to be kept elsewhere
    nexscout db backup            a copy beside it
    nexscout db copy --to PLACE   to a file or to PostgreSQL
    nexscout db archive           old months into Parquet files
    nexscout db resolve           attempts whose outcome is unknown
    """


@app.command()
def path(as_json: AsJson = False) -> int:
    """Print where the database is; of a server's, the URL without its password.

    \b
    nexscout db path
    sqlite3 -readonly "$(nexscout db path)" .tables
    """
    where = config.db_place()
    if as_json:
        from nexscout_cli.assemble import schema_version

        output.emit({"path": where, "exists": schema_version() is not None})
    else:
        output.out(where)
    return 0


@app.command()
def check(
    seal: Annotated[
        Path | None, declared.Option("--seal", metavar="FILE", help="Compare with seals that were kept elsewhere.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Verify the database's own integrity, the schema, and that every book balances (admins). Exit 6 when something is wrong.

    \b
    nexscout db check
    nexscout db check --seal /mnt/safe/seals.txt    was history rewritten since?
    nexscout db check --json
    """
    kept = _seals(seal) if seal else []
    session = Session()
    where = archive.existing()
    try:
        problems = session.store.maintenance.check(session.actor, kept)
    except StoreError as error:
        if error.code in ("busy", "missing"):
            raise
        problems = [Problem(error.code, error.message, error.suggestion)]
    if as_json:
        output.emit({"path": where, "healthy": not problems, "problems": [p._asdict() for p in problems]})
    elif problems:
        for problem in problems:
            output.out(f"{problem.name}: {problem.message}\n  {problem.fix}")
    elif output.stdout_is_terminal():
        output.out(f"{where} is sound")
    return StoreError.exit_status if problems else 0


@app.command()
def seal(
    every: Annotated[
        bool, declared.Option("--all", help="Print the seals of all days, not only the new ones.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Seal the days that are over: print what their books hash to, with all the days before (admins).

    Kept where nobody who can change the database can, the lines show later whether it was rewritten. A second run prints
    nothing.

    \b
    nexscout db seal >> /mnt/safe/seals.txt         once a day, from cron
    nexscout db check --seal /mnt/safe/seals.txt
    nexscout db seal --all
    """
    session = Session()
    archive.existing()
    made = session.store.maintenance.seal(session.actor)
    shown = session.store.maintenance.seals(session.actor) if every else made
    if as_json:
        output.emit({"seals": [one._asdict() for one in shown]})
    else:
        for one in shown:
            output.out(f"{one.day} {one.hash}")
    return 0


@app.command()
def backup(
    file: Annotated[Path | None, declared.Argument(help="Where to; default: a dated name beside the database.")] = None,
    without_text: Annotated[
        bool, declared.Option("--without-text", help="Leave out what people wrote and were answered.")
    ] = False,
    prune: Annotated[
        int | None,
        declared.Option(
            "--prune", metavar="KEEP", min=1, max=10_000, help="Then remove all but the newest KEEP backups."
        ),
    ] = None,
    dry_run: Annotated[
        bool, declared.Option("--dry-run", help="Say what would be removed; make and remove nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Copy the database to a new file, consistent while others write, readable by its owner alone (admins).

    Of a PostgreSQL database pg_dump makes the copy, which pg_restore reads; where there is none, `db copy` makes another kind.

    \b
    nexscout db backup
    nexscout db backup /mnt/safe/nexscout-monday.bak
    nexscout db backup --prune 7                    from cron: the newest seven stay
    nexscout db backup --without-text               the books alone
    """
    session = Session()
    archive.existing()
    upkeep = session.store.maintenance
    if dry_run:
        doomed = [] if prune is None else upkeep.prune(session.actor, prune - 1, dry_run=True)
        if as_json:
            output.emit({"path": None, "removed": [str(path) for path in doomed], "dry_run": True})
        else:
            output.out("\n".join(["a backup would be made", *(f"{path} would be removed" for path in doomed)]))
        return 0
    if prune is not None and config.db_url() is not None:
        upkeep.prune(session.actor, prune)  # says that there is no such thing, before a backup is made
    if file is None and config.db_url() is not None:  # beside the database is nowhere here
        file = config.data_dir() / f"nexscout.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.dump"
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = upkeep.backup(session.actor, file, without_text=without_text)
    removed = [] if prune is None else upkeep.prune(session.actor, prune)
    if as_json:
        facts = {"path": str(target), "bytes": target.stat().st_size}
        output.emit(facts | ({} if prune is None else {"removed": [str(path) for path in removed]}))
    else:
        output.out(str(target))
        if output.stderr_is_terminal():
            for path in removed:
                output.note(f"removed {path}")
    return 0


@app.command()
def copy(
    to: Annotated[str, declared.Option("--to", metavar="PLACE", help="A new file, or the URL of an empty database.")],
    as_json: AsJson = False,
) -> int:
    """Copy all books to a file or a PostgreSQL database that has none, and check them there (admins).

    As it was at one moment; nobody can use a copy before all of it is there. One to a server that is cut short goes on with
    the same command. What is written to the old books meanwhile is not in the copy: stop what writes first. Then let
    NEXSCOUT_DB name the new place.

    \b
    nexscout db copy --to postgresql://nexscout@db.example.com/nexscout
    NEXSCOUT_DB=postgresql://nexscout@db.example.com/nexscout nexscout db copy --to nexscout.db
    """
    from nexscout_cli.assemble import copy_store

    session = Session()
    archive.existing()
    rows, problems = copy_store(session.store, session.actor, to, _told_of_table)
    shown = config.without_password(to) if config.is_url(to) else to
    if as_json:
        checked = [problem._asdict() for problem in problems]
        output.emit({"path": shown, "rows": rows, "healthy": not problems, "problems": checked})
    elif problems:
        for problem in problems:
            output.out(f"{problem.name}: {problem.message}\n  {problem.fix}")
    elif output.stderr_is_terminal():
        output.note(f"{sum(rows.values()):,} rows are at {shown}, and sound; set NEXSCOUT_DB to use them")
    return StoreError.exit_status if problems else 0


def _told_of_table(table: str, rows: int) -> None:
    if output.stderr_is_terminal():
        output.note(f"{table}: {rows:,} rows")


app.commands += archive.app.commands


@app.command()
def migrate(as_json: AsJson = False) -> int:
    """Bring the database to this program's schema. Every command does so by itself, after a backup; this one says so.

    \b
    nexscout db migrate
    """
    from nexscout_cli.assemble import newest_schema, schema_version

    session = Session()
    where, newest = config.db_place(), newest_schema()
    before = schema_version()
    session.make()
    if as_json:
        older = before if before is not None and before < newest else None
        output.emit({"path": where, "schema_version": newest, "migrated_from": older})
    elif before is None:
        output.out(f"made {where} with schema {newest}")
    elif before < newest:
        backup = "" if config.db_url() else f"; the backup lies beside {where}"
        output.out(f"migrated from schema {before} to {newest}{backup}")
    else:
        output.out(f"schema {newest} is the newest; nothing to do")
    return 0


@app.command()
def resolve(
    request_id: Annotated[
        str | None, declared.Argument(help="The request; none lists those that are unresolved.")
    ] = None,
    post: Annotated[
        str | None, declared.Option("--post", metavar="COST", help="It cost that much, in dollars.")
    ] = None,
    void: Annotated[bool, declared.Option("--void", help="It never cost anything: give the hold back.")] = False,
    clock: Annotated[bool, declared.Option("--clock", help="Set the last-seen time to the clock's (admins).")] = False,
    yes: Annotated[bool, declared.Option("--yes", "-y", help="Post even more than was held.")] = False,
    as_json: AsJson = False,
) -> int:
    """Decide attempts that were sent and whose fate is not known. After 24 hours they are posted at their hold.

    \b
    nexscout db resolve                                    list them
    nexscout db resolve 0199f2c3a4b5d6e7f8a9b --post 0.0123
    nexscout db resolve 0199f2c3a4b5d6e7f8a9b --void
    nexscout db resolve --clock                            after the clock stood in the future
    """
    session = Session()
    archive.existing()
    if clock:
        if request_id is not None or post is not None or void:
            raise UsageError("--clock stands alone", "nexscout db resolve --clock")
        session.store.recovery.reset_clock(session.actor)
        return _told("the last-seen time is the clock's again", {"clock": "reset"}, as_json)
    cost = request.dollars(post, "--post")
    if request_id is None and (cost is not None or void):
        raise UsageError("which request?", "`nexscout db resolve` lists those that are unresolved")
    if cost is not None and void:
        raise UsageError("--post and --void exclude each other", "give one of them")
    session.recover()
    if request_id is None:
        return _list(session.store.recovery.unresolved(session.actor), as_json)
    if cost is None and not void:
        raise UsageError("say what became of it", f"nexscout db resolve {request_id} --post COST   or   --void")
    decided = session.store.recovery.resolve(session.actor, request_id, cost, beyond_hold=yes)
    request_id = session.store.log.full_id(session.actor, request_id)
    what = "voided" if cost is None else f"posted at ${dollars(cost)}"
    facts = {
        "request_id": request_id,
        "attempts": decided,
        "state": "voided" if cost is None else "posted",
        "cost_usd": usd(cost or 0),
    }
    return _told(f"{request_id}: {what}", facts, as_json)


_MOST_SEALS = 10**7
"""Bytes of a file of seals that are read: some 3,000 years."""
_SEAL = re.compile(r"(\d{4}-\d\d-\d\d) ([0-9a-f]{64})")


def _seals(file: Path) -> list[Seal]:
    """The seals of a file, a line each as `db seal` prints them. Raises UsageError."""
    from nexscout_cli.files import read_text

    found = []
    for number, line in enumerate(read_text(file, _MOST_SEALS).splitlines(), 1):
        if not line.strip():
            continue
        if (parts := _SEAL.fullmatch(line.strip())) is None:
            raise UsageError(f"line {number} of {file} is no seal", "a seal is a line of `nexscout db seal`: DATE HASH")
        found.append(Seal(*parts.groups()))
    if not found:
        raise UsageError(f"{file} has no seals", "`nexscout db seal >> FILE` writes them there")
    return found


def _list(rows: list[Unresolved], as_json: bool) -> int:
    if as_json:
        output.emit(
            {
                "rows": [
                    {name: value for name, value in row._asdict().items() if name != "hold"}
                    | {"hold_usd": usd(row.hold)}
                    for row in rows
                ]
            }
        )
    elif rows:
        for row in rows:
            output.out(
                f"{row.request_id}  attempt {row.n}  {row.user_id}  {row.model}  "
                f"holds ${dollars(row.hold)}  since {row.settled_at[:16]}Z  {row.reason or ''}"
            )
        output.note("nexscout db resolve REQUEST_ID --post COST   or   --void")
    elif output.stdout_is_terminal():
        output.out("nothing is unresolved")
    return 0


def _told(line: str, facts: dict[str, Any], as_json: bool) -> int:
    if as_json:
        output.emit(facts)
    elif output.stderr_is_terminal():
        output.note(line)
    return 0
