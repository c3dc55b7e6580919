"""A server that meets a row which no program of ours wrote: one line that says so, 503, and nothing sent unseen."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.hostile.test_bad_rows import DAMAGE
from tests.server.conftest import Scout

ROWS = tuple(name for name in DAMAGE if not name.startswith(("conversation", "attempts.created")))[::12]
SECRET = "what-only-ada-may-see"
ASKS = (
    ("/v1/chat/completions", {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}),
    ("/v1/quote", {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}),
    ("/v1/models", None),
    ("/v1/requests", None),
    ("/v1/report", None),
)


def spoilt(scout: Scout, statement: str) -> None:
    """Run a statement past every rule."""
    with contextlib.closing(sqlite3.connect(scout.home / "nexscout.db", isolation_level=None, timeout=30)) as c:
        c.execute("PRAGMA ignore_check_constraints = ON")
        triggers = c.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            c.execute(f"DROP TRIGGER {name}")
        c.execute(statement)
        for _, sql in triggers:
            c.execute(sql)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_bad_row_is_said_and_no_bug(alone: Scout, name: str) -> None:
    key = alone.key()
    alone.serve()
    alone.chat("Hello Ann", key)
    spoilt(alone, DAMAGE[name])
    replies = [alone.ask(path, body, key) for path, body in ASKS]
    assert not [reply for reply in replies if reply.status == 500]
    for reply in replies:
        if reply.status == 503:
            assert reply.json["error"]["code"] in ("corrupt", "no_model"), reply
            assert "Traceback" not in reply.body.decode()


def test_whose_row_is_bad_stands_in_the_log_and_not_in_the_answer(alone: Scout) -> None:
    key = alone.key()
    alone.serve()
    spoilt(alone, f"UPDATE users SET granted_period = '{SECRET}' || CAST(x'ff' AS TEXT)")
    reply = alone.ask(*ASKS[0], key)
    said = alone.stop()
    assert (reply.status, reply.json["error"]["code"]) == (503, "corrupt"), reply
    assert SECRET not in reply.body.decode() and "db check" in reply.body.decode()
    assert SECRET in said
