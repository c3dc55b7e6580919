"""10 to 16: keys, budgets, seals, imports, alerts, limits, conversations."""

from __future__ import annotations

from sqlite_utils import Database

from nexscout_cli.store.sqlite.migrations import MIGRATIONS, ROLLED_UP_AT, script
from nexscout_cli.store.sqlite.rollups import ROLLUPS

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
    script(db.conn, _KEYS_AND_BUDGETS)
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
    late = "".join(_DELIVERED_LATE_TOO.format(table=name, where=ROLLED_UP_AT[name]) for name in ROLLUPS)
    script(db.conn, _FOR_FINANCE + late)
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
    script(db.conn, _SEALS_AND_BACKUPS)
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
    script(db.conn, _IMPORTS)
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
    script(db.conn, _ALERTS)
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
    script(db.conn, _LIMITS)
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
    script(db.conn, _CONVERSATIONS)
    db.conn.execute("PRAGMA user_version = 16")
