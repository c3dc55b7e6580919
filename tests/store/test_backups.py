"""Backups: which there are, which hold whose texts, which are removed, and what is in one without texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexscout_cli.errors import NotPermitted
from tests.store.test_forgetting import SECRET, used
from tests.support.bench import Bench

__all__ = ["used"]


def test_a_backup_without_texts_has_none_and_is_sound(used: Bench, tmp_path: Path) -> None:
    upkeep = used.store.maintenance
    whole, bare = upkeep.backup("ada", tmp_path / "whole"), upkeep.backup("ada", tmp_path / "bare", without_text=True)
    assert SECRET.encode() in whole.read_bytes() and SECRET.encode() not in bare.read_bytes()
    copy = Bench(bare, "ada", used.clock)
    assert copy.check() == []
    assert copy.account("ada") == used.account("ada")
    assert "weighed" not in "\n".join(copy.store.db.connection.iterdump())


def test_the_backups_that_hold_a_persons_texts_are_known(used: Bench, tmp_path: Path) -> None:
    upkeep = used.store.maintenance
    whole, moved = upkeep.backup("ada", tmp_path / "whole"), upkeep.backup("ada", tmp_path / "moved")
    upkeep.backup("ada", tmp_path / "bare", without_text=True)
    beside = upkeep.backup("ada", None)
    used.damage(f"DELETE FROM backups WHERE path = '{beside}'")
    moved.unlink()
    used.store.users.forget("ada", "ada")
    after = upkeep.backup("ada", tmp_path / "after")
    found = {Path(one.path): one.there for one in upkeep.holding("ada", "ada")}
    assert found == {whole: True, moved: False, beside: True} and after not in found
    used.store.users.set_tier("ada", "bob", "free")
    assert {Path(one.path) for one in upkeep.holding("ada", "bob") if one.there} == set()


def test_the_newest_backups_stay(bench: Bench, tmp_path: Path) -> None:
    upkeep = bench.store.maintenance
    made = []
    for number in range(4):
        made.append(upkeep.backup("ada", tmp_path / f"copy {number}"))
        bench.clock.move(hours=1)
    assert set(upkeep.prune("ada", 2, dry_run=True)) == set(made[:2]) and all(path.exists() for path in made)
    assert set(upkeep.prune("ada", 2)) == set(made[:2])
    assert [path.exists() for path in made] == [False, False, True, True]
    assert upkeep.prune("ada", 2) == []
    assert bench.sql("SELECT count(*) FROM backups")[0][0] == 2


def test_a_file_that_is_no_database_of_ours_is_not_removed(bench: Bench, tmp_path: Path) -> None:
    upkeep = bench.store.maintenance
    upkeep.backup("ada", tmp_path / "copy").write_text("something else by now")
    bench.clock.move(hours=1)
    upkeep.backup("ada", tmp_path / "new")
    assert upkeep.prune("ada", 1) == []
    assert (tmp_path / "copy").read_text() == "something else by now"


def test_only_an_admin_removes_backups(bench: Bench) -> None:
    bench.store.users.set_tier("ada", "bob", "free")
    with pytest.raises(NotPermitted):
        bench.as_actor("bob").store.maintenance.prune("bob", 1)
