"""Months that are over leave the books for Parquet files, and everything that was said of them is said as before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import assemble
from nexscout_cli.engine.asked import new_id
from nexscout_cli.engine.book_types import Archive
from nexscout_cli.engine.report_window import Window, zone
from nexscout_cli.engine.reports.build import COLUMNS, report
from nexscout_cli.errors import NotPermitted, StoreError, UsageError
from nexscout_cli.store import parquet
from tests.contract.books import Books
from tests.contract.conftest import Shop
from tests.support.postgres import new_database
from tests.support.steps import Steps

pytest.importorskip("pyarrow", reason="archives are not installed: nexscout[archive]")

BEFORE = "2026-12-01"
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


def at(day: int, hour: int = 12, month: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def silent(month: str, what: str) -> None:
    """Nobody listens."""


def use(shop: Shop, ada: Steps, bob: Steps) -> None:
    """November and December of two people: calls, one that is refused, one of no known outcome, one over the month's end."""
    for n in range(12):
        who = (ada, bob)[n % 3 == 1]
        attempt = who.sent()
        shop.clock.move(seconds=1 + n % 5)
        if n == 4:
            who.void(attempt)
            who.fail(attempt)
        else:
            who.post(attempt, who.charge(attempt, 100 + n, 50 + 7 * n))
        shop.clock.move(hours=37, minutes=13)
    ada.refuse(ada.plan(), "too dear")
    shop.clock.time = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    over = ada.sent()
    shop.clock.move(seconds=5)
    ada.post(over)
    shop.clock.time = at(3)
    bob.post(bob.sent())
    shop.clock.time = at(5)
    ada.store.recovery.recover("ada")


def said(ada: Steps, until: datetime) -> dict[str, Any]:
    """All that reports say of whole days, and what accounts have."""
    store, found = ada.store, {}
    for user in (None, "bob"):
        for window in (Window(NOVEMBER, until), Window(at(15, 0, 11), at(1, 0)), Window(at(20, 0, 11), until)):
            for name in COLUMNS:
                if name != "unprofitable":
                    one = report(store, "ada", name, window, ada.settings, user)
                    one.pop("archived", None)
                    found[user, window.since, window.until, name] = one
    for user in ("ada", "bob"):
        found["energy", user] = store.energy.show("ada", user)
    return found


@pytest.fixture
def used(shop: Shop, ada: Steps, bob: Steps) -> Steps:
    """Somebody who may remove rows, at books with two months."""
    ada.store.users.set_tier("ada", "bob", "elite")
    use(shop, ada, bob)
    return shop.owner("ada")


def archive(steps: Steps, folder: Path) -> list[Archive]:
    return steps.store.maintenance.archive("ada", BEFORE, folder, silent)


def without_ranks(found: dict[str, Any]) -> dict[str, Any]:
    """Without medians and percentiles: of few calls they are exact, of sums they are not."""
    ranks = ("latency_p50_ms", "latency_p95_ms", "mdape", "formula_mdape", "median_error", "formula_median_error")

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(of) for name, of in value.items() if name not in ranks}
        return [plain(of) for of in value] if isinstance(value, list) else value

    return {key: plain(value) for key, value in found.items()}


def test_what_reports_and_accounts_say_is_the_same_before_and_after(
    shop: Shop, used: Steps, books: Books, tmp_path: Path
) -> None:
    before, accounts = (
        said(used, at(5)),
        books.listed("accounts", "owner", "kind", "period", "granted", "held", "spent"),
    )
    rows = {name: books.count(name) for name in ("requests", "attempts", "usage", "predictions")}
    (made,) = archive(used, tmp_path / "old")
    assert (made.month, made.until, made.requests, made.attempts, made.predictions) == ("2026-11", BEFORE, 12, 12, 13)
    assert {name: books.count(name) for name in rows} == {"requests": 2, "attempts": 2, "usage": 2, "predictions": 2}
    assert without_ranks(said(used, at(5))) == without_ranks(before)
    assert books.listed("accounts", "owner", "kind", "period", "granted", "held", "spent") == accounts
    assert used.check() == []
    assert archive(used, tmp_path / "old") == [] and used.check() == []
    ada = shop.actor("ada")
    ada.post(ada.sent())
    shop.clock.move(days=40)
    ada.store.recovery.recover("ada")
    assert used.check() == [] == used.store.maintenance.check("ada", used.store.maintenance.seals("ada"))
    (second,) = used.store.maintenance.archive("ada", "2027-01-01", tmp_path / "old", silent)
    assert (second.month, second.requests) == ("2026-12", 3) and books.count("requests") == 0
    assert used.check() == []


