"""Tamperings by somebody who can write the file: each is found by ``db check``, or docs/money.md says why it is not."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.bench import Bench

DOCS = Path(__file__).parents[2] / "docs" / "money.md"


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a sealed day and one that is not: every kind of row, an attempt and a request in every state."""
    path = tmp_path_factory.mktemp("tampered") / "nexscout.db"
    bench = Bench(path, caps__usd__total_month=5, caps__usd__user_month=4)
    for user in ("bob", "eve"):
        bench.store.users.set_tier("ada", user, "pro")
    early = bench.sent()
    bench.post(early)
    bench.post(bench.sent(bench.plan(user="bob")))
    bench.refuse(bench.plan(), "budget", "refused early")
    bench.clock.move(days=1)
    assert len(bench.store.maintenance.seal("ada")) == 1
    bench.post(bench.sent(request_id="posted"))
    bench.post(bench.sent(bench.plan(user="bob"), "bobs"))
    bench.hold(request_id="held")
    bench.sent(request_id="sent")
    bench.unknown()
    voided = bench.sent(request_id="voided")
    bench.void(voided, "refused")
    bench.fail(voided)
    again = bench.sent(bench.plan(), "again")
    bench.void(again, "overloaded")
    bench.post(bench.sent(bench.plan(), "again"))
    hit = bench.ledger.cached("ada", "ada", "key again")
    assert hit is not None
    bench.hit(bench.request("kept", idempotency_key="k"), hit, "hit")
    bench.refuse(bench.plan(), "budget", "refused")
    bench.store.feedback.record("ada", "posted", "good", "just right")
    bench.store.energy.grant("ada", "bob", 50, "a gift")
    assert bench.check() == []
    copy = path.with_name("copy")
    bench.store.maintenance.backup("ada", path.with_name("other"))
    bench.store.db.backup(copy)
    bench.store.close()
    return copy


@pytest.fixture
def bench(master: Path, tmp_path: Path) -> Iterator[Bench]:
    """A copy of it to tamper with."""
    path = tmp_path / "nexscout.db"
    path.write_bytes(master.read_bytes())
    path.chmod(0o600)
    bench = Bench(path)
    bench.clock.move(days=1)
    yield bench
    bench.store.close()


def tamper(path: Path, script: str) -> None:
    """Run statements past every check and trigger; those that are dropped for it are put back, others stay dropped."""
    with closing(sqlite3.connect(path, isolation_level=None)) as c:
        c.execute("PRAGMA ignore_check_constraints = ON")
        c.execute("PRAGMA writable_schema = ON")
        schema = script.lstrip().upper().startswith(("DROP", "CREATE", "ALTER"))
        triggers = c.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in [] if schema else triggers:
            c.execute(f"DROP TRIGGER {name}")
        if schema:
            c.executescript(script)
        for statement in [] if schema else script.split(";"):
            assert c.execute(statement).rowcount > 0, f"nothing was changed by {statement}"
        for _, sql in [] if schema else triggers:
            c.execute(sql)


TODAY = "(SELECT id FROM attempts WHERE request_id = 'posted')"
ENERGY = "(SELECT id FROM accounts WHERE kind = 'energy' AND owner = 'ada')"
BOBS = "(SELECT id FROM accounts WHERE kind = 'energy' AND owner = 'bob')"
USD = (
    f"(SELECT account FROM ledger_entries JOIN accounts a ON a.id = account WHERE attempt = {TODAY} AND a.kind = 'usd')"
)
WHERE = "WHERE request_id = 'posted'"
SEALED = "WHERE created_at < '2026-11-11'"

