"""Alerts: rules, what crossed them, and the notices that wait to be told. A crossing is entered once, whoever sees it first."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from nexscout_cli.engine.alerts import (
    LEAST_DAYS,
    LEAST_REQUESTS,
    MILLION,
    TRIES,
    USUAL_DAYS,
    Notice,
    Rule,
    first_day,
    goes_off,
    pause,
    share_elapsed,
)
from nexscout_cli.engine.budgets import owner_of
from nexscout_cli.engine.names import EVERYONE
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite.transaction import stamp

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work

_RULE = ", ".join(f'"{name}"' for name in Rule._fields)
_NOTICE = """SELECT e.id, e.alert, a.when_text, a.notify, a.secret_env, a.scope, e.subject, e.period, e.value, e.bound, a.metric,
  e.fired_at, e.state, e.tries, e.next_at, e.sent_at, e.error FROM alert_events e JOIN alerts a ON a.id = e.alert"""
_LEASE = timedelta(minutes=2)
"""How long a notice that somebody tries to tell is left to them."""


class SqliteAlerts:
    """Alerts. Admins only."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def add(self, actor: str, rule: Rule) -> int:
        """Enter a rule; returns its number."""
        with self._store.write(actor) as t:
            t.require_admin("add an alert")
            entered = rule._replace(created_by=t.actor, created_at=t.stamp)
            values = tuple(int(value) if isinstance(value, bool) else value for value in entered[1:])
            names = ", ".join(f'"{name}"' for name in Rule._fields[1:])
            return t.insert(f"INSERT INTO alerts ({names}) VALUES ({', '.join('?' * len(values))})", values) or 0

    def remove(self, actor: str, number: int) -> None:
        """Remove a rule, its history, and notices that wait. Raises UsageError where there is none."""
        with self._store.write(actor) as t:
            t.require_admin("remove an alert")
            t.execute("DELETE FROM alert_events WHERE alert = ?", (number,))
            if not t.execute("DELETE FROM alerts WHERE id = ?", (number,)).rowcount:
                raise UsageError(f"there is no alert {number}", "`nexscout alerts list` shows them")

    def listing(self, actor: str) -> list[Rule]:
        """The rules there are."""
        with self._store.read(actor) as t:
            t.require_admin("list alerts")
            return _rules(t)

    def check(self, actor: str) -> int:
        """Look at every rule for all it is about; returns how many went off now."""
        with self._store.write(actor) as t:
            t.require_admin("check alerts")
            return sum(_look(t, rule, subject) for rule in _rules(t) for subject in _subjects(t, rule))

    def history(self, actor: str, limit: int) -> list[Notice]:
        """What went off, newest first."""
        with self._store.read(actor) as t:
            t.require_admin("see what alerts told")
            return [Notice(*row) for row in t.execute(f"{_NOTICE} ORDER BY e.id DESC LIMIT ?", (limit,))]

    def claim(self, actor: str) -> Notice | None:
        """The next notice that is due, for this caller alone for two minutes; None where there is none."""
        with self._store.write(actor) as t:
            t.require_admin("send what alerts tell")
            row = t.execute(
                f"{_NOTICE} WHERE e.state = 'pending' AND e.next_at <= ? ORDER BY e.next_at, e.id LIMIT 1", (t.stamp,)
            ).fetchone()
            if row is None:
                return None
            lease = stamp(t.now + _LEASE)
            t.execute("UPDATE alert_events SET tries = tries + 1, next_at = ? WHERE id = ?", (lease, row["id"]))
            return Notice(*row)._replace(tries=row["tries"] + 1, next_at=lease)

    def told(self, actor: str, notice: Notice, error: str | None) -> None:
        """What became of a claimed notice: told where ``error`` is None, else tried again later, or given up."""
        with self._store.write(actor) as t:
            t.require_admin("send what alerts tell")
            if error is None:
                t.execute(
                    "UPDATE alert_events SET state = 'sent', sent_at = ?, next_at = NULL WHERE id = ?",
                    (t.stamp, notice.id),
                )
                return
            over = notice.tries >= TRIES
            t.execute(
                "UPDATE alert_events SET state = ?, error = ?, next_at = ? WHERE id = ? AND state = 'pending'",
                (
                    "failed" if over else "pending",
                    error,
                    None if over else stamp(t.now + pause(notice.tries)),
                    notice.id,
                ),
            )


def after_posting(t: Transaction, user_id: str) -> None:
    """Look at the rules that a posting of a user's may cross, those that a few sums answer, in its own transaction.

    Beside the user's and the installation's these are all keys' and tags': they have few accounts. Whatever is wrong with a
    rule, the posting stands.
    """
    with t.aside():
        _look_after(t, user_id)


def _look_after(t: Transaction, user_id: str) -> None:
    for rule in _rules(t):
        if rule.metric in ("spend", "tokens"):
            subject = user_id if rule.scope == "users" else rule.subject
            if rule.scope != "user" or subject == user_id:
                _look(t, rule, subject)


def _rules(t: Transaction) -> list[Rule]:
    rows = t.execute(f"SELECT {_RULE} FROM alerts ORDER BY id").fetchall()
    return [Rule(*row)._replace(of_cap=bool(row["of_cap"])) for row in rows]


