"""The sums that a text claims, worked out again: every ``a op b = c``, chains too, whatever the units around them."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

SEEN = 20_000
"""Characters of a text that are read."""
_MOST = 200
"""Characters of one side of an equation that are read."""
_NOTE = re.compile(r"<<([^<>\n]*)>>")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_SPELT = {
    "\\times": "*", "\\cdot": "*", "\\ast": "*", "\\div": "/", "\\left": "", "\\right": "", "\\approx": "≈", "\\%": "%",
    "\\$": "$", "\\,": "", "\\!": "", "\\;": " ", "\\(": " ", "\\)": " ", "\\[": "\n", "\\]": "\n", "×": "*", "·": "*",
    "∙": "*", "÷": "/", "−": "-", "–": "-", "**": "^", "½": "(1/2)", "¼": "(1/4)", "¾": "(3/4)", "²": "^2", "³": "^3",
}  # fmt: skip
_REWRITES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile("|".join(map(re.escape, sorted(_SPELT, key=len, reverse=True)))), lambda m: _SPELT[m[0]]),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"[$€£*_`]{2,}|[$€£`]"), ""),
    (re.compile(r"(?<=[\d)])\s*[xX]\s*(?=[\d(.])"), "*"),
    (re.compile(r"(?<=[\d%)])\s*of\s+(?:the\s+)?(?=[\d(])"), "*"),
    (re.compile(r"(?<!\d)(\d++(?:\.\d++)?+)\s*+(?:%|percent\b)"), r"(\1/100)"),
    (re.compile(r"(?<=/ )(\d+/\d+)"), r"(\1)"),
]
# what stands between a number and the next operator: a unit of up to four words, or an aside in brackets
_WORD = r"[^\W\d_][\w'/.-]{1,40}"
_UNIT = re.compile(
    rf"(?<=[\d)])[ \t-]*+{_WORD}(?:[ \t]++{_WORD}){{0,3}}[ \t]*+(?=[-+*/=≈)]|$)"
    r"|(?<=[\d)])[ \t]*+\((?!\s*+\))[^()\d]*+\)"
)
_SIDES = re.compile(r"[=≈]")
_LAST = re.compile(r"[-+*/^().\d \t]*$")
_FIRST = re.compile(r"[ \t]*([-+*/^().\d \t]*)")
_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+|[-+*/^()])")


class Sum(NamedTuple):
    """One claimed equation: its two sides as they were read, what they come to, and whether that agrees."""

    left: str
    right: str
    values: tuple[float, float]
    holds: bool


class _Unreadable(Exception):
    """No arithmetic after all."""


def evaluate(text: str) -> float | None:
    """The value of ``text``, made of numbers, + - * / ^ and brackets; None where it is not that or has no value."""
    tokens: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match or len(tokens) >= _MOST:
            return None
        tokens.append(match[1])
        at = match.end()
    tokens.reverse()
    try:
        value = _sum(tokens, 0)
    except (_Unreadable, ZeroDivisionError, OverflowError):
        return None
    return None if tokens or isinstance(value, complex) or not abs(value) < 1e15 else value


def _sum(tokens: list[str], depth: int) -> float:
    value = _product(tokens, depth)
    while tokens and tokens[-1] in "+-":
        value += _product(tokens, depth) if tokens.pop() == "+" else -_product(tokens, depth)
    return value


def _product(tokens: list[str], depth: int) -> float:
    value = _power(tokens, depth)
    while tokens and (tokens[-1] in "*/" or tokens[-1] == "("):
        operator = tokens.pop() if tokens[-1] != "(" else "*"
        value = value * _power(tokens, depth) if operator == "*" else value / _power(tokens, depth)
    return value


def _power(tokens: list[str], depth: int) -> float:
    if not tokens or depth > 20:
        raise _Unreadable
    part = tokens.pop()
    if part in "+-":
        value = _power(tokens, depth + 1)
        return -value if part == "-" else value
    if part == "(":
        value = _sum(tokens, depth + 1)
        if not tokens or tokens.pop() != ")":
            raise _Unreadable
    elif part[0].isdigit() or part[0] == ".":
        value = float(part)
    else:
        raise _Unreadable
    if tokens and tokens[-1] == "^":
        tokens.pop()
        exponent = _power(tokens, depth + 1)
        if abs(exponent) > 64:
            raise _Unreadable
        value **= exponent
    return value


def plain(text: str) -> str:
    """``text`` with LaTeX, currencies, percent signs and thousands separators turned into plain arithmetic."""
    text = text[:SEEN].replace("\\\\", "\\").replace("\\n", "\n")
    for _ in range(2):
        text = _FRACTION.sub(r"((\1)/(\2))", text)
    for pattern, new in _REWRITES:
        text = pattern.sub(new, text)
    return text


_OPERATION = re.compile(r"[\d)]\s*[-+*/^]\s*[\d(.-]")
_RATIO = re.compile(r"\(?(\d+(?:\.\d+)?)/(\d+)\)?")


def _operators(text: str) -> bool:
    """Whether ``text`` computes something; a fraction below 1 or a percentage alone does not."""
    ratio = _RATIO.fullmatch(text.strip())
    return _OPERATION.search(text) is not None and not (ratio and float(ratio[1]) < float(ratio[2]))


def _candidates(side: str) -> list[str]:
    """Ways to read the arithmetic at the end of ``side``: a leading dash may be a bullet, a bracket an aside's."""
    side = side.strip().strip("+*/^ ").rstrip(".- (")
    readings = [side, side.lstrip("-+). ")]
    while side.count(")") > side.count("("):
        side = side.partition(")")[2].strip(" -+*/^.")
        readings.append(side)
    while side.count("(") > side.count(")") and "(" in side:
        side = side.partition("(")[2]
        readings.append(side)
    return [reading for reading in dict.fromkeys(readings) if reading]


