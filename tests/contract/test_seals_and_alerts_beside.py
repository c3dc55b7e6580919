"""Seals mean the same in every store, and follow a copy; what is wrong with an alert stops no posting."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexscout_cli import assemble
from nexscout_cli.engine.alerts import parse
from nexscout_cli.engine.book_types import Seal
from nexscout_cli.store.sqlite import alerts
from tests.contract.conftest import Shop
from tests.support.postgres import new_database
from tests.support.steps import Steps


def test_finished_days_are_sealed_once_and_a_changed_one_is_told(shop: Shop, ada: Steps) -> None:
    upkeep = ada.store.maintenance
    for _ in range(2):
        ada.post(ada.sent())
        assert upkeep.seal("ada") == upkeep.seals("ada")[-1:]
        shop.clock.move(days=1)
    made = upkeep.seal("ada")
    assert upkeep.seal("ada") == [] and upkeep.seals("ada")[-1:] == made
    assert upkeep.check("ada", upkeep.seals("ada")) == []
    (told,) = upkeep.check("ada", [Seal(made[0].day, "0" * 64)])
    assert told.name == "seals" and "is not the one that was kept" in told.message


def test_a_copy_in_the_other_store_has_the_same_seals_and_its_books_hash_to_them(
    shop: Shop, ada: Steps, tmp_path: Path
) -> None:
    ada.post(ada.sent())
    shop.clock.move(days=1)
    ada.store.maintenance.seal("ada")
    to = str(tmp_path / "copy.db") if shop.kind.name == "postgres" else new_database()
    rows, problems = assemble.copy_store(ada.store, "ada", to, lambda table, n: None)
    assert problems == [] and rows["seals"] == 1


def test_a_posting_stands_whatever_is_wrong_with_a_rule(ada: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    ada.store.alerts.add("ada", parse("spend day > 0.00001", "everyone", "file:x", None))
    with monkeypatch.context() as broken:
        broken.setattr(alerts, "_RULE", "no_such_column")
        ada.post(ada.sent())
    assert ada.store.alerts.history("ada", 9) == []
    ada.post(ada.sent())
    assert len(ada.store.alerts.history("ada", 9)) == 1
    assert ada.store.maintenance.check("ada") == []