def _subjects(t: Transaction, rule: Rule) -> list[str]:
    """For whom a rule is looked at: of ``users`` all who have an account of energy or used something in the window."""
    if rule.scope != "users":
        return [rule.subject]
    if rule.metric == "energy":
        return [row[0] for row in t.execute("SELECT user_id FROM users")]
    first = first_day(rule.window, t.now)
    return [row[0] for row in t.execute("SELECT DISTINCT user_id FROM usage_by_user_day WHERE day >= ?", (first,))]


def _look(t: Transaction, rule: Rule, subject: str) -> bool:
    """Enter a crossing that was not entered in this window yet; whether one was."""
    period = t.window(rule.window)
    known = "SELECT 1 FROM alert_events WHERE alert = ? AND subject = ? AND period = ?"
    if t.execute(known, (rule.id, subject, period)).fetchone():
        return False
    found = _value(t, rule, subject)
    if found is None or not goes_off(rule.metric, *found):
        return False
    entered = t.execute(
        "INSERT INTO alert_events (alert, subject, period, value, bound, fired_at, state, next_at) "
        "VALUES (?, ?, ?, ?, ?, ?, 'pending', ?) ON CONFLICT (alert, subject, period) DO NOTHING",
        (rule.id, subject, period, *found, t.stamp, t.stamp),
    )
    return bool(entered.rowcount)  # where others write beside this one, they may have seen it first


def _value(t: Transaction, rule: Rule, subject: str) -> tuple[int, int] | None:
    """A rule's value and its bound, in one unit; None where there is nothing to compare."""
    match rule.metric:
        case "energy":
            row = t.execute("SELECT balance FROM user_energy WHERE user_id = ?", (subject,)).fetchone()
            return (int(row[0]), rule.bound) if row else None
        case "unknown":
            mine = "AND user_id = :user" if rule.scope == "user" else ""
            held = t.execute(
                "SELECT coalesce(sum(hold), 0) FROM attempts JOIN requests USING (request_id) "
                f"WHERE claim IS NOT NULL AND attempts.state = 'unknown' {mine}",
                {"user": subject},
            ).fetchone()[0]
            return int(held), rule.bound
        case "errors":
            failed, requests = _sums(t, rule, subject, "failures", "requests")
            return (failed * MILLION // requests, rule.bound) if requests >= LEAST_REQUESTS else None
        case "unusual":
            return _unusual(t, rule, subject)
    cap: int | None = None
    if rule.of_cap or rule.scope in ("key", "tag"):
        account = _account(t, rule, subject)
        if account is None:
            return None
        spent, cap = account
    else:
        column = "input_tokens + output_tokens" if rule.metric == "tokens" else "cost_usd"
        (spent,) = _sums(t, rule, subject, column)
    if rule.metric == "forecast":
        spent = int(Decimal(spent) / share_elapsed(rule.window, t.now))
    return (spent, cap * rule.bound // MILLION if rule.of_cap and cap is not None else rule.bound)


def _account(t: Transaction, rule: Rule, subject: str) -> tuple[int, int | None] | None:
    """What was spent of a window's account, and its cap; None where there is no account, or no cap to compare with."""
    owner = {"everyone": EVERYONE, "users": subject, "user": subject}.get(rule.scope) or owner_of(rule.scope, subject)
    kind = "tokens" if rule.metric == "tokens" else "usd"
    # What admins set for one user stands beside what the tier has: the narrower one counts.
    owners = (owner, owner_of("name", subject)) if rule.scope in ("users", "user") else (owner,)
    rows = t.execute(
        "SELECT base + spent AS spent, granted FROM accounts WHERE owner IN (?, ?) AND kind = ? AND period = ?",
        (owners[0], owners[-1], kind, t.window(rule.window)),
    ).fetchall()
    found = [(int(row["spent"]), row["granted"]) for row in rows if row["granted"] is not None or not rule.of_cap]
    return max(found, key=lambda one: Decimal(one[0]) / (one[1] or 1), default=None)


def _sums(t: Transaction, rule: Rule, subject: str, *columns: str) -> tuple[int, ...]:
    """Sums of the window: a feature's and the installation's by model and day, a user's by user and day."""
    by_user = rule.scope in ("users", "user")
    table = "usage_by_user_day" if by_user else "usage_by_model_day"
    mine = "AND user_id = :who" if by_user else "AND feature = :who" if rule.scope == "feature" else ""
    named = ", ".join(f"coalesce(sum({one}), 0)" for one in columns)
    first = first_day(rule.window, t.now)
    row = t.execute(
        f"SELECT {named} FROM {table} WHERE day >= :first {mine}", {"first": first, "who": subject}
    ).fetchone()
    return tuple(int(one) for one in row)


def _unusual(t: Transaction, rule: Rule, subject: str) -> tuple[int, int] | None:
    """Today's dollars as a multiple of the mean of the days before on which something was spent."""
    since = (t.now - timedelta(days=USUAL_DAYS)).date().isoformat()
    rows = t.execute(
        "SELECT day, cost_usd FROM usage_by_user_day WHERE user_id = ? AND day >= ? AND cost_usd > 0", (subject, since)
    ).fetchall()
    before = [row["cost_usd"] for row in rows if row["day"] < t.day]
    today = sum(row["cost_usd"] for row in rows if row["day"] == t.day)
    return (today * len(before) * MILLION // sum(before), rule.bound) if len(before) >= LEAST_DAYS else None