def _open(before: str, side: str) -> bool:
    """Whether what stands before ``side`` belongs to it: a variable, or a sum that could not be read to its start."""
    return before[-1:].isalnum() and side.lstrip()[:1] in ("*", "/", "^", "+", "-", "(") and side[:1] != "-"


def _unknown(after: str) -> bool:
    """Whether a variable follows: ``5x`` is not a number."""
    return re.match(r"[a-zA-Z](?![a-zA-Z])", after) is not None


def _places(number: str) -> float:
    """Half of the last place that a plain number shows, with some room for rounding the other way."""
    decimals = number.partition(".")[2]
    return 1.01 * 10 ** -len(decimals) if decimals else 0.0


def sums(text: str) -> list[Sum]:
    """The equations in ``text`` that have an operator on at least one side and a number on both."""
    found = []
    notes = _NOTE.findall(text[:SEEN])  # a calculator's own notes, as some models write them beside the sum
    for line in [*plain(_NOTE.sub("", text[:SEEN])).splitlines(), *notes]:
        if "=" not in line and "≈" not in line:
            continue
        sides = _SIDES.split(_UNIT.sub(" ", line))
        for n, (before, after) in enumerate(pairwise(sides)):
            one = _claim(before[-_MOST:], after[:_MOST])
            # a bare number before the first sign ends a sentence more often than it states a value
            if one is not None and (one.holds or n or _operators(one.left)):
                found.append(one)
    return found


def _claim(before: str, after: str) -> Sum | None:
    last, first = _LAST.search(before), _FIRST.match(after)
    if last is None or first is None or _open(before[: last.start()], last[0]) or _unknown(after[first.end() :]):
        return None
    lefts = [(side, value) for side in _candidates(last[0]) if (value := evaluate(side)) is not None]
    rights = [(side, value) for side in _candidates(first[1]) if (value := evaluate(side)) is not None]
    pairs = [(a, b) for a in lefts for b in rights if _operators(a[0]) or _operators(b[0])]
    if not pairs:
        return None
    for (left, x), (right, y) in pairs:
        room = max(_places(left), _places(right), 1e-9 * max(abs(x), abs(y)))
        # a share may be told in percent without saying so
        if abs(x - y) <= room or (abs(100 * x - y) <= room and abs(x) <= 10):
            return Sum(left, right, (x, y), True)
    (left, x), (right, y) = pairs[0]
    return Sum(left, right, (x, y), False)
