"""``nexscout why``: how a request's model was chosen, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any

from nexscout_cli.cli import declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.routing import explain

app = declared.App()


@app.command()
def why(
    request_id: Annotated[str, declared.Argument(help="A request's id, or its first 6 characters or more.")],
    as_json: Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")] = False,
) -> int:
    """Tell how a request's model was chosen, as it was when it ran, and what came of it.

    \b
    nexscout why 3f9a1c
    nexscout why 3f9a1c --json
    """
    session = Session()
    found = session.store.log.why(session.actor, request_id)
    decision, came = found["decision"], explain.course(found)
    if as_json:
        output.emit(found | {"decision": decision and document(decision), "text": came})
        return 0
    request = found["request"]
    output.out(f"{request['request_id']}  {request['user_id']}  {request['feature']}  {request['outcome']}\n")
    if decision:
        show(decision)
        output.out("")
    elif request["outcome"] != "cached":
        output.out("How its model was chosen is not on record: it is older than that.")
    for line in came:
        output.out(line)
    return 0


def document(decision: dict[str, Any]) -> dict[str, Any]:
    """A decision for ``--json``: costs in dollars, and the words."""
    rows = [
        {
            ("cost_usd" if name == "cost" else name): _usd(value) if name == "cost" else value
            for name, value in one.items()
        }
        for one in decision["candidates"]
    ]
    return decision | {"candidates": rows, "text": explain.requirement(decision) + explain.extraction(decision)}


def show(decision: dict[str, Any]) -> None:
    """A decision as a person reads it."""
    for line in explain.requirement(decision) + explain.extraction(decision):
        output.out(line)
    output.out("")
    tables.show(
        ("model", "would cost $", "quality", ""),
        [
            [
                one["model"],
                "" if one["cost"] is None else f"{_usd(one['cost']):.6f}",
                f"{one['quality']:.2f}",
                explain.candidate(one),
            ]
            for one in decision["candidates"]
        ],
        right=(1, 2),
    )


def _usd(nano: int | None) -> Any:
    return None if nano is None else usd(nano)
