"""What is kept on a machine while the database is away: nothing of it is forgotten, made twice, or keeps others waiting."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nexscout_cli.engine.deployment import Deployment
from nexscout_cli.engine.settlement import Posting
from nexscout_cli.errors import NotPermitted, StalePlan, StoreError
from nexscout_cli.store.postgres import groups
from nexscout_cli.store.postgres.asking import asked
from nexscout_cli.store.postgres.journal import Journal, lines_in
from tests.contract.books import DAY, PostgresBooks
from tests.contract.test_deployments import deploy, held
from tests.faults.team import Team
from tests.support.cut import Cut, Line
from tests.support.postgres import as_application, new_database
from tests.support.steps import Steps, kept_at


@pytest.fixture
def place() -> str:
    return new_database()


@pytest.fixture
def line(place: str) -> Iterator[Line]:
    with Line(place) as between:
        yield between


def _at(step: str) -> bytes:
    """Where a line breaks at a step."""
    return f'"step": ?"{step}"'.encode()


_POST = _at("post")


def lost(line: Line, at: bytes, step: Callable[[], Any], *, arrives: bool = False) -> StoreError:
    """What is told of a step on whose way the line breaks for good; then it is mended."""
    line.cut = Cut(at, arrives, for_good=True)
    with pytest.raises(StoreError) as told:
        step()
    line.mend()
    return told.value


def states(place: str) -> list[Any]:
    return PostgresBooks(lambda: place).listed("attempts", "state")


def by_root(place: str, *sqls: str) -> None:
    with closing(psycopg.connect(place, autocommit=True)) as root:
        for sql in sqls:
            root.execute(sql.encode())


def test_what_was_kept_under_a_wrong_password_is_made_under_the_right_one(
    place: str, line: Line, tmp_path: Path
) -> None:
    ada = kept_at(line.url.replace("postgres@", "postgres:old@"), tmp_path)
    attempt = ada.sent()
    lost(line, _POST, lambda: ada.post(attempt))
    again = kept_at(line.url.replace("postgres@", "postgres:new@"), tmp_path)
    again.store.recovery.recover("ada")
    assert states(place) == ["posted"] and lines_in(tmp_path) == {}


def test_other_books_steps_wait_for_those_books(place: str, line: Line, tmp_path: Path) -> None:
    ada = kept_at(line.url, tmp_path)
    attempt = ada.sent()
    lost(line, _POST, lambda: ada.post(attempt))
    kept_at(new_database(), tmp_path).store.recovery.recover("ada")
    assert [*lines_in(tmp_path).values()] == [1]
    ada.store.recovery.recover("ada")
    assert states(place) == ["posted"]


@pytest.mark.parametrize("what", ["post", "void"])
@pytest.mark.parametrize("fault", ["read_only", "locked"])
def test_a_kept_step_outlasts_a_database_that_takes_nothing_for_a_moment(
    place: str, line: Line, tmp_path: Path, what: str, fault: str
) -> None:
    ada = kept_at(line.url, tmp_path)
    attempt = ada.sent()
    lost(line, _at(what), lambda: ada.post(attempt) if what == "post" else ada.void(attempt))
    ada.clock.move(hours=2)
    kept_at(place, None, ada.clock).store.recovery.recover("ada")  # on another machine
    assert states(place) == ["unknown"]
    name = psycopg.conninfo.conninfo_to_dict(place)["dbname"]
    if fault == "read_only":
        by_root(place, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        ledger = kept_at(place, tmp_path, ada.clock).ledger
        assert ledger.make_kept() == 0  # type: ignore[attr-defined]
        by_root(
            place,
            "SET default_transaction_read_only = off",
            f'ALTER DATABASE "{name}" RESET default_transaction_read_only',
        )
    else:
        with closing(psycopg.connect(place)) as other:
            other.execute("SELECT pg_advisory_xact_lock(1853358082, 0)")
            assert kept_at(place, tmp_path, ada.clock).ledger.make_kept() == 0  # type: ignore[attr-defined]
    assert [*lines_in(tmp_path).values()] == [1]
    kept_at(place, tmp_path, ada.clock).store.recovery.recover("ada")
    assert states(place) == ["posted" if what == "post" else "voided"] and lines_in(tmp_path) == {}
    assert ada.check() == []


@pytest.mark.parametrize("what", ["post", "void", "mark_unknown"])
def test_calls_to_deployments_are_kept_too(place: str, line: Line, tmp_path: Path, what: str) -> None:
    ada = kept_at(line.url, tmp_path)
    places = (Deployment("a", rpm=20), Deployment("b", rpm=10))
    deploy(ada, *places)
    attempt = held(ada, *places)
    ada.mark_sent(attempt)
    lost(line, b"pg_advisory_xact_lock", lambda: getattr(ada, what)(attempt))
    ada.store.recovery.recover("ada")
    assert states(place) == [{"post": "posted", "void": "voided", "mark_unknown": "unknown"}[what]]
    assert ada.check() == []


def test_so_are_posts_of_calls_that_an_option_was_refused_of(place: str, line: Line, tmp_path: Path) -> None:
    ada = kept_at(line.url, tmp_path)
    attempt = ada.sent()
    posting = Posting(ada.charge(attempt), "p1", None, refused=("logprobs",))
    lost(line, b"pg_advisory_xact_lock", lambda: ada.ledger.post("ada", attempt, posting))
    ada.store.recovery.recover("ada")
    assert PostgresBooks(lambda: place).account("ada", "usd", DAY).spent == ada.charge(attempt).cost


@pytest.mark.parametrize("what", ["hold", "mark_sent"])
def test_what_was_never_sent_is_given_back_although_its_answer_was_lost(
    place: str, line: Line, tmp_path: Path, what: str
) -> None:
    ada = kept_at(line.url, tmp_path)
    ada.post(ada.sent())
    before = PostgresBooks(lambda: place).account("ada", "energy", "prepaid")
    plan = ada.plan()
    attempt = ada.hold(plan) if what == "mark_sent" else None
    step = _at(what)
    lost(line, step, lambda: ada.mark_sent(attempt) if attempt else ada.hold(plan, sent=True), arrives=True)
    assert states(place) == ["posted", "sent"]
    ada.hold(plan)  # what is kept is made before anything else
    books = PostgresBooks(lambda: place)
    assert states(place) == ["posted", "voided", "held"]
    assert sorted(books.listed("requests", "state")) == ["open", "posted", "voided"]
    assert books.account("ada", "energy", "prepaid").held == before.held + plan.max_energy
    assert ada.check() == []


def test_a_hold_that_could_not_be_sent_leaves_nothing_to_do(place: str, line: Line, tmp_path: Path) -> None:
    ada = kept_at(line.url, tmp_path)
    plan = ada.plan()
    ada.store.db.close()  # type: ignore[attr-defined]
    ada.store.db.closed = False  # type: ignore[attr-defined]
    lost(line, b"nexscout", lambda: ada.hold(plan))
    assert lines_in(tmp_path) == {}


def test_a_request_whose_later_attempt_cannot_be_held_comes_to_its_end(place: str, line: Line, tmp_path: Path) -> None:
    ada = kept_at(line.url, tmp_path)
    ada.post(ada.sent())
    attempt = ada.sent()
    ada.void(attempt)
    lost(line, b'"after"', lambda: ada.hold(ada.plan_of(attempt), attempt.request_id))
    ada.store.recovery.recover("ada")
    books = PostgresBooks(lambda: place)
    assert states(place) == ["posted", "voided"]
    assert sorted(books.listed("requests", "state")) == ["posted", "voided"]
    assert books.account("ada", "energy", "prepaid").held == 0
    assert ada.check() == []


def test_a_request_whose_post_without_an_answer_was_kept_comes_to_its_end(
    place: str, line: Line, tmp_path: Path
) -> None:
    ada = kept_at(line.url, tmp_path)
    attempt = ada.sent()
    lost(line, _POST, lambda: ada.post(attempt, delivered=False))
    ada.store.recovery.recover("ada")
    books = PostgresBooks(lambda: place)
    assert states(place) == ["posted"] and books.listed("requests", "state") == ["voided"]
    assert books.account("ada", "energy", "prepaid").held == 0
    assert ada.check() == []


def test_a_hold_that_was_planned_anew_has_no_other_beside_it(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = kept_at(place, tmp_path)
    ada.post(ada.sent())
    plan, late = ada.plan(), []

    def ask(connection: Any, function: str, value: Any) -> Any:
        if value.get("step") == "hold" and not late:
            late.append(value)
            by_root(place, "UPDATE nexscout.meta SET value = value::int + 1 WHERE key = 'world_version'")
            raise psycopg.OperationalError("the connection is lost")
        return asked(connection, function, value)

    monkeypatch.setattr(groups, "asked", ask)
    with pytest.raises(StalePlan):
        ada.hold(plan, "r-late", sent=True)
    by_root(place, "UPDATE nexscout.meta SET value = value::int - 1 WHERE key = 'world_version'")
    with ada.store.db.one() as connection:  # type: ignore[attr-defined]
        asked(connection, "step", late[0])
    ada.post(ada.hold(plan, "r-late", sent=True))
    assert states(place) == ["posted", "voided", "posted"]
    assert ada.check() == []


def test_an_answer_that_is_posted_is_given_though_nobody_can_look_at_alerts(
    place: str, line: Line, tmp_path: Path
) -> None:
    ada = kept_at(line.url, tmp_path)
    ada.post(ada.sent())
    by_root(
        place,
        'INSERT INTO nexscout.alerts (metric, "window", bound, scope, subject, notify, when_text, created_by, created_at) '
        "VALUES ('usd', 'day', 1, 'user', 'ada', 'stderr', 'x', 'ada', '2026-11-10T00:00:00.000000Z')",
    )
    attempt = ada.sent()
    line.cut = Cut(rb"pg_advisory_xact_lock_shared", False, for_good=True)
    ada.post(attempt)
    assert line.broke
    assert states(place) == ["posted", "posted"] and lines_in(tmp_path) == {}


def test_a_step_that_is_refused_keeps_no_other_waiting_and_is_not_forgotten(
    place: str, line: Line, tmp_path: Path
) -> None:
    ada = kept_at(line.url, tmp_path)
    ada.post(ada.sent())
    ada.store.users.set_role("ada", "bob", "admin")
    bob = Steps(ada.store, "bob", ada.clock, ada.settings, ada.where)
    attempts = bob.sent(bob.plan(user="ada")), ada.sent()
    lost(line, _POST, lambda: bob.post(attempts[0]))
    lost(line, _POST, lambda: ada.post(attempts[1]))
    ada.store.users.set_role("ada", "bob", "user")
    ada.store.recovery.recover("ada")
    assert states(place) == ["posted", "sent", "posted"]
    ((name, lines),) = lines_in(tmp_path).items()
    assert name.startswith("refused-") and lines == 1
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_rights_that_are_lost_during_a_call_lose_nothing(place: str, tmp_path: Path) -> None:
    kept_at(place, None).store.close()
    ada = kept_at(as_application(place), tmp_path)
    attempt = ada.sent()
    functions = "nexscout.step(jsonb), nexscout.move_attempt"
    by_root(place, f"REVOKE EXECUTE ON FUNCTION {functions} FROM nexscout_service")
    with pytest.raises(NotPermitted, match="kept on this machine"):
        ada.post(attempt)
    assert ada.ledger.make_kept() == 0  # type: ignore[attr-defined]
    by_root(place, f"GRANT EXECUTE ON FUNCTION {functions} TO nexscout_service")
    ada.store.recovery.recover("ada")
    assert states(place) == ["posted"]


def test_a_program_that_was_stopped_while_it_made_what_waits_keeps_nobody_from_calling(
    place: str, line: Line, tmp_path: Path
) -> None:
    ada = kept_at(line.url, tmp_path)
    first, second = ada.sent(), ada.sent()
    lost(line, _POST, lambda: ada.post(first))
    (kept,) = tmp_path.glob("unposted-*.jsonl")
    with kept.with_suffix(".lock").open("w") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        ada.hold()
        lost(line, _POST, lambda: ada.post(second))
    ada.store.recovery.recover("ada")
    assert states(place) == ["posted", "posted", "held"]


def test_doctor_tells_what_waits_and_what_was_refused(team: Team) -> None:
    folder = team.desk.folder
    folder.mkdir(exist_ok=True)
    (folder / "unposted-1.jsonl").write_text("{}\n{}\n")
    (folder / "refused-1.jsonl").write_text("{}\n")
    said = team.desk("doctor").out
    assert "2 steps of calls that wait for the database" in said
    assert "1 step of calls that the database has refused" in said


def _made(journal: Journal) -> list[int]:
    made: list[int] = []
    journal.make(lambda step, _: made.append(step["id"]) is None)
    return made


def _step(number: int, **more: Any) -> dict[str, Any]:
    return {"step": "post", "request": f"r{number}", "id": number, **more}


def test_a_line_that_was_cut_short_takes_no_other_with_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "b")
    assert journal.add(_step(1))
    with (tmp_path / "unposted-b.jsonl").open("ab") as file:
        file.write(b'{"step": "post", "id": 2, "requ')
    assert journal.add(_step(3))
    assert _made(journal) == [1, 3] and not journal.waits()


def test_on_a_full_disk_a_step_is_kept_whole_or_told_as_not_kept(small_disk: Path) -> None:
    journal = Journal(small_disk, "b")
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (1024 * 1024 - 3 * 4096))
    kept = [number for number in range(12) if journal.add(_step(number, text="x" * 1500))]
    assert 0 < len(kept) < 12
    filler.unlink()
    assert journal.add(_step(100))
    assert _made(journal) == [*kept, 100]


def test_what_cannot_be_laid_aside_stays_where_it_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "b")
    assert journal.add(_step(1))
    (tmp_path / "refused-b.jsonl").mkdir()
    assert journal.make(lambda step, _: False) == 0 and journal.waits()
    (tmp_path / "refused-b.jsonl").rmdir()
    assert journal.make(lambda step, _: False) == 0 and not journal.waits()


def test_what_is_kept_while_others_are_made_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "b")
    journal.add(_step(1))

    def make(step: Any, _: bool) -> bool:
        return step["id"] == 2 or journal.add(_step(2))

    assert journal.make(make) == 1
    assert _made(journal) == [1, 2] and not journal.waits()
    assert os.listdir(tmp_path)
