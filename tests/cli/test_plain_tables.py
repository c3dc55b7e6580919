"""Where no terminal sets the width, a report is written without Rich, and looks as Rich draws it."""

from __future__ import annotations

import io
import sys
from decimal import Decimal
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.cli import plain_tables, report_tables
from nexscout_cli.cli.report_parts import Section

NAMES = st.text(st.sampled_from("abz09_-./: é日\x07"), max_size=40)
PLAIN_NAMES = st.text(st.sampled_from("abz09_-./:"), min_size=1, max_size=36)
AMOUNTS = st.decimals(min_value=0, max_value=100_000, places=9)
SHARES = st.floats(0, 1)
FIGURES: dict[str, st.SearchStrategy[Any]] = {
    "requests": st.integers(0, 10**9),
    "cost_usd": AMOUNTS | st.none(),
    "energy": st.integers(0, 10**6),
    "cost_share": SHARES,
    "hit_rate": SHARES,
    "bias": st.floats(-9, 9) | st.none(),
}


@st.composite
def sections(draw: st.DrawFn) -> Section:
    names = draw(st.sampled_from([NAMES, PLAIN_NAMES, PLAIN_NAMES, PLAIN_NAMES]))
    if draw(st.booleans()):
        values = st.text(st.sampled_from("ab 0,.$%"), max_size=30).map(str.strip)
        rows = st.lists(st.fixed_dictionaries({"figure": names, "value": values}), min_size=1, max_size=5)
        return Section("", ("figure", "value"), draw(rows), None)
    figures = draw(st.lists(st.sampled_from(list(FIGURES)), min_size=1, unique=True))
    keys = draw(st.sampled_from([("model_used",), ("user_id", "tier"), ("feature",)]))
    row = st.fixed_dictionaries({**dict.fromkeys(keys, names), **{name: FIGURES[name] for name in figures}})
    totals = draw(row) if draw(st.booleans()) else None
    title = draw(
        st.sampled_from(["", "top models", "imported", "a title that is longer than a table with few columns is wide"])
    )
    return Section(title, (*keys, *figures), draw(st.lists(row, max_size=4)), totals)


@settings(max_examples=150, deadline=None)
@given(
    parts=st.lists(sections(), min_size=1, max_size=3),
    remarks=st.lists(
        st.text(st.sampled_from("abcdef gh,;"), max_size=400).map(lambda text: " ".join(text.split())), max_size=2
    ),
)
def test_a_report_without_rich_is_the_report_by_rich(parts: list[Section], remarks: list[str]) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with mock.patch.object(sys, "stdout", out):
        plain = plain_tables.text("overview, of now", parts, remarks, report_tables.WIDE)
        if plain is not None:
            assert plain == report_tables._by_rich("overview, of now", parts, remarks)


def test_an_everyday_table_needs_no_rich() -> None:
    rows = [{"model_used": "gpt-4o", "requests": 3, "cost_usd": Decimal("0.25"), "cost_share": 1.0}]
    part = Section("top models", ("model_used", "requests", "cost_usd", "cost_share"), rows, rows[0])
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with mock.patch.object(sys, "stdout", out):
        assert plain_tables.text("overview", [part], ["a remark"], report_tables.WIDE)
