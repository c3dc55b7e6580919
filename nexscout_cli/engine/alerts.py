"""Alerts: what people write for one, its window, and the text of what it tells. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from nexscout_cli.engine.money import NANO, dollars
from nexscout_cli.errors import UsageError

MILLION = 10**6
"""Shares and multiples are kept in millionths."""
METRICS = ("spend", "tokens", "forecast", "errors", "unknown", "energy", "unusual")
SCOPES = ("everyone", "users", "user", "key", "tag", "feature")
"""Whose use counts: the installation's, each user's for itself, or one user's, key's, tag's, feature's."""
LEAST_REQUESTS = 20
"""Requests of a window from which a share of errors means something."""
LEAST_DAYS = 7
"""Days of use from which a user's usual day is known."""
USUAL_DAYS = 28
"""Days before today that a usual day is the mean of."""
WAYS = ("webhook", "slack", "discord", "command", "file")
TRIES = 12
"""How often a notice is tried before it is given up: some two days."""
_WHEN = re.compile(
    rf"({'|'.join(METRICS)})(?:\s+(day|week|month))?\s*([<>])\s*\$?\s*([\d.,_]+)\s*(%|x|×)?(\s+of\s+cap)?", re.I
)
_EXAMPLES = (
    "for instance 'spend day > 80% of cap', 'spend month > 50', 'errors day > 10%', 'energy < 100', 'unusual day > 3x'"
)
_MAY = {
    "spend": SCOPES,
    "tokens": SCOPES,
    "forecast": ("everyone", "users", "user", "feature"),
    "errors": ("everyone", "users", "user", "feature"),
    "unknown": ("everyone", "user"),
    "energy": ("users", "user"),
    "unusual": ("users", "user"),
}
_MONEY = ("spend", "forecast", "unknown")
_CAPPED = ("spend", "tokens", "forecast")


class Rule(NamedTuple):
    """An alert. ``bound`` is nano-dollars, tokens, units of energy, or millionths (errors, unusual, and where ``of_cap``).

    ``subject`` is the user, key, tag or feature of the scope, else "". ``notify`` is a way and where to; ``secret_env``
    names the variable that holds the key that webhooks are signed with.
    """

    id: int
    metric: str
    window: str
    bound: int
    of_cap: bool
    scope: str
    subject: str
    notify: str
    secret_env: str | None
    when_text: str
    created_by: str
    created_at: str


class Notice(NamedTuple):
    """An alert that went off, for one subject and window. ``tries`` were made to tell of it."""

    id: int
    alert: int
    when_text: str
    notify: str
    secret_env: str | None
    scope: str
    subject: str
    period: str
    value: int
    bound: int
    metric: str
    fired_at: str
    state: str
    tries: int
    next_at: str | None
    sent_at: str | None
    error: str | None


def parse(when: str, whose: str, notify: str, secret_env: str | None) -> Rule:
    """The rule of a command line; its id and creation are the store's. Raises UsageError."""
    found = _WHEN.fullmatch(when.strip())
    if found is None:
        raise UsageError(f"--when cannot be {when!r:.80}", _EXAMPLES)
    metric, window, op, number, sign, capped = found.groups()
    metric, of_cap = metric.lower(), bool(capped)
    scope, subject = _scope(whose)
    wrong = _contradiction(metric, window, op, sign, of_cap)
    if wrong:
        raise UsageError(f"--when {when!r:.80}: {wrong}", _EXAMPLES)
    if scope not in _MAY[metric] or (of_cap and scope == "feature"):
        raise UsageError(f"{metric} cannot be watched for {scope}", f"--for one of: {', '.join(_MAY[metric])}")
    _check_notify(notify)
    factor = 10_000 if sign == "%" else MILLION if sign else NANO if metric in _MONEY else 1
    return Rule(
        0, metric, (window or "day").lower(), _whole(number, factor, when), of_cap, scope, subject, notify, secret_env,
        " ".join(when.split()), "", "",
    )  # fmt: skip


def _contradiction(metric: str, window: str | None, op: str, sign: str | None, of_cap: bool) -> str:
    if (op == "<") != (metric == "energy"):
        return "energy is watched with <, all else with >"
    if of_cap and (metric not in _CAPPED or sign != "%"):
        return "only spend, tokens and forecast have a cap, and a share of it is in %"
    if not of_cap and (sign or "") != {"errors": "%", "unusual": "x"}.get(metric, "").replace("×", "x"):
        return "errors are in %, an unusual day in x, all else in dollars, tokens or energy"
    if (window is None) != (metric in ("unknown", "energy")):
        return "say day, week or month; unknown and energy have none"
    if metric == "unusual" and window != "day":
        return "it is a day that is unusual"
    return ""


