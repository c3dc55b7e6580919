"""What goes on now: attempts that are not settled, and what came into the books in the latest minutes. Each has an index."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from nexscout_cli.engine.book_types import InFlight, Live, Minute
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, Transaction, parse_stamp, stamp

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.records import Record

_CALLS = f"""SELECT a.request_id, a.n, user_id, a.model, a.state, a.hold, a.created_at
  FROM attempts a JOIN requests r USING (request_id)
  WHERE a.claim IS NOT NULL AND a.state IN ('held', 'sent', 'submitted', 'unknown') AND {OWN_OR_ADMIN}
  ORDER BY a.created_at, a.id"""
_USED = f"""SELECT substr(created_at, 1, 16), sum(cost_usd), count(DISTINCT request_id), count(*) FILTER (WHERE outcome = 'hit')
  FROM ai_model_usage WHERE created_at >= :since AND {OWN_OR_ADMIN} GROUP BY 1"""
_FAILED = f"""SELECT substr(a.created_at, 1, 16), count(*) FROM attempts a JOIN requests r USING (request_id)
  WHERE a.failure IS NOT NULL AND a.created_at >= :since AND {OWN_OR_ADMIN} GROUP BY 1"""


def live(t: Transaction, minutes: int) -> Live:
    """What goes on, over what the actor may see. A minute is one of the clock; of a failed attempt the one it began in."""
    first = t.now.replace(second=0, microsecond=0) - timedelta(minutes=minutes - 1)
    values = {"actor": t.actor, "since": stamp(first)}
    used = {row[0]: row[1:] for row in t.execute(_USED, values)}
    failed = dict(tuple(row) for row in t.execute(_FAILED, values))
    names = [stamp(first + timedelta(minutes=n))[:16] for n in range(minutes)]
    spent = [(name, used.get(name, (0, 0, 0))) for name in names]
    return Live(
        t.now,
        [_in_flight(row) for row in t.execute(_CALLS, values)],
        [Minute(cost, answers, hits, failed.get(name, 0)) for name, (cost, answers, hits) in spent],
    )


def _in_flight(row: Record) -> InFlight:
    request_id, n, user_id, model, state, hold, created = row
    return InFlight(request_id, n, user_id, model, state, hold, parse_stamp(created))
