"""What people pipe, made in code: diffs, logs with known faults, code questions, tables, mail. The same rows for a seed.

Programs are modules of Python's standard library, as the interpreter that runs this has them, and those in other languages
of ``_programs.py``; everything else is made up.
A row has task, context and question, and ``parts``: texts of which as many as possible must be left. ``repeats`` is a part
that stands several times: it survives where all of them are left, or their number is said.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _programs import row as other

Row = dict[str, Any]
MODULES = (
    "argparse", "calendar", "cmd", "configparser", "csv", "difflib", "fileinput", "fractions", "gettext", "glob", "heapq",
    "mailbox", "netrc", "optparse", "pprint", "queue", "sched", "shelve", "shlex", "shutil", "statistics", "string",
    "tarfile", "tempfile", "textwrap", "timeit", "trace", "uuid", "wave", "zipfile",
)  # fmt: skip
WORDS = (
    "harbour", "mill", "river", "tower", "garden", "market", "bridge", "lantern", "copper", "velvet", "meadow", "orchard",
    "anchor", "ledger", "saddle", "barrel", "compass", "granite", "thistle", "willow", "falcon", "badger", "otter", "heron",
    "cedar", "maple", "quarry", "valley", "summit", "canyon",
)  # fmt: skip
NAMES = ["Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gita", "Hugo", "Iris", "Jon"]


def rows(seed: int, each: int) -> Iterator[Row]:
    """``each`` rows of every task; no function is asked for twice while there are others."""
    chance = random.Random(seed)
    asked: list[tuple[str, ast.FunctionDef]] = []
    for _ in range(each):
        yield from diff(chance)
        yield log(chance)
        if not asked:
            asked = functions()
            chance.shuffle(asked)
        yield from code(*asked.pop())
        yield other(chance)
        yield table(chance)
        yield mail(chance)


def source(chance: random.Random) -> tuple[str, str]:
    """The name and the text of a module."""
    name = chance.choice(MODULES)
    return name, text_of(name)


def text_of(name: str) -> str:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    origin = spec.origin
    if "__pycache__" in origin:
        origin = importlib.util.source_from_cache(origin)
    return Path(origin).read_text(encoding="utf-8")


def diff(chance: random.Random) -> Iterator[Row]:
    """Names changed here and there in several modules, a new one, and a lock file; files and names are two tasks."""
    texts, files, names = [], [], []
    for _ in range(chance.randint(4, 8)):
        name, old = source(chance)
        path = f"lib/{chance.choice(WORDS)}/{name}.py"
        lines = old.split("\n")
        calls = [n for n, line in enumerate(lines) if re.match(r"\s+\w+ = \w+\(.*\)$", line)]
        for at in chance.sample(calls, min(len(calls), chance.randint(2, 6))):
            fresh = "_".join(chance.sample(WORDS, 2)) + str(chance.randrange(100))
            lines[at] = re.sub(r"\w+ =", f"{fresh} =", lines[at], count=1)
            names.append(fresh)
        texts.append(unified(path, old.split("\n"), lines))
        files.append(path)
    lock = [f'"{word}@^{n}": "sha512-{chance.randrange(10**18)}"' for n, word in enumerate(WORDS * 4)]
    changed = [line if n % 9 else line.replace("sha512-", "sha512-1") for n, line in enumerate(lock)]
    texts.append(unified("package-lock.json", lock, changed))
    new = source(chance)[1].split("\n")[:120]
    texts.insert(1, unified("lib/added.py", [], new))
    context = "".join(texts)
    for task, parts in (("diff files", [*files, "lib/added.py", "package-lock.json"]), ("diff names", names)):
        yield {"task": task, "context": context, "question": "Write a commit message", "parts": parts}


def unified(path: str, old: list[str], new: list[str]) -> str:
    """A file's part of a diff as git writes it."""
    before = f"a/{path}" if old else "/dev/null"
    body = "".join(f"{line}\n" for line in difflib.unified_diff(old, new, before, f"b/{path}", lineterm=""))
    return f"diff --git a/{path} b/{path}\n{body}"


def log(chance: random.Random) -> Row:
    """1,500 lines of a service that work, and one fault that comes up one to forty times."""
    kinds = [
        lambda: f"INFO worker-{chance.randrange(8)}: job {chance.randrange(10**6)} done in {chance.randrange(900)} ms",
        lambda: f"DEBUG cache: hit for key user:{chance.randrange(10**4)}:{chance.choice(WORDS)}",
        lambda: f'INFO http: "GET /{chance.choice(WORDS)}/{chance.randrange(999)}" 200 {chance.randrange(9999)}',
        lambda: f"WARN pool: {chance.randrange(9)} connections are idle",
    ]
    why = chance.choice(["no space left", "timed out"])
    what = f"cannot open {chance.choice(WORDS)}.{chance.choice(['db', 'sock', 'pid'])}: {why}"
    level = chance.choice(["ERROR", "ERROR", "CRITICAL", "FATAL"])
    times = chance.choice([1, 1, 2, 7, 40])
    at = set(chance.sample(range(100, 1_400), times))
    lines = [
        f"2026-03-0{1 + n // 750} {8 + n // 60 % 12:02}:{n % 60:02}:{chance.randrange(60):02},{n % 1000:03} "
        + (f"{level} worker-3: {what}" if n in at else chance.choice(kinds)())
        for n in range(1_500)
    ]
    asked = chance.choice(["Why did the worker fail?", "What went wrong and when?", "Was ist hier schiefgelaufen?"])
    row = {"task": "log", "context": "\n".join(lines), "question": asked, "parts": [lines[min(at)]]}
    return row | ({"repeats": [what, times]} if times > 1 else {})


