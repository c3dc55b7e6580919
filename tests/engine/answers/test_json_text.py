from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.answers.doubt import doubt, extent_of, second_opinion, signs, symptoms
from nexscout_cli.engine.answers.json_text import find

ASKED = "What does f return for {1: 2}? Answer as JSON with the fields reasoning and answer."


@pytest.mark.parametrize(
    ("answer", "value", "mended"),
    [
        ('{"a": 1}', {"a": 1}, False),
        ('For {1: 2} the sum is 3.\n```json\n{"answer": "3"}\n```', {"answer": "3"}, False),
        ('Let \\( S = \\{1, 2\\} \\).\n\n{"answer": "3"}', {"answer": "3"}, False),
        ('```json\n{"reasoning": "\\( x \\) is 2", "answer": "\\frac{1}{2}"}\n```', None, True),
        ('First {"a": 1}\nand then\n{"a": 2}', {"a": 2}, False),
        ("```json\n[1, 2]\n```", [1, 2], False),
        ("[1, 2]", [1, 2], False),
        ("It is 3.", None, False),
        ("{so it is 3}", None, False),
        ("", None, False),
    ],
)
def test_json_is_found_behind_prose_that_has_braces_of_its_own(answer: str, value: object, mended: bool) -> None:
    found = find(answer)
    assert (found is not None and found.mended) == mended
    if mended:
        assert found is not None and set(found.value) == {"reasoning", "answer"}
    else:
        assert (found and found.value) == value


@given(st.text(), st.dictionaries(st.text(), st.text(), min_size=1))
def test_an_object_in_a_fence_is_found_whatever_stands_before_it(before: str, value: dict[str, str]) -> None:
    found = find(f"{before.replace('`', '')}\n```json\n{json.dumps(value, indent=1)}\n```")
    assert found is not None and found.value == value and not found.mended


def test_an_answer_in_a_fence_behind_a_set_is_not_called_useless() -> None:
    told = 'f takes {1: 2} and returns 3.\n```json\n{"reasoning": "1 + 2 = 3", "answer": "3"}\n```'
    assert symptoms(ASKED, told, "stop")["it is not JSON"] == 0
    assert doubt(ASKED, told, "stop").score < 1 == doubt(ASKED, "f returns 3.", "stop").score


def test_two_models_that_disagree_after_a_long_way_speak_less_for_a_strong_one() -> None:
    short, long = extent_of("How many?", "Three."), extent_of("How many?", "Then we add one. " * 200)
    assert short < 0 < long
    assert second_opinion(0.3, False, long) < second_opinion(0.3, False) < second_opinion(0.3, False, short)
    assert second_opinion(0.3, True, long) == second_opinion(0.3, True)
    assert "it is not JSON" in signs(ASKED, "f", "stop")
