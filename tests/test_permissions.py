"""Every permission there is, asked for below the command line by somebody who does not have it.

What a front end forgets to check, the engine or the store must refuse: so none of these goes through a command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nexscout_cli.engine import batch
from nexscout_cli.engine.alerts import parse
from nexscout_cli.engine.call import Call, Completion, OnText, Usage
from nexscout_cli.engine.catalog.seed import seeded
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.report_window import Window
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.errors import NotPermitted, UsageError
from tests.support.bench import Bench
from tests.support.values import OPENAI, count

# --- The store, as this file calls it. Whoever changes the store's interface changes these lines and no others. ----------


class Books:
    """The store as one actor may use it."""

    def __init__(self, bench: Bench) -> None:
        s, me = bench.store, bench.actor
        span = timedelta(days=400)
        window = Window(datetime.now(UTC) - span, datetime.now(UTC) + span, UTC)
        self.snapshot = lambda request: bench.snapshot(request)
        self.recall = lambda user, key, fingerprint: s.ledger.recall(me, user, key)
        self.cached = lambda user, key: s.ledger.cached(me, user, key)
        self.users = lambda: [row._asdict() for row in s.users.listing(me)]
        self.set_tier = lambda user, tier: s.users.set_tier(me, user, tier)
        self.forget_user = lambda user: s.users.forget(me, user)
        self.energy = lambda user: s.energy.show(me, user)
        self.energy_history = lambda user: s.energy.history(me, user, 10)
        self.balances = lambda: {row.user_id: row.balance for row in s.users.listing(me)}
        self.grant = lambda user, amount: s.energy.grant(me, user, amount, "gift")
        self.set_energy = lambda user, amount: s.energy.set_balance(me, user, amount, "gift")
        self.profile = lambda user: s.profiles.learned(me, user)
        self.preferences = lambda user: s.profiles.preferences(me, user)
        self.rate = lambda user: s.profiles.update_efficiency_rating(me, user, 1, 1)
        self.set_mode = lambda user, mode: s.profiles.set_mode(me, user, mode)
        self.set_policy = lambda user, policy: s.profiles.set_policy(me, user, policy)
        self.set_panic = lambda on: s.profiles.set_panic(me, on)
        self.log = lambda user=None: s.log.latest(me, user)
        self.log_of = lambda request_id: s.log.show(me, request_id)
        self.why = lambda request_id: s.log.why(me, request_id)
        self.report = lambda user=None: self._report(window, user)
        self.feedback = lambda request_id: s.feedback.record(me, request_id, "bad")
        self.cache_stats = lambda: s.cache.stats(me)["rows"]
        self.cache_list = lambda user=None: s.cache.listing(me, user, 100)
        self.cache_show = lambda number: s.cache.show(me, number)
        self.cache_clear = lambda user: s.cache.clear(me, user, None)
        self.cache_forget = lambda request_id: s.cache.forget(me, request_id)
        self.unresolved = lambda: [row._asdict() for row in s.recovery.unresolved(me)]
        self.resolve = lambda request_id: s.recovery.resolve(me, request_id, None)
        self.reset_clock = lambda: s.recovery.reset_clock(me)
        self.check = lambda: s.maintenance.check(me)
        self.backup = lambda path: s.maintenance.backup(me, path)
        self.seed = lambda: s.catalog.add(me, seeded())
        self.add_model = lambda: s.catalog.add(me, [seeded()[0]._replace(name="house")])
        self.change_model = lambda: self._change(quality=0.9)
        self.enable_model = lambda on: self._change(enabled=on)
        self.sync = lambda: self._change(price_in=1)
        self.billed = lambda: s.recovery.billed(me, window.since, window.until)
        self.begin_import = lambda: s.imports.begin(me, "csv", "usage.csv")
        self.add_imported = lambda: s.imports.add(me, 1, [])
        self.finish_import = lambda: s.imports.finish(me, 1, 0, 0)
        self.imports = lambda: s.imports.listing(me)
        self.forget_import = lambda: s.imports.forget(me, 1)
        rule = parse("spend day > 5", "everyone", "file:x", None)
        self.add_alert = lambda: s.alerts.add(me, rule)
        self.remove_alert = lambda: s.alerts.remove(me, 1)
        self.alerts = lambda: s.alerts.listing(me)
        self.check_alerts = lambda: s.alerts.check(me)
        self.alert_history = lambda: s.alerts.history(me, 1)
        self.claim_notice = lambda: s.alerts.claim(me)
        self.conversations = lambda user: s.conversations.listing(me, user, 10)
        self.conversation = lambda user: s.conversations.find(me, user, None)
        self.forget_conversations = lambda user: s.conversations.forget(me, user, None)
        self.imported = lambda user: self._imported(window, user)
        self._store, self._me = s, me

    def _imported(self, window: Window, user: str) -> list[dict[str, Any]]:
        with self._store.imports.reading(self._me, window, user) as reader:
            return reader.sums("user_id")

    def _report(self, window: Window, user: str | None) -> list[dict[str, Any]]:
        with self._store.reports.reading(self._me, window, user) as reader:
            return reader.sums("user_id")

    def _change(self, **changes: Any) -> None:
        self._store.catalog.change(
            self._me, lambda models: [model._replace(**changes) for model in models if model.name == "gpt-4o"]
        )


def written(bench: Bench) -> str:
    """Everything that is in the store."""
    return "\n".join(bench.store.db.connection.iterdump())


def engine_of(bench: Bench, provider: Answers) -> Engine:
    return Engine(bench.ledger, provider, bench.settings, bench.clock, count, bench.actor)


# --------------------------------------------------------------------------------------------------------------------


class Answers:
    """A provider in memory that counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def available(self, model: Model) -> str | None:
        return None if model.name in OPENAI else "not here"

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        self.asked += 1
        return Completion("Hi Sarah", "stop", Usage(100, 50), "id", None)