FOUND = {
    # The schema
    "a trigger dropped that keeps entries": "DROP TRIGGER entries_stay",
    "a trigger dropped that keeps entries from removal": "DROP TRIGGER entries_remain",
    "a trigger dropped that keeps states": "DROP TRIGGER attempts_move_forward",
    "a trigger dropped that keeps roll-ups": "DROP TRIGGER usage_by_user_day_kept",
    "a trigger dropped that makes profiles": "DROP TRIGGER profile_of_new_user",
    "a trigger made toothless": "DROP TRIGGER entries_stay; CREATE TRIGGER entries_stay BEFORE UPDATE ON ledger_entries "
    "WHEN 0 BEGIN SELECT RAISE(ABORT, 'no') ; END",
    "a trigger added": "CREATE TRIGGER free AFTER INSERT ON users BEGIN UPDATE users SET tier = 'elite' ; END",
    "an index dropped that keeps settlements single": "DROP INDEX held_once_settled_once",
    "an index dropped that keeps claims single": "DROP INDEX attempts_live",
    "an index dropped that keeps keys single": "DROP INDEX requests_by_key",
    "an index dropped that reports read": "DROP INDEX usage_by_time",
    "an index added": "CREATE INDEX more ON users (tier)",
    "a table added": "CREATE TABLE more (x)",
    "a table dropped": "DROP TABLE thinking",
    "a column added": "ALTER TABLE users ADD COLUMN more INTEGER",
    "a view changed": "DROP VIEW user_energy; CREATE VIEW user_energy AS SELECT user_id FROM users",
    "a migration taken back": "DELETE FROM _sqlite_migrations WHERE name = 'abilities'",
    # Accounts and entries
    "granted raised": f"UPDATE accounts SET granted = granted + 1 WHERE id = {ENERGY}",
    "spent lowered": f"UPDATE accounts SET spent = spent - 1 WHERE id = {USD}",
    "held lowered": f"UPDATE accounts SET held = held - 1 WHERE id = {USD}",
    "a base moved": "UPDATE accounts SET base = base + 7 WHERE owner = '*'",
    "a base given to a day": f"UPDATE accounts SET base = 7 WHERE id = {USD}",
    "an account's owner swapped": "UPDATE accounts SET owner = 'eve' WHERE owner = 'bob' AND kind = 'usd' "
    "AND period = '2026-11-11'",
    "an account's period changed": f"UPDATE accounts SET period = 'soon' WHERE id = {USD}",
    "an account deleted": f"DELETE FROM accounts WHERE id = {USD}",
    "energy accounts swapped": f"UPDATE accounts SET owner = 'x' WHERE id = {ENERGY};"
    "UPDATE accounts SET owner = 'ada' WHERE kind = 'energy' AND owner = 'bob';"
    "UPDATE accounts SET owner = 'bob' WHERE owner = 'x'",
    "a grant raised": f"UPDATE ledger_entries SET amount = amount + 1 WHERE kind = 'grant' AND account = {BOBS}",
    "a monthly grant renamed": "UPDATE ledger_entries SET reason = 'month 2026-12' WHERE reason = 'month 2026-11' "
    f"AND account = {BOBS}",
    "a grant forged": f"INSERT INTO ledger_entries (account, kind, amount, reason, actor, created_at) "
    f"VALUES ({BOBS}, 'grant', 9, 'a gift', 'ada', '2026-11-11T12:00:00.000000Z')",
    "a post forged": f"INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at) "
    f"VALUES ({TODAY}, {BOBS}, 'post', 0, 'ada', '2026-11-11T12:00:00.000000Z')",
    "an entry moved to another user's account": f"UPDATE ledger_entries SET account = {BOBS} "
    f"WHERE attempt = {TODAY} AND account = {ENERGY}",
    "an entry moved to another attempt": "UPDATE ledger_entries SET attempt = (SELECT id FROM attempts WHERE "
    f"request_id = 'held') WHERE attempt = {TODAY} AND kind = 'post' AND account = {USD}",
    "a post lowered with its account": f"UPDATE ledger_entries SET amount = amount - 1 WHERE attempt = {TODAY} "
    f"AND kind = 'post' AND account = {USD}; UPDATE accounts SET spent = spent - 1 WHERE id = {USD}",
    "an entry deleted": f"DELETE FROM ledger_entries WHERE attempt = {TODAY} AND account = {USD} AND kind = 'post'",
    "all entries of an attempt deleted": f"DELETE FROM ledger_entries WHERE attempt = {TODAY}",
    "an entry's time changed": f"UPDATE ledger_entries SET created_at = '2026-11-11T11:00:00.000000Z' "
    f"WHERE attempt = {TODAY} AND kind = 'post' AND account = {USD}",
    "an entry's time made no time": "UPDATE ledger_entries SET created_at = 'soon' WHERE id = 1",
    "a sealed entry's actor changed": f"UPDATE ledger_entries SET actor = 'eve' {SEALED}",
    "a sealed entry's reason changed": f"UPDATE ledger_entries SET reason = 'a gift' {SEALED} AND kind = 'grant'",
    # Attempts and requests
    "an attempt's price changed": f'UPDATE attempts SET price = \'{{"input": 1, "output": 1}}\' {WHERE}',
    "a price changed in plan and attempt": "UPDATE attempts SET price = json_set(price, '$.output', 1), "
    f"plan = json_set(plan, '$.price_out', 1) {WHERE}",
    "an attempt's cost changed": f"UPDATE attempts SET actual = actual - 1 {WHERE}",
    "an attempt's hold changed": "UPDATE attempts SET hold = hold - 1 WHERE request_id = 'held'",
    "an attempt's model changed": f"UPDATE attempts SET model = 'gpt-4o' {WHERE}",
    "an attempt voided": "UPDATE attempts SET state = 'voided', claim = NULL WHERE request_id = 'sent'",
    "an attempt deleted": "DELETE FROM attempts WHERE request_id = 'held'",
    "an attempt's time changed": f"UPDATE attempts SET created_at = '2026-11-11T11:00:00.000000Z' {WHERE}",
    "an attempt's settling moved": f"UPDATE attempts SET settled_at = '2026-11-11T13:00:00.000000Z' {WHERE}",
    "a plan made junk": f"UPDATE attempts SET plan = '{{' {WHERE}",
    "a sealed attempt's estimate changed": f"UPDATE attempts SET estimate = estimate + 1 {SEALED}",
    "an owner made junk": "UPDATE attempts SET owner = 'nobody' WHERE request_id = 'held'",
    "a request's user swapped": f"UPDATE requests SET user_id = 'bob' {WHERE}",
    "a request's feature changed": f"UPDATE requests SET feature = 'ai_chatbot' {WHERE}",
    "a request's state changed": f"UPDATE requests SET state = 'voided' {WHERE}",
    "a request deleted": f"DELETE FROM requests {WHERE}",
    "a request's time changed": f"UPDATE requests SET created_at = '2026-11-11T11:00:00.000000Z' {WHERE}",
    "a kept answer made junk": "UPDATE requests SET answer = '[1]' WHERE answer IS NOT NULL",
    # Usage and predictions
    "usage's energy moved": f"UPDATE ai_model_usage SET energy = energy + 5 {WHERE};"
    "UPDATE usage_by_user_day SET energy = energy + 5 WHERE user_id = 'ada' AND day = '2026-11-11';"
    "UPDATE usage_by_model_day SET energy = energy + 5 WHERE day = '2026-11-11'",
    "usage's energy moved to another request": f"UPDATE ai_model_usage SET energy = energy - 1 {WHERE};"
    "UPDATE ai_model_usage SET energy = energy + 1 WHERE request_id = 'again'",
    "usage's cost lowered": f"UPDATE ai_model_usage SET cost_usd = cost_usd - 1 {WHERE}",
    "usage's tokens lowered with the roll-ups": f"UPDATE ai_model_usage SET output_tokens = output_tokens - 9 {WHERE};"
    "UPDATE usage_by_user_day SET output_tokens = output_tokens - 9 WHERE user_id = 'ada' AND day = '2026-11-11';"
    "UPDATE usage_by_model_day SET output_tokens = output_tokens - 9 WHERE day = '2026-11-11'",
    "usage's user swapped": f"UPDATE ai_model_usage SET user_id = 'bob' {WHERE}",
    "usage's model changed": f"UPDATE ai_model_usage SET model_used = 'gpt-4o' {WHERE}",
    "usage's mode changed": f"UPDATE ai_model_usage SET mode = 'expert' {WHERE}",
    "usage's savings raised": f"UPDATE ai_model_usage SET baseline_usd = baseline_usd + 5 {WHERE};"
    "UPDATE usage_by_user_day SET baseline_usd = baseline_usd + 5 WHERE user_id = 'ada' AND day = '2026-11-11';"
    "UPDATE usage_by_model_day SET baseline_usd = baseline_usd + 5 WHERE day = '2026-11-11'",
    "usage's accuracy changed": f"UPDATE ai_model_usage SET prediction_accuracy = 1 {WHERE}",
    "usage's time changed": f"UPDATE ai_model_usage SET created_at = '2026-11-11T11:00:00.000000Z' {WHERE}",
    "usage's metadata made junk": f"UPDATE ai_model_usage SET metadata = '7' {WHERE}",
    "usage's classes made junk": f'UPDATE ai_model_usage SET token_classes = \'{{"cached": "x"}}\' {WHERE}',
    "a row of usage deleted": f"DELETE FROM ai_model_usage {WHERE}",
    "a hit deleted": "DELETE FROM ai_model_usage WHERE outcome = 'hit'",
    "a failure deleted": "DELETE FROM ai_model_usage WHERE outcome = 'failed'",
    "a hit made from nothing": "INSERT INTO ai_model_usage (request_id, n, user_id, feature, model_used, outcome, mode, "
    "routing_reason, created_at) VALUES ('forged', 0, 'ada', 'ai_message', 'gpt-4o', 'hit', 'auto', 'cache', "
    "'2026-11-11T12:00:00.000000Z')",
    "a prediction's cost changed": f"UPDATE ai_cost_predictions SET actual_cost_usd = 1 {WHERE}",
    "a prediction's tokens changed": f"UPDATE ai_cost_predictions SET predicted_tokens = predicted_tokens + 40 {WHERE}",
    "a prediction's actual tokens changed": f"UPDATE ai_cost_predictions SET actual_tokens = predicted_tokens {WHERE}",
    "a prediction's accuracy changed": f"UPDATE ai_cost_predictions SET prediction_accuracy = 0.99 {WHERE}",
    "a prediction's user swapped": f"UPDATE ai_cost_predictions SET user_id = 'bob' {WHERE}",
    "a prediction rejected afterwards": f"UPDATE ai_cost_predictions SET approved = 0, rejected_reason = 'budget' {WHERE}",
    "a rejection approved afterwards": "UPDATE ai_cost_predictions SET approved = 1, rejected_reason = NULL "
    "WHERE request_id = 'refused'",
    "a prediction deleted": f"DELETE FROM ai_cost_predictions {WHERE}",
    "a sealed rejection deleted": "DELETE FROM ai_cost_predictions WHERE request_id = 'refused early'",
    "a sealed prediction's formula changed": f"UPDATE ai_cost_predictions SET formula_tokens = 1 {SEALED}",
    "a decision made junk": f"UPDATE ai_cost_predictions SET decision = '{{' {WHERE}",
    "a roll-up changed": "UPDATE usage_by_user_day SET cost_usd = cost_usd - 1",
    "a roll-up deleted": "DELETE FROM usage_by_model_day",
    # Users, profiles, what is kept
    "a user deleted": "DELETE FROM users WHERE user_id = 'bob'",
    "a profile deleted": "DELETE FROM user_efficiency_profiles WHERE user_id = 'bob'",
    "a month's grant taken back for another": "UPDATE users SET granted_period = '2026-10' WHERE user_id = 'bob'",
    "a month's grant forgotten": "UPDATE users SET granted_energy = 0 WHERE user_id = 'bob'",
    "a user's tier made junk": "UPDATE users SET tier = 'gold' WHERE user_id = 'bob'",
    "a profile's hours made junk": "UPDATE user_efficiency_profiles SET peak_usage_hours = '[1, 2]'",
    "a profile's style made junk": "UPDATE user_efficiency_profiles SET writing_style_profile = '[]'",
    "a kept text's cost changed": "UPDATE cached_ai_responses SET cost_usd = cost_usd + 1",
    "a kept text given to another user": "UPDATE cached_ai_responses SET user_id = 'bob' WHERE request_id = 'again'",
    "a kept text's expiry made junk": "UPDATE cached_ai_responses SET expires_at = 'never'",
    "feedback given to another user": "UPDATE feedback SET user_id = 'bob'",
    "learned lengths made junk": "UPDATE output_lengths SET state = '{'",
    "a price of the catalog made junk": "UPDATE ai_model_configs SET class_prices = '[]'",
    "the time last seen made junk": "UPDATE meta SET value = 'soon' WHERE key = 'last_seen'",
    "the time last seen moved ahead": "UPDATE meta SET value = '2027-11-11T12:00:00.000000Z' WHERE key = 'last_seen'",
    "the time last seen deleted": "DELETE FROM meta WHERE key = 'last_seen'",
    "panic made junk": "UPDATE meta SET value = 'yes' WHERE key = 'panic'",
    "the world's version deleted": "DELETE FROM meta WHERE key = 'world_version'",
    "a seal changed": "UPDATE seals SET hash = replace(hash, substr(hash, 1, 4), '0000')",
    "a seal's time made junk": "UPDATE seals SET sealed_at = 'then'",
    "a seal's reach changed": "UPDATE seals SET last_entry = last_entry - 1",
}

