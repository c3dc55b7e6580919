"""The parts of a program that can be left out: bodies of functions, long values, and long texts that explain.

Python is read by its own parser, other languages by their blocks and indentation. A part's lines are numbered from 0; an end
is not included.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

MIN_LINES = 3
"""Lines from which a value or an explanation is cut; of a body two are enough where they are long."""
MIN_SIZE = 45
"""Characters from which a body is cut: a shorter one is about as long as the mark in its place."""
_LONGEST_HEAD = 60
"""Lines of a signature that are looked back for."""
MIN_DOC = 4
"""Lines of a docstring of which the middle may go while the function stays."""

_HOLDS_OTHERS = re.compile(
    r"\s*(?:(?:export|default|public|private|protected|internal|static|abstract|final|sealed|partial|data|pub|declare|unsafe)"
    r"(?:\([a-z]+\))?\s+)*"
    r"(?:class|struct|interface|impl|namespace|module|trait|object|extension|extern\s+\SC|mod|describe|context|enum|union)\b(?!.*=>)"
)
_CONTROLS = re.compile(
    r"\s*(?:[}\])]\s*)*(?:if|else|elif|elsif|unless|for|while|until|loop|switch|match|do|try|catch|except|finally|with|case"
    r"|begin|rescue|ensure|when|select|defer|return|default)\b"
)
_OPENS = re.compile(r"\s*(?:def|defp|local function|function|sub)\s+(?:[^\W\d]|[\[=<>+*/%!~-])")
"""How a function begins in a language that ends its blocks by a word."""
_DEFINED = re.compile(
    r"\b(?:def|defp|func|fn|function|fun|sub)\s+(?:\([^()\n]{0,200}\)\s*)?(?:self\.)?([^\W\d]\w*[!?]?)"
)
_INNER = re.compile(
    r"\s+(?:export |async |static |public |private |protected )*(?:function\b\*?|def|func|fn)\s+\w+\s?\("
)
_CALLED = re.compile(r"(?<!\w)([^\W\d]\w*)\s?(?:<[^<>\n]{0,100}>)?\(|([^\W\d]\w*)\s*[:=]")
"""How a function's name stands in a language that has no word for "function\"."""
_NAME = re.compile(
    r"(?:class|struct|interface|impl(?:<[^<>\n]{0,100}>)?|trait|module|namespace|object|enum)\s+([^\W\d][\w.]*)"
)
_COMMENT = re.compile(
    r"\s*(?:#(?!\[|include|if|end|else|def|pragma|region|\w+ ?\(.*\{\s*\Z)|//|/\*|\*(?!\s?\w+ ?\(.*\{\s*\Z)(?:[\s/]|\Z)|--\s|;;)"
)
_GOES_ON = re.compile(
    r"\s*(?:#\s?(?:if|ifdef|ifndef|elif|else|endif|define|undef|pragma|error|warning|include|line|region|endregion)\b"
    r"|[^\W\d]\w*:\s*\Z|(?:rescue|ensure|else)\b(?!.*[{:]\s*\Z))"
)
"""A line within a function that may be indented as little as the function: of C's preprocessor, a label, a part of Ruby's."""
_LABEL = re.compile(r"\s*(?:(?:public|private|protected)(?: \w+)?|signals|default|case\b.{0,200}):\s*\Z")
_WRAPS = 0.5
"""Share of a program's lines from which a function with others in it only holds these: a module's wrapper."""
_TYPE = re.compile(r"\w[\w ]*[ *]*")
"""What a function of C gives, on a line of its own."""
_ATTRIBUTE = re.compile(r"\s*(?:@\w|#\[|\[[A-Z])")


_PLAIN_STATEMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Delete, ast.Assert, ast.Pass)


class Part(NamedTuple):
    """Lines ``start``–``end`` can go. ``lead``–``head`` explain it from above and go with them, ``head``–``start`` always stay.

    ``kind``: function, value or text. ``doc``: the lines within it that explain it. ``owner``: the classes it is in.
    """

    kind: str
    name: str
    owner: str
    lead: int
    head: int
    start: int
    end: int
    doc: tuple[int, int] = (0, 0)


