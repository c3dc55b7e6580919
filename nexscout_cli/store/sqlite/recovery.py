"""What becomes of attempts whose process died, of unknown ones that grow old, and of those a person decides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.catalog.recovery_rules import LiveAttempt, Recovered
from nexscout_cli.engine.money import dollars
from nexscout_cli.errors import UsageError
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite import accounts, archives, claims, folding, states, usage
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, Transaction, parse_stamp, stamp

if TYPE_CHECKING:
    from datetime import datetime

    from nexscout_cli.engine.book_types import AttemptRow, Unresolved
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.work import Work

_ATTEMPTS = """SELECT a.*, r.user_id, r.feature, r.state = 'open' AS goes_on
    FROM attempts a JOIN requests r USING (request_id)"""


class SqliteRecovery:
    """Attempts that nobody looks after."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def recover(self, actor: str) -> Recovered:
        """Settle what dead processes left behind, and fold finished hours for reports; runs at the start of every writing
        command, over all users.
        """
        with self._store.read(actor) as t:
            to_fold = folding.is_due(t)
            left = left_behind(t)
        if to_fold:
            folding.catch_up(self._store, actor)
        return self._settle(actor, left) if any(left) else Recovered()

    def _settle(self, actor: str, _: LeftBehind, /) -> Recovered:
        """Settle what is left behind; others may have settled some of what was seen."""
        counted = {"voided": 0, "unknown": 0, "posted": 0}
        with self._store.write(actor) as t:
            for row, fate in _left_behind(t):
                counted[fate] += 1
                if fate == "posted":
                    _post(t, row, row["hold"], "aged")
                elif fate == "voided":
                    _void(t, row, "its process died")
                else:
                    states.set_state(
                        t, row["id"], "unknown", reason="its process died while it was in flight", failure="other"
                    )
                    if row["goes_on"]:
                        states.close_request(t, row["request_id"], "unknown")
            _close_abandoned(t)
            claims.end_stale(t)
            states.expire_keys(t)
        return Recovered(**counted)

    def resolve(self, actor: str, request_id: str, cost: int | None, *, beyond_hold: bool = False) -> int:
        """Decide a request's unknown attempts: post them at ``cost`` nano-dollars in all, or void them when it is None.

        ``request_id`` may be the beginning of one. Returns how many there were. Admins only: to void is to give budget back.
        Raises UsageError when there is none, or when the cost is beyond what they hold and ``beyond_hold`` does not say that
        this is meant: entries stay for ever.
        """
        with self._store.write(actor) as t:
            rows = to_decide(t, request_id, cost, beyond_hold=beyond_hold)
            for row in rows:
                if cost is None:
                    _void(t, row, f"resolved by {actor}")
                else:
                    _post(t, row, cost, "resolved")
                    cost = 0  # all of it is the first one's
        return len(rows)

    def unresolved(self, actor: str) -> list[Unresolved]:
        """The unknown attempts the actor may see."""
        from nexscout_cli.engine.book_types import Unresolved

        with self._store.read(actor) as t:
            # +a.id: by the small index of claims, not by the table's own order.
            rows = t.execute(
                f"""SELECT a.request_id, a.n, user_id, a.model, a.hold, a.reason, a.settled_at FROM attempts a
                    JOIN requests r USING (request_id) WHERE a.claim IS NOT NULL AND a.state = 'unknown'
                    AND {OWN_OR_ADMIN} ORDER BY +a.id""",
                {"actor": actor},
            )
            return [Unresolved(*row) for row in rows]

    def billed(self, actor: str, since: datetime, until: datetime) -> list[AttemptRow]:
        """The posted and unknown attempts that began in that time, in order. Admins only."""
        from nexscout_cli.engine.book_types import AttemptRow

        with self._store.read(actor) as t:
            t.require_admin("compare the ledger with a provider's")
            archives.need_rows(t.execute, since, "to compare with a provider's export takes")
            rows = t.execute(
                f"SELECT {', '.join(AttemptRow._fields)} FROM attempts "
                "WHERE state IN ('posted', 'unknown') AND created_at >= ? AND created_at < ? ORDER BY id",
                (stamp(since), stamp(until)),
            )
            return [AttemptRow(*row) for row in rows]

    def reset_clock(self, actor: str) -> None:
        """Set the last-seen time back to the clock's, after the clock stood in the future for a while. Admins only."""
        now = self._store.clock.now()
        with self._store.write(actor, touch=False) as t:  # what is there may be no time
            t.require_admin("reset the last-seen time")
            if stamp(now) < (first := archives.rows_from(t.execute)):
                raise UsageError(
                    f"the clock says {stamp(now)}, and all before {first} is archived: nothing can be entered there any more",
                    "set the clock right",
                )
            if not t.execute("UPDATE meta SET value = ? WHERE key = 'last_seen'", (stamp(now),)).rowcount:
                t.execute("INSERT INTO meta VALUES ('last_seen', ?)", (stamp(now),))


