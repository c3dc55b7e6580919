"""Usage that other tools kept: counted once, summed up, seen by whose it is, and taken out again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nexscout_cli.engine.report_window import Window
from nexscout_cli.errors import UsageError
from tests.support.steps import Steps

AT = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
WINDOW = Window(AT - timedelta(days=1), AT + timedelta(days=2))


def row(key: int, user: str = "ada", output: int = 50, requests: int = 1, at: datetime = AT) -> tuple[Any, ...]:
    """100 input tokens, 10 cached, 5 and 3 written; 7 dollars by the source, 9 by the table (nano)."""
    return (bytes([key]), at, "m", "openai", user, "f", requests, 100, 10, 5, 3, output, 2, 7, 9)


def sums(at: Steps, *keys: str, user: str | None = None, window: Window = WINDOW) -> list[dict[str, Any]]:
    with at.store.imports.reading(at.actor, window, user) as reader:
        return reader.sums(*keys)


def bring(at: Steps, *rows: tuple[Any, ...]) -> int:
    number = at.store.imports.begin(at.actor, "csv", "usage.csv")
    at.store.imports.add(at.actor, number, rows)
    at.store.imports.finish(at.actor, number, 0, 0)
    return number


def test_a_record_is_counted_once_within_an_import_and_over_all(ada: Steps) -> None:
    bring(ada, row(1), row(1), row(2))
    bring(ada, row(2), row(3))
    (found,) = sums(ada)
    assert (found["requests"], found["input_tokens"], found["output_tokens"], found["cost_usd"]) == (3, 354, 156, 21)
    assert [one.rows for one in ada.store.imports.listing("ada")] == [2, 1]
    assert ada.store.imports.known("ada", [b"\1", b"\4"]) == 1


def test_a_record_that_grew_replaces_what_was_there_and_one_that_shrank_does_not(ada: Steps) -> None:
    bring(ada, row(1, output=50))
    bring(ada, row(1, output=80))
    bring(ada, row(1, output=20))
    assert sums(ada)[0]["output_tokens"] == 82


def test_what_is_forgotten_is_gone_and_can_come_again(ada: Steps) -> None:
    number, kept = bring(ada, row(1), row(2)), bring(ada, row(3))
    assert ada.store.imports.forget("ada", number) == 2
    assert [one.id for one in ada.store.imports.listing("ada")] == [kept] and sums(ada)[0]["requests"] == 1
    bring(ada, row(1))
    assert sums(ada)[0]["requests"] == 2
    with pytest.raises(UsageError):
        ada.store.imports.forget("ada", 99)


def test_an_import_that_was_not_finished_says_so_with_what_it_has(ada: Steps) -> None:
    number = ada.store.imports.begin("ada", "csv", "usage.csv")
    ada.store.imports.add("ada", number, [row(1)])
    (found,) = ada.store.imports.listing("ada")
    assert (found.finished_at, found.rows, found.cost_usd, found.source_priced) == (None, 1, 7, 1)


def test_everyone_sees_imported_usage_of_their_own_name_and_admins_all(ada: Steps, bob: Steps) -> None:
    bring(ada, row(1), row(2, "bob"), row(3, "eve"))
    assert sorted(found["user_id"] for found in sums(ada, "user_id")) == ["ada", "bob", "eve"]
    assert [found["user_id"] for found in sums(bob, "user_id")] == ["bob"]
    assert sums(ada, user="eve")[0]["requests"] == 1


def test_days_are_those_of_the_windows_zone(ada: Steps) -> None:
    from zoneinfo import ZoneInfo

    bring(ada, row(1), row(2, at=AT - timedelta(hours=20)))
    for tz, days in ((UTC, {"2026-11-01": 2}), (ZoneInfo("Asia/Tokyo"), {"2026-11-01": 1, "2026-11-02": 1})):
        with ada.store.imports.reading("ada", WINDOW._replace(tz=tz)) as reader:
            assert {day["day"]: day["requests"] for day in reader.days()} == days


def test_imported_usage_touches_no_account_and_no_ledger(ada: Steps) -> None:
    before = ada.store.energy.show("ada", "ada")
    bring(ada, row(1))
    assert ada.store.energy.show("ada", "ada") == before and ada.check() == []
    with ada.store.reports.reading("ada", WINDOW) as reader:
        assert reader.sums() == []