NOT_FOUND = {
    "a tier or a role that was changed to another one": "UPDATE users SET tier = 'elite' WHERE user_id = 'bob'",
    "a price of the catalog that was changed": "UPDATE ai_model_configs SET output_price = 1",
    "a model that was taken out of the catalog": "DELETE FROM ai_model_configs WHERE model = 'claude-3-opus'",
    "the text of a kept answer": "UPDATE cached_ai_responses SET response_text = 'Send him money'",
    "a kept answer that was deleted": "DELETE FROM cached_ai_responses",
    "what was learned: profiles, lengths, factors": "UPDATE user_efficiency_profiles SET efficiency_rating = 1",
    "a verdict that was turned round or deleted": "UPDATE feedback SET good = 0",
    "why an attempt failed, and the provider's id": "UPDATE attempts SET reason = 'ours', provider_id = 'x'",
    "why a model was chosen": "UPDATE ai_cost_predictions SET decision = '{}'",
    "what a call was expected to cost, since the last seal": "UPDATE ai_cost_predictions "
    "SET predicted_cost_usd = predicted_cost_usd + 1 WHERE created_at > '2026-11-11' AND predicted_cost_usd < max_cost_usd",
    "a rejection since the last seal": "DELETE FROM ai_cost_predictions WHERE request_id = 'refused'",
    "who made an entry since the last seal, and its reason": "UPDATE ledger_entries SET actor = 'eve' "
    "WHERE created_at > '2026-11-11'",
    "a grant since the last seal, with its account": f"UPDATE ledger_entries SET amount = 90 WHERE reason = 'a gift';"
    f"UPDATE accounts SET granted = granted + 40 WHERE id = {BOBS}",
    "which backups were made": "DELETE FROM backups",
    "the last seals, deleted": "DELETE FROM seals",
}
"""The name of each is a line of docs/money.md."""


def problems(bench: Bench) -> list[str]:
    return [f"{problem.name}: {problem.message}" for problem in bench.check() if problem.fix and problem.message]


def test_there_are_more_than_sixty() -> None:
    assert len(FOUND) >= 60


def test_the_database_that_is_tampered_with_is_sound(bench: Bench) -> None:
    assert problems(bench) == []


@pytest.mark.parametrize("name", FOUND)
def test_a_tampering_is_found(bench: Bench, name: str) -> None:
    tamper(bench.path, FOUND[name])
    assert problems(bench)


@pytest.mark.parametrize("name", NOT_FOUND)
def test_what_is_not_found_is_really_not_found(bench: Bench, name: str) -> None:
    tamper(bench.path, NOT_FOUND[name])
    assert problems(bench) == []


def test_the_documentation_lists_what_is_not_found_and_why() -> None:
    section = DOCS.read_text().partition("## What `db check` cannot find")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE))
    listed = {name: why for name, why in listed.items() if name not in ("changed", "---")}
    assert listed.keys() == NOT_FOUND.keys() and all(map(str.strip, listed.values()))