class World(NamedTuple):
    """Ada owns the installation; alice (pro) and bob (free) are users. Alice has asked twice, and one attempt is unknown."""

    ada: Bench
    bob: Bench
    engine: Engine
    admins_engine: Engine
    provider: Answers
    alices: str
    unknown: str
    cached: int
    key: str

    @property
    def books(self) -> Books:
        return Books(self.bob)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    ada = Bench(tmp_path / "nexscout.db")
    Books(ada).set_tier("alice", "pro")
    Books(ada).set_tier("bob", "free")
    alice, bob = ada.as_actor("alice"), ada.as_actor("bob")
    done = alice.sent(alice.plan("alice's own words", idempotency_key="k"))
    alice.post(done)
    unknown = alice.unknown(alice.plan("alice's own words"))
    row = alice.books.listed("cached", "id", "prompt_hash")[0]
    provider = Answers()
    engines = [engine_of(bench, provider) for bench in (bob, ada)]
    yield World(ada, bob, *engines, provider, done.request_id, unknown.request_id, row[0], row[1])
    for bench in (alice, bob, ada):
        bench.store.close()


def ask(user: str = "bob", prompt: str = "Write to Sarah", **options: Any) -> AIRequest:
    return AIRequest(user, "ai_message", prompt, options=Options(**options))


FOR_ALICE = ask("alice")