def _scope(whose: str) -> tuple[str, str]:
    scope, _, subject = whose.strip().partition(":")
    if scope not in SCOPES or bool(subject) == (scope in ("everyone", "users")):
        raise UsageError(
            f"--for cannot be {whose!r:.80}", "everyone, users, user:NAME, key:NAME, tag:NAME or feature:NAME"
        )
    return scope, subject


def _check_notify(notify: str) -> None:
    way, _, where = notify.partition(":")
    if way not in WAYS or not where.strip():
        raise UsageError(
            f"--notify cannot be {notify!r:.60}", "webhook:URL, slack:URL, discord:URL, command:CMD or file:PATH"
        )
    if way in WAYS[:3] and not re.match(r"https?://[^/@\s]+(?:/\S*)?$", where):
        raise UsageError(
            f"--notify {way}: that is no address", f"{way}:https://host/path, without a name or password in it"
        )


def _whole(number: str, factor: int, when: str) -> int:
    try:
        value = Decimal(number.replace(",", "").replace("_", "")) * factor
    except InvalidOperation as error:
        raise UsageError(f"--when {when!r:.80}: {number} is no number", _EXAMPLES) from error
    if value != int(value) or value >= 10**18:
        raise UsageError(f"--when {when!r:.80}: {number} is too fine or too large", _EXAMPLES)
    return int(value)


def first_day(window: str, now: datetime) -> str:
    """The first day (YYYY-MM-DD, UTC) of the window that a time lies in."""
    back = {"day": 0, "week": now.weekday(), "month": now.day - 1}[window]
    return (now - timedelta(days=back)).date().isoformat()


def share_elapsed(window: str, now: datetime) -> Decimal:
    """How much of the window that a time lies in is over, in (0, 1]."""
    start = datetime.fromisoformat(first_day(window, now)).replace(tzinfo=now.tzinfo)
    end = start + timedelta(days={"day": 1, "week": 7, "month": 32}[window])
    if window == "month":
        end = end.replace(day=1)
    over = Decimal(int((now - start).total_seconds())) / Decimal(int((end - start).total_seconds()))
    return max(over, Decimal("0.001"))


def goes_off(metric: str, value: int, bound: int) -> bool:
    """Whether a value crosses its bound."""
    return value < bound if metric == "energy" else value > bound


def text_of(notice: Notice) -> str:
    """What a notice says, on one line."""
    whose = {"everyone": "the installation", "users": notice.subject}.get(
        notice.scope, f"{notice.scope} {notice.subject}"
    )
    value, bound = (amount(notice.metric, one) for one in (notice.value, notice.bound))
    return f"nexscout: {notice.when_text} ({whose}, {notice.period}): it is {value}, the bound is {bound}"


def amount(metric: str, value: int) -> str:
    """A value as people read it."""
    if metric in _MONEY:
        return f"${dollars(value)}"
    if metric == "errors":
        return f"{Decimal(value) / 10_000:.1f}%"
    if metric == "unusual":
        return f"{Decimal(value) / MILLION:.1f}x"
    return f"{value:,} {'units' if metric == 'energy' else 'tokens'}"


def address(notify: str) -> str:
    """Where a notice goes, for a person: addresses of webhooks hold keys, so only their host is shown."""
    way, _, where = notify.partition(":")
    return notify if way in ("file", "command") else f"{way}:{'/'.join(where.split('/')[:3])}/…"


def outcome(notice: Notice) -> str:
    """What became of a notice, in words; times are UTC."""
    if notice.state == "sent":
        return str(notice.sent_at)[:16].replace("T", " ")
    tried = f"{notice.tries} tries: {notice.error}" if notice.error else "not yet"
    return tried if notice.state == "pending" else f"given up after {tried}"


def payload(notice: Notice) -> dict[str, object]:
    """The body of a notice in the shape of its way. ``id`` is the same at every try."""
    text = text_of(notice)
    way = notice.notify.partition(":")[0]
    if way == "slack":
        return {"text": text}
    if way == "discord":
        return {"content": text, "allowed_mentions": {"parse": []}}
    return {
        "id": notice.id,
        "alert": notice.alert,
        "when": notice.when_text,
        "for": f"{notice.scope}:{notice.subject}" if notice.subject else notice.scope,
        "period": notice.period,
        "metric": notice.metric,
        "value": amount(notice.metric, notice.value),
        "bound": amount(notice.metric, notice.bound),
        "fired_at": notice.fired_at,
        "text": text,
    }


def signature(body: bytes, secret: str, at: int) -> str:
    """``t=SECONDS,v1=HEX``: HMAC-SHA256 of ``SECONDS.BODY``, so that a copy cannot be sent again much later."""
    made = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"


def pause(tries: int) -> timedelta:
    """How long to wait after that many tries: a minute, then four times as long each time, six hours at most."""
    return timedelta(seconds=min(60 * 4 ** max(0, tries - 1), 6 * 3600))
