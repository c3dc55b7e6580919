"""The schema, as migrations. Imported only when a database is made or an older one is met.

Amounts are nano-dollars, prices pico-dollars per token, times UTC text of fixed width, JSON columns text.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from sqlite_utils import Database, Migrations

from nexscout_cli.engine.sums import SUMS
from nexscout_cli.files import remove_left_over
from nexscout_cli.store.sqlite.folds import FOLDS, Fold
from nexscout_cli.store.sqlite.rollups import ROLLUPS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIGRATIONS = Migrations("nexscout")


_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('last_seen', ''), ('panic', '0'), ('world_version', '1');

CREATE TABLE users (
  user_id TEXT PRIMARY KEY,
  tier TEXT NOT NULL DEFAULT 'free' CHECK (tier IN ('free', 'pro', 'elite', 'enterprise')),
  role TEXT NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
  daily_token_budget INTEGER NOT NULL,
  granted_period TEXT NOT NULL DEFAULT '',
  granted_energy INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL
) STRICT;

CREATE TABLE user_efficiency_profiles (
  user_id TEXT PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  efficiency_rating REAL NOT NULL DEFAULT 0.8 CHECK (efficiency_rating BETWEEN 0 AND 1),
  preferred_mode TEXT NOT NULL DEFAULT 'auto' CHECK (preferred_mode IN ('auto', 'fast', 'pro', 'expert')),
  avg_token_per_request REAL NOT NULL DEFAULT 0,
  predicted_daily_usage INTEGER NOT NULL DEFAULT 0,
  total_requests INTEGER NOT NULL DEFAULT 0,
  total_tokens_saved INTEGER NOT NULL DEFAULT 0,
  cache_hits INTEGER NOT NULL DEFAULT 0,
  cache_hit_rate REAL NOT NULL DEFAULT 0 CHECK (cache_hit_rate BETWEEN 0 AND 1),
  writing_style_profile TEXT NOT NULL DEFAULT '{}',
  common_patterns TEXT NOT NULL DEFAULT '[]',
  pattern_counts TEXT NOT NULL DEFAULT '{}',
  peak_usage_hours TEXT NOT NULL DEFAULT '[]',
  preferred_output_length TEXT NOT NULL DEFAULT 'medium' CHECK (preferred_output_length IN ('short', 'medium', 'long')),
  avg_output_tokens REAL NOT NULL DEFAULT 0,
  model_preference_score TEXT NOT NULL DEFAULT '{}',
  usage_day TEXT NOT NULL DEFAULT '',
  usage_day_tokens INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TRIGGER profile_of_new_user AFTER INSERT ON users BEGIN
  INSERT INTO user_efficiency_profiles (user_id) VALUES (new.user_id);
END;

CREATE TABLE ai_model_configs (
  model TEXT PRIMARY KEY,
  litellm_model TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('small', 'medium', 'large', 'xl')),
  input_price INTEGER NOT NULL CHECK (input_price >= 0),
  output_price INTEGER NOT NULL CHECK (output_price >= 0),
  max_tokens INTEGER NOT NULL CHECK (max_tokens > 0),
  quality REAL NOT NULL CHECK (quality BETWEEN 0 AND 1),
  speed REAL NOT NULL CHECK (speed BETWEEN 0 AND 1),
  best_for TEXT NOT NULL,
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1)),
  api_base TEXT,
  api_key_env TEXT,
  params TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE TABLE requests (
  request_id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  key TEXT,
  fingerprint TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'posted', 'unknown', 'voided')),
  answer TEXT,
  energy_attempt INTEGER,
  created_at TEXT NOT NULL,
  UNIQUE (user_id, key)
) STRICT;
CREATE INDEX requests_open ON requests (state) WHERE state = 'open';
CREATE INDEX answers_kept ON requests (created_at) WHERE key IS NOT NULL;

CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  request_id TEXT NOT NULL REFERENCES requests,
  n INTEGER NOT NULL CHECK (n > 0),
  model TEXT NOT NULL,
  price TEXT NOT NULL,
  estimate INTEGER NOT NULL,
  hold INTEGER NOT NULL CHECK (hold >= 0),
  hold_tokens INTEGER NOT NULL CHECK (hold_tokens >= 0),
  actual INTEGER,
  state TEXT NOT NULL CHECK (state IN ('held', 'sent', 'posted', 'unknown', 'voided')),
  owner TEXT NOT NULL,
  deadline TEXT NOT NULL,
  provider_id TEXT,
  reason TEXT,
  plan TEXT NOT NULL,
  created_at TEXT NOT NULL,
  settled_at TEXT,
  CHECK ((state = 'posted') = (actual IS NOT NULL)),
  UNIQUE (request_id, n)
) STRICT;
CREATE INDEX attempts_live ON attempts (state, deadline) WHERE state IN ('held', 'sent', 'unknown');
CREATE INDEX attempts_by_time ON attempts (created_at);
CREATE TRIGGER attempts_move_forward BEFORE UPDATE OF state ON attempts
WHEN NOT (new.state = old.state AND old.state <> 'posted' OR old.state = 'held' AND new.state IN ('sent', 'voided')
          OR old.state = 'sent' AND new.state IN ('posted', 'unknown', 'voided')
          OR old.state = 'unknown' AND new.state IN ('posted', 'voided'))
BEGIN SELECT RAISE(ABORT, 'an attempt cannot change that way'); END;

CREATE TABLE accounts (
  id INTEGER PRIMARY KEY,
  owner TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('energy', 'usd', 'tokens')),
  period TEXT NOT NULL,
  granted INTEGER,
  held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
  spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
  UNIQUE (owner, kind, period)
) STRICT;

CREATE TABLE ledger_entries (
  id INTEGER PRIMARY KEY,
  attempt INTEGER REFERENCES attempts,
  account INTEGER NOT NULL REFERENCES accounts,
  kind TEXT NOT NULL CHECK (kind IN ('grant', 'adjust', 'hold', 'post', 'void')),
  amount INTEGER NOT NULL CHECK (amount >= 0 OR kind = 'adjust'),
  reason TEXT,
  actor TEXT NOT NULL,
  created_at TEXT NOT NULL,
  CHECK ((attempt IS NULL) = (kind IN ('grant', 'adjust'))),
  UNIQUE (attempt, account, kind)
) STRICT;
CREATE UNIQUE INDEX settled_once ON ledger_entries (attempt, account) WHERE kind IN ('post', 'void');
CREATE INDEX grants_by_account ON ledger_entries (account) WHERE attempt IS NULL;
CREATE TRIGGER entries_stay BEFORE UPDATE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'ledger entries are append-only'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'ledger entries are append-only'); END;

CREATE TABLE ai_cost_predictions (
  id INTEGER PRIMARY KEY,
  request_id TEXT NOT NULL UNIQUE,
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  predicted_tokens INTEGER NOT NULL,
  predicted_output_tokens INTEGER NOT NULL,
  predicted_cost_usd INTEGER NOT NULL,
  max_cost_usd INTEGER NOT NULL,
  predicted_energy INTEGER NOT NULL,
  formula_tokens INTEGER NOT NULL,
  recommended_model TEXT NOT NULL,
  routing_reason TEXT NOT NULL,
  actual_tokens INTEGER,
  actual_cost_usd INTEGER,
  prediction_accuracy REAL,
  approved INTEGER NOT NULL CHECK (approved IN (0, 1)),
  rejected_reason TEXT,
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX predictions_by_time ON ai_cost_predictions (created_at);

CREATE TABLE ai_model_usage (
  id INTEGER PRIMARY KEY,
  request_id TEXT NOT NULL,
  n INTEGER NOT NULL,
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  model_used TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('posted', 'hit', 'failed')),
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  total_tokens INTEGER GENERATED ALWAYS AS (input_tokens + output_tokens) STORED,
  cost_usd INTEGER NOT NULL DEFAULT 0,
  energy INTEGER NOT NULL DEFAULT 0,
  mode TEXT NOT NULL,
  routing_reason TEXT NOT NULL,
  compression_applied INTEGER NOT NULL DEFAULT 0,
  cached_response INTEGER NOT NULL DEFAULT 0,
  prediction_accuracy REAL,
  baseline_usd INTEGER NOT NULL DEFAULT 0,
  avoided_usd INTEGER NOT NULL DEFAULT 0,
  compression_saved_usd INTEGER NOT NULL DEFAULT 0,
  tokens_saved INTEGER NOT NULL DEFAULT 0,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at TEXT NOT NULL,
  UNIQUE (request_id, n)
) STRICT;
CREATE INDEX usage_by_time ON ai_model_usage (created_at);
CREATE INDEX usage_by_user ON ai_model_usage (user_id, created_at);

CREATE TABLE cached_ai_responses (
  id INTEGER PRIMARY KEY,
  prompt_hash TEXT NOT NULL,
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  model_used TEXT NOT NULL,
  quality REAL NOT NULL,
  response_text TEXT NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_usd INTEGER NOT NULL,
  tokens_saved INTEGER NOT NULL DEFAULT 0,
  hit_count INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  last_used_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  UNIQUE (user_id, prompt_hash)
) STRICT;
CREATE INDEX cached_by_expiry ON cached_ai_responses (expires_at);

CREATE TABLE output_lengths (
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  n INTEGER NOT NULL,
  mean_log REAL NOT NULL,
  PRIMARY KEY (user_id, feature)
) STRICT, WITHOUT ROWID;

CREATE TABLE input_factors (
  model TEXT PRIMARY KEY,
  n INTEGER NOT NULL,
  mean REAL NOT NULL,
  most REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW user_energy AS
SELECT u.user_id, u.tier, coalesce(a.granted - a.held - a.spent, 0) AS balance, u.daily_token_budget,
       p.efficiency_rating, p.preferred_mode, p.avg_token_per_request, p.predicted_daily_usage,
       CASE WHEN (SELECT value FROM meta WHERE key = 'panic') = '1' THEN 'panic' ELSE p.preferred_mode END AS model_mode
FROM users u JOIN user_efficiency_profiles p USING (user_id)
LEFT JOIN accounts a ON a.owner = u.user_id AND a.kind = 'energy';
"""