class LeftBehind(NamedTuple):
    """What is to be settled: attempts with the fate of each, requests that a process left open between two, and whether there
    are claims that outlived their request, and idempotency keys to let go.
    """

    attempts: list[tuple[Record, str]]
    abandoned: list[Record]
    has_claims: bool
    has_keys: bool


def left_behind(t: Transaction) -> LeftBehind:
    """What nobody looks after."""
    return LeftBehind(_left_behind(t), _abandoned(t), claims.stale(t), states.keys_to_expire(t))


def to_decide(t: Transaction, request_id: str, cost: int | None, *, beyond_hold: bool) -> list[Record]:
    """The unknown attempts of the one request that begins so, which the actor may decide to have had that cost.

    Raises what :meth:`SqliteRecovery.resolve` raises.
    """
    t.require_admin("resolve an attempt")
    from nexscout_cli.store.sqlite import log

    request_id = log.find(t, request_id)
    rows = t.execute(
        f"{_ATTEMPTS} WHERE a.request_id = ? AND a.state = 'unknown' ORDER BY a.n", (request_id,)
    ).fetchall()
    if not rows:
        raise UsageError(
            f"request {request_id} has no attempt with an unknown outcome",
            "`nexscout db resolve` lists those that have",
        )
    held = sum(row["hold"] for row in rows)
    if cost is not None and cost > held and not beyond_hold:
        raise UsageError(
            f"${dollars(cost)} is more than the ${dollars(held)} that the request holds, and cannot be taken back",
            "add --yes if the provider really billed that",
        )
    return rows


def _left_behind(t: Transaction) -> list[tuple[Record, str]]:
    rows = t.execute(
        f"{_ATTEMPTS} WHERE a.claim IS NOT NULL AND a.state IN ('held', 'sent', 'unknown') ORDER BY +a.id"
    ).fetchall()
    live = ((row, _live(row)) for row in rows)
    return [
        (row, t.rules.ageing.fate(attempt))
        for row, attempt in live
        if t.rules.ageing.is_left_behind(attempt, t.now, lambda row=row: t.lives(row["owner"], row["created_at"]))  # type: ignore[misc]
    ]


def _live(row: Record) -> LiveAttempt:
    since = parse_stamp(row["settled_at"]) if row["settled_at"] else None
    return LiveAttempt(row["state"], row["hold"], parse_stamp(row["deadline"]), since)