def functions() -> list[tuple[str, ast.FunctionDef]]:
    """The functions that can be asked for, each with its module's text: those that say what they are for, of 6 to 40 lines."""
    found = []
    for module in MODULES:
        text = text_of(module)
        if 6_000 < len(text) < 100_000:
            found += [
                (text, node)
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef)
                and len((ast.get_docstring(node) or "").split("\n")[0].split()) > 4
                and len(node.body) > 2
                and 5 < (node.end_lineno or 0) - node.body[1].lineno < 40
            ]
    return found


def code(text: str, node: ast.FunctionDef) -> Iterator[Row]:
    """A module and a question about one of its functions, by its name and by what its docstring said, which is taken out.

    Of the second the whole function is one task, its first line, which says where it is, another. Asked is the
    docstring's first sentence, whole: half of one is nothing that somebody asks.
    """
    lines = text.split("\n")
    first, last = node.body[0], node.end_lineno or 0
    opening = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
    said = re.split(r"(?<=\w\w[.!?]) ", opening)[0]
    context = "\n".join([*lines[: first.lineno - 1], *lines[first.end_lineno or 0 :]])
    part = "\n".join(lines[node.body[1].lineno - 1 : last])
    yield {"task": "code name", "context": text, "question": f"What does {node.name} do?", "parts": [part]}
    asked = {"context": context, "question": f"Where is this done? {said}"}
    yield {"task": "code purpose", **asked, "parts": [part]}
    yield {"task": "code place", **asked, "parts": [lines[node.lineno - 1]]}


def table(chance: random.Random) -> Row:
    """Records as CSV, in Markdown, or as JSON on lines, and a question about one cell of one row."""
    names = ["id", "name", "town", "mills", "since"]
    made = [
        [1000 + n, f"{chance.choice(NAMES)} {chance.choice(WORDS).title()}", chance.choice(WORDS).title(),
         chance.randrange(10**5), f"20{chance.randrange(10, 27)}-0{chance.randrange(1, 10)}-1{chance.randrange(10)}"]
        for n in range(chance.randint(60, 400))
    ]  # fmt: skip
    row = chance.choice(made)
    kind = chance.choice(["csv", "markdown", "lines"])
    if kind == "csv":
        context = "".join(",".join(map(str, one)) + "\n" for one in [names, *made])
    elif kind == "markdown":
        bars = [names, ["---"] * len(names), *made]
        context = "".join("| " + " | ".join(map(str, one)) + " |\n" for one in bars)
    else:
        context = "".join(json.dumps(dict(zip(names, one, strict=True))) + "\n" for one in made)
    asked = chance.choice([f"What is mills of id {row[0]}?", f"Since when is {row[1]} from {row[2]} with us?"])
    return {
        "task": "table",
        "context": context,
        "question": asked,
        "parts": [str(row[3] if "mills" in asked else row[4])],
    }


def mail(chance: random.Random) -> Row:
    """A thread in which each message quotes all before it, with signatures, and a question about what one of them said."""
    said, parts = [], []
    things = chance.sample(WORDS, 10)
    for n, thing in enumerate(things):
        price = chance.randrange(100, 9_999)
        parts.append(f"{price} euros")
        said.append(
            f"I looked at the {thing} again on our way home. The {thing} will cost {price} euros this year.\n"
            f"We should tell them before the {chance.choice(WORDS)} opens. It rained all day in the {chance.choice(WORDS)}.\n"
            f"{NAMES[n]} has the keys, and nobody minds the delay very much."
        )
    thread = ""
    for n, text in enumerate(said):
        quoted = "\n".join("> " + line for one in reversed(said[:n]) for line in [*one.split("\n"), ""])
        thread += f"From: {NAMES[n]} <{NAMES[n].lower()}@example.org>\nTo: all@example.org\n"
        thread += f"Date: 2026-03-{n + 10}\nSubject: The fair\n\n"
        thread += f"{text}\n\n{quoted}\n\n--\n{NAMES[n]}\nThe Fair Company\nLindmouth\n\n"
    at = chance.randrange(len(things))
    return {"task": "mail", "context": thread, "question": f"What will the {things[at]} cost?", "parts": [parts[at]]}
