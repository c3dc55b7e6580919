"""A program by its functions: those that bear on the question stay whole, of the others the signature.

Imports, classes, and whatever stands outside of functions stay as they are, and no line's indentation changes. Python is read
by its own parser, other languages by their blocks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nexscout_cli.engine.compression.cuts import fill, mark, number
from nexscout_cli.engine.compression.relevance import relevance

MIN_BODY = 3
"""Lines from which a body is cut: a shorter one is about as long as the mark in its place."""

_HOLDS_OTHERS = re.compile(
    r"\s*(?:(?:export|default|public|private|protected|internal|static|abstract|final|sealed|partial|data|pub|declare)\s+)*"
    r"(?:class|struct|interface|impl|namespace|module|trait|object|extension|extern|mod|describe|context)\b"
)
_CONTROLS = re.compile(
    r"\s*(?:[}\])]\s*)*(?:if|else|elif|for|while|switch|match|do|try|catch|except|finally|with|case)\b"
)
_DEFINED = re.compile(r"\b(?:def|func|fn|function|fun|sub)\s+([^\W\d]\w*)|(?<!\w)([^\W\d]\w*)\s?\(")
_NAMES = re.compile(r"\w_\w|\w\d|[a-z][A-Z]|\A_")
_CALLED = re.compile(r"[^\W\d]\w*")


class Body(NamedTuple):
    """The lines of a function (numbers from 0, the end not included); from ``start`` on they can go."""

    head: int
    start: int
    end: int


def shorten(code: str, question: str, keep: float) -> str:
    """The program with at most about ``keep`` (0..1) of its characters, where its signatures are not more than that.

    As it is where no function bears on the question: what a whole program is for, its parts do not tell.
    """
    lines = code.split("\n")
    bodies = [body for body in _python(code) or _by_blocks(lines) if body.end - body.start >= MIN_BODY]
    texts = ["\n".join(lines[body.head : body.end]) for body in bodies]
    if not texts:
        return code
    heads = relevance(["\n".join(lines[body.head : body.start]) for body in bodies], question)
    scores = [score + 2 * head for score, head in zip(relevance(texts, question), heads, strict=True)]
    if not max(scores):
        return code
    sizes = [sum(len(line) + 1 for line in lines[body.start : body.end]) for body in bodies]
    room = keep * len(code) - (len(code) - sum(sizes)) - 16 * len(bodies)
    called = _called_by_the_best(lines, bodies, scores)
    named = _named(lines, bodies, question)
    order = sorted(range(len(bodies)), key=lambda at: (not named[at], -scores[at] - 0.3 * called[at], sizes[at]))
    # Without the function that is asked about the rest is of no use: it stays, and takes what it takes.
    kept = fill(order, sizes, room - sizes[order[0]], order[:1])
    short = "\n".join(_joined(lines, bodies, kept))
    return short if len(short) < len(code) else code


def _named(lines: list[str], bodies: list[Body], question: str) -> list[bool]:
    """Whether the question names each function as it is written, in a name that is no plain word."""
    asked = {name for name in _CALLED.findall(question) if _NAMES.search(name) or f"{name}(" in question}
    heads = (_DEFINED.search("\n".join(lines[body.head : body.start])) for body in bodies)
    return [head is not None and (head.group(1) or head.group(2)) in asked for head in heads]


def _called_by_the_best(lines: list[str], bodies: list[Body], scores: list[float]) -> list[bool]:
    """Whether each function's name stands in the body of the one that bears most on the question."""
    best = bodies[scores.index(max(scores))]
    names = {name for line in lines[best.start : best.end] for name in _CALLED.findall(line) if len(name) > 2}
    return [any(name in names for name in _CALLED.findall(lines[body.start - 1])[:4]) for body in bodies]


def _joined(lines: list[str], bodies: list[Body], kept: set[int]) -> list[str]:
    result: list[str] = []
    at = 0
    for index, body in enumerate(bodies):
        if index in kept:
            continue
        first = lines[body.start]
        result += lines[at : body.start]
        result.append(mark(number(body.end - body.start, "line"), indent=first[: len(first) - len(first.lstrip())]))
        at = body.end
    return result + lines[at:]


def _python(code: str) -> list[Body] | None:
    """The functions, methods and long values of a Python program; None for what is none."""
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(tree.body) < 2:
        return None
    found: list[Body] = []
    waiting = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ClassDef):
            waiting += reversed(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.body[0].lineno > node.lineno:
            head = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found.append(Body(head - 1, node.body[0].lineno - 1, node.end_lineno or node.lineno))
        elif isinstance(node, ast.If | ast.Try):
            waiting += reversed(node.body)
        elif (
            node.end_lineno or 0
        ) - node.lineno >= MIN_BODY:  # a table of values or a docstring: its first and last lines stay
            found.append(Body(node.lineno - 1, node.lineno, (node.end_lineno or 0) - 1))
    return found


def _by_blocks(lines: list[str]) -> list[Body]:
    """The functions of another language: a line that opens a block, and the lines that are indented more."""
    found: list[Body] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        bare = line.strip()
        if not bare.endswith(("{", ":")) or _HOLDS_OTHERS.match(line[:200]) or _CONTROLS.match(line[:200]):
            at += 1
            continue
        depth = len(line) - len(line.lstrip())
        end = at + 1
        while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > depth):
            end += 1
        after = end
        while end > at + 1 and not lines[end - 1].strip():
            end -= 1
        head = at - 1 if bare == "{" and at and lines[at - 1].strip() else at
        if end > at + 1 and not (bare == "{" and _HOLDS_OTHERS.match(lines[head][:200])):
            found.append(Body(head, at + 1, end))
            at = after
        else:
            at += 1
    return found