# Means of lengths teach nothing about how far they were from the new prediction: the table starts afresh.
_LENGTHS = """
DROP TABLE output_lengths;
CREATE TABLE output_lengths (
  feature TEXT NOT NULL,
  user_id TEXT NOT NULL,
  model TEXT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (feature, user_id, model)
) STRICT, WITHOUT ROWID;
ALTER TABLE ai_cost_predictions ADD COLUMN predicted_tokens_p90 INTEGER;
"""


def _rollup(table: str, keys: dict[str, str], primary: str) -> str:
    """A roll-up of ``ai_model_usage`` and the trigger that keeps it; a request counts once, with its first row."""
    columns = "".join(f", {name} INTEGER NOT NULL" for name in SUMS)
    values = (
        "NOT EXISTS (SELECT 1 FROM ai_model_usage u WHERE u.request_id = new.request_id AND u.id <> new.id)",
        "new.outcome = 'posted'",
        "new.outcome = 'hit'",
        "new.outcome = 'failed'",
        *(f"new.{name}" for name in SUMS[4:]),
    )
    updates = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
    return f"""
CREATE TABLE {table} ({", ".join(f"{k} TEXT NOT NULL" for k in keys)}{columns}, PRIMARY KEY ({primary})) STRICT, WITHOUT ROWID;
CREATE TRIGGER {table}_kept AFTER INSERT ON ai_model_usage BEGIN
  INSERT INTO {table} ({", ".join(keys)}, {", ".join(SUMS)}) VALUES ({", ".join((*keys.values(), *values))})
  ON CONFLICT ({primary}) DO UPDATE SET {updates};
END;
"""


