"""Jobs, their parts and rows as they are read from the tables, and the steps of a row that several transactions take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nexscout_cli import jsontext
from nexscout_cli.engine.jobs.values import Job, Part, Row, model_of
from nexscout_cli.engine.settlement import Attempt, Settlement
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import holds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.transaction import Transaction

SEEN = "(j.actor = :actor OR EXISTS (SELECT 1 FROM users WHERE user_id = :actor AND role = 'admin'))"
_LIVE = "('held', 'sent', 'submitted', 'unknown')"
# A row that is sent at full price is another request, which is known by its key before the row is ended.
_COUNTS = """SELECT r.state, count(*) AS n, sum(r.good) AS answered,
  coalesce(sum((SELECT sum(a.hold) FROM attempts a
    WHERE a.request_id IN (r.request_id, r.again) AND a.state IN {live})), 0) AS held,
  coalesce(sum((SELECT sum(a.actual) FROM attempts a WHERE a.request_id IN (r.request_id, r.again))), 0) AS cost
  FROM (SELECT state, request_id, CASE WHEN answer IS NOT NULL AND {good} THEN 1 ELSE 0 END AS good,
      (SELECT q.request_id FROM requests q WHERE q.user_id = w.user_id AND q.key = 'job ' || w.job || ' ' || w.n) AS again
    FROM job_rows w WHERE job = ?) r
  GROUP BY r.state"""
_ROW = """SELECT r.*, a.id AS attempt, a.n AS attempt_n, a.state AS attempt_state, a.hold, a.hold_tokens, a.plan
  FROM job_rows r LEFT JOIN attempts a ON a.request_id = r.request_id AND a.n = 1"""
_SEVERAL = 4
NAMES = ("job", "n", "row_id", "digest", "user_id", "state", "same_as", "request_id", "part", "attempt_state")
"""What is read of a row without what it asks and answers."""


def written(value: Any) -> str | None:
    """JSON text of a value; None for None."""
    return None if value is None else jsontext.dumps(value)


def found(t: Transaction, name: str) -> Record:
    """The job whose id begins so, where the actor may see it."""
    rows = t.execute(
        f"SELECT * FROM jobs j WHERE {SEEN} AND substr(id, 1, :size) = :name ORDER BY id LIMIT {_SEVERAL}",
        {"actor": t.actor, "name": name, "size": len(name)},
    ).fetchall()
    if not rows or not name:
        raise UsageError(f"there is no job {name!r:.60}", "`nexscout jobs list` shows them")
    if len(rows) > 1 and rows[0]["id"] != name:
        raise UsageError(
            f"more than one job begins with {name!r}", f"for instance {', '.join(r['id'] for r in rows[:3])}"
        )
    first: Record = rows[0]
    return first


def job_of(t: Transaction, row: Record) -> Job:
    """A job with what its rows have come to."""
    good = f"substr(answer, 1, {len(_GOOD)}) = '{_GOOD}'"
    counted = t.execute(_COUNTS.format(live=_LIVE, good=good), (row["id"],)).fetchall()
    counts = {one["state"]: int(one["n"]) for one in counted}
    answered = sum(int(one["answered"] or 0) for one in counted)
    known = {name: row[name] for name in ("id", "actor", "name", "digest", "out", "state", "created_at", "ended_at")}
    return Job(
        **known,
        counts=counts,
        answered=answered,
        failed=counts.get("ended", 0) - answered,
        held=sum(int(one["held"]) for one in counted),
        cost=row["archived_usd"] + sum(int(one["cost"]) for one in counted),
    )


_GOOD = '{"success": true'
"""How a kept answer begins that is one: so it need not be read to be counted."""


def part_of(t: Transaction, row: Record) -> Part:
    """A part of one."""
    count = t.execute("SELECT count(*) FROM job_rows WHERE part = ?", (row["id"],)).fetchone()[0]
    known = {name: row[name] for name in Part._fields if name not in ("model", "rows")}
    return Part(**known, model=model_of(json.loads(row["model"])), rows=count)


def rows_of_part(t: Transaction, part: str, state: str) -> Iterable[Record]:
    """Place and attempt of a part's rows in a state."""
    rows: list[Record] = t.execute(
        "SELECT r.n, a.id AS attempt, a.state AS attempt_state FROM job_rows r "
        "JOIN attempts a ON a.request_id = r.request_id AND a.n = 1 WHERE r.part = ? AND r.state = ? ORDER BY r.n",
        (part, state),
    ).fetchall()
    return rows


def row_of(t: Transaction, job: str, n: int) -> Row:
    """A row with all that is kept of it."""
    one = t.execute(f"{_ROW} WHERE r.job = ? AND r.n = ?", (job, n)).fetchone()
    attempt = None
    if one["attempt"] is not None:
        energy = holds.energy_held(t, one["request_id"])
        settlement = Settlement.from_json(_value(one["plan"]))
        attempt = Attempt(
            *(one["attempt"], one["request_id"], one["attempt_n"], settlement),
            *(one["hold"], one["hold_tokens"], energy),
        )
    return Row(
        **{name: one[name] for name in NAMES},
        request=_value(one["request"]),
        kept=_value(one["kept"]),
        answer=None if one["answer"] is None else jsontext.loads(one["answer"]),
        attempt=attempt,
    )


def _value(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) else text


def attempt_of(row: Row) -> Attempt:
    """What a row that was sent holds."""
    assert row.attempt is not None, "a row that was sent holds something"
    return row.attempt


def wait_again(t: Transaction, job: str, n: int) -> None:
    """Nothing is held for a row any more: it is to be planned again."""
    t.execute(
        "UPDATE job_rows SET state = 'waiting', request_id = NULL, kept = NULL, body = NULL, part = NULL "
        "WHERE job = ? AND n = ?",
        (job, n),
    )


def end_row(t: Transaction, row: Row, answer: dict[str, Any]) -> None:
    """The row's answer; what it asked is not needed any more. One that was sent at full price is that request's from here on."""
    at_full_price = (answer.get("metadata") or {}).get("request_id") if row.state == "back" else None
    t.execute(
        "UPDATE job_rows SET state = 'ended', answer = ?, request = NULL, body = NULL, request_id = coalesce(?, request_id) "
        "WHERE job = ? AND n = ? AND state <> 'ended'",
        (written(answer), at_full_price, row.job, row.n),
    )
