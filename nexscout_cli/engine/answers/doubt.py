"""How far a cheap model's answer can be trusted, from the answer itself: does it hold together?

Each symptom is a number that is 0 where nothing is wrong (or what there is does not tell). ``scripts/train/router`` learned
how much each counts, from answers of models that were checked against the right one; ``data/doubt.json`` names the sources.
"""

from __future__ import annotations

import json
import math
import re
from ast import literal_eval
from functools import cache, lru_cache
from typing import Any, NamedTuple

from nexscout_cli.engine.answers.arithmetic import Sum, plain, sums
from nexscout_cli.engine.answers.json_text import find
from nexscout_cli.engine.routing.difficulty import chances, logistic
from nexscout_cli.engine.routing.prompt_traits import options, take_apart
from nexscout_cli.engine.shipped_data import table

CLIP = 3.0
"""No symptom counts for more than this many standard deviations."""
FATAL = ("it was cut", "it is empty", "it names none of the options", "it declines", "it is not JSON")
"""What makes an answer useless, whatever else holds."""
DECLINED_BELOW = 80
"""Words below which an answer that begins with a refusal is nothing else."""
USUAL = 900
"""What :func:`extent` counts of a usual question and its answer."""
DEAR = -0.4
"""The :func:`extent` from which on a strong answer is dear: the odds that one is worth asking for fall as it grows."""
SEEN = 20_000
"""Characters of an answer that are read: half at its start, half at its end."""

MOST = 1e15
"""A number of an answer that is not below this is no quantity, and floats do not tell it from its neighbours."""

_JSON_ASKED = re.compile(r"\bjson\b", re.I)
_JSON_WANTED = re.compile(
    r"\b(?:as|in|into|return|respond|reply|output|produce|only|valid)\b[^.?!\n]{0,40}\bjson\b|\bjson (?:object|format|array)\b",
    re.I,
)
_CODE_ASKED = re.compile(
    r"\b(?:write|implement|create|give|provide|complete)\b[^.?!\n]{0,60}\b(?:function|code|script|program|class|query|regex)\b",
    re.I,
)
_COUNT_ASKED = re.compile(r"\bhow many\b", re.I)
_NUMBER_ASKED = re.compile(
    r"\bhow (?:many|much|long|far|old|often)\b|\bcalculate\b|"
    r"\bwhat (?:is|was) the (?:total|number|sum|average|cost|price|amount|difference)\b",
    re.I,
)
_REFUSAL = re.compile(
    r"\bI(?:'m| am) (?:sorry|unable|not able)\b|\bI (?:cannot|can't|can not|won't|don't know)\b|\bas an AI\b|"
    r"\b(?:cannot|can't|not possible to|impossible to) (?:be )?(?:determine|answer|calculate|solve|provide|help)\w*|"
    r"\b(?:insufficient|not enough|missing|more) (?:information|context|details)\b",
    re.I,
)  # fmt: skip
_DECLINES = re.compile(
    r"\W*(?:(?:unfortunately|sorry),? )?(?:but )?(?:sorry\b|as an AI\b|I(?:['\u2019]m| am) (?:sorry|unable|not able)\b|"
    r"I (?:cannot|can['\u2019]t|can not|won['\u2019]t)\b)",
    re.I,
)
_HEDGE = re.compile(
    r"\b(?:perhaps|maybe|probably|possibly|might be|may be|not sure|unclear|unsure|it seems|I think|I believe|I guess|"
    r"ambiguous|assum(?:e|ing|ption)|approximately|about|roughly|likely)\b",
    re.I,
)
_RETRACTION = re.compile(
    r"\b(?:wait|however|actually|mistake|incorrect|correction|let me (?:re\w+|correct|try)|on second thought|apolog\w+|"
    r"re-?(?:calculat|evaluat|check|consider|examin)\w+|oops|error|contradict\w*|not (?:possible|make sense)|impossible|"
    r"(?:can't|cannot|can not) have)\b",
    re.I,
)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])|(?<=[a-zA-Z$])\d+(?:\.\d+)?")
_FINAL = (
    re.compile(r"####\s*([^\n]+)"),
    re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"(?i)\b(?:final |correct )?answer(?: is|:|\s*=)[\s*:]*([^\n]+)"),
)
_FIELD = re.compile(r"\"answer\"\s*:\s*(\"(?:[^\"\\]|\\.)*\"|[^,}\n]+)")
_WORD = re.compile(r"[^\W\d_]+")
_LETTER = re.compile(r"\(?\b([A-J])\b[).:]?")


