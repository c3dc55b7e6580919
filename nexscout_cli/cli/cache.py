"""``nexscout cache``: the answers that are kept."""

from __future__ import annotations

from typing import Annotated

from nexscout_cli.cli import choices, declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.money import dollars, usd
from nexscout_cli.errors import UsageError

app = declared.App(no_args_is_help=True)

User = Annotated[
    str | None, declared.Option("-u", "--user", help="Whose answers (admins; default: all that you may see).")
]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]
_MOST = 1_000_000
_LAST_ID = 2**63 - 1
DryRun = Annotated[bool, declared.Option("--dry-run", help="Say what would go, and remove nothing.")]


@app.callback()
def cache() -> None:
    """Look at the answers that are kept, and remove them.

    \b
    nexscout cache clean                 remove what has expired or does not fit; for cron
    nexscout cache stats
    nexscout cache forget REQUEST_ID     that answer was wrong
    nexscout cache list --limit 50
    nexscout cache clear --feature ai_message
    """


@app.command()
def clean(
    dry_run: DryRun = False,
    quiet: Annotated[bool, declared.Option("-q", "--quiet", help="Print nothing.")] = False,
    as_json: AsJson = False,
) -> int:
    """Remove the answers that have expired, and the least recently used above cache.max_mb, everyone's. Silent when no
    person is looking on.

    \b
    nexscout cache clean
    17 4 * * *  nexscout cache clean --quiet        a crontab line
    nexscout cache clean --dry-run
    """
    session = Session(quiet)
    if not dry_run:
        session.recover()
    expired = session.store.cache.clean(dry_run=dry_run)
    evicted = session.store.cache.evict(dry_run=dry_run)
    if not dry_run:
        session.store.jobs.clean(session.settings["jobs.keep_days"])
    removed = expired + evicted
    if as_json:
        output.emit({"removed": removed, "expired": expired, "evicted": evicted, "dry_run": dry_run})
    elif quiet:
        return 0
    elif dry_run:
        output.out(f"{_answers(removed)} would be removed")
    elif output.stderr_is_terminal():
        output.note(f"{_answers(removed)} removed")
    return 0


@app.command()
def stats(as_json: AsJson = False) -> int:
    """Show what is kept, what it takes and what it has saved, by feature and by kind of match.

    \b
    nexscout cache stats
    nexscout cache stats --json
    """
    session = Session()
    found = session.store.cache.stats(session.actor)
    rows, totals, matches = found["rows"], found["totals"], found["matches"]
    if as_json:
        output.emit(
            {
                "rows": [row | _saved(row) for row in rows],
                "matches": [row | {"saved_usd": usd(row["saved_usd"])} for row in matches],
                "near_misses": found["near_misses"],
                "totals": totals | _saved(totals),
            }
        )
        return 0
    tables.show(
        ("feature", "answers", "expired", "kB", "hits", "requests", "hit rate", "tokens saved", "saved $"),
        [
            [
                row.get("feature", "all"),
                row["answers"],
                row["expired"],
                f"{row['bytes'] / 1000:,.0f}",
                row["hits"],
                row["requests"],
                f"{_rate(row):.0%}",
                f"{row['tokens_saved']:,}",
                dollars(row["saved_usd"]),
            ]
            for row in (*rows, totals)
        ],
        right=range(1, 9),
    )
    if matches:
        tables.show(
            ("feature", "match", "hits", "tokens saved", "saved $"),
            [
                [row["feature"], row["match"], row["hits"], f"{row['tokens_saved']:,}", dollars(row["saved_usd"])]
                for row in matches
            ],
            right=range(2, 5),
        )
    if apart := sum(row["answers"] for row in found["near_misses"]):
        output.note(f"near misses: {apart:,} kept answers were paid for beside one to the same question in other words")
    if totals["disk_bytes"] is not None:
        output.note(f"on disk, with indexes: {totals['disk_bytes'] / 1e6:,.1f} MB")
    return 0


