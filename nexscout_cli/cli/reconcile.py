"""``nexscout reconcile``: the ledger beside a provider's usage or cost export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nexscout_cli.cli import choices, declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.money import dollars, usd
from nexscout_cli.engine.reconcile.compare import Difference, Found, Key, Sums, Unknowns, compare, exported
from nexscout_cli.engine.reconcile.export import PROVIDERS, SOURCES, Line, bare, lines, source_of
from nexscout_cli.engine.report_window import Window, zone
from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.book_types import AttemptRow
    from nexscout_cli.engine.imported.record import Tally
    from nexscout_cli.engine.reconcile.settle import Settled

app = declared.App()

OFF = 1
"""The exit status where books and export differ by more than the tolerance."""
_DAY = timedelta(days=1)
_SHOWN = 40
_NEAR = timedelta(minutes=5)


@app.command()
def reconcile(
    file: Annotated[Path, declared.Argument(help="A provider's usage or cost export: JSON, JSON lines or CSV.")],
    source: Annotated[
        str | None, declared.Option("--from", help=f"Whose it is, where it cannot be told: {', '.join(SOURCES)}.")
    ] = None,
    columns: Annotated[
        str | None,
        declared.Option("--columns", help="Of csv: our names for its columns, as time=created,model=engine."),
    ] = None,
    tolerance: Annotated[str, declared.Option("--tolerance", help="What may remain unexplained: 1%, 0.5%, 0.")] = "1%",
    tz: Annotated[str, declared.Option("--tz", help="Time zone of the export's days.")] = "UTC",
    settle: Annotated[
        bool, declared.Option("--settle", help="Post unknown attempts at what the export shows; asks first.")
    ] = False,
    yes: Annotated[bool, declared.Option("--yes", "-y", help="Settle without asking.")] = False,
    as_json: Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")] = False,
) -> int:
    """Compare the ledger with a provider's export by day and model (admins). Exit 1 when they differ by more than the tolerance.

    \b
    nexscout reconcile openai-costs.json --tolerance 1%
    nexscout reconcile activity.csv --from openrouter --settle
    """
    allowed, where = _share(tolerance), zone(tz)
    session = Session()
    session.recover()
    reading = _Reading(session, file, source, columns)
    export, credits, ours = exported(reading.lines(), where)
    if not export:
        raise UsageError(f"{file.name} has nothing to compare{_left(reading.tally)}", "check the file and --from")
    names = _names(session, reading.source)
    ledger = _ledger(session, sorted({day for day, _ in export}), where, names)
    found = compare(ledger, export, reading.unknowns(where, names), allowed, credits, ours)
    fates = reading.fates(names)
    done = _settle(session, fates, yes, as_json) if settle else 0
    if as_json:
        output.emit(_document(found, fates, done, allowed, reading.tally))
    else:
        _tell(found, fates, settle, reading.tally)
    if not found.within(allowed):
        output.note(_why(found, file, allowed))
        return OFF
    return 0


class _Reading:
    """An export that is read line by line; lines near unknown attempts are kept, since they may tell of them."""

    def __init__(self, session: Session, file: Path, source: str | None, columns: str | None) -> None:
        from nexscout_cli import foreign_files
        from nexscout_cli.cli.report import one_of
        from nexscout_cli.engine.imported.bring import Prices
        from nexscout_cli.engine.imported.mapped import mapping
        from nexscout_cli.engine.imported.record import Left, Tally
        from nexscout_cli.engine.imported.sources import Wanted, parse_of

        if source is not None:
            one_of(source, SOURCES, "export")
        rows: Iterator[Any] = foreign_files.rows_of(file)
        head = next(rows, None)
        self.source = source or (source_of(head) if head is not None and not isinstance(head, Left) else "csv")
        self.tally = Tally()
        parse = parse_of(Wanted(self.source, mapping(columns)))
        rows = chain(() if head is None else (head,), rows)
        self._lines = lines(rows, parse, Prices(foreign_files.rates_of).cost, self.tally)
        self.attempts = _attempts(session)
        times = [datetime.fromisoformat(t) for a in self.attempts for t in (a.created_at, a.settled_at or a.created_at)]
        self._span = (min(times) - _NEAR, max(times) + _NEAR) if times else None
        self._ids = {one.provider_id for one in self.attempts}
        self._near: list[Line] = []

    def lines(self) -> Iterable[Line]:
        """The export's lines, once."""
        for line in self._lines:
            if self._span and line.key and (self._span[0] <= line.at <= self._span[1] or line.key in self._ids):
                self._near.append(line)
            yield line

    def fates(self, names: dict[str, str]) -> list[Settled]:
        """What the lines that were read tell of unknown attempts."""
        from nexscout_cli.engine.reconcile.settle import settled

        ours = [one for one in self.attempts if one.model in names]
        return settled(ours, self._near, lambda model: names.get(model, model))

    def unknowns(self, tz: tzinfo, names: dict[str, str]) -> dict[Key, Unknowns]:
        """Unknown attempts by day and the provider's name of the model."""
        found: dict[Key, Unknowns] = {}
        for one in self.attempts:
            if one.state == "unknown" and one.model in names:
                key = datetime.fromisoformat(one.created_at).astimezone(tz).date().isoformat(), names[one.model]
                before = found.get(key, Unknowns())
                found[key] = Unknowns(before.n + 1, before.hold + one.hold)
        return found


