"""``nexscout replay``: what another tool's log would have cost through NexScout."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nexscout_cli.cli import declared, output, tables
from nexscout_cli.cli.report import one_of
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.imported.sources import WITH_TEXTS
from nexscout_cli.engine.money import dollars, usd
from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.imported.record import Tally
    from nexscout_cli.engine.imported.replay import Replayed

app = declared.App()

_SHOWN = 10
UNKNOWN = (
    "whether the cheaper answers would have been good enough: `nexscout simulate --explain` shows how models are chosen",
    "how long another model's answers would have been: the range takes them as up to a quarter longer or shorter",
    "tools, pictures and files that the log does not have, and what a provider's own cache would have held",
)
"""What no replay can say."""


@app.command()
def replay(
    file: Annotated[Path, declared.Argument(help="A log that has prompts, or a folder of them.")],
    source: Annotated[str, declared.Option("--from", help=f"What wrote it: {', '.join(WITH_TEXTS)}.")],
    columns: Annotated[
        str | None,
        declared.Option("--columns", help="Of csv: our names for its columns, as time=created,prompt=question."),
    ] = None,
    user: Annotated[
        str | None, declared.Option("-u", "--user", help="Whose requests they are where the log does not say.")
    ] = None,
    latest: Annotated[
        int, declared.Option("-n", "--latest", min=1, max=100_000, help="Plan the latest so many requests.")
    ] = 2_000,
    available: Annotated[
        bool,
        declared.Option(
            "--available", help="Choose only among models whose keys are here (default: all that are enabled)."
        ),
    ] = False,
    html: Annotated[
        str | None, declared.Option("--html", metavar="FILE", help="Write it as a page into a file, - for stdout.")
    ] = None,
    as_json: Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")] = False,
) -> int:
    """Plan a log's requests as if they had gone through NexScout: what would have been saved, by which step.

    Nothing is sent, and prompts are read and not kept.

    \b
    nexscout replay "$(llm logs path)" --from llm
    nexscout replay traces.jsonl --from langfuse --latest 1000 --json
    nexscout replay "$(llm logs path)" --from llm --html replay.html
    """
    from nexscout_cli import foreign_files
    from nexscout_cli.assemble import tokenizer
    from nexscout_cli.engine.imported.bring import Prices
    from nexscout_cli.engine.imported.mapped import mapping
    from nexscout_cli.engine.imported.record import Imported, Tally
    from nexscout_cli.engine.imported.replay import Player
    from nexscout_cli.engine.imported.sources import Wanted

    one_of(source, WITH_TEXTS, "source with prompts")
    if columns is not None and source != "csv":
        raise UsageError("--columns is for --from csv", f"{source} has columns of its own")
    wanted = Wanted(source, mapping(columns), texts=True)
    session, tally = Session(), Tally()
    found = foreign_files.records_of(foreign_files.files_of(file, source), wanted, tally)
    records = heapq.nlargest(latest, found, key=lambda record: record.at)[::-1]
    if not records:
        raise UsageError(f"{file.name or file} has no request that could be read", "check the file and --from")
    prices = Prices(foreign_files.rates_of)

    def cost_of(record: Imported) -> int | None:
        return record.cost if record.cost is not None else prices.cost(record)

    player = Player(session.engine(writes=False), tokenizer(), cost_of, every=not available)
    replayed = player.play(records, session.subject(user))
    if html is not None:
        from nexscout_cli.cli.report_page import put
        from nexscout_cli.pages.replayed import replay_page

        put(session, replay_page(_document(replayed, tally, len(records)), file.name), html)
    elif as_json:
        output.emit(_document(replayed, tally, len(records)))
    else:
        _tell(replayed, tally, len(records))
    return 0


def _document(found: Replayed, tally: Tally, records: int) -> dict[str, Any]:
    return {
        "requests": records,
        "outcomes": dict(found.outcomes),
        "cost_usd": usd(found.was),
        "would_have_cost_usd": usd(found.would),
        "would_have_cost_usd_low": usd(found.low),
        "would_have_cost_usd_high": usd(found.high),
        "saved_usd": {name: usd(value) for name, value in found.saved.items()},
        "not_planned_usd": usd(found.others),
        "models": [
            {"from": theirs, "to": ours, "requests": count} for (theirs, ours), count in found.models.most_common()
        ],
        "cascades": found.cascades,
        "answers_cut": found.clipped,
        "refused": dict(found.refusals.most_common()),
        "left_out": dict(tally.left.most_common()),
        "not_known": list(UNKNOWN),
    }


def _tell(found: Replayed, tally: Tally, records: int) -> None:
    planned = sum(found.outcomes[name] for name in ("planned", "hit"))
    lines = [
        f"{planned:,} of {records:,} requests could be planned; they cost ${dollars(found.was)}",
        f"through NexScout: ${dollars(found.would)}, from ${dollars(found.low)} to ${dollars(found.high)} nine times of ten",
    ]
    output.out("\n".join(lines))
    whole = found.was or 1
    rows = [[name, f"${dollars(value)}", f"{value / whole:.1%}"] for name, value in found.saved.items()]
    rows.append(["in all", f"${dollars(found.was - found.would)}", f"{(found.was - found.would) / whole:.1%}"])
    tables.show(("saved by", "amount", "share"), rows, right=(1, 2))
    if found.models:
        tables.show(
            ("was asked", "would be asked", "requests"),
            [[theirs, ours, f"{count:,}"] for (theirs, ours), count in found.models.most_common(_SHOWN)],
            right=(2,),
        )
    said = [f"{found.outcomes['hit']:,} would have been answered from the cache"]
    if found.cascades:
        said.append(
            f"{found.cascades:,} might have needed a second, dearer answer; what that costs on average is counted"
        )
    if found.clipped:
        said.append(f"{found.clipped:,} answers were longer than NexScout lets them be")
    said += [f"{count:,} refused: {why}" for why, count in found.refusals.most_common(_SHOWN)]
    said += [f"{found.outcomes[name]:,} with {name}" for name in ("no prompt", "no price") if found.outcomes[name]]
    said += [f"{count:,} rows left out: {reason}" for reason, count in tally.left.most_common(_SHOWN)]
    output.out("\n".join([*said, "not known:", *(f"  {line}" for line in UNKNOWN)]))
