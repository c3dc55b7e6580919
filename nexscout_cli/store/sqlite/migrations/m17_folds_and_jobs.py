"""From 17 on: what reports fold, deployments, jobs, archives."""

from __future__ import annotations

from sqlite_utils import Database

from nexscout_cli.engine.sums import SUMS
from nexscout_cli.store.sqlite.folds import FOLDS, Fold
from nexscout_cli.store.sqlite.migrations import MIGRATIONS, moves_the_world, script
from nexscout_cli.store.sqlite.rollups import ROLLUPS

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
    script(db.conn, _FOLD_MARKS + triggers)
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
""" + moves_the_world("deployments", "INSERT", "UPDATE", "DELETE")


@MIGRATIONS()
def deployments(db: Database) -> None:
    """Where models are served beside their own target, what each place takes, and how it did of late."""
    script(db.conn, _DEPLOYMENTS)
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
    script(db.conn, _JOBS)
    for (sql,) in others:  # they went with the table that was made anew
        db.conn.execute(sql)
    db.conn.execute("PRAGMA user_version = 19")


@MIGRATIONS()
def folded_tables(db: Database) -> None:
    """What reports need of finished hours and days, folded; how often each latency and error occurs in one value."""
    from nexscout_cli.store.sqlite.dialect import SQLITE
    from nexscout_cli.store.sqlite.fold_making import Whole
    from nexscout_cli.store.sqlite.folding import fold_all

    script(db.conn, "".join(f"DROP TABLE IF EXISTS {fold.table};\n{_fold_table(fold)}" for fold in FOLDS))
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
    script(db.conn, _FOLDING)
    db.conn.execute("PRAGMA user_version = 21")


_AUDITED = "CREATE INDEX usage_audited ON ai_model_usage (created_at) WHERE routing_reason = 'audit'"


@MIGRATIONS()
def audits_by_time(db: Database) -> None:
    """What was audited is found without reading all usage."""
    db.conn.execute(_AUDITED)
    db.conn.execute("PRAGMA user_version = 22")


# A month's rows that lie in an archive. While ``is_open``, which no commit leaves, its entries may be removed: what each account
# had spent by them is in ``closings``. ``hash`` is of the rows that went, ``closings_hash`` of what took their place.
_ARCHIVES = """
CREATE TABLE archives (
  month TEXT PRIMARY KEY,
  until TEXT NOT NULL,
  first_at TEXT NOT NULL,
  folder TEXT NOT NULL,
  requests INTEGER NOT NULL CHECK (requests >= 0),
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  entries INTEGER NOT NULL CHECK (entries >= 0),
  usage INTEGER NOT NULL CHECK (usage >= 0),
  predictions INTEGER NOT NULL CHECK (predictions >= 0),
  cost_usd INTEGER NOT NULL CHECK (cost_usd >= 0),
  hash TEXT NOT NULL,
  closings_hash TEXT NOT NULL,
  is_open INTEGER NOT NULL CHECK (is_open IN (0, 1)),
  archived_at TEXT NOT NULL,
  archived_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE closings (
  account INTEGER NOT NULL REFERENCES accounts,
  month TEXT NOT NULL REFERENCES archives,
  entries INTEGER NOT NULL CHECK (entries > 0),
  spent INTEGER NOT NULL CHECK (spent >= 0),
  PRIMARY KEY (account, month)
) STRICT, WITHOUT ROWID;
ALTER TABLE jobs ADD COLUMN archived_usd INTEGER NOT NULL DEFAULT 0 CHECK (archived_usd >= 0);
DROP TRIGGER entries_remain;
CREATE TRIGGER entries_remain BEFORE DELETE ON ledger_entries
WHEN old.attempt IS NULL OR NOT EXISTS (SELECT 1 FROM archives WHERE is_open = 1 AND old.created_at < until)
BEGIN SELECT RAISE(ABORT, 'ledger entries are append-only'); END;
CREATE TRIGGER closings_stay BEFORE UPDATE ON closings BEGIN SELECT RAISE(ABORT, 'closings are append-only'); END;
CREATE TRIGGER closings_remain BEFORE DELETE ON closings BEGIN SELECT RAISE(ABORT, 'closings are append-only'); END;
CREATE TRIGGER archives_stay BEFORE UPDATE ON archives WHEN old.is_open = 0
BEGIN SELECT RAISE(ABORT, 'archives are append-only'); END;
CREATE TRIGGER archives_remain BEFORE DELETE ON archives BEGIN SELECT RAISE(ABORT, 'archives are append-only'); END;
"""
_SUMS_REMAIN = """
CREATE TRIGGER {table}_remains BEFORE DELETE ON {table} WHEN old.{at} < (SELECT max(until) FROM archives)
BEGIN SELECT RAISE(ABORT, 'the rows of these sums are archived'); END;
"""


@MIGRATIONS()
def archives(db: Database) -> None:
    """Months whose rows lie in files, and what took the place of their entries; their sums stay."""
    sums = {fold.table: "period" for fold in FOLDS} | dict.fromkeys(ROLLUPS, "day")
    script(db.conn, _ARCHIVES + "".join(_SUMS_REMAIN.format(table=table, at=at) for table, at in sums.items()))
    db.conn.execute("PRAGMA user_version = 23")


@MIGRATIONS()
def parts_of_hours(db: Database) -> None:
    """Of the hour that goes on its beginning may be folded, up to a minute: what changes before that marks the hour."""
    changed = _CHANGED.replace("1, 13) <", "1, 16) <")
    triggers = "".join(
        f"DROP TRIGGER {table}_{what}_changes_an_hour;\n"
        + changed.format(table=table, what=what, verb=verb, when=when, at=at)
        for table, what, verb, when, at in _CHANGES
    )
    script(db.conn, triggers)
    db.conn.execute("PRAGMA user_version = 24")