def _moves_the_world(table: str, *verbs: str) -> str:
    """Triggers after which plans that were made before are stale."""
    return "".join(
        f"CREATE TRIGGER {table}_{verb.lower().replace(' ', '_')}_moves_the_world AFTER {verb} ON {table} BEGIN\n"
        "  UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'world_version';\nEND;\n"
        for verb in verbs
    )


_VERSIONED = _moves_the_world("ai_model_configs", "INSERT", "UPDATE", "DELETE") + _moves_the_world(
    "users", "UPDATE OF tier"
)

_ROUTING = """
ALTER TABLE user_efficiency_profiles ADD COLUMN routing_policy TEXT CHECK (routing_policy IN ('rules', 'learned', 'cascade'));
ALTER TABLE ai_cost_predictions ADD COLUMN decision TEXT;

CREATE TABLE feedback (
  request_id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  bucket INTEGER CHECK (bucket BETWEEN 0 AND 4),
  model TEXT NOT NULL,
  good INTEGER NOT NULL CHECK (good IN (0, 1)),
  note TEXT,
  actor TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX feedback_by_case ON feedback (feature, model, bucket, good);
CREATE INDEX feedback_by_user ON feedback (user_id, model, good);
"""

# A cascade's first answer is posted before it is known whether it will be the one that is delivered.
_DELIVERED_LATE = """
CREATE TRIGGER {table}_delivered_late AFTER UPDATE OF energy, baseline_usd ON ai_model_usage BEGIN
  UPDATE {table} SET energy = energy + new.energy - old.energy,
    baseline_usd = baseline_usd + new.baseline_usd - old.baseline_usd WHERE {where};
END;
"""
_AT = {
    "usage_by_user_day": "user_id = new.user_id AND day = substr(new.created_at, 1, 10)",
    "usage_by_model_day": "day = substr(new.created_at, 1, 10) AND model = new.model_used AND feature = new.feature",
}


def _script(connection: sqlite3.Connection, sql: str) -> None:
    """Run statements one by one: ``executescript`` would commit the migration's transaction."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


@MIGRATIONS()
def main_job(db: Database) -> None:
    """Everything the main job needs."""
    _script(db.conn, _TABLES + _VERSIONED + "".join(_rollup(name, *spec) for name, spec in ROLLUPS.items()))
    db.conn.execute("PRAGMA user_version = 1")


_FEWER_PAGES = """
ALTER TABLE accounts ADD COLUMN base INTEGER NOT NULL DEFAULT 0 CHECK (base >= 0);
CREATE INDEX accounts_by_period ON accounts (period, kind);

CREATE TABLE requests_2 (
  request_id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  key TEXT,
  fingerprint TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'posted', 'unknown', 'voided')),
  answer TEXT,
  created_at TEXT NOT NULL
) STRICT;
INSERT INTO requests_2 SELECT request_id, user_id, feature, key, fingerprint, state, answer, created_at FROM requests
  ORDER BY rowid;
DROP TABLE requests;
ALTER TABLE requests_2 RENAME TO requests;
CREATE UNIQUE INDEX requests_by_key ON requests (user_id, key) WHERE key IS NOT NULL;
CREATE INDEX requests_open ON requests (state) WHERE state = 'open';
CREATE INDEX answers_kept ON requests (created_at) WHERE key IS NOT NULL;

CREATE TABLE ledger_entries_2 (
  id INTEGER PRIMARY KEY,
  attempt INTEGER REFERENCES attempts,
  account INTEGER NOT NULL REFERENCES accounts,
  kind TEXT NOT NULL CHECK (kind IN ('grant', 'adjust', 'hold', 'post', 'void')),
  amount INTEGER NOT NULL CHECK (amount >= 0 OR kind = 'adjust'),
  reason TEXT,
  actor TEXT NOT NULL,
  created_at TEXT NOT NULL,
  CHECK ((attempt IS NULL) = (kind IN ('grant', 'adjust')))
) STRICT;
INSERT INTO ledger_entries_2 SELECT * FROM ledger_entries;
DROP TABLE ledger_entries;
ALTER TABLE ledger_entries_2 RENAME TO ledger_entries;
CREATE UNIQUE INDEX held_once_settled_once ON ledger_entries (attempt, account, kind = 'hold') WHERE attempt IS NOT NULL;
CREATE INDEX grants_by_account ON ledger_entries (account) WHERE attempt IS NULL;
CREATE TRIGGER entries_stay BEFORE UPDATE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'ledger entries are append-only'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'ledger entries are append-only'); END;

DROP INDEX attempts_by_time;
DROP INDEX predictions_by_time;
CREATE INDEX predictions_by_time ON ai_cost_predictions (created_at, approved);

