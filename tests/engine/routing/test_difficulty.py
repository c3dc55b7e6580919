"""The difficulty of a prompt: a probability, a fifth, and reasons that a person can read."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.routing.difficulty import difficulty, shipped
from nexscout_cli.engine.routing.prompt_traits import asked_last
from nexscout_cli.engine.shipped_data import FOLDER

MOMENTUM = "A ball of mass 2 kg hits a wall at velocity 3 m/s. What is the change of momentum?\nA. 6\nB. 12\nC. 0\nD. 3"


@given(st.text(max_size=500))
def test_it_is_a_probability_in_one_of_five_buckets_for_any_text(prompt: str) -> None:
    found = difficulty(prompt)
    assert 0 < found.probability < 1
    assert found.bucket in range(5)
    assert found == difficulty(prompt)


@pytest.mark.parametrize("prompt", ["", " ", "\ud800", "é" * 100_000, "A. \n" * 50_000, "7" * 200_000, "\n" * 200_000])
def test_hostile_prompts_are_judged_too(prompt: str) -> None:
    assert 0 < difficulty(prompt).probability < 1


@given(st.integers(1, 30))
def test_of_prompts_unlike_those_learned_from_the_longer_is_the_harder(times: int) -> None:
    line = "Please tell our neighbours about the garden, if you would be so kind. "
    assert difficulty(line * (times + 1)).probability >= difficulty(line * times).probability


def test_its_reasons_are_words_heaviest_first() -> None:
    reasons = difficulty(MOMENTUM).reasons
    weights = [abs(weight) for _, weight in reasons]
    assert weights == sorted(weights, reverse=True)
    assert any(text.startswith("words: ") for text, _ in reasons)
    assert all(text and weight for text, weight in reasons)


def test_a_higher_bucket_never_holds_a_lower_probability() -> None:
    found = sorted(
        difficulty(f"{MOMENTUM} {word}") for word in ("why", "prove it", "derive", "not", "def f(x): return x")
    )
    assert [one.bucket for one in found] == sorted(one.bucket for one in found)
    assert list(shipped().edges) == sorted(shipped().edges)


def test_the_tables_in_the_package_are_small_and_say_where_they_come_from() -> None:
    import json

    sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.json")}
    assert {"difficulty.json", "doubt.json", "curves.json", "quality.json", "pairs.json"} <= sizes.keys()
    assert (
        sum(sizes[name] for name in ("difficulty.json", "doubt.json", "curves.json", "quality.json", "pairs.json"))
        < 1_000_000
    )
    for name in ("difficulty.json", "doubt.json", "curves.json", "quality.json", "pairs.json"):
        assert "Apache-2.0" in str(json.loads((FOLDER / name).read_text())["source"])


def test_deciding_loads_no_library() -> None:
    code = (
        "import sys; from nexscout_cli.engine.routing.difficulty import difficulty; difficulty('How many?');"
        "from nexscout_cli.engine.answers.doubt import doubt; doubt('How many?', '3', 'stop');"
        "print({'numpy', 'sklearn', 'scipy', 'litellm', 'tiktoken'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_prompt_of_no_kind_that_was_learned_from_is_unfamiliar_and_an_exam_question_is_familiar() -> None:
    assert difficulty("Please tell our neighbours about the garden, if you would be so kind.").familiar == 0
    assert difficulty(MOMENTUM).familiar > 0.5


@given(st.text(max_size=500))
def test_familiarity_is_a_share_for_any_text(prompt: str) -> None:
    assert 0 <= difficulty(prompt).familiar <= 1


def test_what_is_said_of_an_unfamiliar_prompt_rests_on_no_word_of_it() -> None:
    found = difficulty("Please write a kind letter to our neighbours about the barbecue on Saturday.")
    assert found.familiar == 0
    assert not any(text.startswith("words: ") for text, _ in found.reasons)


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Q: 1 + 1?\nA: 2\n\nQ: 2 + 2?\nA: 4\n\nQ: 3 + 3?\nA:", "Q: 3 + 3?\nA:"),
        ("Input: a\nOutput: b\nInput: c\nOutput:", "Input: c\nOutput:"),
        ("Translate this:", "Translate this:"),
        ("Which is it?\nAnswer:", "Which is it?\nAnswer:"),
        ("", ""),
    ],
)
def test_behind_worked_examples_only_the_last_question_is_read(prompt: str, asked: str) -> None:
    assert asked_last(prompt) == asked


def test_examples_before_a_question_do_not_make_it_harder() -> None:
    one = "Which planet is nearest to the sun?\nA) Venus\nB) Mercury\nC) Mars\nD) Earth\nAnswer:"
    shots = "".join(f"What is {n} + {n}?\nA) 1\nB) 2\nC) 3\nD) 4\nAnswer:\nB\n\n" for n in range(5))
    assert difficulty(shots + one).probability == difficulty(one).probability


def test_unlike_anything_learned_from_a_longer_question_is_never_easier() -> None:
    words = "glim vorp taz quen "
    asked = [difficulty("\u4e00 " + words * n) for n in (1, 8, 40)]
    assert [one.familiar for one in asked] == [0.0, 0.0, 0.0]
    assert [one.probability for one in asked] == sorted(one.probability for one in asked)
