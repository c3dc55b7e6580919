"""JSON as it is written and read."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli import jsontext

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WAYS: list[dict[str, Any]] = [{}, {"ensure_ascii": False}, {"sort_keys": True, "separators": (",", ":")}]


@pytest.mark.parametrize("how", WAYS)
@given(value=VALUES)
def test_a_writer_writes_what_the_standard_library_would(how: dict[str, Any], value: Any) -> None:
    assert jsontext.writer(**how)(value) == json.dumps(value, **how)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9), st.text())
def test_a_decimal_keeps_its_decimals_beside_any_text(amount: Decimal, text: str) -> None:
    written = jsontext.dumps({"amount": amount, "text": text})
    assert f'"amount": {amount:f},' in written
    assert jsontext.loads(written) == {"amount": amount, "text": text}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        jsontext.dumps({"a": [value]})


def test_a_circle_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(RecursionError):
        jsontext.plain(circle)
