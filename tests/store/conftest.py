from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bench import Bench
from tests.support.steps import Steps


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "nexscout.db")
    yield bench
    bench.store.close()


@pytest.fixture
def opened() -> Iterator[list[Steps]]:
    """The programs that a test opens; they are closed after it."""
    found: list[Steps] = []
    yield found
    for steps in found:
        steps.store.close()  # type: ignore[attr-defined]
