"""A cheap answer is doubted for what is wrong with it, and two answers agree where their final answers do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.answers.doubt import agree, doubt, second_opinion, symptoms

QUESTION = "Anna has 12 apples. She eats 2 and gives half of the rest to Ben. How many apples are left?"
RIGHT = (
    "She has 12 - 2 = 10 apples after eating. She gives away 10 / 2 = 5 apples.\n10 - 5 = 5 apples are left.\n#### 5"
)
WRONG = (
    "She has 12 - 2 = 11 apples after eating. She gives away 11 / 2 = 6 apples.\n11 - 6 = 7 apples are left.\n#### 7"
)
CHOICE = "Which of these is a fish?\nA. whale\nB. shark\nC. bat\nD. dog\nAnswer:"
JSON = 'How many legs do 3 dogs have? Answer in json, e.g. `"answer": "42"`.'


def test_wrong_sums_raise_the_doubt_and_are_named() -> None:
    assert doubt(QUESTION, WRONG, "stop").score > doubt(QUESTION, RIGHT, "stop").score
    assert any("sums" in reason or "arithmetic" in reason for reason in doubt(QUESTION, WRONG, "stop").reasons)
    assert not any("sums" in reason or "arithmetic" in reason for reason in doubt(QUESTION, RIGHT, "stop").reasons)


@pytest.mark.parametrize(
    ("prompt", "answer", "finish", "reason"),
    [
        (QUESTION, RIGHT, "length", "it was cut"),
        (QUESTION, "  ", "stop", "it is empty"),
        (CHOICE, "It is hard to say.", "stop", "it names none of the options"),
    ],
)
def test_a_useless_answer_is_doubted_altogether(prompt: str, answer: str, finish: str, reason: str) -> None:
    found = doubt(prompt, answer, finish)
    assert found.score == 1.0
    assert found.reasons[0] == reason


@pytest.mark.parametrize(
    ("prompt", "answer", "symptom"),
    [
        (JSON, "Twelve legs: 12.", "it is not the JSON that was asked for"),
        (
            "Write a Python function that adds two numbers.",
            "Sure, that is easy.",
            "it lacks the code that was asked for",
        ),
        (QUESTION, "I cannot determine that.", "it refuses"),
        (QUESTION, "There are many left.", "it gives no number"),
        (QUESTION, "12 - 3 = 9. Wait, that is a mistake. 9 / 2 = 4.5", "it corrects itself"),
        (QUESTION, "9 / 2 = 4.5 apples. #### 4.5", "it counts a fraction"),
        (QUESTION, "3 - 12 = -9. #### -9", "its answer is negative"),
        (QUESTION, "12 - 3 = 9. #### 77", "its answer comes out of nowhere"),
        (QUESTION, "Half of 12 is 6. #### 6", "it leaves out some number"),
        (QUESTION, "She had 12, and 3, and 37 more. #### 40", "it uses numbers that are not in the question"),
        (QUESTION, "She ate some of all the apples.\n" * 4, "it repeats itself"),
    ],
)
def test_each_symptom_is_seen_where_it_is_and_not_in_a_sound_answer(prompt: str, answer: str, symptom: str) -> None:
    assert symptoms(prompt, answer, "stop")[symptom] > 0
    assert symptoms(QUESTION, RIGHT, "stop")[symptom] == 0


def test_numbers_that_only_show_the_form_of_the_answer_are_not_the_questions() -> None:
    seen = symptoms(JSON, '{"reasoning": "3 * 4 = 12", "answer": "12"}', "stop")
    assert seen["it leaves out some number"] == 0
    assert seen["it is not the JSON that was asked for"] == 0


@pytest.mark.parametrize(
    ("prompt", "first", "second", "same"),
    [
        (QUESTION, RIGHT, "#### 5.0", True),
        (QUESTION, RIGHT, WRONG, False),
        (QUESTION, "The answer is $1,200.", "... = 1200 dollars", True),
        (QUESTION, "\\boxed{60\\%}", "60", True),
        (CHOICE, "B", "The answer is (B) shark.", True),
        (CHOICE, "B. shark", "C", False),
        (JSON, '{"reasoning": "", "answer": "12"}', '```json\n{"answer": 12}\n```', True),
        (JSON, '{"reasoning": "", "answer": "12"}', '{"answer": "13"}', False),
        ("Is water wet?", "Yes.", "yes", True),
        ("def f(): return 'Ab'\nassert f() == ?? as json", '{"answer": "\'Ab\'"}', '{"answer": "ab"}', False),
        ("def f(): return [1]\nassert f() == ?? as json", '{"answer": "[1, 2]"}', '{"answer": [1,2]}', True),
        (QUESTION, "", "", False),
    ],
)
def test_answers_agree_where_their_final_answers_do(prompt: str, first: str, second: str, same: bool) -> None:
    assert agree(prompt, first, second) is same
    assert agree(prompt, second, first) is same


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_agreement_is_symmetric_and_doubt_a_probability_for_any_text(prompt: str, first: str, second: str) -> None:
    assert agree(prompt, first, second) == agree(prompt, second, first)
    found = doubt(prompt, first, "stop")
    assert 0 <= found.score <= 1
    assert found == doubt(prompt, first, "stop")


@pytest.mark.parametrize(
    "text", ["x" * 300_000, "1 = " * 50_000, "{" * 50_000, '{"a":' * 20_000, "((((" * 9_000 + "= 5", "\ud800"]
)
def test_a_huge_or_hostile_answer_is_only_read_in_part(text: str) -> None:
    assert 0 <= doubt(JSON, text, "stop").score <= 1
    assert agree(JSON, text, "17 legs") is False


@given(st.floats(0, 1))
def test_a_second_model_that_agrees_lowers_the_doubt_and_one_that_does_not_raises_it(score: float) -> None:
    assert 0 <= second_opinion(score, True) <= score + 1e-9
    assert score - 1e-9 <= second_opinion(score, False) <= 1


@pytest.mark.parametrize("answer", [
    "I'm sorry, but I can't help with that.", "Sorry, I cannot do this.", "I am unable to answer.",
    "Unfortunately, I can’t say without seeing the file.", "As an AI, I have no access to it.",
])  # fmt: skip
def test_an_answer_that_declines_is_useless(answer: str) -> None:
    found = doubt("Write a note to Sarah about our meeting.", answer, "stop")
    assert found.score == 1.0 and "it declines" in found.reasons


@pytest.mark.parametrize("answer", [
    "Dear Sarah, I'm sorry that I missed our meeting. Could we meet on Friday?",
    "I cannot thank you enough. " + "It was a good talk, and we agreed on the next steps. " * 10,
])  # fmt: skip
def test_an_apology_in_what_was_written_is_no_refusal(answer: str) -> None:
    assert doubt("Write a note to Sarah about our meeting.", answer, "stop").score < 1.0


@pytest.mark.parametrize(
    ("prompt", "answer", "useless"),
    [
        ("List three cities as JSON.", "Rome, Paris and Oslo.", True),
        ("List three cities as JSON.", '["Rome", "Paris", "Oslo"]', False),
        ("List three cities as JSON.", 'Here it is:\n```json\n{"cities": ["Rome"]}\n```', False),
        ("What is JSON?", "A way to write down data.", False),
    ],
)
def test_prose_where_json_was_asked_for_is_useless(prompt: str, answer: str, useless: bool) -> None:
    assert (doubt(prompt, answer, "stop").score == 1.0) is useless