# Name of the permission, and how bob tries to do without it. Each raises NotPermitted, or UsageError where saying "not
# permitted" would tell that there is such a thing.
REFUSED: dict[str, Callable[[World], Any]] = {
    "act for another user: simulate": lambda w: w.engine.simulate(FOR_ALICE),
    "act for another user: compare": lambda w: w.engine.compare(FOR_ALICE),
    "act for another user: snapshot": lambda w: w.books.snapshot(FOR_ALICE),
    "act for another user: replay": lambda w: w.books.recall("alice", "k", "any"),
    "act for another user: cached answer": lambda w: w.books.cached("alice", w.key),
    "read another's energy": lambda w: w.books.energy("alice"),
    "read another's energy history": lambda w: w.books.energy_history("alice"),
    "read another's profile": lambda w: w.books.profile("alice"),
    "read another's mode and policy": lambda w: w.books.preferences("alice"),
    "read another's log": lambda w: w.books.log("alice"),
    "read another's request": lambda w: w.books.log_of(w.alices),
    "read why, of another's request": lambda w: w.books.why(w.alices),
    "read another's report": lambda w: w.books.report("alice"),
    "read another's cached answer": lambda w: w.books.cache_show(w.cached),
    "list another's cached answers": lambda w: w.books.cache_list("alice"),
    "clear another's cached answers": lambda w: w.books.cache_clear("alice"),
    "judge another's answer": lambda w: w.books.feedback(w.alices),
    "rate another's profile": lambda w: w.books.rate("alice"),
    "set another's mode": lambda w: w.books.set_mode("alice", "pro"),
    "set another's policy": lambda w: w.books.set_policy("alice", "learned"),
    "forget another user": lambda w: w.books.forget_user("alice"),
    "remove another's answer from the cache": lambda w: w.books.cache_forget(w.alices),
    "grant energy": lambda w: w.books.grant("bob", 1_000),
    "set energy": lambda w: w.books.set_energy("bob", 1_000),
    "set a tier": lambda w: w.books.set_tier("bob", "elite"),
    "make a user": lambda w: w.books.set_tier("eve", "free"),
    "turn panic on": lambda w: w.books.set_panic(True),
    "seed the catalog": lambda w: w.books.seed(),
    "add a model": lambda w: w.books.add_model(),
    "change a model": lambda w: w.books.change_model(),
    "disable a model": lambda w: w.books.enable_model(False),
    "enable a model": lambda w: w.books.enable_model(True),
    "sync prices": lambda w: w.books.sync(),
    "check the database": lambda w: w.books.check(),
    "resolve an attempt": lambda w: w.books.resolve(w.unknown),
    "compare the ledger with a provider's": lambda w: w.books.billed(),
    "begin an import": lambda w: w.books.begin_import(),
    "add to an import": lambda w: w.books.add_imported(),
    "end an import": lambda w: w.books.finish_import(),
    "list imports": lambda w: w.books.imports(),
    "forget an import": lambda w: w.books.forget_import(),
    "list another's conversations": lambda w: w.books.conversations("alice"),
    "read another's conversation": lambda w: w.books.conversation("alice"),
    "remove another's conversations": lambda w: w.books.forget_conversations("alice"),
    "read another's imported usage": lambda w: w.books.imported("alice"),
    "add an alert": lambda w: w.books.add_alert(),
    "remove an alert": lambda w: w.books.remove_alert(),
    "list alerts": lambda w: w.books.alerts(),
    "check alerts": lambda w: w.books.check_alerts(),
    "see what alerts told": lambda w: w.books.alert_history(),
    "send what alerts tell": lambda w: w.books.claim_notice(),
    "reset the clock": lambda w: w.books.reset_clock(),
    "a mode above the tier: set": lambda w: w.books.set_mode("bob", "expert"),
    "a mode above the tier: simulate": lambda w: w.engine.simulate(ask(mode="expert")),
    "a mode above the tier, as a model": lambda w: w.engine.simulate(ask(force_model="expert")),
    "a mode above the tier: compare": lambda w: w.engine.compare(ask(mode="pro")),
    "a model above the tier: simulate": lambda w: w.engine.simulate(ask(force_model="gpt-4o")),
    "skip the charge: simulate": lambda w: w.engine.simulate(ask(skip_energy_charge=True)),
    "skip the charge: compare": lambda w: w.engine.compare(ask(skip_energy_charge=True)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_who_lacks_a_permission_is_refused_below_the_command_line(world: World, name: str) -> None:
    before = written(world.ada)
    with pytest.raises((NotPermitted, UsageError)) as caught:
        REFUSED[name](world)
    assert caught.value.suggestion and "alice's own words" not in str(caught.value)
    assert written(world.ada) == before and world.provider.asked == 0


HIDDEN = {
    "read another's request",
    "read why, of another's request",
    "read another's cached answer",
    "judge another's answer",
    "remove another's answer from the cache",
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_refusal_says_not_permitted_but_where_that_would_tell_what_there_is(world: World, name: str) -> None:
    with pytest.raises(UsageError if name in HIDDEN else NotPermitted):
        REFUSED[name](world)


def test_a_copy_of_the_whole_database_is_for_admins(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotPermitted):
        world.books.backup(tmp_path / "copy.db")


# What bob sees, or reaches, of the others: nothing of alice's.
NOTHING: dict[str, Callable[[Books], Any]] = {
    "users": lambda books: [row for row in books.users() if row["user_id"] != "bob"],
    "balances": lambda books: [user for user in books.balances() if user != "bob"],
    "log": lambda books: books.log(),
    "report": lambda books: books.report(),
    "cache": lambda books: books.cache_list(),
    "figures of the cache": lambda books: books.cache_stats(),
    "unresolved attempts": lambda books: books.unresolved(),
    "clearing the cache": lambda books: books.cache_clear(None),
}


@pytest.mark.parametrize("name", NOTHING)
def test_lists_and_clearing_reach_only_what_is_the_actors_own(world: World, name: str) -> None:
    assert not NOTHING[name](world.books)
    assert world.ada.books.count("cached") == 1
    assert NOTHING[name](Books(world.ada))


RUN: dict[str, AIRequest] = {
    "for another user": FOR_ALICE,
    "a mode above the tier": ask(mode="expert"),
    "a mode above the tier, as a model": ask(force_model="pro"),
    "a model above the tier": ask(force_model="gpt-4o"),
    "without the charge": ask(skip_energy_charge=True),
    "without the charge or the cache": ask(skip_energy_charge=True, allow_cache=False),
}


@pytest.mark.parametrize("name", RUN)
def test_a_call_without_the_permission_for_it_is_not_made(world: World, name: str) -> None:
    for answer in (world.engine.run(RUN[name]), *batch.run(world.engine, [RUN[name]])):
        assert refused(answer)
    assert world.provider.asked == 0


def refused(answer: AIResponse) -> bool:
    return answer.error is not None and (answer.error["code"], answer.exit_status) == ("not_permitted", 8)


def test_a_cached_answer_is_not_given_without_the_charge_to_who_may_not_skip_it(world: World) -> None:
    assert world.engine.run(ask()).success
    again = world.engine.run(ask())
    assert again.success and again.metadata.from_cache
    assert refused(world.engine.run(ask(skip_energy_charge=True)))
    assert world.provider.asked == 1


def test_a_row_that_is_like_another_is_not_answered_without_the_charge_either(world: World) -> None:
    rows = [ask(), ask(skip_energy_charge=True), ask()]
    first, second, third = batch.run(world.engine, rows)
    assert first.success and third.success and refused(second)
    assert world.provider.asked == 1


def test_an_admin_may_skip_the_charge_for_whom_he_acts(world: World) -> None:
    request = ask("bob", skip_energy_charge=True)
    before = Books(world.ada).energy("bob").balance
    answer = world.admins_engine.run(request)
    assert answer.success and answer.metadata.energy_cost == 0
    assert Books(world.ada).energy("bob").balance == before
    assert refused(world.engine.run(request))


def test_what_is_refused_above_the_tier_is_granted_within_it(world: World) -> None:
    Books(world.ada).set_tier("bob", "elite")
    for name in ("a mode above the tier", "a model above the tier"):
        assert world.engine.run(RUN[name]).success
    world.books.set_mode("bob", "expert")
