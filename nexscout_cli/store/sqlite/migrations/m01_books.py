"""The first step: users, models, requests, attempts, accounts, entries, predictions, usage, the cache."""

from __future__ import annotations

from sqlite_utils import Database

from nexscout_cli.engine.sums import SUMS
from nexscout_cli.store.sqlite.migrations import MIGRATIONS, moves_the_world, script
from nexscout_cli.store.sqlite.rollups import ROLLUPS

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


_VERSIONED = moves_the_world("ai_model_configs", "INSERT", "UPDATE", "DELETE") + moves_the_world(
    "users", "UPDATE OF tier"
)


@MIGRATIONS()
def main_job(db: Database) -> None:
    """Everything the main job needs."""
    script(db.conn, _TABLES + _VERSIONED + "".join(_rollup(name, *spec) for name, spec in ROLLUPS.items()))
    db.conn.execute("PRAGMA user_version = 1")
