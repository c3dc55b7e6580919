from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexscout_cli.errors import NotPermitted
from tests.support.bench import Bench


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with an attempt in every state and a request in every state."""
    bench = Bench(tmp_path_factory.mktemp("master") / "nexscout.db")
    bench.post(bench.sent())
    bench.hold(request_id="held")
    bench.sent(request_id="sent")
    bench.unknown()
    voided = bench.sent(request_id="voided")
    bench.void(voided, "refused")
    bench.fail(voided)
    again = bench.sent(request_id="again")
    bench.void(again, "overloaded")
    bench.post(bench.sent(bench.plan(), "again"))
    request = bench.request("kept", idempotency_key="k")
    hit = bench.ledger.cached("ada", "ada", "key again")
    assert hit is not None
    bench.hit(request, hit, "hit")
    bench.refuse(bench.plan(), "budget", "refused")
    assert bench.check() == []
    copy = bench.path.with_name("copy")
    bench.store.db.backup(copy)
    return copy


@pytest.fixture
def busy(master: Path, tmp_path: Path) -> Iterator[Bench]:
    """A copy of it to damage."""
    (tmp_path / "nexscout.db").write_bytes(master.read_bytes())
    (tmp_path / "nexscout.db").chmod(0o600)
    bench = Bench(tmp_path / "nexscout.db")
    yield bench
    bench.store.close()


POSTED = "(SELECT id FROM attempts WHERE state = 'posted' LIMIT 1)"
USD = "(SELECT id FROM accounts WHERE owner = 'ada' AND kind = 'usd' LIMIT 1)"
ENERGY = "(SELECT id FROM accounts WHERE owner = 'ada' AND kind = 'energy')"


@pytest.mark.parametrize(("name", "said", "damage"), [
    ("accounts", "granted is 9", "UPDATE accounts SET granted = 9 WHERE kind = 'energy'"),
    ("accounts", "held is", f"UPDATE accounts SET held = held + 1 WHERE id = {USD}"),
    ("accounts", "spent is", f"UPDATE accounts SET spent = spent + 1 WHERE id = {USD}"),
    ("accounts", "entries say",
     f"UPDATE ledger_entries SET amount = amount + 1 WHERE kind = 'post' AND account = {USD}"),
    ("accounts", "entries say", "DELETE FROM ledger_entries WHERE kind = 'grant'"),
    ("accounts", "the balance is negative", "UPDATE accounts SET granted = 1 WHERE kind = 'energy';"
     "UPDATE ledger_entries SET amount = 1 WHERE kind = 'grant' AND account = " + ENERGY),
    ("entries", "has no hold",
     f"DELETE FROM ledger_entries WHERE kind = 'hold' AND attempt = {POSTED} AND account = {USD}"),
    ("entries", "voids 1 of a hold", "UPDATE ledger_entries SET amount = 1 WHERE kind = 'void'"),
    ("attempts", "holds nothing", "DELETE FROM ledger_entries WHERE attempt IN "
     "(SELECT id FROM attempts WHERE request_id = 'held')"),
    ("attempts", "holds other amounts", "UPDATE attempts SET hold = hold + 1 WHERE request_id = 'held'"),
    ("attempts", "yet its hold was settled", "UPDATE attempts SET state = 'sent', claim = '' WHERE request_id = 'voided'"),
    ("attempts", "yet keeps its claim", "UPDATE attempts SET claim = '' WHERE request_id = 'voided'"),
    ("attempts", "since when is not recorded", "UPDATE attempts SET settled_at = NULL WHERE state = 'unknown'"),
    ("attempts", "is posted, yet its holds are not",
     "UPDATE attempts SET state = 'posted', actual = 5 WHERE request_id = 'held'"),
    ("attempts", "at another cost than its entries", "UPDATE attempts SET actual = actual + 1 WHERE state = 'posted'"),
    ("attempts", "at another cost than its row of usage",
     "UPDATE ai_model_usage SET cost_usd = 1 WHERE outcome = 'posted'"),
    ("attempts", "yet has no row of usage", "DELETE FROM ai_model_usage WHERE outcome = 'posted'"),
    ("attempts", "is voided, yet its holds are not", "UPDATE attempts SET state = 'voided' WHERE request_id = 'sent'"),
    ("usage", "is of no posted attempt", "UPDATE ai_model_usage SET n = 7 WHERE outcome = 'posted'"),
    ("requests", "is open, yet has no attempt", "UPDATE requests SET state = 'open' WHERE request_id = 'hit'"),
    ("requests", "nothing answered it", "DELETE FROM ai_model_usage WHERE outcome = 'hit'"),
    ("requests", "none of its attempts is", "UPDATE requests SET state = 'posted' WHERE request_id = 'voided'"),
    ("requests", "yet an attempt is in flight", "UPDATE requests SET state = 'voided' WHERE request_id = 'held'"),
    ("requests", "is unknown, yet none", "UPDATE requests SET state = 'unknown' WHERE request_id = 'voided'"),
    ("requests", "is voided, yet an attempt is unknown",
     "UPDATE requests SET state = 'voided' WHERE state = 'unknown'"),
    ("requests", "its energy was settled", "UPDATE requests SET state = 'open' WHERE request_id = 'voided'"),
    ("requests", "more energy than it held",
     f"UPDATE ledger_entries SET amount = 99 WHERE kind = 'post' AND account = {ENERGY}"),
    ("requests", "only a first attempt does", "UPDATE attempts SET n = 2 WHERE request_id = 'held'"),
    ("usage_by_user_day", "ada 2026-11-10", "UPDATE usage_by_user_day SET hits = hits + 1"),
    ("usage_by_user_day", "ada 2026-11-10", "DELETE FROM usage_by_user_day"),
    ("usage_by_model_day", "gpt-4o-mini", "UPDATE usage_by_model_day SET cost_usd = 0"),
    ("usage_by_model_day", "gpt-4", "UPDATE ai_model_usage SET model_used = 'gpt-4' WHERE outcome = 'hit'"),
    ("clock", "more than a day ahead", "UPDATE meta SET value = '2026-11-11T12:00:01.000000Z' WHERE key = 'last_seen'"),
    ("integrity", "refers to a row of users", "DELETE FROM users"),
    ("integrity", "CHECK constraint", "UPDATE accounts SET held = -1 WHERE kind = 'energy'"),
])  # fmt: skip
def test_damage_is_found_and_named(busy: Bench, name: str, said: str, damage: str) -> None:
    admin = (
        ["INSERT INTO users VALUES ('ada', 'elite', 'admin', 1, '', 0, '', 0)"] if damage == "DELETE FROM users" else []
    )
    if admin:
        admin.append("UPDATE user_efficiency_profiles SET user_id = 'nobody'")
    busy.damage(*damage.split(";"), *admin)
    problems = busy.check()
    assert any(problem.name == name and said in problem.message for problem in problems), problems
    assert all(problem.fix for problem in problems)


def test_a_damaged_page_is_a_problem_and_not_a_crash(busy: Bench) -> None:
    page = busy.sql("SELECT rootpage FROM sqlite_master WHERE name = 'ledger_entries'")[0][0]
    size = busy.sql("PRAGMA page_size")[0][0]
    with busy.path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    problems = Bench(busy.path).check()
    assert {problem.name for problem in problems} == {"integrity"}


def test_a_file_that_others_can_read_is_found(bench: Bench) -> None:
    bench.store.db.backup(bench.store.db.backup_path())
    for path in bench.path.parent.iterdir():
        path.chmod(0o644)
    problems = bench.check()
    assert [problem.name for problem in problems] == ["mode"] * 4
    for problem in problems:
        subprocess.run(problem.fix, shell=True, check=True)
    assert bench.check() == []


def test_a_time_up_to_a_day_ahead_is_no_problem(bench: Bench) -> None:
    bench.clock.move(days=1)
    bench.post(bench.sent())
    bench.clock.move(days=-1)
    assert bench.check() == []


def test_many_problems_of_one_kind_are_counted(bench: Bench) -> None:
    for _ in range(15):
        bench.hold()
    bench.damage("UPDATE attempts SET hold = 1")
    messages = [problem.message for problem in bench.check() if problem.name == "attempts"]
    assert len(messages) == 11
    assert messages[-1] == "and 5 more like these"


def test_only_an_admin_sees_the_whole_database(bench: Bench) -> None:
    bench.post(bench.sent(bench.plan(user="bob")))
    with pytest.raises(NotPermitted):
        bench.as_actor("bob").check()


def test_a_check_writes_nothing(busy: Bench) -> None:
    before = busy.path.read_bytes()
    assert busy.check() == []
    assert busy.path.read_bytes() == before
