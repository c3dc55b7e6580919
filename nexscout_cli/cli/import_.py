"""``nexscout import``: usage that other tools kept, into reports."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nexscout_cli import config
from nexscout_cli.cli import declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.imported.sources import SOURCES
from nexscout_cli.engine.money import dollars, usd
from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.book_types import ImportRow
    from nexscout_cli.engine.imported.bring import Brought
    from nexscout_cli.engine.imported.record import Tally

_SHOWN = 20
"""Models and reasons that are listed."""

app = declared.App(otherwise="file", no_args_is_help=True)

AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]


@app.callback()
def import_() -> None:
    """Bring in the usage that other tools kept, so that reports can show it. Prompts are never kept.

    \b
    nexscout import ~/.config/io.datasette.llm/logs.db --from llm --dry-run
    nexscout import ~/.claude/projects --from ccusage
    nexscout import usage.csv --from csv --columns time=created,input=prompt_tokens,output=completion_tokens
    nexscout import list
    nexscout import forget 3
    nexscout report --imported only
    """


@app.command("file")
def file_(
    file: Annotated[Path, declared.Argument(help="A file, or a folder of them.")],
    source: Annotated[str, declared.Option("--from", help=f"What wrote it: {', '.join(SOURCES)}.")],
    columns: Annotated[
        str | None,
        declared.Option("--columns", help="Of csv: our names for its columns, as time=created,model=engine."),
    ] = None,
    user: Annotated[
        str | None,
        declared.Option("-u", "--user", help="Whose usage it is where the file does not say (default: yours)."),
    ] = None,
    dry_run: Annotated[
        bool, declared.Option("--dry-run", help="Say what would be counted, and count nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Count what a file has (admins). What was counted before is counted once. `nexscout import FILE` is the same.

    \b
    nexscout import spend.json --from litellm --dry-run
    nexscout import spend.json --from litellm
    """
    from nexscout_cli import foreign_files
    from nexscout_cli.cli.report import one_of
    from nexscout_cli.engine.imported.bring import Into, Prices, bring, look
    from nexscout_cli.engine.imported.mapped import mapping
    from nexscout_cli.engine.imported.record import Tally
    from nexscout_cli.engine.imported.sources import Wanted
    from nexscout_cli.engine.names import check_user

    one_of(source, SOURCES, "source")
    if columns is not None and source != "csv":
        raise UsageError("--columns is for --from csv", f"{source} has columns of its own")
    wanted = Wanted(source, mapping(columns))
    files = foreign_files.files_of(file, source)
    session = Session(makes=True)
    subject = session.subject(user)
    check_user(subject)
    tally, prices = Tally(), Prices(foreign_files.rates_of)
    found = foreign_files.records_of(files, wanted, tally)
    # A dry run makes no database.
    book = None if dry_run and not config.has_db() else session.store.imports
    into = Into(book, session.actor, source, file.name or str(file), subject)
    brought = look(into, found, prices) if dry_run else bring(into, found, prices, lambda: tally.left_out)
    if as_json:
        output.emit(_as_json(brought, tally, dry_run))
    else:
        _tell(brought, tally)
    return 0


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """List the imports there were (admins).

    \b
    nexscout import list
    """
    session = Session()
    found = session.store.imports.listing(session.actor)
    if as_json:
        output.emit({"rows": [_row(one) for one in found]})
        return 0
    tables.show(
        ("import", "from", "file", "rows", "requests", "cost", "known before", "left out", "when"),
        [
            [
                *(one.id, one.source, one.name, f"{one.rows:,}", f"{one.requests:,}", f"${dollars(one.cost_usd)}"),
                *(f"{one.known:,}", f"{one.left_out:,}", _when(one)),
            ]
            for one in found
        ],
        right=(0, 3, 4, 5, 6, 7),
    )
    return 0


@app.command()
def forget(
    number: Annotated[
        int,
        declared.Argument(metavar="ID", min=1, max=2**31 - 1, help="The import's number, as `import list` shows it."),
    ],
    as_json: AsJson = False,
) -> int:
    """Take an import and its rows out again (admins). It can be imported anew.

    \b
    nexscout import forget 3
    """
    session = Session()
    gone = session.store.imports.forget(session.actor, number)
    if as_json:
        output.emit({"import": number, "rows": gone})
    elif output.stderr_is_terminal():
        output.note(f"import {number} is forgotten: {gone:,} rows")
    return 0


def _when(one: ImportRow) -> str:
    when = one.created_at[:16].replace("T", " ")
    return when if one.finished_at else f"{when} (cut short)"


def _row(one: ImportRow) -> dict[str, Any]:
    return one._asdict() | {"cost_usd": usd(one.cost_usd)}


def _as_json(brought: Brought, tally: Tally, dry_run: bool) -> dict[str, Any]:
    summary = brought.summary
    return {
        "dry_run": dry_run,
        "import": brought.row and _row(brought.row),
        "records": tally.records,
        "known": brought.known,
        "other_rows": tally.other,
        "left_out": dict(tally.left.most_common()),
        "since": summary.first and summary.first.isoformat(),
        "until": summary.last and summary.last.isoformat(),
        "models": [
            {"model": model, **asdict(line), "cost": usd(line.cost)} for model, line in sorted(summary.models.items())
        ],
    }


def _tell(brought: Brought, tally: Tally) -> None:
    """What was understood as a table, the rest as lines under it."""
    summary = brought.summary
    dearest = sorted(summary.models.items(), key=lambda pair: (-pair[1].cost, -pair[1].tokens_in, pair[0]))
    if summary.models:
        tables.show(
            ("model", "requests", "tokens in", "tokens out", "cost", "priced by"),
            [
                [
                    *(model, f"{line.requests:,}", f"{line.tokens_in:,}", f"{line.tokens_out:,}"),
                    *(f"${dollars(line.cost)}", _priced(line.source_priced, line.table_priced, line.unpriced)),
                ]
                for model, line in dearest[:_SHOWN]
            ],
            right=(1, 2, 3, 4),
        )
    lines = [
        f"{tally.records:,} records"
        + (f", from {summary.first:%Y-%m-%d} to {summary.last:%Y-%m-%d}" if summary.first else "")
    ]
    if len(dearest) > _SHOWN:
        lines.append(f"{len(dearest) - _SHOWN:,} more models")
    if brought.known:
        lines.append(f"{brought.known:,} known before, and not counted again")
    if tally.other:
        lines.append(f"{tally.other:,} rows are no requests")
    lines += [f"{count:,} left out: {reason}" for reason, count in tally.left.most_common(_SHOWN)]
    if brought.row:
        lines.append(
            f"import {brought.row.id}: {brought.row.rows:,} rows; `nexscout report --imported only` shows them"
        )
    else:
        lines.append("nothing was counted: this was a dry run")
    output.out("\n".join(lines))


def _priced(source: int, table: int, none: int) -> str:
    parts = ((source, "the source"), (table, "the price table"), (none, "nothing: no price is known"))
    said = [f"{what} ({count:,})" for count, what in parts if count]
    return ", ".join(said) if len(said) != 1 else said[0].rpartition(" (")[0]
