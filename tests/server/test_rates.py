"""Requests a minute: counted together by all servers of a machine."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexscout_cli.server.errors import HttpError
from nexscout_cli.server.rates import Rates
from tests.server.conftest import Scout


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def taken(rates: Rates, key: str = "ana-1", limit: int = 3) -> bool:
    try:
        rates.take(key, limit)
    except HttpError as error:
        assert error.status == 429 and 1 <= int(error.headers["retry-after"]) <= 60
        return False
    return True


@pytest.mark.parametrize("shared", [False, True])
def test_a_request_leaves_the_count_after_a_minute(tmp_path: Path, shared: bool) -> None:
    clock = Clock()
    rates = Rates(tmp_path / "rates" if shared else None, clock)
    assert [taken(rates) for _ in range(4)] == [True, True, True, False]
    assert taken(rates, "bob-1") and taken(rates, "ana-1", 4) and not taken(rates)
    clock.now += 59.9
    assert not taken(rates)
    clock.now += 0.2
    assert [taken(rates) for _ in range(4)] == [True, True, True, False]


def test_two_servers_count_together_and_many_at_once_never_pass_the_limit(tmp_path: Path) -> None:
    clock = Clock()
    servers = [Rates(tmp_path / "rates", clock) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: taken(servers[n % 4], limit=20), range(100)))
    assert done.count(True) == 20
    files = list((tmp_path / "rates").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] and files[0].stat().st_size == 160


def test_times_from_before_a_restart_and_a_broken_file_count_for_nothing(tmp_path: Path) -> None:
    clock = Clock()
    assert [taken(Rates(tmp_path / "rates", clock)) for _ in range(4)].count(True) == 3
    clock.now = 5.0  # the machine was started again
    assert taken(Rates(tmp_path / "rates", clock))
    (file,) = (tmp_path / "rates").iterdir()
    file.write_bytes(b"\xff" * 21)
    assert taken(Rates(tmp_path / "rates", clock))


def test_where_the_folder_cannot_be_written_each_counts_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rates").write_text("a file")
    rates = Rates(tmp_path / "rates", Clock())
    assert [taken(rates) for _ in range(4)].count(True) == 3
    assert "counted by this server alone" in caplog.text


def test_two_processes_hold_the_rate_of_one_key(alone: Scout) -> None:
    other = Scout(alone.home, alone.provider)
    alone.serve()
    other.serve()
    try:
        key = alone.key("--rpm", "5")
        answers = [scout.ask("/v1/models", key=key).status for _ in range(4) for scout in (alone, other)]
        assert answers.count(200) == 5 and answers.count(429) == 3
    finally:
        other.stop()