def parts_of(code: str, lines: list[str]) -> list[Part]:
    """The parts of a program in their order; none of them is within another."""
    found = _python(code, lines)
    if found is None:
        found = _by_blocks(lines)
    found = [part for part in found if _is_worth(part, lines)]
    return sorted([*found, *_comments(lines, found)], key=lambda part: part.start)


def _is_worth(part: Part, lines: list[str]) -> bool:
    size = sum(map(len, lines[part.start : part.end])) + part.end - part.start
    if part.kind == "function":
        return size > 0
    return size >= 2 * MIN_SIZE and part.end - part.start >= MIN_LINES - 1


def _python(code: str, lines: list[str]) -> list[Part] | None:
    """The parts of a Python program; None for what is none."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(tree.body) < 2:
        return None
    found: list[Part] = []
    run: list[ast.stmt] = []
    waiting: list[tuple[ast.stmt, str]] = [(node, "") for node in reversed(tree.body)]
    of_run = ""
    while waiting:
        node, owner = waiting.pop()
        end = node.end_lineno or node.lineno
        is_plain = isinstance(node, _PLAIN_STATEMENTS) and end - node.lineno < MIN_LINES
        if run and not (is_plain and owner == of_run and _is_between(lines, run[-1].end_lineno or 0, node.lineno)):
            found.append(_statements(run, of_run))
            run = []
        if is_plain:
            run.append(node)
            of_run = owner
        elif isinstance(node, ast.ClassDef):
            waiting += [(one, f"{owner} {node.name}") for one in reversed(node.body)]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.body[0].lineno > node.lineno:
                found.append(_python_function(node, owner, end, lines))
        elif isinstance(node, ast.If | ast.Try):
            inner = [*node.body, *(one for h in getattr(node, "handlers", ()) for one in h.body), *node.orelse]
            waiting += [(one, owner) for one in reversed([*inner, *getattr(node, "finalbody", ())])]
        elif end - node.lineno >= MIN_LINES:  # of a table of values or a docstring the first and last lines stay
            explains = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            head = node.lineno - 1
            first = head + 2 if lines[head].strip() in ('"""', "'''", 'r"""') else head + 1
            name = "" if explains else lines[head].split("=")[0]
            found.append(Part("text" if explains else "value", name, owner, head, head, first, end - 1))
    return [*found, _statements(run, of_run)] if run else found


def _is_between(lines: list[str], start: int, end: int) -> bool:
    """Whether nothing but blank lines and comments stands after line ``start`` and before line ``end``, both from 1."""
    return all(not line.strip() or line.lstrip().startswith("#") for line in lines[start : end - 1])


def _statements(run: list[ast.stmt], owner: str) -> Part:
    """Plain statements in a row: constants, a class's fields."""
    targets = [
        target.id
        for node in run
        for target in (getattr(node, "targets", None) or [getattr(node, "target", None)])
        if isinstance(target, ast.Name)
    ]
    start = run[0].lineno - 1
    return Part("value", " ".join(targets), owner, start, start, start, run[-1].end_lineno or start + 1)


def _python_function(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str, end: int, lines: list[str]) -> Part:
    head = min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1
    start = node.body[0].lineno - 1
    while start - 1 >= node.lineno and (_COMMENT.match(lines[start - 1][:200]) or not lines[start - 1].strip()):
        start -= 1
    return Part("function", node.name, owner, _lead(lines, head), head, start, end, _docstring(node.body[0]))


