"""2 to 9: fewer pages, the canonical cache, lengths, routing, claims, classes of tokens, abilities."""

from __future__ import annotations

from sqlite_utils import Database

from nexscout_cli.store.sqlite.migrations import MIGRATIONS, ROLLED_UP_AT, script
from nexscout_cli.store.sqlite.rollups import ROLLUPS

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
    script(db.conn, _FEWER_PAGES)
    db.conn.execute("PRAGMA user_version = 2")


@MIGRATIONS()
def cache_matches(db: Database) -> None:
    """The canonical cache, what a hit saved by kind of match, and one call for identical requests in flight."""
    script(
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


@MIGRATIONS()
def levels_of_lengths(db: Database) -> None:
    """Answers' lengths by user, feature and model, and the P90 of each prediction."""
    script(db.conn, _LENGTHS)
    db.conn.execute("PRAGMA user_version = 5")


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


@MIGRATIONS()
def routing(db: Database) -> None:
    """Policies of users, why a model was chosen, what users said of answers, and answers delivered after their posting."""
    script(
        db.conn, _ROUTING + "".join(_DELIVERED_LATE.format(table=name, where=ROLLED_UP_AT[name]) for name in ROLLUPS)
    )
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
    script(db.conn, _CLAIMS)
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
    script(db.conn, _CLASSES_OF_TOKENS)
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
    script(db.conn, _ABILITIES)
    db.conn.execute("PRAGMA user_version = 9")