UPDATE user_efficiency_profiles SET pattern_counts = '{}';
"""


@MIGRATIONS()
def fewer_pages(db: Database) -> None:
    """What a paid call's transactions write fits on fewer pages; phrases not yet known to recur are counted by checksum."""
    _script(db.conn, _FEWER_PAGES)
    db.conn.execute("PRAGMA user_version = 2")


@MIGRATIONS()
def cache_matches(db: Database) -> None:
    """The canonical cache, what a hit saved by kind of match, and one call for identical requests in flight."""
    _script(
        db.conn,
        """
ALTER TABLE cached_ai_responses ADD COLUMN form_hash TEXT;
ALTER TABLE cached_ai_responses ADD COLUMN request_id TEXT;
CREATE INDEX cached_by_form ON cached_ai_responses (user_id, form_hash) WHERE form_hash IS NOT NULL;
ALTER TABLE ai_model_usage ADD COLUMN cache_match TEXT CHECK (cache_match IN ('exact', 'canonical'));
UPDATE ai_model_usage SET cache_match = 'exact' WHERE outcome = 'hit';
CREATE INDEX usage_hits ON ai_model_usage (feature, cache_match, user_id, tokens_saved, avoided_usd) WHERE outcome = 'hit';
ALTER TABLE requests ADD COLUMN cache_key TEXT;
DROP INDEX requests_open;
CREATE UNIQUE INDEX requests_open ON requests (state, user_id, cache_key) WHERE state = 'open';
PRAGMA user_version = 3;
""",
    )


@MIGRATIONS()
def prompt_heads(db: Database) -> None:
    """What recurs at the head of a user's long prompts."""
    db.conn.execute("ALTER TABLE user_efficiency_profiles ADD COLUMN prompt_heads TEXT NOT NULL DEFAULT '[]'")
    db.conn.execute("PRAGMA user_version = 4")


@MIGRATIONS()
def levels_of_lengths(db: Database) -> None:
    """Answers' lengths by user, feature and model, and the P90 of each prediction."""
    _script(db.conn, _LENGTHS)
    db.conn.execute("PRAGMA user_version = 5")


@MIGRATIONS()
def routing(db: Database) -> None:
    """Policies of users, why a model was chosen, what users said of answers, and answers delivered after their posting."""
    _script(db.conn, _ROUTING + "".join(_DELIVERED_LATE.format(table=name, where=_AT[name]) for name in ROLLUPS))
    db.conn.execute("PRAGMA user_version = 6")


# What is live is found by its claim, so that most statements about requests and states write no index.
_CLAIMS = """
CREATE TABLE attempts_7 (
  id INTEGER PRIMARY KEY,
  request_id TEXT NOT NULL REFERENCES requests,
  n INTEGER NOT NULL CHECK (n > 0),
  model TEXT NOT NULL,
  price TEXT NOT NULL,
  estimate INTEGER NOT NULL,
  hold INTEGER NOT NULL CHECK (hold >= 0),
  hold_tokens INTEGER NOT NULL CHECK (hold_tokens >= 0),
  actual INTEGER,
  state TEXT NOT NULL CHECK (state IN ('held', 'sent', 'posted', 'unknown', 'voided')),
  owner TEXT NOT NULL,
  deadline TEXT NOT NULL,
  provider_id TEXT,
  reason TEXT,
  plan TEXT NOT NULL,
  claim TEXT,
  created_at TEXT NOT NULL,
  settled_at TEXT,
  CHECK ((state = 'posted') = (actual IS NOT NULL)),
  CHECK (claim IS NOT NULL OR state IN ('posted', 'voided')),
  UNIQUE (request_id, n)
) STRICT;
INSERT INTO attempts_7 SELECT a.id, a.request_id, a.n, a.model, a.price, a.estimate, a.hold, a.hold_tokens, a.actual, a.state,
  a.owner, a.deadline, a.provider_id, a.reason, a.plan,
  CASE WHEN r.state = 'open' AND a.n = (SELECT max(n) FROM attempts m WHERE m.request_id = a.request_id)
         THEN coalesce(r.user_id || '/' || r.cache_key, a.request_id || '/' || a.n)
       WHEN a.state IN ('held', 'sent', 'unknown') THEN a.request_id || '/' || a.n END,
  a.created_at, a.settled_at FROM attempts a LEFT JOIN requests r USING (request_id);
DROP TABLE attempts;
ALTER TABLE attempts_7 RENAME TO attempts;
CREATE UNIQUE INDEX attempts_live ON attempts (claim) WHERE claim IS NOT NULL;
CREATE TRIGGER attempts_move_forward BEFORE UPDATE OF state ON attempts
WHEN NOT (new.state = old.state AND old.state <> 'posted' OR old.state = 'held' AND new.state IN ('sent', 'voided')
          OR old.state = 'sent' AND new.state IN ('posted', 'unknown', 'voided')
          OR old.state = 'unknown' AND new.state IN ('posted', 'voided'))
BEGIN SELECT RAISE(ABORT, 'an attempt cannot change that way'); END;

CREATE TABLE requests_7 (
  request_id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  key TEXT,
  fingerprint TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'posted', 'unknown', 'voided')),
  answer TEXT,
  created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO requests_7 SELECT request_id, user_id, feature, key, fingerprint, state, answer, created_at FROM requests;
DROP TABLE requests;
ALTER TABLE requests_7 RENAME TO requests;
CREATE UNIQUE INDEX requests_by_key ON requests (user_id, key) WHERE key IS NOT NULL;
CREATE INDEX answers_kept ON requests (created_at) WHERE key IS NOT NULL;
"""


