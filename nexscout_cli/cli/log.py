"""``nexscout log``: the latest requests, or one of them with its attempts and entries."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from nexscout_cli.cli import declared, output, tables
from nexscout_cli.cli.session import Session

app = declared.App()

_SHORT_ID = 12
_NUMBERS = {"tokens", "cost", "energy", "n", "estimate", "hold", "actual", "amount", "attempt"}
_MOST = 10_000


@app.command()
def log(
    request_id: Annotated[
        str | None, declared.Argument(help="A request's id, or its first 6 characters or more.")
    ] = None,
    user: Annotated[str | None, declared.Option("-u", "--user", help="One user only.")] = None,
    limit: Annotated[int, declared.Option("-n", "--limit", min=1, max=_MOST, help="How many requests to list.")] = 20,
    as_json: Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")] = False,
) -> int:
    """List the latest requests, or show one with its prediction, attempts and ledger entries.

    \b
    nexscout log
    nexscout log --user sarah --limit 5
    nexscout log 3f9a1c
    """
    session = Session()
    if request_id is not None:
        found = (
            session.remote.request(request_id) if session.remote else session.store.log.show(session.actor, request_id)
        )
        if as_json:
            output.emit(found)
        else:
            _print_one(found)
        return 0
    if session.remote and user is not None:
        from nexscout_cli.cli.remote import refuse

        raise refuse("--user")
    rows = session.remote.latest(limit) if session.remote else session.store.log.latest(session.actor, user, limit)
    if len(rows) < limit and not session.remote:
        session.note_archives("requests")
    if not rows:
        output.note("no requests yet")
    if as_json:
        output.emit({"rows": rows})
    elif rows:
        _show("", [_line(row) for row in rows])
    return 0


def _line(row: dict[str, Any]) -> dict[str, str]:
    return {
        "time (UTC)": _time(row["created_at"]),
        "request": row["request_id"][:_SHORT_ID],
        "user": row["user_id"],
        "feature": row["feature"],
        "model": row["model_used"],
        "tokens": f"{row['total_tokens']:,}",
        "cost": _money(row["cost_usd"]),
        "energy": f"{row['energy']:,}",
        "outcome": row["outcome"] + (f": {row['reason']}" if row["reason"] else ""),
    }


def _classes(usage: list[dict[str, Any]]) -> list[str]:
    """The tokens of a request that are not plain, in one line; none where all are."""
    sums: dict[str, int] = {}
    for row in usage:
        for name, count in row["token_classes"].items():
            sums[name] = sums.get(name, 0) + count
    shown = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sums.items())
    return [shown] if shown else []


def _print_one(found: dict[str, Any]) -> None:
    request, prediction = found["request"], found["prediction"]
    lines = [
        ("request", request["request_id"]),
        ("time", _time(request["created_at"]) + " UTC"),
        ("user", request["user_id"]),
        ("feature", request["feature"]),
        ("model", request["model_used"]),
        ("tokens", f"{request['input_tokens']:,} in, {request['output_tokens']:,} out"),
        *(("of which", text) for text in _classes(found["usage"])),
        ("cost", _money(request["cost_usd"])),
        *(
            ("provider says", _money(row["provider_cost_usd"]))
            for row in found["usage"]
            if row["provider_cost_usd"] is not None
        ),
        ("energy", f"{request['energy']:,}"),
        ("outcome", request["outcome"] + (f": {request['reason']}" if request["reason"] else "")),
        *(("warning", text) for row in found["usage"] for text in row["metadata"].get("warnings", ())),
    ]
    if prediction:
        cost, most = _money(prediction["predicted_cost_usd"]), _money(prediction["max_cost_usd"])
        lines.append(
            (
                "predicted",
                f"{prediction['predicted_tokens']:,} tokens, {cost}, at most {most}; {prediction['routing_reason']}",
            )
        )
        if prediction["prediction_accuracy"] is not None:
            lines.append(("accuracy", f"{prediction['prediction_accuracy']:.1%}"))
    tables.pairs((name, _plain(value)) for name, value in lines)
    attempts = [
        {
            "n": str(row["n"]),
            "model": f"{row['model']} at {row['deployment']}" if row["deployment"] else row["model"],
            "state": row["state"],
            "estimate": _money(row["estimate"]),
            "hold": _money(row["hold"]),
            "actual": _money(row["actual"]),
            "reason": row["reason"] or "",
        }
        for row in found["attempts"]
    ]
    entries = [
        {
            "attempt": str(row["attempt"]),
            "account": row["account"],
            "owner": row["owner"],
            "period": row["period"],
            "kind": row["kind"],
            "amount": _amount(row["amount"]),
            "reason": row["reason"] or "",
        }
        for row in found["entries"]
    ]
    for title, rows in (("attempts", attempts), ("entries", entries)):
        if rows:
            output.out("")
            _show(title, rows)


def _show(title: str, rows: list[dict[str, str]]) -> None:
    columns = tuple(rows[0])
    numbers = [at for at, name in enumerate(columns) if name in _NUMBERS]
    tables.show(columns, [tuple(row.values()) for row in rows], right=numbers, title=title)


def _plain(text: str) -> str:
    """One line without control sequences."""
    return " ".join(output.harmless(text).splitlines())


def _time(text: str) -> str:
    return text[:19].replace("T", " ")


def _money(amount: Decimal | None) -> str:
    return "–" if amount is None else f"${amount:,.6f}"


def _amount(amount: Decimal | int) -> str:
    return _money(amount) if isinstance(amount, Decimal) else f"{amount:,}"