class Doubt(NamedTuple):
    """``score``, 0..1: how likely a stronger model is right where the answer is wrong, lower where its answer would be dear.

    ``reasons``: what speaks against the answer, in plain words, heaviest first.
    """

    score: float
    reasons: tuple[str, ...]


class Answer(NamedTuple):
    """An answer taken apart: the reasoning, and the ``final`` answer in it, None where it gives none."""

    text: str
    final: str | None
    fields: dict[str, Any] | None
    claims: list[Sum]


def _ends(text: str) -> str:
    return text if len(text) <= SEEN else f"{text[: SEEN // 2]}\n{text[-SEEN // 2 :]}"


def _read(prompt: str, answer: str) -> Answer:
    text = _ends(answer)
    told = find(text) if _JSON_ASKED.search(prompt) else None
    fields = told.value if told is not None and isinstance(told.value, dict) else None
    reasoning = text
    final: str | None = None
    if told is not None and fields is not None:
        values = {str(key).lower(): value for key, value in fields.items()}
        if "answer" in values:
            given = values["answer"]
            final = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        reasoning = "\n".join([text[: told.at], *(value for value in values.values() if isinstance(value, str))])
    elif _JSON_ASKED.search(prompt) and (found := _FIELD.search(text)):
        final = found[1]
    if final is None:
        final = _said(prompt, text)
    return Answer(reasoning, final, fields, sums(reasoning))


def _said(prompt: str, text: str) -> str | None:
    for pattern in _FINAL:
        found = pattern.findall(text)
        if found:
            return str(found[-1])
    choices = {letter for letter, _ in options(prompt)}
    if choices:
        letters = [letter for letter in _LETTER.findall(text) if letter in choices]
        return letters[-1] if letters else None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    if _NUMBER_ASKED.search(prompt):
        numbers = _NUMBER.findall(plain(text))
        return numbers[-1] if numbers else lines[-1]
    return lines[-1]


def _value(final: str | None) -> float | None:
    """The number that a final answer states: the last one, for what leads to it comes first."""
    numbers = _NUMBER.findall(plain(final or ""))
    value = float(numbers[-1]) if numbers else None
    return None if value is None or abs(value) >= MOST else value


def _normal(prompt: str, final: str | None) -> str | float | None:
    """A final answer as it is compared: a letter among the options, a number, a literal, else its words."""
    if final is None:
        return None
    bare = final.strip().strip("`").strip()
    letters = {letter for letter, _ in options(prompt)}
    found = _LETTER.match(bare.strip("*\"'"))
    if found and found[1] in letters:
        return found[1]
    if bare[:1] in ("[", "{", "'", '"') or (bare[:1] == "(" and "," in bare):
        try:
            literal = literal_eval(bare)
            if not isinstance(literal, str):
                return repr(literal)  # a ValueError for a whole number of more than 4,300 digits
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            literal = None
        bare = literal if literal is not None else bare.strip("\"'")
    numbers = _NUMBER.findall(plain(bare.replace("%", "")))
    literally = _kind(prompt) == "code"
    if len(numbers) == 1 and len(_WORD.findall(bare)) <= (0 if literally else 6):
        return float(numbers[0])
    if literally:
        return bare
    return " ".join(re.sub(r"[^\w+\-*/.=<>\[\](){}:,']+", " ", bare.casefold()).split()).rstrip(".") or None


@lru_cache(maxsize=64)
def _kind(prompt: str) -> str:
    return take_apart(prompt).kind


def agree(prompt: str, first: str, second: str) -> bool:
    """Whether two answers to ``prompt`` come to the same: number, letter, JSON field ``answer``, else the same short text."""
    one, two = _normal(prompt, _read(prompt, first).final), _normal(prompt, _read(prompt, second).final)
    if one is None or two is None:
        return False
    if isinstance(one, float) and isinstance(two, float):
        return math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-9)
    return one == two


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(plain(text))]


_SPELT = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "dozen": 12, "twice": 2, "double": 2, "half": 0.5, "third": 3, "quarter": 4, "triple": 3,
    "thrice": 3, "couple": 2, "week": 7, "day": 24, "year": 12, "hour": 60, "minute": 60, "month": 30,
}  # fmt: skip
_QUOTED = re.compile(r"```.*?```|`[^`\n]*`", re.S)
_COMMON = frozenset({0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 10.0, 12.0, 24.0, 30.0, 52.0, 60.0, 100.0, 365.0, 1000.0})