@MIGRATIONS()
def claims(db: Database) -> None:
    """An attempt lays claim to the cache key it answers for, or to itself, while it is live."""
    _script(db.conn, _CLAIMS)
    db.conn.execute("PRAGMA user_version = 7")


_CLASSES_OF_TOKENS = """
ALTER TABLE ai_model_configs ADD COLUMN class_prices TEXT NOT NULL DEFAULT '{}';
ALTER TABLE ai_model_configs ADD COLUMN max_output INTEGER;
ALTER TABLE ai_model_configs ADD COLUMN reasons INTEGER NOT NULL DEFAULT 0;
CREATE TABLE thinking (
  model TEXT PRIMARY KEY,
  n INTEGER NOT NULL,
  mean REAL NOT NULL,
  most REAL NOT NULL
) STRICT, WITHOUT ROWID;
UPDATE ai_model_configs SET max_output = 16384 WHERE litellm_model IN ('openai/gpt-4o', 'openai/gpt-4o-mini');
UPDATE ai_model_configs SET max_output = 4096 WHERE litellm_model LIKE 'anthropic/claude-3-%-20240%';
-- The seeded models, where nobody has changed their prices: half price from the cache at OpenAI, a tenth at Anthropic.
UPDATE ai_model_configs SET class_prices = json_object('cached', input_price / 2)
 WHERE (litellm_model, input_price, output_price) IN (VALUES ('openai/gpt-4o-mini', 150000, 600000),
   ('openai/gpt-4o-mini', 300000, 1200000), ('openai/gpt-4o', 2500000, 10000000));
UPDATE ai_model_configs SET class_prices =
   json_object('cached', 30000, 'cache_write', 300000, 'cache_write_1h', 500000)
 WHERE litellm_model = 'anthropic/claude-3-haiku-20240307' AND input_price = 250000;
UPDATE ai_model_configs SET class_prices =
   json_object('cached', input_price / 10, 'cache_write', input_price * 5 / 4, 'cache_write_1h', input_price * 2)
 WHERE (litellm_model, input_price) IN (VALUES ('anthropic/claude-3-sonnet-20240229', 3000000),
   ('anthropic/claude-3-opus-20240229', 15000000));
ALTER TABLE ai_model_usage ADD COLUMN token_classes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE ai_model_usage ADD COLUMN provider_cost_usd INTEGER;
CREATE INDEX usage_classes ON ai_model_usage (created_at) WHERE token_classes <> '{}';
"""


@MIGRATIONS()
def classes_of_tokens(db: Database) -> None:
    """Prices by class of token, the longest answer of a model, and what a call used by class."""
    _script(db.conn, _CLASSES_OF_TOKENS)
    db.conn.execute("PRAGMA user_version = 8")


_ABILITIES = """
ALTER TABLE ai_model_configs ADD COLUMN abilities TEXT;
UPDATE ai_model_configs SET abilities = '["tools", "images", "schema"]'
 WHERE litellm_model IN ('openai/gpt-4o', 'openai/gpt-4o-mini') OR litellm_model LIKE 'anthropic/claude-3-%-20240%';
UPDATE ai_model_configs SET abilities = '[]' WHERE litellm_model LIKE 'embedded/%';
"""


@MIGRATIONS()
def abilities(db: Database) -> None:
    """What a model can do beside text; not known of those that were added before."""
    _script(db.conn, _ABILITIES)
    db.conn.execute("PRAGMA user_version = 9")


_KEYS_AND_BUDGETS = """
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  user_id TEXT NOT NULL REFERENCES users,
  models TEXT NOT NULL DEFAULT '[]',
  rpm INTEGER CHECK (rpm > 0),
  created_at TEXT NOT NULL,
  created_by TEXT NOT NULL,
  expires_at TEXT,
  revoked_at TEXT,
  last_used_at TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE budgets (
  owner TEXT NOT NULL,
  unit TEXT NOT NULL CHECK (unit IN ('usd', 'tokens')),
  window TEXT NOT NULL CHECK (window IN ('day', 'week', 'month', 'ever')),
  scope TEXT NOT NULL CHECK (scope IN ('name', 'key', 'tag')),
  cap INTEGER NOT NULL CHECK (cap >= 0),
  PRIMARY KEY (owner, unit, window)
) STRICT, WITHOUT ROWID;
ALTER TABLE users ADD COLUMN reads_only INTEGER NOT NULL DEFAULT 0;
"""


@MIGRATIONS()
def keys_and_budgets(db: Database) -> None:
    """Keys of the server, budgets that are set one by one, users who may read and not spend."""
    _script(db.conn, _KEYS_AND_BUDGETS)
    db.conn.execute("PRAGMA user_version = 10")


