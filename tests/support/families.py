"""Families of adversarial texts: each grows with n, and is the kind of text that a careless pattern takes quadratic time for.

Runs of a character or token, runs that end in what does not match, alternations of two, and nestings of what opens and closes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from random import Random

Family = Callable[[int], str]
"""A text of about n characters."""

CHARACTERS = (
    *"`~*_#$€%&<>()[]{}|\\/'\"“”«»„‘’-–+=^.,:;!?@ \t\n\r0179aAxÉé漢。กßİ…•≈½\u0300\u0085\u00a0\u2028\u200b\ue000\U0001f600",
)
"""Characters that patterns of the engine name, and one of each class that they tell apart."""

TOKENS = (
    "$1", "1%", "$1.", "1=", "1+", "1+1=", "=1 ", "1,000,", "1 1 ", "0.", "1/2 ", "9.9.9", "1 x ", "5 of ", "(1", "1)", "1.\n",
    "\\frac{", "\\frac{1}", "\\text{", "\\\\", "\\n", "\\times", "{{", "}}", "]]", "](", "[1](", "[a](b) ", "<<", "<<1=1>>",
    "a@", "a@b.", "a.b@", "http://", "http://a ", "www.", "mailto:", "```", "```\n", "~~~\n", "``a", "\n\n", "\n \n", "\r\n",
    "- ", "* a\n", "a ", "a b\n", " 'a", "'a'", '"a', "“a", "a' ", "a. ", "a.\n", "e.g. ", "| ", "a|", "|-|\n", "a\t", "a  b\n",
    "  a\n", "    a\n", "{\n", "[\n", "[1,", '{"a":', '{"a":1}\n', '"a":"', '"answer":', '\\"', "json ", "please ", "Please do ",
    "could you please ", "thanks. ", "how many ", "count the ", "I am ", "i'm sorry ", "not ", "you never ", "because ",
    "answer: ", "answer is 1 ", "#### ", "\\boxed{", "A. a\n", "(A) a\n", "A) ", "let x ", "x = 1 ", "def ", "def a:\n",
    "import a\n", "<a>", "<a ", "</", "&amp;", "## a\n", "**a", "**a** ", "a: ", "a: b\n", "Mr. ", "the ", "an ", "3 words ",
    "200-word ", "1,", "字", "1字", "漢。", "ก ", "\ue000.", "%a%", "$a", "${a", "-1", "--", "1-1", "a-", "a-b ", "a_b", "__",
    "\x1b[", "\x1b]", "\x1b", "data: ", "data: a\n", "event: a\n\n", ": \n", "-2024-01-01", ":1:", "double space ",
    "correct this: ", "a?! ", "a\u2019", "I'll ", "aA", "Aa ", "A ", "ab. Cd ", "he died ", "x,y;z ", "a\\",
    "e\u0301", "\U0001f468\u200d",
)  # fmt: skip
"""Tokens that patterns of the engine begin or repeat."""

ENDS = ("", "!", "\n", " x", "1", '"', "=", "}")
PAIRS = (
    ("(", ")"),
    ("[", "]"),
    ("{", "}"),
    ("<", ">"),
    ("“", "”"),
    ("«", "»"),
    ("「", "」"),
    ("\\frac{", "}{1}"),
    ("<<", ">>"),
)
NESTED = (
    *PAIRS,
    ("[[", "]]"),
    ('{"a":', "}"),
    ("```\n", "\n```"),
    ("- ", "\n"),
    ("> ", "\n"),
    ("((1+", ")"),
    ("`", "`"),
)
SPECIAL = "`*$%<([{\\'\"-=.,: \n1a"
"""Characters of which every two are alternated."""


def repeated(piece: str, end: str = "", begin: str = "") -> Family:
    """The family of ``piece`` over and over, between what begins and ends the text."""
    return lambda n: begin + piece * max(1, (n - len(begin) - len(end)) // len(piece)) + end


def nested(opens: str, closes: str, middle: str = "1") -> Family:
    """The family of as many that open as that close around ``middle``."""
    return lambda n: (
        opens * max(1, n // (len(opens) + len(closes))) + middle + closes * max(1, n // (len(opens) + len(closes)))
    )


def halves(one: str, other: str) -> Family:
    """The family of a run of one piece that another's run follows."""
    return lambda n: one * max(1, n // 2 // len(one)) + other * max(1, n // 2 // len(other))


def growing(piece: str, end: str) -> Family:
    """The family of runs that get longer, each with an end: no two runs of the text are equal."""

    def text(n: int) -> str:
        parts, size, length = [], 0, 0
        while size < n:
            length += 1
            parts.append(piece * length + end)
            size += length * len(piece) + len(end)
        return "".join(parts)[:n]

    return text


def main_families() -> Iterator[tuple[str, Family]]:
    """The families that have found something, or look like those that have: few enough for a test."""
    for piece in (*CHARACTERS, *TOKENS):
        yield f"{piece!r} * n", repeated(piece)
    for piece in SPECIAL:
        yield f"{piece!r} * n + ' !'", repeated(piece, " !")
    for piece in ("-1", ":1", ".1", ",1"):  # numbers with signs between, and no end that fits
        yield f"{piece!r} * n + ' !'", repeated(piece, " !")
    for opens, closes in NESTED:
        yield f"{opens!r} * n + 1 + {closes!r} * n", nested(opens, closes)
    for piece in "`*$\"'-= \t1a(":
        yield f"{piece!r} * 1, 2, 3 … with 'b'", growing(piece, "b")


def all_families() -> Iterator[tuple[str, Family]]:
    """Every family of the fixed lists, with a name that says how it is made."""
    yield from main_families()
    for piece, end in product(CHARACTERS, ENDS[1:]):
        yield f"{piece!r} * n + {end!r}", repeated(piece, end)
    for one, other in product(SPECIAL, repeat=2):
        if one != other:
            yield f"{one + other!r} * n", repeated(one + other)
            yield f"{one!r} * n + {other!r} * n", halves(one, other)


def random_family(chance: Random) -> tuple[str, Family]:
    """A family made by chance: one to three pieces over and over between a beginning and an end, or nested."""
    pieces = [*CHARACTERS, *TOKENS]
    begin = "".join(chance.choices(pieces, k=chance.randrange(3)))
    end = "".join(chance.choices([*pieces, *ENDS], k=chance.randrange(3)))
    if chance.random() < 0.2:
        opens, closes = chance.choice(NESTED)
        middle = chance.choice(pieces)
        return f"{opens!r} * n + {middle!r} + {closes!r} * n", nested(opens, closes, middle)
    if chance.random() < 0.2:
        one, other = chance.choice(pieces), chance.choice(pieces)
        return f"{one!r} * n + {other!r} * n", halves(one, other)
    body = "".join(chance.choices(pieces, k=chance.randint(1, 3)))
    return f"{begin!r} + {body!r} * n + {end!r}", repeated(body, end, begin)