def symptoms(prompt: str, answer: str, finish_reason: str) -> dict[str, float]:
    """What may be wrong with ``answer``, by name; 0 is nothing. Names are what a reader is told."""
    read = _read(prompt, answer)
    text, value = read.text, _value(read.final)
    asked = _QUOTED.sub(" ", prompt[:SEEN])
    false = [claim for claim in read.claims if not claim.holds]
    stated = [n for n in _numbers(asked) if n not in (0.0, 1.0)]
    spelt = [float(_SPELT[word]) for word in re.findall(r"[a-z]+", asked.lower()) if word in _SPELT]
    used = _numbers(text)
    known = set(used)
    results = [side for claim in read.claims for side in claim.values]
    explained = {*stated, *spelt, *_COMMON, *results}
    strange = [n for n in used if abs(n) not in explained and n / 100 not in explained]
    unused = [n for n in stated if n not in known and n / 100 not in known]
    numeric = bool(_NUMBER_ASKED.search(asked)) or bool(read.claims)
    choices = {letter for letter, _ in options(prompt)}
    lines = [line.strip() for line in text.splitlines() if len(line.strip()) > 20]
    result = read.claims[-1].values[1] if read.claims else None
    words = len(text.split())
    exact = value if value is not None and numeric else None
    return {
        "it was cut": float(finish_reason in ("length", "max_tokens") or answer.count("```") % 2 == 1),
        "it is empty": float(not answer.strip()),
        "it declines": float(words < DECLINED_BELOW and _DECLINES.match(answer) is not None),
        "it is not JSON": float(_JSON_WANTED.search(asked) is not None and find(_ends(answer)) is None),
        "it is not the JSON that was asked for": float(bool(_JSON_ASKED.search(asked)) and read.fields is None),
        "it lacks the code that was asked for": float(
            bool(_CODE_ASKED.search(asked)) and "```" not in answer and "def " not in answer
        ),
        "it names none of the options": float(bool(choices) and _normal(prompt, read.final) not in choices),
        "it gives no number": float(bool(_NUMBER_ASKED.search(asked)) and value is None),
        "it refuses": float(_REFUSAL.search(text) is not None),
        "it hedges": math.log1p(len(_HEDGE.findall(text))),
        "it corrects itself": math.log1p(len(_RETRACTION.findall(text))),
        "its arithmetic is wrong": math.log1p(len(false)),
        "more than one of its sums is wrong": float(len(false) > 1),
        "a good part of its sums is wrong": len(false) / (len(read.claims) or 1),
        "it shows no sums": float(numeric and not read.claims),
        "it takes many steps": math.log1p(len(read.claims)),
        "its answer is not what its last sum gives": float(
            value is not None and result is not None and not math.isclose(value, result, rel_tol=1e-3, abs_tol=0.011)
        ),
        "its answer comes out of nowhere": float(
            value is not None and numeric and value not in used[:-1] and value not in results
        ),
        "its answer stands in the question": float(numeric and value is not None and value in stated),
        "its answer is negative": float(value is not None and value < 0 and numeric),
        "its answer is not a whole number": float(exact is not None and exact != int(exact)),
        "its answer has many decimals": float(exact is not None and abs(exact * 100 - round(exact * 100)) > 1e-6),
        "its answer is zero": float(exact == 0),
        "its answer is huge": float(exact is not None and abs(exact) > 100 * max([*stated, 10.0])),
        "its answer is smaller than all that is given": float(
            exact is not None and bool(stated) and abs(exact) < min(stated)
        ),
        "a step has many decimals": float(numeric and any(abs(x * 100 - round(x * 100)) > 1e-6 for x in results)),
        "it rounds": float(numeric and re.search(r"(?i)\bround|≈|approx", text) is not None),
        "it takes fewer steps than the question has numbers": (
            max(0.0, len(stated) + len(spelt) - 1 - len(read.claims)) / 3 if numeric else 0.0
        ),
        "it counts a fraction": float(bool(_COUNT_ASKED.search(asked)) and value is not None and value != int(value)),
        "a step counts a fraction": float(bool(_COUNT_ASKED.search(asked)) and any(x != int(x) for x in results[1::2])),
        "a step is negative": float(numeric and any(x < 0 for x in results)),
        "it uses numbers that are not in the question": math.log1p(len(strange)),
        "it leaves out numbers of the question": len(unused) / (len(stated) or 1) if numeric else 0.0,
        "it leaves out some number": float(numeric and bool(unused)),
        "it repeats itself": 1 - len(set(lines)) / len(lines) if lines else 0.0,
        "it is long": math.log1p(words) / 2,
        "it is long for the question": math.log((words + 5) / (len(asked.split()) + 5)),
        "the question has many numbers": math.log1p(len(stated)),
        "it names unknowns": float(
            re.search(r"(?i)\blet(?:'s)? (?:\w+ )?\$?[a-z]\b|\b\d*[xyn] ?[-+*/=] ?\d", text) is not None
        ),
    }