# When an answer is delivered late, what compression saved counts with it. An attempt that fails is rare: only those are indexed.
_FOR_FINANCE = """
CREATE TABLE tier_history (
  user_id TEXT NOT NULL,
  since TEXT NOT NULL,
  tier TEXT NOT NULL CHECK (tier IN ('free', 'pro', 'elite', 'enterprise')),
  PRIMARY KEY (user_id, since)
) STRICT, WITHOUT ROWID;
INSERT INTO tier_history SELECT user_id, created_at, tier FROM users;
ALTER TABLE attempts ADD COLUMN failure TEXT;
UPDATE attempts SET failure = 'other' WHERE state IN ('voided', 'unknown');
CREATE INDEX attempts_failed ON attempts (created_at) WHERE failure IS NOT NULL;
ALTER TABLE ai_model_configs ADD COLUMN refused_options TEXT NOT NULL DEFAULT '[]';
-- The seeded models, where nobody has changed their prices: OpenAI's priority tier.
UPDATE ai_model_configs SET class_prices = json_patch(class_prices, json_object('priority_input', input_price * 5 / 3,
   'priority_output', output_price * 5 / 3, 'priority_cached', input_price * 5 / 6))
 WHERE (litellm_model, input_price, output_price) IN (VALUES ('openai/gpt-4o-mini', 150000, 600000),
   ('openai/gpt-4o-mini', 300000, 1200000));
UPDATE ai_model_configs SET class_prices = json_patch(class_prices, json_object('priority_input', 4250000,
   'priority_output', 17000000, 'priority_cached', 2125000))
 WHERE (litellm_model, input_price, output_price) = ('openai/gpt-4o', 2500000, 10000000);
"""
_DELIVERED_LATE_TOO = """
DROP TRIGGER {table}_delivered_late;
CREATE TRIGGER {table}_delivered_late AFTER UPDATE OF energy, baseline_usd, compression_saved_usd ON ai_model_usage BEGIN
  UPDATE {table} SET energy = energy + new.energy - old.energy,
    baseline_usd = baseline_usd + new.baseline_usd - old.baseline_usd,
    compression_saved_usd = compression_saved_usd + new.compression_saved_usd - old.compression_saved_usd WHERE {where};
END;
"""


@MIGRATIONS()
def for_finance(db: Database) -> None:
    """Which tier a user had when, attempts that failed by time, and options that a model's provider refuses."""
    late = "".join(_DELIVERED_LATE_TOO.format(table=name, where=_AT[name]) for name in ROLLUPS)
    _script(db.conn, _FOR_FINANCE + late)
    db.conn.execute("PRAGMA user_version = 11")


_SEALS_AND_BACKUPS = """
CREATE TABLE backups (
  path TEXT PRIMARY KEY,
  made_at TEXT NOT NULL,
  made_by TEXT NOT NULL,
  has_text INTEGER NOT NULL CHECK (has_text IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE TABLE seals (
  day TEXT PRIMARY KEY,
  hash TEXT NOT NULL,
  last_entry INTEGER NOT NULL,
  last_usage INTEGER NOT NULL,
  last_prediction INTEGER NOT NULL,
  sealed_at TEXT NOT NULL,
  sealed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""


@MIGRATIONS()
def seals_and_backups(db: Database) -> None:
    """What each finished day's books hash to, with all the days before; which copies of the database were made."""
    _script(db.conn, _SEALS_AND_BACKUPS)
    db.conn.execute("PRAGMA user_version = 12")


# What other tools counted. ``key`` is a hash of the source and its own id; costs are what the source says and what the
# price table says, either may be missing.
_IMPORTS = """
CREATE TABLE imports (
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  name TEXT NOT NULL,
  actor TEXT NOT NULL,
  rows INTEGER,
  known INTEGER,
  left_out INTEGER,
  created_at TEXT NOT NULL,
  finished_at TEXT
) STRICT;
CREATE TABLE imported_usage (
  import INTEGER NOT NULL REFERENCES imports,
  key BLOB NOT NULL,
  at TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  requests INTEGER NOT NULL CHECK (requests >= 0),
  input INTEGER NOT NULL CHECK (input >= 0),
  cached INTEGER NOT NULL CHECK (cached >= 0),
  cache_write INTEGER NOT NULL CHECK (cache_write >= 0),
  cache_write_1h INTEGER NOT NULL CHECK (cache_write_1h >= 0),
  output INTEGER NOT NULL CHECK (output >= 0),
  reasoning INTEGER NOT NULL CHECK (reasoning >= 0),
  source_cost INTEGER CHECK (source_cost >= 0),
  table_cost INTEGER CHECK (table_cost >= 0)
) STRICT;
CREATE UNIQUE INDEX imported_once ON imported_usage (key);
CREATE INDEX imported_by_time ON imported_usage (at);
"""


@MIGRATIONS()
def imported_usage(db: Database) -> None:
    """Usage that other tools kept."""
    _script(db.conn, _IMPORTS)
    db.conn.execute("PRAGMA user_version = 13")


# ``bound`` and ``value`` are in the metric's unit (engine/alerts.py). A crossing is entered once a subject and window.
_ALERTS = """
CREATE TABLE alerts (
  id INTEGER PRIMARY KEY,
  metric TEXT NOT NULL,
  window TEXT NOT NULL CHECK (window IN ('day', 'week', 'month')),
  bound INTEGER NOT NULL CHECK (bound >= 0),
  of_cap INTEGER NOT NULL DEFAULT 0 CHECK (of_cap IN (0, 1)),
  scope TEXT NOT NULL,
  subject TEXT NOT NULL,
  notify TEXT NOT NULL,
  secret_env TEXT,
  when_text TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT;
CREATE TABLE alert_events (
  id INTEGER PRIMARY KEY,
  alert INTEGER NOT NULL REFERENCES alerts,
  subject TEXT NOT NULL,
  period TEXT NOT NULL,
  value INTEGER NOT NULL,
  bound INTEGER NOT NULL,
  fired_at TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed')),
  tries INTEGER NOT NULL DEFAULT 0,
  next_at TEXT,
  sent_at TEXT,
  error TEXT,
  UNIQUE (alert, subject, period)
) STRICT;
CREATE INDEX alert_events_due ON alert_events (next_at) WHERE state = 'pending';
"""


@MIGRATIONS()
def alerts(db: Database) -> None:
    """Alerts, and the notices that wait to be told."""
    _script(db.conn, _ALERTS)
    db.conn.execute("PRAGMA user_version = 14")