def _attempts(session: Session) -> list[AttemptRow]:
    """The attempts around those that are unknown; none where none is. Raises NotPermitted in either case."""
    lost = session.store.recovery.unresolved(session.actor)
    times = [datetime.fromisoformat(one.settled_at) for one in lost]
    since, until = (min(times) - _DAY, max(times) + _NEAR) if times else (datetime.now(UTC),) * 2
    return session.store.recovery.billed(session.actor, since, until)


def _names(session: Session, source: str) -> dict[str, str]:
    """The provider's name of each model of the catalog that the export may have."""
    whose = PROVIDERS.get(source)
    return {
        model.name: bare(model.litellm_model)
        for model in session.store.catalog.models(session.actor)
        if not model.embedded and (whose is None or model.litellm_model.partition("/")[0] in whose)
    }


def _ledger(session: Session, days: list[str], tz: tzinfo, names: dict[str, str]) -> dict[Key, Sums]:
    """The ledger's sums by day and the provider's name of the model, from the export's first day to its last."""
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    found: dict[Key, Sums] = {}
    for n in range((last - first).days + 1):
        day = first + n * _DAY
        since, until = (datetime.combine(one, time(), tz).astimezone(UTC) for one in (day, day + _DAY))
        with session.store.reports.reading(session.actor, Window(since, until, tz)) as reader:
            for row in reader.sums("model_used"):
                if row["model_used"] in names and (row["calls"] or row["cost_usd"]):
                    key = day.isoformat(), names[row["model_used"]]
                    mine = Sums(row["calls"], row["input_tokens"], row["output_tokens"], row["cost_usd"])
                    found[key] = found[key].plus(mine) if key in found else mine
    return found