@app.command("list")
def list_(
    user: User = None,
    limit: Annotated[int, declared.Option("--limit", min=1, max=_MOST, help="How many, the latest used first.")] = 20,
    as_json: AsJson = False,
) -> int:
    """List the answers that are kept, without their text.

    \b
    nexscout cache list
    nexscout cache list --user bob --limit 100 --json
    """
    session = Session()
    rows = session.store.cache.listing(session.actor, user, limit)
    if as_json:
        output.emit({"rows": rows})
        return 0
    names = ("id", "user_id", "feature", "model_used", "tokens_saved", "hit_count", "last_used_at", "expires_at")
    tables.show(
        ("id", "user", "feature", "model", "tokens", "hits", "last used", "expires"),
        [[_short(row[name]) if name.endswith("_at") else row[name] for name in names] for row in rows],
        right=(0, 4, 5),
    )
    return 0


@app.command()
def show(
    cached_id: Annotated[str, declared.Argument(metavar="ID", help="From `nexscout cache list`.")],
    as_json: AsJson = False,
) -> int:
    """Show one kept answer: its text on stdout, what is known of it on stderr.

    \b
    nexscout cache show 12
    nexscout cache show 12 --json
    """
    number = choices.whole(cached_id, "ID")
    if not 0 < number <= _LAST_ID:
        raise UsageError(f"there is no cached answer {number}", "`nexscout cache list` shows them")
    session = Session()
    row = session.store.cache.show(session.actor, number)
    if as_json:
        output.emit(row | {"cost_usd": usd(int(str(row["cost_usd"])))})
        return 0
    if output.stderr_is_terminal():
        output.note(
            f"{row['user_id']} · {row['feature']} · {row['model_used']} · {row['hit_count']} hits · "
            f"kept {_short(row['created_at'])} · expires {_short(row['expires_at'])}"
        )
    text = str(row["response_text"])
    output.out(text, end="" if text.endswith("\n") else "\n")
    return 0


@app.command()
def forget(
    request_id: Annotated[str, declared.Argument(metavar="REQUEST_ID", help="From `run --json` or `nexscout log`.")],
    as_json: AsJson = False,
) -> int:
    """Remove the answer that a request left in the cache or was given from it, so that the next one asks anew.

    \b
    nexscout cache forget 0192f0c1a2b3c4d5e6f70
    """
    session = Session()
    session.recover()
    removed = session.store.cache.forget(session.actor, request_id)
    if as_json:
        output.emit({"removed": removed})
    elif not removed:
        output.note(f"the cache holds nothing of request {request_id}")
    elif output.stderr_is_terminal():
        output.note(f"{_answers(removed)} removed")
    return 0


@app.command()
def clear(
    user: User = None,
    feature: Annotated[str | None, declared.Option("-f", "--feature", help="Of this feature only.")] = None,
    yes: Annotated[bool, declared.Option("--yes", "-y", help="Don't ask.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Remove kept answers, expired or not: your own; an admin's word covers everyone's.

    \b
    nexscout cache clear --dry-run
    nexscout cache clear --feature ai_message --yes
    nexscout cache clear --user bob
    """
    session = Session()
    found = session.store.cache.clear(session.actor, user, feature, dry_run=True)
    removed = found
    if not dry_run:
        if not choices.confirmed(f"Remove {_answers(found)}?", yes):
            output.note("nothing was removed")
            return 0
        session.recover()
        removed = session.store.cache.clear(session.actor, user, feature)
    if as_json:
        output.emit({"removed": removed, "dry_run": dry_run})
    elif dry_run:
        output.out(f"{_answers(removed)} would be removed")
    elif output.stderr_is_terminal():
        output.note(f"{_answers(removed)} removed")
    return 0


def _saved(row: dict[str, int]) -> dict[str, object]:
    return {"saved_usd": usd(row["saved_usd"]), "hit_rate": round(_rate(row), 4)}


def _rate(row: dict[str, int]) -> float:
    return row["hits"] / row["requests"] if row["requests"] else 0.0


def _answers(count: int) -> str:
    return f"{count:,} cached answer{'' if count == 1 else 's'}"


def _short(stamp: object) -> str:
    return str(stamp)[:16].replace("T", " ")
