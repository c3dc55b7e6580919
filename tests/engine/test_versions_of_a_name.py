"""Which names of models are versions of which: what a provider says answered is read in bounded time, whatever it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nexscout_cli.engine.model import is_version

ENDLESS = ("-1" * 40 + "x", "-1-" * 40, ":1-1" * 30 + "!", "-v1:1" * 30 + "x", "-1.1:" * 30)


@pytest.mark.parametrize(
    "end", ["-2024-08-06", "-20241022", "@2024-01-01", "-latest", "-preview-05-20", "-v1:0", "-001", "-3.5", ""]
)
def test_a_date_or_a_number_at_its_end_makes_a_version_of_a_name(end: str) -> None:
    assert is_version(f"gpt-4o{end}", "gpt-4o") == bool(end)


@pytest.mark.parametrize("end", ["-mini", "-2024-08-06-mini", "x", "-", "-v", "-1-x"])
def test_another_word_at_its_end_makes_another_model(end: str) -> None:
    assert not is_version(f"gpt-4o{end}", "gpt-4o")


def test_a_name_that_goes_on_and_on_is_read_at_once() -> None:
    code = f"from nexscout_cli.engine.model import is_version\nfor end in {ENDLESS!r}: is_version('gpt' + end, 'gpt')"
    # It took longer than the universe has; any end is soon enough.
    assert subprocess.run([sys.executable, "-c", code], timeout=100).returncode == 0