_LIMITS = """
CREATE TABLE limits (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  set_by TEXT NOT NULL,
  set_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""


@MIGRATIONS()
def limits(db: Database) -> None:
    """Limits that admins write: environment and files can only lower them."""
    _script(db.conn, _LIMITS)
    db.conn.execute("PRAGMA user_version = 15")


# ``messages`` and ``options`` are JSON. What a turn cost is in ``ai_model_usage``, by its request.
_CONVERSATIONS = """
CREATE TABLE conversations (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users,
  feature TEXT NOT NULL,
  options TEXT NOT NULL DEFAULT '{}',
  created_at TEXT NOT NULL,
  used_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX conversations_by_use ON conversations (user_id, used_at);
CREATE TABLE conversation_turns (
  conversation TEXT NOT NULL REFERENCES conversations,
  n INTEGER NOT NULL CHECK (n > 0),
  request_id TEXT NOT NULL,
  messages TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (conversation, n)
) STRICT, WITHOUT ROWID;
"""


@MIGRATIONS()
def conversations(db: Database) -> None:
    """Conversations that users keep."""
    _script(db.conn, _CONVERSATIONS)
    db.conn.execute("PRAGMA user_version = 16")


_FOLD_MARKS = """
CREATE TABLE fold_marks (
  hour TEXT NOT NULL,
  is_end INTEGER NOT NULL CHECK (is_end IN (0, 1)),
  PRIMARY KEY (hour, is_end)
) STRICT, WITHOUT ROWID;
"""
_CHANGED = """
CREATE TRIGGER {table}_{what}_changes_an_hour AFTER {verb} ON {table}
WHEN {when} substr({at}, 1, 13) < (SELECT max(hour) FROM fold_marks WHERE is_end = 1) BEGIN
  INSERT OR IGNORE INTO fold_marks VALUES (substr({at}, 1, 13), 0);
END;
"""
_BEFORE = "(SELECT created_at FROM attempts WHERE request_id = new.request_id AND n = new.n - 1)"
_COUNTED = ", ".join(("user_id", "feature", "model_used", "outcome", "token_classes", "created_at", *SUMS[4:]))
_CHANGES = (
    ("ai_model_usage", "inserted", "INSERT", "", "new.created_at"),
    ("ai_model_usage", "updated", f"UPDATE OF {_COUNTED}", "", "new.created_at"),
    ("ai_cost_predictions", "inserted", "INSERT", "new.actual_tokens > 0 AND", "new.created_at"),
    ("ai_cost_predictions", "updated", "UPDATE OF actual_tokens, prediction_accuracy", "", "new.created_at"),
    ("attempts", "inserted", "INSERT", "new.n > 1 AND", _BEFORE),
    ("attempts", "updated", "UPDATE OF failure", "", "new.created_at"),
)
"""What may change an hour that has been folded; an attempt tells what became of the one before it."""


def _fold_table(fold: Fold) -> str:
    kinds = dict.fromkeys(fold.sums, "INTEGER NOT NULL") | {"hours": "INTEGER NOT NULL CHECK (hours IN (1, 24))"}
    kinds["counts"] = "TEXT NOT NULL CHECK (json_valid(counts))"
    columns = ", ".join(f"{name} {kinds.get(name, 'TEXT NOT NULL')}" for name in fold.columns)
    keys = ", ".join(name for name in fold.columns if name not in {"counts", *fold.sums})
    return f"CREATE TABLE {fold.table} ({columns}, PRIMARY KEY ({keys})) STRICT, WITHOUT ROWID;\n"


@MIGRATIONS()
def folds(db: Database) -> None:
    """How far hours are folded for reports, and which have changed since."""
    triggers = "".join(
        _CHANGED.format(table=table, what=what, verb=verb, when=when, at=at) for table, what, verb, when, at in _CHANGES
    )
    _script(db.conn, _FOLD_MARKS + triggers)
    db.conn.execute("PRAGMA user_version = 17")


# A deployment without a target is served where its model says. ``latency_ms`` and ``error_rate`` are moving means of calls that
# ended, ``failures`` counts those in a row. Calls of models without deployments touch none of this.
_DEPLOYMENTS = """
CREATE TABLE deployments (
  model TEXT NOT NULL REFERENCES ai_model_configs,
  name TEXT NOT NULL,
  target TEXT,
  api_base TEXT,
  api_key_env TEXT,
  weight INTEGER NOT NULL CHECK (weight >= 0),
  rpm INTEGER CHECK (rpm > 0),
  tpm INTEGER CHECK (tpm > 0),
  concurrency INTEGER CHECK (concurrency > 0),
  cool_down REAL NOT NULL CHECK (cool_down >= 0),
  input_price INTEGER CHECK (input_price >= 0),
  output_price INTEGER CHECK (output_price >= 0),
  class_prices TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (model, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE deployment_states (
  model TEXT NOT NULL,
  name TEXT NOT NULL,
  latency_ms REAL CHECK (latency_ms >= 0),
  error_rate REAL NOT NULL DEFAULT 0 CHECK (error_rate BETWEEN 0 AND 1),
  failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
  failure TEXT,
  cool_until TEXT,
  PRIMARY KEY (model, name)
) STRICT, WITHOUT ROWID;
ALTER TABLE attempts ADD COLUMN deployment TEXT;
ALTER TABLE attempts ADD COLUMN used_tokens INTEGER CHECK (used_tokens >= 0);
CREATE INDEX attempts_by_deployment ON attempts (model, deployment, created_at) WHERE deployment IS NOT NULL;
""" + _moves_the_world("deployments", "INSERT", "UPDATE", "DELETE")


@MIGRATIONS()
def deployments(db: Database) -> None:
    """Where models are served beside their own target, what each place takes, and how it did of late."""
    _script(db.conn, _DEPLOYMENTS)
    db.conn.execute("PRAGMA user_version = 18")


# What a provider's batch job owns is ``submitted``: the job decides of it, age does not.
_JOBS = """
CREATE TRIGGER attempts_move_forward BEFORE UPDATE OF state ON attempts
WHEN NOT (new.state = old.state AND old.state <> 'posted'
          OR old.state = 'held' AND new.state IN ('sent', 'submitted', 'voided')
          OR old.state IN ('sent', 'submitted') AND new.state IN ('posted', 'unknown', 'voided')
          OR old.state = 'unknown' AND new.state IN ('posted', 'voided'))
BEGIN SELECT RAISE(ABORT, 'an attempt cannot change that way'); END;

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  actor TEXT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  out TEXT,
  state TEXT NOT NULL CHECK (state IN ('open', 'cancelling', 'ended')),
  created_at TEXT NOT NULL,
  ended_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_by_time ON jobs (created_at);
CREATE TABLE job_parts (
  id TEXT PRIMARY KEY,
  job TEXT NOT NULL REFERENCES jobs,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('new', 'uploading', 'creating', 'sent', 'ended')),
  file_id TEXT,
  remote_id TEXT,
  remote_state TEXT,
  begun_at TEXT,
  misses INTEGER NOT NULL DEFAULT 0 CHECK (misses >= 0),
  note TEXT,
  owner TEXT,
  until TEXT,
  created_at TEXT NOT NULL,
  ended_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX job_parts_by_job ON job_parts (job);
CREATE TABLE job_rows (
  job TEXT NOT NULL REFERENCES jobs,
  n INTEGER NOT NULL CHECK (n >= 0),
  row_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  user_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'sent', 'back', 'ended')),
  same_as INTEGER,
  request_id TEXT,
  part TEXT,
  request TEXT,
  kept TEXT,
  body TEXT,
  answer TEXT,
  PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_rows_by_part ON job_rows (part) WHERE part IS NOT NULL;
CREATE INDEX job_rows_by_user ON job_rows (user_id);
"""


@MIGRATIONS()
def jobs(db: Database) -> None:
    """Jobs that providers do in their own time, at their price for that."""
    (table,) = db.conn.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'attempts'").fetchone()
    others = db.conn.execute(
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'attempts' AND type IN ('index', 'trigger') AND sql IS NOT NULL "
        "AND name <> 'attempts_move_forward'"
    ).fetchall()
    table = table.replace("'held', 'sent', 'posted'", "'held', 'sent', 'submitted', 'posted'")
    db.conn.execute(f"CREATE TABLE attempts_19 {table[table.index('(') :]}")
    db.conn.execute("INSERT INTO attempts_19 SELECT * FROM attempts")
    db.conn.execute("DROP TABLE attempts")
    db.conn.execute("ALTER TABLE attempts_19 RENAME TO attempts")
    _script(db.conn, _JOBS)
    for (sql,) in others:  # they went with the table that was made anew
        db.conn.execute(sql)
    db.conn.execute("PRAGMA user_version = 19")


@MIGRATIONS()
def folded_tables(db: Database) -> None:
    """What reports need of finished hours and days, folded; how often each latency and error occurs in one value."""
    from nexscout_cli.store.sqlite.dialect import SQLITE
    from nexscout_cli.store.sqlite.fold_making import Whole
    from nexscout_cli.store.sqlite.folding import fold_all

    _script(db.conn, "".join(f"DROP TABLE IF EXISTS {fold.table};\n{_fold_table(fold)}" for fold in FOLDS))
    db.conn.execute("DELETE FROM fold_marks")
    fold_all(Whole(SQLITE, db.conn.execute, db.conn.executemany))
    db.conn.execute("PRAGMA user_version = 20")


_FOLDING = """
CREATE TABLE folding (
  hour TEXT PRIMARY KEY,
  token TEXT NOT NULL,
  until TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""


@MIGRATIONS()
def folding_in_pieces(db: Database) -> None:
    """Which hours somebody is folding now, and until when they are left to them."""
    _script(db.conn, _FOLDING)
    db.conn.execute("PRAGMA user_version = 21")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to the newest schema, each migration in a transaction of its own."""
    connection.execute("PRAGMA foreign_keys = OFF")  # else a table that is made anew takes those that refer to it along
    try:
        MIGRATIONS.apply(Database(connection))
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def backup(connection: sqlite3.Connection, target: Path, change: Callable[[Path], None] | None = None) -> None:
    """A consistent copy of the database as a file that only its owner can read. ``change`` is made to it before it counts.

    Raises FileExistsError. A copy that is cut short by a kill has another name, and the next backup removes it.
    """
    if target.exists():
        raise FileExistsError(target)
    # They hold people's texts, and nobody knows of them.
    remove_left_over(target.parent, ".part", lambda name: name == target.name or name.endswith(".bak"))
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        connection.execute("VACUUM INTO ?", (str(part),))
        if change is not None:
            change(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # VACUUM INTO itself syncs nothing
        _put(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _put(part: Path, target: Path) -> None:
    """Give a finished copy its name, unless a file has it. Raises FileExistsError."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        target.touch(mode=0o600, exist_ok=False)
        part.replace(target)
    else:
        part.unlink()