def _docstring(node: object) -> tuple[int, int]:
    """The lines of a docstring that is long; (0, 0) for another statement."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
        return (0, 0)
    return node.lineno - 1, node.end_lineno or node.lineno


def _lead(lines: list[str], head: int) -> int:
    """Where the comment begins that stands right above a line; the line itself where there is none."""
    at = head
    while at and _COMMENT.match(lines[at - 1][:200]):
        at -= 1
    return at


def _by_blocks(lines: list[str]) -> list[Part]:
    """The parts of a program in another language: a line that opens a block, and the lines that are indented more."""
    found: list[Part] = []
    owners: list[tuple[int, str]] = []
    at = done = 0
    while at < len(lines):
        line = lines[at][:300]
        bare = line.strip()
        depth = len(line) - len(line.lstrip())
        while owners and bare and owners[-1][0] >= depth and not bare.startswith(("}", "{", ")")):
            owners.pop()
        if _HOLDS_OTHERS.match(line):
            if named := _NAME.search(line):
                owners.append((depth, named.group(1)))
            at += 1
            continue
        opens = bare.endswith(("{", ":", "(", "[", "=>")) or _OPENS.match(line)
        if not opens or _CONTROLS.match(line) or _COMMENT.match(line) or _LABEL.match(line):
            at += 1
            continue
        if bare.endswith("{") and bare.count(")") > bare.count("("):
            depth = _depth_of_signature(lines, at, done, depth)
        end = _block_end(lines, at, depth)
        if _only_wraps(lines, at, end):
            at += 1
            continue
        if end > at + 1 and bare.endswith(("(", "[")) and end < len(lines) and lines[end].rstrip().endswith(("{", ":")):
            at = end  # the parameters of a function, each on a line of its own: its body follows
            continue
        head = _head(lines, at, depth, done)
        if end > at + 1 and not (bare == "{" and _HOLDS_OTHERS.match(lines[head][:200])):
            name = _name("\n".join([one for one in lines[head : at + 1] if not _ATTRIBUTE.match(one[:200])])[:600])
            kind = "value" if bare.endswith(("[", "(")) else "function"
            lead = max(done, _lead(lines, head))
            found.append(Part(kind, name, " ".join(one for _, one in owners), lead, head, at + 1, end))
            at = done = end
        else:
            at += 1
    return found


def _name(signature: str) -> str:
    """The name that a signature gives a function; empty where it gives none."""
    named = _DEFINED.search(signature) or _CALLED.search(signature)
    return next(filter(None, named.groups()), "") if named else ""


def _block_end(lines: list[str], at: int, depth: int) -> int:
    """Where the lines end that follow a line and are indented more; blank ones at their end left out."""
    end = at + 1
    while end < len(lines) and (
        not lines[end].strip() or _is_deeper(lines[end], depth) or (end > at + 1 and _GOES_ON.match(lines[end][:300]))
    ):
        end += 1
    while end > at + 1 and (not lines[end - 1].strip() or not _is_deeper(lines[end - 1], depth)):
        end -= 1
    return end


def _depth_of_signature(lines: list[str], at: int, done: int, depth: int) -> int:
    """The indentation of the line with which a signature begins whose parameters end on line ``at``."""
    missing = 0
    for before in range(at, max(done, at - _LONGEST_HEAD) - 1, -1):
        missing += lines[before].count(")") - lines[before].count("(")
        if missing <= 0:
            return min(depth, len(lines[before]) - len(lines[before].lstrip()))
    return depth


def _only_wraps(lines: list[str], at: int, end: int) -> bool:
    """Whether a block is most of a program and has functions of its own: what a module of JavaScript stands in."""
    if end - at < _WRAPS * len(lines) or end - at < _LONGEST_HEAD // 2:
        return False
    return sum(_INNER.match(line[:300]) is not None for line in lines[at + 1 : end]) > 1


def _head(lines: list[str], at: int, depth: int, done: int) -> int:
    """The line with which a signature begins that ends with line ``at``, attributes above it included."""
    head, done = at, max(done, at - _LONGEST_HEAD)
    while head > done and (
        lines[head].lstrip().startswith((")", "{", "where", "->")) or _is_deeper(lines[head], depth)
    ):
        head -= 1
    if head < at and lines[at].strip() == "{" and head > done and _TYPE.fullmatch(lines[head - 1][:200]):
        head -= 1
    while head > done and _ATTRIBUTE.match(lines[head - 1][:200]):
        head -= 1
    return head


def _is_deeper(line: str, depth: int) -> bool:
    return len(line) - len(line.lstrip()) > depth


def _comments(lines: list[str], parts: list[Part]) -> list[Part]:
    """Long comments that stand outside of all parts."""
    found: list[Part] = []
    at = 0
    for part in [*sorted(parts, key=lambda one: one.start), None]:
        stop = len(lines) if part is None else part.lead
        while at < stop:
            begin = at
            while at < stop and _COMMENT.match(lines[at][:200]):
                at += 1
            if at > begin and sum(map(len, lines[begin:at])) + at - begin >= 2 * MIN_SIZE:
                found.append(Part("text", "", "", begin, begin, begin, at))
            at = max(at, begin + 1)
        at = stop if part is None else max(part.end, at)
    return found