class Model(NamedTuple):
    """What the doubt is made from: weights of the symptoms (in standard deviations) and of the prompt's own chances.

    ``agreement``: what a second model that disagrees, and one that agrees, adds to the log-odds, and what a disagreement adds
    for each unit of :func:`extent`.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    wrong: tuple[float, ...]
    right: tuple[float, ...]
    calibration: tuple[float, float]
    agreement: tuple[float, float, float]


def unpack(data: dict[str, Any]) -> Model:
    """A model as ``scripts/train/router`` writes it; each list of weights starts with the bias."""
    return Model(**{name: tuple(data[name]) for name in Model._fields})


@cache
def shipped() -> Model:
    """The model in the package."""
    return unpack(table("doubt"))


def signs(prompt: str, answer: str, finish_reason: str, odds: tuple[float, float] | None = None) -> dict[str, float]:
    """The symptoms, and the log-odds that a strong and a cheap model are right on ``prompt``."""
    strong, weak = odds or chances(prompt)
    return symptoms(prompt, answer, finish_reason) | {"strong": strong, "weak": weak}


def doubt(prompt: str, answer: str, finish_reason: str, model: Model | None = None) -> Doubt:
    """How likely a stronger model is right where ``answer`` is wrong. 1 for what is useless (FATAL)."""
    return weigh(signs(prompt, answer, finish_reason), model)


def weigh(found: dict[str, float], model: Model | None = None) -> Doubt:
    """The doubt that ``signs`` amount to."""
    m = model or shipped()
    values = [
        max(-CLIP, min(CLIP, (found[name] - mean) * scale))
        for name, mean, scale in zip(m.names, m.mean, m.scale, strict=True)
    ]
    wrong = logistic(m.wrong[0] + math.fsum(map(float.__mul__, m.wrong[1:], values)))
    right = logistic(m.right[0] + math.fsum(map(float.__mul__, m.right[1:], values)))
    score = logistic(m.calibration[0] + m.calibration[1] * (wrong + right - 1) - dear(found))
    against = [
        (value * weight, name)
        for name, value, weight in zip(m.names, values, m.wrong[1:], strict=True)
        if name.startswith("it") and found[name] > 0 and value * weight > 0.05
    ]
    fatal = [name for name in FATAL if found[name]]
    reasons = dict.fromkeys([*fatal, *(name for _, name in sorted(against, reverse=True)[:3])])
    return Doubt(1.0 if fatal else score, tuple(reasons))


def extent(question_words: float, answer_words: float) -> float:
    """How much there is of a question and its answer, as a logarithm; 0 is usual. An answer's words cost four times as much."""
    return math.log((max(question_words, 0) + 4 * answer_words + 20) / USUAL)


def dear(found: dict[str, float]) -> float:
    """What the log-odds of a doubt are lowered by, for what a strong model's answer would cost; from ``signs``."""
    return max(0.0, extent_in(found) - DEAR)


def extent_in(found: dict[str, float]) -> float:
    """The ``extent`` of the prompt and the answer that ``signs`` were seen in."""
    words = math.expm1(2 * found["it is long"])
    return extent((words + 5) / math.exp(found["it is long for the question"]) - 5, words)


def extent_of(prompt: str, answer: str) -> float:
    """The ``extent`` of a prompt and a model's answer to it."""
    return extent(len(prompt[:SEEN].split()), len(_ends(answer).split()))


def second_opinion(score: float, agrees: bool, size: float = 0.0, model: Model | None = None) -> float:
    """``score`` after a second cheap model answered too; what its answer tells was measured on pairs of cheap models.

    Where they disagree after a long way (``size`` is its :func:`extent`), a strong model is seldom right either, and dear.
    """
    if score >= 1.0:
        return score
    apart, alike, longer = (model or shipped()).agreement
    return logistic(math.log(max(score, 1e-9) / (1 - score)) + (alike if agrees else apart + longer * size))
