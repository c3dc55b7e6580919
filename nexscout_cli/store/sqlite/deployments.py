"""Where models are served: rows of the catalog, how each place is used now, and how it did of late."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine import deployment as rules
from nexscout_cli.engine.deployment import Deployment, Full, Use
from nexscout_cli.errors import NoRoom
from nexscout_cli.store.sqlite.transaction import parse_stamp, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.deployment import Wanted
    from nexscout_cli.engine.model import Model
    from nexscout_cli.store.sqlite.transaction import Transaction

_COLUMNS = (
    "name, target, api_base, api_key_env, weight, rpm, tpm, concurrency, cool_down, "
    "input_price, output_price, class_prices"
)
_MINUTE = timedelta(seconds=rules.MINUTE)


def read(t: Transaction) -> dict[str, tuple[Deployment, ...]]:
    """All deployments, by model."""
    found: dict[str, list[Deployment]] = {}
    for row in t.execute(f"SELECT model, {_COLUMNS} FROM deployments ORDER BY model, name"):
        found.setdefault(row["model"], []).append(_deployment(row[1:]))
    return {model: tuple(places) for model, places in found.items()}


def _deployment(row: Sequence[Any]) -> Deployment:
    return Deployment._make((*row[:-1], json.loads(row[-1])))


def put(t: Transaction, model: Model) -> None:
    """Write a model's deployments: those that it has not any more go, with what is known of them."""
    before = {place.name: place for place in read(t).get(model.name, ())}
    after = {place.name: place for place in model.deployments}
    for name in before.keys() - after.keys():
        if t.by_function("remove_deployment", model.name, name, t.actor) is None:
            for table in ("deployments", "deployment_states"):
                t.execute(f"DELETE FROM {table} WHERE model = ? AND name = ?", (model.name, name))
    names = _COLUMNS.split(", ")
    updates = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    for place in after.values():
        if place == before.get(place.name):
            continue
        row = (model.name, *place[:-1], json.dumps(place.class_prices))
        if t.by_function("put_deployment", dict(zip(("model", *names), row, strict=True)), t.actor) is None:
            t.execute(
                f"INSERT INTO deployments (model, {_COLUMNS}) VALUES ({', '.join('?' * (len(names) + 1))}) "
                f"ON CONFLICT (model, name) DO UPDATE SET {updates}",
                row,
            )


def uses(t: Transaction, model: str, places: tuple[Deployment, ...]) -> dict[str, Use]:
    """How a model's deployments are used now; what has no limit is not counted."""
    found: dict[str, Use] = {}
    for name, latency, errors, failures, failure, until in t.execute(
        "SELECT name, latency_ms, error_rate, failures, failure, cool_until FROM deployment_states WHERE model = ?",
        (model,),
    ):
        cooling = (parse_stamp(until) - t.now).total_seconds() if until and until > t.stamp else 0.0
        found[name] = Use(latency_ms=latency, error_rate=errors, failures=failures, failure=failure, cooling=cooling)
    for place in places:
        if place.rpm is not None or place.tpm is not None:
            found[place.name] = _in_the_last_minute(t, model, place.name, found.get(place.name, Use()))
    if any(place.concurrency is not None for place in places):
        in_flight = t.execute(
            "SELECT deployment, count(*) FROM attempts WHERE claim IS NOT NULL AND state IN ('held', 'sent') "
            "AND deployment IS NOT NULL AND model = ? AND deadline > ? GROUP BY deployment",
            (model, t.stamp),
        )
        for name, calls in in_flight:
            found[name] = found.get(name, Use())._replace(in_flight=calls)
    return found


def _in_the_last_minute(t: Transaction, model: str, name: str, use: Use) -> Use:
    """Requests, also those that were refused, and tokens: what was used, or is held; none for what gave no answer."""
    requests, tokens, first = t.execute(
        """SELECT count(*), coalesce(sum(CASE state WHEN 'voided' THEN 0 ELSE coalesce(used_tokens, hold_tokens) END), 0),
           min(created_at) FROM attempts WHERE model = ? AND deployment = ? AND created_at > ?""",
        (model, name, stamp(t.now - _MINUTE)),
    ).fetchone()
    leaves = rules.MINUTE - (t.now - parse_stamp(first)).total_seconds() if first else rules.MINUTE
    return use._replace(requests=requests, tokens=int(tokens), leaves=leaves)


def take(t: Transaction, model: str, wanted: Wanted, tokens: int) -> Deployment:
    """The place of an attempt that is about to be held. Raises NoRoom where each is at its limits."""
    t.alone(f"deployments/{model}", shared=False)
    found = rules.choose(wanted, uses(t, model, wanted.places), tokens)
    if isinstance(found, Full):
        raise NoRoom(found.seconds)
    return found


def answered(t: Transaction, attempt_id: int, model: str, name: str, tokens: int) -> None:
    """A call at a place has answered, with so many tokens: they count for its limits, and how long it took is learned."""
    began = t.execute("SELECT created_at FROM attempts WHERE id = ?", (attempt_id,)).fetchone()[0]
    took = max(0.0, (t.now - parse_stamp(began)).total_seconds() * 1000)
    if t.by_function("count_tokens", attempt_id, tokens) is None:
        t.execute("UPDATE attempts SET used_tokens = ? WHERE id = ?", (tokens, attempt_id))
    before = _state(t, model, name)
    _keep(t, model, name, rules.mean(before.latency_ms, took), rules.mean(before.error_rate, 0.0), 0, None, None)


def failed(t: Transaction, model: str, name: str, label: str, retry_after: float | None) -> None:
    """A call at a place gave no answer: it cools down, unless that was the request's fault or a signal's."""
    row = t.execute(f"SELECT {_COLUMNS} FROM deployments WHERE model = ? AND name = ?", (model, name)).fetchone()
    if row is None:  # it was taken away meanwhile
        return
    before = _state(t, model, name)
    failures = before.failures + 1
    seconds = rules.cool_down(_deployment(row), failures, label, retry_after)
    if seconds <= 0:
        return
    until = stamp(t.now + timedelta(seconds=seconds))
    _keep(t, model, name, before.latency_ms, rules.mean(before.error_rate, 1.0), failures, label, until)


def _state(t: Transaction, model: str, name: str) -> Use:
    row = t.execute(
        "SELECT latency_ms, error_rate, failures FROM deployment_states WHERE model = ? AND name = ?", (model, name)
    ).fetchone()
    return Use() if row is None else Use(latency_ms=row[0], error_rate=row[1], failures=row[2])


def _keep(t: Transaction, model: str, name: str, *values: object) -> None:
    t.execute(
        """INSERT INTO deployment_states (model, name, latency_ms, error_rate, failures, failure, cool_until)
           VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (model, name) DO UPDATE SET latency_ms = excluded.latency_ms,
           error_rate = excluded.error_rate, failures = excluded.failures, failure = excluded.failure,
           cool_until = excluded.cool_until""",
        (model, name, *values),
    )
