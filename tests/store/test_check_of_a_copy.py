"""A large database is checked in a copy: whoever writes does not wait, and what is found is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.store.sqlite import checking
from nexscout_cli.store.sqlite.checking import copied
from nexscout_cli.store.sqlite.journal import wal_is_safe
from tests.support.bench import Bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(copied, "LARGE", 0)
    made = Bench(tmp_path / "nexscout.db")
    made.post(made.sent())
    return made


@pytest.mark.skipif(wal_is_safe(), reason="with a write-ahead log no copy is made")
def test_who_writes_while_a_large_database_is_checked_does_not_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = bench.as_actor("ada", **{"store.lock_timeout": 0.5})
    real, written = checking.problems, []

    def meanwhile(*given: Any) -> Any:
        written.append(other.post(other.sent()))
        return real(*given)

    monkeypatch.setattr(checking, "problems", meanwhile)
    assert bench.check() == [] and len(written) == 1
    assert [path for path in bench.path.parent.iterdir() if path.name.startswith(".check")] == []


def test_what_is_wrong_is_found_in_the_copy_as_in_the_database(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.damage("UPDATE accounts SET spent = spent + 1 WHERE kind = 'usd'", "UPDATE users SET created_at = 'soon'")
    found = bench.check()
    monkeypatch.setattr(copied, "LARGE", 10**12)
    assert found == bench.check() != []


def test_where_there_is_no_room_for_a_copy_the_database_itself_is_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copied.tempfile, "NamedTemporaryFile", full)
    assert bench.check() == []