def _share(text: str) -> Decimal:
    """A share from 1% or 0.01. Raises UsageError."""
    word = text.strip()
    try:
        share = Decimal(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
    except InvalidOperation:
        share = Decimal("NaN")
    if not share.is_finite() or not 0 <= share <= 1:
        raise UsageError(f"--tolerance cannot be {text!r:.40}", "a share, for instance 1% or 0.5%")
    return share


def _settle(session: Session, fates: list[Settled], yes: bool, quiet: bool) -> int:
    """Post what the export tells of, once somebody agrees; returns how many requests that were."""
    if not fates:
        return 0
    if not quiet:
        for fate in fates:
            output.note(f"{fate.request_id}: post ${dollars(fate.cost)} of ${dollars(fate.hold)} held ({fate.how})")
    if not yes:
        if not output.stderr_is_terminal():
            raise UsageError("nobody is there to be asked", "add --yes to settle, or leave out --settle")
        if not choices.asked(f"Settle {len(fates)} requests so?"):
            return 0
    for fate in fates:
        session.store.recovery.resolve(session.actor, fate.request_id, fate.cost)
    return len(fates)


def _why(found: Found, file: Path, allowed: Decimal) -> str:
    worst = max((one for one in found.lines if not one.within and not one.why), key=lambda one: abs(one.cost))
    return (
        f"nexscout: {file.name} and the ledger differ by {found.off:.2%} of the {found.measure}, more than {allowed:.2%}: "
        f"most of it {worst.day} {worst.model}"
    )


def _left(tally: Tally) -> str:
    return "".join(f"; {count:,} rows left out: {reason}" for reason, count in tally.left.most_common(1))


def _tell(found: Found, fates: list[Settled], settle: bool, tally: Tally) -> None:
    differ = [one for one in found.lines if not one.within]
    if differ:
        tables.show(
            ("day", "model", "requests", "of export", "tokens", "of export", "cost", "of export", "difference", "why"),
            [_cells(one) for one in differ[:_SHOWN]],
            right=range(2, 9),
        )
    same = len(found.lines) - len(differ)
    said = [
        f"{same} of {len(found.lines)} days and models agree; {found.off:.2%} of the {found.measure} is not explained"
    ]
    if len(differ) > _SHOWN:
        said.append(f"{len(differ) - _SHOWN} more differ; --json has all")
    if found.ours:
        said.append("the export has no costs: they are its tokens at the price table's prices")
    if found.credits:
        said.append(f"credits of ${dollars(found.credits)} are not compared: calls cost what they cost before them")
    said += [f"{count:,} rows left out: {reason}" for reason, count in tally.left.most_common(_SHOWN)]
    if fates and not settle:
        said.append(f"the export tells of {len(fates)} unknown requests; --settle posts them")
    output.out("\n".join(said))


def _cells(one: Difference) -> list[str]:
    a, b = one.ledger, one.export
    return [
        *(one.day, one.model, _count(a.requests), _count(b.requests)),
        *(_count(_tokens(a)), _count(_tokens(b)), _money(a.cost), _money(b.cost)),
        "–" if b.cost is None else f"${dollars(one.cost)}",
        one.why or ("not in the ledger" if not a.requests else "not explained"),
    ]


def _tokens(sums: Sums) -> int | None:
    return None if sums.tokens_in is None else sums.tokens_in + (sums.tokens_out or 0)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _money(value: int | None) -> str:
    return "–" if value is None else f"${dollars(value)}"


def _document(found: Found, fates: list[Settled], done: int, allowed: Decimal, tally: Tally) -> dict[str, Any]:
    def side(sums: Sums) -> dict[str, Any]:
        named = sums._asdict()
        return {**named, "cost": None, "cost_usd": None if sums.cost is None else usd(sums.cost)}

    return {
        "within": found.within(allowed),
        "measure": found.measure,
        "unexplained_share": round(float(found.off), 6),
        "tolerance": float(allowed),
        "costs_are_ours": found.ours,
        "credits_usd": usd(found.credits),
        "left_out": dict(tally.left.most_common()),
        "rows": [
            {
                "day": one.day,
                "model": one.model,
                "within": one.within,
                "why": one.why or None,
                "ledger": {k: v for k, v in side(one.ledger).items() if k != "cost"},
                "export": {k: v for k, v in side(one.export).items() if k != "cost"},
            }
            for one in found.lines
        ],
        "settled": done,
        "unknown": [
            {
                "request_id": one.request_id,
                "cost_usd": usd(one.cost),
                "hold_usd": usd(one.hold),
                "by": one.how,
            }
            for one in fates
        ],
    }