def _abandoned(t: Transaction) -> list[Record]:
    """Requests left open between two attempts by a process that died."""
    rows = t.execute(
        """SELECT r.request_id,
           (SELECT a.owner FROM attempts a WHERE a.request_id = r.request_id ORDER BY n DESC LIMIT 1) AS owner,
           (SELECT max(coalesce(a.settled_at, a.created_at)) FROM attempts a WHERE a.request_id = r.request_id) AS since,
           (SELECT max(a.deadline) FROM attempts a WHERE a.request_id = r.request_id) AS deadline,
           EXISTS (SELECT 1 FROM attempts a WHERE a.request_id = r.request_id AND a.state = 'unknown') AS unknown
           FROM requests r WHERE r.state = 'open'
           AND r.request_id IN (SELECT request_id FROM attempts WHERE claim IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.request_id = r.request_id
             AND a.state IN ('held', 'sent', 'submitted'))"""
    ).fetchall()
    return [row for row in rows if not t.lives(row["owner"], row["since"]) or _is_overdue(t, row)]


def _is_overdue(t: Transaction, row: Record) -> bool:
    """Whether a process that cannot be seen from here has gone on with nothing since its last attempt should have ended."""
    return not owner.is_seen(row["owner"]) and parse_stamp(row["deadline"]) + t.rules.ageing.post_after <= t.now


def _close_abandoned(t: Transaction) -> None:
    """Nothing of theirs is in flight, so nothing was delivered; energy stays held while an attempt is unknown."""
    for row in _abandoned(t):
        if row["unknown"]:
            states.close_request(t, row["request_id"], "unknown")
        else:
            states.end_request(t, row["request_id"], "voided", 0)


def _void(t: Transaction, row: Record, reason: str) -> None:
    states.set_state(t, row["id"], "voided", reason=reason, ended=not row["goes_on"])
    accounts.release(t, row["id"], {"usd": None, "tokens": None}, reason)
    _end_if_settled(t, row["request_id"], "voided")


def _post(t: Transaction, row: Record, cost: int, how: str) -> None:
    """Post an unknown attempt; its tokens are what the hold allowed, since nobody reported any."""
    kept = json.loads(row["plan"])
    states.set_state(t, row["id"], "posted", actual=cost, ended=not row["goes_on"])
    accounts.release(t, row["id"], {"usd": cost, "tokens": row["hold_tokens"]}, how)
    input_tokens, output_tokens = _most_tokens(kept)
    usage.record(
        t,
        {
            "request_id": row["request_id"],
            "n": row["n"],
            "user_id": row["user_id"],
            "feature": row["feature"],
            "model_used": row["model"],
            "outcome": "posted",
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cost_usd": cost,
            "mode": kept["mode"],
            "routing_reason": kept["routing_reason"],
            "compression_applied": int(kept["compressed"]),
            "baseline_usd": cost,
            "metadata": {
                "flags": ["estimated", how, *(["provider_excess"] if cost > row["hold"] else [])],
                "delivered": False,
            },
        },
    )
    # What it cost is known now; how long it was is not, so nothing is learned of the prediction.
    t.execute(
        "UPDATE ai_cost_predictions SET actual_cost_usd = coalesce(actual_cost_usd, 0) + ? WHERE request_id = ?",
        (cost, row["request_id"]),
    )
    _end_if_settled(t, row["request_id"], "voided")


def _most_tokens(kept: dict[str, object]) -> tuple[int, int]:
    """The bounds on input and output tokens of an attempt, from what is kept with it."""
    if "max_input_tokens" in kept:  # before settlements were kept
        return int(str(kept["max_input_tokens"])), int(str(kept["max_output_tokens"]))
    from nexscout_cli.engine.settlement import Settlement

    forecast = Settlement.from_json(kept).forecast
    return forecast.max_input_tokens, forecast.max_output_tokens


def _end_if_settled(t: Transaction, request_id: str, state: str) -> None:
    """Close the request once none of its attempts is live or unknown; one that was answered stays posted."""
    live = t.execute(
        "SELECT 1 FROM attempts WHERE request_id = ? AND state IN ('held', 'sent', 'submitted', 'unknown')",
        (request_id,),
    ).fetchone()
    row = t.execute("SELECT state FROM requests WHERE request_id = ?", (request_id,)).fetchone()
    if not live and row["state"] != "posted":
        states.end_request(t, request_id, state, 0)