def test_what_is_not_settled_keeps_its_month_here_and_it_is_said_what_to_do(
    shop: Shop, ada: Steps, books: Books, tmp_path: Path
) -> None:
    ada.post(ada.sent())
    unknown = ada.unknown()
    shop.clock.time = at(5)
    owner = shop.owner("ada")
    (planned,) = owner.store.maintenance.archivable("ada", BEFORE)
    assert "`nexscout db resolve`" in planned.against and unknown.request_id in planned.against
    with pytest.raises(UsageError, match="1 of its attempts is not settled"):
        archive(owner, tmp_path / "old")
    ada.store.recovery.resolve("ada", unknown.request_id, 17)
    (planned,) = owner.store.maintenance.archivable("ada", BEFORE)
    assert planned.against == "" and planned.requests == 1  # the other one was decided in December
    (made,) = archive(owner, tmp_path / "old")
    assert made.requests == 1 == books.count("requests") and owner.check() == []
    with pytest.raises(UsageError, match="has not been yet"):
        owner.store.maintenance.archivable("ada", "2027-03-01")
    assert owner.store.maintenance.archivable("ada", "2026-12-31") == []


def test_only_who_may_remove_rows_archives(shop: Shop, used: Steps, tmp_path: Path) -> None:
    with pytest.raises(NotPermitted):
        shop.actor("bob").store.maintenance.archive("bob", BEFORE, tmp_path / "old", silent)
    if shop.kind.name == "postgres":
        with pytest.raises(StoreError, match="only the database's owner"):
            archive(shop.actor("ada"), tmp_path / "old")
    assert not (tmp_path / "old").exists()


def test_files_hold_every_column_and_only_their_owner_may_read_them(used: Steps, books: Books, tmp_path: Path) -> None:
    old = tmp_path / "old"
    entries = books.listed("entries", "amount")
    archive(used, old)
    assert {path.stat().st_mode & 0o777 for path in old.iterdir()} == {0o600} and old.stat().st_mode & 0o777 == 0o700
    tables = ("ai_cost_predictions", "ai_model_usage", "attempts", "ledger_entries", "requests")
    assert sorted(path.name for path in old.iterdir()) == [
        ".lock",
        *(f"2026-11.{table}.parquet" for table in tables[:3]),
        "2026-11.json",
        *(f"2026-11.{table}.parquet" for table in tables[3:]),
    ]
    file = old / "2026-11.ledger_entries.parquet"
    names = [column.name for column in parquet.columns(file)]
    rows = [dict(zip(names, row, strict=True)) for row in parquet.read(file)]
    assert {"id", "attempt", "account", "kind", "amount", "account_owner", "account_period", "request_id"} <= {*names}
    left = [row["amount"] for row in rows] + books.listed("entries", "amount")
    assert sorted(left) == sorted(entries)


def test_a_file_that_is_not_what_was_written_or_is_another_ends_it_with_all_rows_here(
    used: Steps, books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = books.count("entries")
    with monkeypatch.context() as lying:
        lying.setattr(parquet, "read", lambda path: iter(()))
        with pytest.raises(StoreError, match="does not hold what was written"):
            archive(used, tmp_path / "old")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "2026-11.requests.parquet").write_bytes(b"mine")
    with pytest.raises(UsageError, match="holds something else"):
        archive(used, tmp_path / "other")
    assert (tmp_path / "other" / "2026-11.requests.parquet").read_bytes() == b"mine"
    assert books.count("entries") == rows and used.store.maintenance.archives("ada") == [] and used.check() == []


def test_rows_that_change_while_they_are_written_stay(used: Steps, books: Books, tmp_path: Path) -> None:
    rows = books.count("entries")

    def forget(month: str, what: str) -> None:
        if what == "removing":
            used.store.users.forget("ada", "ada")

    with pytest.raises((StoreError, UsageError), match=r"changed while they were written|sums .* are not made yet"):
        used.store.maintenance.archive("ada", BEFORE, tmp_path / "old", forget)
    assert books.count("entries") == rows
    assert archive(used, tmp_path / "again")[0].entries == rows - books.count("entries")
    assert used.check() == []


def test_what_needs_single_rows_says_where_they_are(shop: Shop, used: Steps, tmp_path: Path) -> None:
    archive(used, tmp_path / "old")
    store = shop.actor("ada").store
    name = f"{int(at(10, 12, 11).timestamp() * 1000):011x}0011223344"
    for look in (store.log.show, store.log.why, store.log.full_id):
        with pytest.raises(UsageError, match=r"archived in .*old") as told:
            look("ada", name[:14])
        assert told.value.code == "archived"
    with pytest.raises(UsageError, match=r"archived in .*old"):
        store.recovery.billed("ada", NOVEMBER, at(5))
    found = report(store, "ada", "days", Window(at(20, 7, 11), at(5)), used.settings)
    assert found["archived"] == [{"month": "2026-11", "folder": str(tmp_path / "old")}]
    assert "archived" not in report(store, "ada", "days", Window(at(1, 0), at(5)), used.settings)


