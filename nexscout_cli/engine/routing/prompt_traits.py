"""What a prompt looks like, as numbers: a few dozen named traits, and its words and pairs of words, hashed.

Pure text statistics: no weights, no judgement. :mod:`nexscout_cli.engine.routing.difficulty` weighs them.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

BUCKETS = 1 << 16
"""Words and pairs of words are hashed into this many buckets."""
SEEN = 2_000
"""Of a text longer than twice this many characters only the first and the last this many are read."""

_TOKEN = re.compile(r"[^\W\d_]+(?:'[a-z]+)?|\d+(?:[.,]\d+)*|[^\w\s]")
_OPTION = re.compile(r"(?m)^\(?([A-J])[.):][ \t]*(.*)$")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_LABEL_ROOM = 80
_LABEL = re.compile(r"(?:\A|\n)[ \t]*+([^\n:]{1,30}+:)\s*+\Z")
_NUMERIC_OPTION = re.compile(r"[\s$€£+\-−.,\d/%^()*πe√a-z°]{0,25}")

WORDS = {
    "negations": "not no never none neither nor without cannot can't don't doesn't isn't aren't won't wasn't n't",
    "exceptions": "except excluding excluded incorrect false untrue wrong unlikely",
    "superlatives": "most best least largest smallest greatest highest lowest maximum minimum maximize minimize first "
    "last main primary only always",
    "comparisons": "more less fewer than twice half double triple times third quarter increase increases increased "
    "decrease decreased remaining left rest each every per total altogether average difference ratio",
    "conditions": "if suppose assume assuming given let unless whenever consider when then",
    "times": "day days week weeks month months year years hour hours minute minutes second seconds today tomorrow "
    "yesterday ago old age am pm",
    "words of money": "dollar dollars cent cents price prices cost costs pay pays paid earn earns profit revenue "
    "interest rate market income tax",
    "words of proof": "prove proof proofs theorem lemma derive integer integers polynomial matrix vector derivative "
    "integral probability equation function subgroup ring field graph algorithm finite infinite set",
    "definitions": "who which define defined called known term means refers definition",
    "reasons asked for": "why explain describe discuss justify because reason how",
    "words of law": "plaintiff defendant statute court contract liable negligence tort sue sued constitution "
    "constitutional jury crime convicted felony property owner seller buyer",
    "words of medicine": "patient symptoms symptom diagnosis disease blood drug clinical syndrome infection gene genes "
    "cell cells protein proteins treatment pain therapy",
    "words of argument": "moral morality argument argues philosopher philosophy theory according claim premise ethics "
    "ethical utilitarian god belief conclusion wrong",
    "words of history": "war century empire king political revolution president government treaty church party policy",
    "words of physics": "mass velocity energy force temperature pressure volume charge current voltage wave wavelength "
    "gas acid electron mole molar reaction kg cm ohm heat speed frequency magnetic",
    "words of code": "def return for while import class print self range append len lambda elif assert",
}
_CLASSES: dict[str, list[str]] = {}
for _name, _listed in WORDS.items():
    for _word in _listed.split():
        _CLASSES.setdefault(_word, []).append(_name)

PATTERNS = {
    name: re.compile(pattern)
    for name, pattern in {
        "capitals for NOT or EXCEPT": r"\b(?:NOT|EXCEPT|LEAST|FALSE|INCORRECT)\b",
        "fractions and percentages": r"\d/\d|\d\s?%|\bpercent",
        "amounts of money": r"[$€£]\s?\d",
        "signs of mathematics": r"[=+×·∙÷√∑∫π^<>≤≥*/−]|\\[a-z]+",
        "single letters": r"\b[a-zA-Z]\b(?!')",
        "roman numerals": r"\b(?:I|II|III|IV|V|VI|VII)\b[.,)]?",
        "years": r"\b1\d\d\d\b|\b20\d\d\b",
        "brackets": r"[{}\[\]]|==|\(\)",
        "quotation marks": r"[\"“”]",
        "blanks to fill": r"__+",
        "numbered statements": r"\bStatement [12I]\b|\|",
        "proper names": r"\b[A-Z][a-z]+\b",
        "commas": r"[,;:]",
        "parentheses": r"\(",
        "questions of how many": r"\b[Hh]ow (?:many|much|long|far|old|often)\b",
    }.items()
}
IN_OPTIONS = (
    "negations",
    "superlatives",
    "words of proof",
    "words of law",
    "words of medicine",
    "words of argument",
    "words of history",
    "words of physics",
    "signs of mathematics",
    "proper names",
    "fractions and percentages",
)
_OPTION_WORDS = frozenset(IN_OPTIONS) & WORDS.keys()


KINDS = ("choice", "code", "sum", "other")
_CODE = re.compile(
    r"(?m)^[^\S\n]*+(?:def|class|import|from \w+ import|for|while|return|function|#include)\b|```(?!json)\w+|\[PYTHON\]"
)


class Prompt(NamedTuple):
    """A prompt taken apart: its kind (one of KINDS), its traits, its tokens in lower case."""

    kind: str
    traits: dict[str, float]
    tokens: list[str]


def _ends(text: str) -> str:
    return text if len(text) <= 2 * SEEN else f"{text[:SEEN]}\n{text[-SEEN:]}"


def options(prompt: str) -> list[tuple[str, str]]:
    """The lettered choices of a multiple-choice question, (letter, text); fewer than two are none."""
    found = _OPTION.findall(prompt)
    return found if len(found) > 1 else []


def asked_last(prompt: str) -> str:
    """What is asked behind worked examples: of a prompt that ends in a label ("Answer:") which stood before, the part after
    the last example's answer; any other prompt as it is. The examples are the same for each question and say little of it.
    """
    found = _LABEL.search(prompt[-_LABEL_ROOM:])
    if found is None:
        return prompt
    label = f"\n{found[1]}"
    end = prompt.rfind(label)
    before = prompt.rfind(label, 0, end) if end > 0 else -1
    if before < 0:
        return prompt
    answer = before + len(label)
    answer += len(prompt[answer:end]) - len(prompt[answer:end].lstrip())
    gap = next((at for at in (prompt.find(cut, answer, end) for cut in ("\n\n", "\n")) if at >= 0), -1)
    return prompt if gap < 0 else prompt[gap:].strip() or prompt


def take_apart(prompt: str) -> Prompt:
    """``prompt`` as traits (counts as log(1 + n), shares and means scaled to about 0..3), kind and tokens.

    Of a prompt with worked examples only what is asked after them is read.
    """
    prompt = asked_last(prompt)
    text = _ends(prompt)
    found = list(_OPTION.finditer(text))
    choices = [match[2] for match in found] if len(found) > 1 else []
    stem = text[: found[0].start()] if choices else text
    below = "\n".join(choices)
    tokens = _TOKEN.findall(stem.lower())
    words = [token for token in tokens if token[0].isalnum()]
    count = len(words) or 1
    numbers = _NUMBER.findall(stem)
    lengths = [len(choice) for choice in choices] or [0]
    length = math.log1p(len(prompt))
    traits = {
        "length": length,
        "length squared": length * length / 10,
        "question length": math.log1p(len(prompt) - len(text) + len(stem)),
        "options' length": math.log1p(len(below)),
        "words": math.log1p(len(words)),
        "sentences": math.log1p(len(re.findall(r"[.?!](?:\s|$)", stem))),
        "lines": math.log1p(stem.count("\n")),
        "numbers": math.log1p(len(numbers)),
        "digits": 10 * sum(map(len, numbers)) / (len(stem) + 1),
        "long numbers": max((min(len(number.replace(",", "")), 12) for number in numbers), default=0) / 5,
        "decimals": math.log1p(sum("." in number for number in numbers)),
        "options": len(choices) / 4,
        "numbers among the options": len(_NUMBER.findall(below)) / (len(choices) + 1),
        "options that are numbers": sum(
            _NUMERIC_OPTION.fullmatch(choice) is not None and _NUMBER.search(choice) is not None for choice in choices
        )
        / (len(choices) or 1),
        "average length of words": sum(map(len, words)) / count / 3,
        "long words": 3 * sum(len(word) > 8 for word in words) / count,
        "different words": len(set(words)) / count,
        "uneven options": math.log1p(max(lengths) - min(lengths)),
        "long options": math.log1p(sum(lengths) / len(lengths)),
        "options of all or none": float(re.search(r"\b(?:all|none|both|neither)\b", below, re.I) is not None),
        "a question mark": float("?" in stem),
        "ends in a question": float(stem.rstrip().endswith("?")),
        "signs beyond ASCII": 10 * (len(stem) - len(stem.encode("ascii", "ignore"))) / (len(stem) + 1),
    }
    later = _TOKEN.findall(below.lower())
    traits |= _counted(stem, words, below, later)
    return Prompt(_kind(stem, bool(choices), len(numbers)), traits, tokens + later)


def _counted(stem: str, words: list[str], below: str, later: list[str]) -> dict[str, float]:
    """How often words of each class and each pattern stand in the question, and some of them among the options below it."""
    counts = dict.fromkeys(WORDS, 0)
    for word in words:
        for name in _CLASSES.get(word, ()):
            counts[name] += 1
    inside = dict.fromkeys(IN_OPTIONS, 0)
    for word in later:
        for name in _CLASSES.get(word, ()):
            if name in _OPTION_WORDS:
                inside[name] += 1
    for name, pattern in PATTERNS.items():
        counts[name] = sum(1 for _ in pattern.finditer(stem))
        if name in inside:
            inside[name] = sum(1 for _ in pattern.finditer(below))
    found = {name: math.log1p(n) for name, n in counts.items()}
    return found | {f"{name} among the options": math.log1p(n) for name, n in inside.items()}


def _kind(stem: str, choices: bool, numbers: int) -> str:
    if choices:
        return "choice"
    if _CODE.search(stem):
        return "code"
    asks = PATTERNS["questions of how many"].search(stem) is not None
    return "sum" if (numbers > 1 and "?" in stem) or (numbers and asks) else "other"


def grams(prompt: Prompt) -> Iterator[tuple[int, str]]:
    """The bucket and the text of every word and pair of neighbours, numbers taken as one; with repetitions.

    What a word says of one kind of prompt it need not say of another: each kind has buckets of its own.
    """
    salt = zlib.crc32(prompt.kind.encode())
    before = ""
    for token in prompt.tokens:
        word = "0" if token[0].isdigit() else token
        yield zlib.crc32(word.encode("utf-8", "replace"), salt) % BUCKETS, word
        if before:
            pair = f"{before} {word}"
            yield zlib.crc32(pair.encode("utf-8", "replace"), salt) % BUCKETS, pair
        before = word
