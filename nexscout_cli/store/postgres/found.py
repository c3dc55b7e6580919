"""Looking up many kept answers in one statement: for a server, whose requests each ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.recalled import CachedAnswer
from nexscout_cli.jsontext import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.store.sqlite.transaction import Transaction

# One by request at most, by its unique key; by form the latest.
_LOOK_UP = """SELECT w.n, c.id, c.response_text, c.model_used, c.quality, c.input_tokens, c.output_tokens, c.cost_usd, c.match,
    c.request_id
    FROM json_to_recordset(?::json) AS w(n bigint, user_id text, prompt_hash text, form_hash text) CROSS JOIN LATERAL (
      (SELECT *, 'exact' AS match FROM cached_ai_responses
        WHERE user_id = w.user_id AND prompt_hash = w.prompt_hash AND expires_at > ?)
      UNION ALL
      (SELECT *, 'canonical' FROM cached_ai_responses
        WHERE user_id = w.user_id AND form_hash = w.form_hash AND expires_at > ? ORDER BY id DESC LIMIT 1)
      LIMIT 1) c"""


class Wanted(NamedTuple):
    """Which answer is looked for; ``form_hash`` None: not by a canonical form."""

    user_id: str
    prompt_hash: str
    form_hash: str | None


def found_all(t: Transaction, wanted: Sequence[Wanted]) -> list[CachedAnswer | None]:
    """What ``answers.find`` would find for each. Raises NotPermitted where one is not the actor's to see."""
    for user_id in {one.user_id for one in wanted}:
        t.require_access(user_id)
    asked = plain([{"n": n, **one._asdict()} for n, one in enumerate(wanted)])
    found: list[CachedAnswer | None] = [None] * len(wanted)
    for row in t.execute(_LOOK_UP, (asked, t.stamp, t.stamp)):
        n, *values = row
        found[n] = CachedAnswer(*values)
    return found