def test_a_window_over_archived_rows_is_widened_to_what_is_known_and_says_so(
    shop: Shop, used: Steps, tmp_path: Path
) -> None:
    since = at(20, 7, 11) + timedelta(minutes=7)
    hour, day = at(20, 7, 11), at(20, 0, 11)
    before = {
        user: report(used.store, "ada", "days", Window(start, at(5)), used.settings, user)
        for user, start in ((None, hour), ("bob", day))
    }
    archive(used, tmp_path / "old")
    for user, start in ((None, hour), ("bob", day)):
        found = report(used.store, "ada", "days", Window(since, at(5)), used.settings, user)
        assert found["since"] == f"{start:%Y-%m-%dT%H:%M:%S.%fZ}" and found["rows"] == before[user]["rows"]
    kolkata = Window(since, at(5), zone("Asia/Kolkata"))
    with pytest.raises(UsageError, match=r"single rows .* archived in .*old") as told:
        report(used.store, "ada", "providers", kolkata, used.settings)
    assert told.value.code == "archived" and "--tz UTC" in told.value.suggestion


def test_others_write_while_a_month_leaves(shop: Shop, used: Steps, books: Books, tmp_path: Path) -> None:
    ada, told = shop.actor("ada"), []

    def write(month: str, what: str) -> None:
        told.append(what)
        if shop.kind.name == "postgres" or what in ("verifying", "naming", "done"):  # a file has one writer, or readers
            ada.post(ada.sent())

    (planned,) = used.store.maintenance.archivable("ada", BEFORE)
    (made,) = used.store.maintenance.archive("ada", BEFORE, tmp_path / "old", write)
    counts = ("requests", "attempts", "entries", "usage", "predictions", "cost_usd")
    assert [getattr(made, name) for name in counts] == [getattr(planned, name) for name in counts]
    assert sum(what.endswith("removed") for what in told) == 5 and used.check() == []


def test_the_clock_is_not_set_back_to_what_is_archived(shop: Shop, used: Steps, tmp_path: Path) -> None:
    archive(used, tmp_path / "old")
    shop.clock.time = at(30, 12, 11)
    with pytest.raises(UsageError, match="is archived"):
        used.store.recovery.reset_clock("ada")


def test_verdicts_conversations_and_jobs_stay_with_what_they_cost(
    shop: Shop, ada: Steps, books: Books, tmp_path: Path
) -> None:
    names = [new_id(shop.clock) for _ in range(3)]
    for name in names:
        ada.post(ada.sent(request_id=name))
    ada.store.feedback.record("ada", names[0], "good")
    for statement in (
        "INSERT INTO conversations (id, user_id, feature, created_at, used_at) VALUES ('c', 'ada', 'ai_chatbot', "
        "'2026-11-10T12:00:00.000000Z', '2026-11-10T12:00:00.000000Z')",
        f"INSERT INTO conversation_turns VALUES ('c', 1, '{names[1]}', '[]', '2026-11-10T12:00:00.000000Z')",
        "INSERT INTO jobs (id, actor, name, digest, state, created_at, ended_at) VALUES ('job1', 'ada', 'x', 'x', 'ended', "
        "'2026-11-10T12:00:00.000000Z', '2026-11-10T12:00:00.000000Z')",
        f"INSERT INTO job_rows (job, n, row_id, digest, user_id, state, request_id) VALUES ('job1', 0, '0', 'x', 'ada', "
        f"'ended', '{names[2]}')",
    ):
        books.change(statement)
    before = ada.store.jobs.find("ada", "job1").cost
    shop.clock.time = at(5)
    owner = shop.owner("ada")
    owner.store.recovery.recover("ada")
    (made,) = archive(owner, tmp_path / "old")
    assert made.requests == 2 and books.listed("requests", "request_id") == [names[1]]
    assert ada.store.jobs.find("ada", "job1").cost == before > 0 and owner.check() == []
    assert ada.store.feedback.by_model("ada", None) == {"gpt-4o-mini": (1, 0)}


@pytest.mark.parametrize("elsewhere", [True, False], ids=["other", "same"])
def test_a_copy_has_the_archives_and_their_sums(shop: Shop, used: Steps, tmp_path: Path, *, elsewhere: bool) -> None:
    archive(used, tmp_path / "old")
    before = said(used, at(5))
    to_file = (shop.kind.name == "postgres") is elsewhere
    to = str(tmp_path / "copy.db") if to_file else new_database()
    rows, problems = assemble.copy_store(used.store, "ada", to, lambda table, n: None)
    assert {problem.name for problem in problems} <= {"clock"}  # which is the machine's, not the test's
    assert rows["archives"] == 1 and rows["closings"] > 0
    there = shop.at(to)
    assert said(there, at(5)) == before and there.check() == []
    assert archive(there, tmp_path / "old") == []


def test_what_archives_left_behind_cannot_be_changed_unseen(used: Steps, books: Books, tmp_path: Path) -> None:
    archive(used, tmp_path / "old")
    for statement in (
        "UPDATE closings SET spent = spent + 1",
        "DELETE FROM closings",
        "DELETE FROM archives",
        "UPDATE archives SET is_open = 1",
        "DELETE FROM ledger_entries",
        "DELETE FROM folded_usage WHERE period < '2026-12'",
        "DELETE FROM usage_by_user_day",
    ):
        with pytest.raises(Exception, match=r"append-only|are archived"):
            books.change(statement)
    books.change("UPDATE usage_by_user_day SET cost_usd = cost_usd + 1 WHERE day < '2026-12-01'")
    assert {problem.name for problem in used.check()} == {"archived_sums"}
