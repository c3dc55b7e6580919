"""A unified diff by files and hunks: headers and messages stay, whole hunks go, each with what it changed said in its place.

Lock files, generated and vendored files go first. Of the others the names that a hunk changes are still said, as far as they
fit, so that a commit message or a review knows of them.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import NamedTuple

from nexscout_cli.engine.compression.commits import commits_of
from nexscout_cli.engine.compression.commits import shorten as shorten_history
from nexscout_cli.engine.compression.cuts import MARK_SIZE, fill, mark, number
from nexscout_cli.engine.compression.relevance import relevance
from nexscout_cli.engine.compression.structure import COMBINED, HUNK

_NOISE = re.compile(
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|[\w.-]+\.lock|go\.sum|uv\.lock"
    r"|node_modules/.*|vendor/.*|third_party/.*|dist/.*|build/.*|__snapshots__/.*|[^/]+\.(?:min\.(?:js|css)|map|snap|svg)"
    r"|[^/]+(?:_pb2(?:_grpc)?\.pyi?|\.pb\.\w+|\.g\.dart|[._-]generated\.\w+)|generated/.*)\Z"
)
_NAME = re.compile(r"[^\W\d]\w{2,}")
_CODE_NAME = re.compile(
    r"(?:(?<=[.@$])|\b(?:def|class|func|fn|function|import|type|struct) )[^\W\d]\w{2,}|\b[^\W\d]\w{2,}+(?= ?[(\[=]|\.\w)"
)
_DEFINED = re.compile(r"\b(?:def|class|func|fn|function|type|struct|interface|trait|enum|module) +([^\W\d]\w{2,})")
_JOINED = re.compile(r"\w_\w|\w\d|[a-z][A-Z]|\A_")
"""A name that is no plain word; one in code otherwise by what stands before or after it."""
_NEW_FILE = ("diff --git ", "diff -", "Index: ")
_PROSE = (".md", ".rst", ".txt", ".adoc", ".html")
_AROUND = 8
"""Characters of a mark beside its counts and names, and its line's end."""
_LEAST = 0.04
"""Share of a diff that the names may take even where nothing is left of what was to be kept."""
_HEADERS = 0.6
"""Share of the room that messages and headers of a history may take before some of its commits become a line each."""
_IN_HUNK = (" ", "+", "-", "\\")


class Part(NamedTuple):
    """``kind``: text (a commit's message), head (of a file), or hunk; and the name of its file."""

    kind: str
    lines: list[str]
    file: str


def shorten(diff: str, question: str, keep: float) -> str:
    """The diff with at most about ``keep`` (0..1) of its characters.

    Headers stay even where they alone are more, and of changed names as many are said as a 25th of the diff takes; but of a
    history of commits, where all of these do not fit, some become a line each.
    """
    parts = _parts(diff.split("\n"))
    bodies = ["\n".join(part.lines) for part in parts]
    hunks = [at for at, part in enumerate(parts) if part.kind == "hunk"]
    if len(hunks) < 2:
        return diff
    noise = {at for at in hunks if _NOISE.search(parts[at].file)}
    names = _changed_names(parts, [at for at in hunks if at not in noise])
    always = {at for at in range(len(parts)) if parts[at].kind != "hunk"}
    room = keep * len(diff) - sum(len(bodies[at]) + 1 for at in always)
    if room < (1 - _HEADERS) * keep * len(diff) and (commits := commits_of(diff)):
        short = shorten_history(
            commits, question, keep * len(diff), _told, lambda one, share: shorten(one, question, share)
        )
        return short if len(short) < len(diff) else diff
    stubs = {at: MARK_SIZE + sum(len(name) + 2 for name in names.get(at, ())) for at in hunks}
    # A hunk that stays says itself what it changes: it costs what it has more than the mark in its place.
    sizes = [len(body) + 1 - stubs.get(at, 0) for at, body in enumerate(bodies)]
    scores = relevance(bodies, question)
    first = {parts[at].file: at for at in reversed(hunks)}
    order = sorted(hunks, key=lambda at: (at in noise, -round(scores[at], 1), first[parts[at].file] != at, sizes[at]))
    kept = fill(order, sizes, room - sum(stubs.values()), always)
    left = room - sum(len(bodies[at]) + 1 for at in kept - always)
    short = "\n".join(_joined(parts, bodies, kept, names, left))
    return short if len(short) < len(diff) else diff


def _told(commit: str, room: float) -> str:
    """What a commit changes: its files, how many lines, and as many of the changed names as the room takes."""
    parts = _parts(commit.split("\n"))
    hunks = [at for at, part in enumerate(parts) if part.kind == "hunk"]
    files = ", ".join(dict.fromkeys(part.file for part in parts if part.kind == "head"))
    if not hunks:
        return files
    changed = [name for names in _changed_names(parts, hunks).values() for name in names]
    said = _said(changed, [parts[at] for at in hunks], room)
    names = ", ".join(name for name in changed if name in said)
    return ": ".join(filter(None, (f"{files}, {_counts([parts[at] for at in hunks])}", names)))


def _parts(lines: list[str]) -> list[Part]:
    found = [Part("text", [], "")]
    old = new = 0  # lines that the hunk still has, by its header
    for at, line in enumerate(lines):
        last = found[-1]
        if old > 0 or new > 0:
            sign = line[:1] or " "
            if sign in _IN_HUNK:
                old -= sign in " -"
                new -= sign in " +"
                last.lines.append(line)
                continue
            old = new = 0
        is_old_name = line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")
        hunk = HUNK.match(line)
        if hunk:
            old, new = (int(size) if size else 1 for size in hunk.groups())
            found.append(Part("hunk", [line], last.file))
        elif line == "GIT binary patch" or COMBINED.match(line):
            found.append(Part("hunk", [line], last.file))
        elif line.startswith(_NEW_FILE) or (is_old_name and last.kind != "head"):
            found.append(Part("head", [line], _file_of(line)))
        elif last.kind == "hunk" and not (line.startswith(_IN_HUNK) or last.lines[0] == "GIT binary patch"):
            found.append(Part("text", [line], last.file))
        else:
            last.lines.append(line)
            if line.startswith("+++ ") and last.kind == "head" and line != "+++ /dev/null":
                found[-1] = last._replace(file=line[4:].split("\t")[0].removeprefix("b/"))
    return [part for part in found if part.lines]


def _file_of(line: str) -> str:
    """The file that a line names with which a file's part begins."""
    if " b/" in line:
        return line.rpartition(" b/")[2]
    return line.split(" ", 2 if line.startswith(("diff --cc ", "diff --combined ")) else 1)[-1]


def _changed_names(parts: list[Part], hunks: list[int]) -> dict[int, list[str]]:
    """For each hunk the names that only one of its sides has and no hunk before it changed."""
    seen: set[str] = set()
    result = {}
    for at in hunks:
        sides = {sign: dict.fromkeys(_names(parts[at].lines, sign)) for sign in "-+"}
        fresh = [name for side, other in ("+-", "-+") for name in sides[side] if name not in sides[other]]
        result[at] = [name for name in dict.fromkeys(fresh) if name not in seen]
        seen.update(fresh)
    return result


def _names(lines: list[str], sign: str) -> list[str]:
    return [name for line in _changed(lines, sign) for name in _NAME.findall(line)]


def _changed(lines: list[str], signs: str) -> list[str]:
    """The lines of a hunk that are added, taken, or one of both; of a merge's those of which one of the two parents says so."""
    columns = 2 if lines and COMBINED.match(lines[0]) else 1
    return [line for line in lines[1:] if any(one in line[:columns] for one in signs)]


def _joined(
    parts: list[Part], bodies: list[str], kept: set[int], names: dict[int, list[str]], room: float
) -> list[str]:
    """The kept parts, and one mark for the hunks that are left out between two of them; ``room`` is for the marks."""
    shown = {name for at in kept for name in _NAME.findall(bodies[at])}
    runs = [list(run) for is_kept, run in groupby(range(len(parts)), kept.__contains__) if not is_kept]
    changed = [[name for at in run for name in names.get(at, ()) if name not in shown] for run in runs]
    counts = [_counts([parts[at] for at in run]) for run in runs]
    gone = [parts[at] for run in runs for at in run]
    room = max(room - sum(len(text) + _AROUND for text in counts), _LEAST * sum(map(len, bodies)))
    said = _said([name for of in changed for name in of], gone, room)
    marks = {run[0]: _mark(text, of, said) for run, text, of in zip(runs, counts, changed, strict=True)}
    return [bodies[at] if at in kept else marks[at] for at in range(len(parts)) if at in kept or at in marks]


def _said(names: list[str], hunks: list[Part], room: float) -> set[str]:
    """As many of the names as the room takes: what is defined, then others of code, then words of what is written about it."""
    text = "\n".join(line for part in hunks if not part.file.endswith(_PROSE) for line in _changed(part.lines, "+-"))
    code = {found.rpartition(" ")[2] for found in _CODE_NAME.findall(text)}
    defined = set(_DEFINED.findall(text))
    said: set[str] = set()
    for name in sorted(
        names, key=lambda name: 0 if name in defined else 1 if name in code or _JOINED.search(name) else 2
    ):
        room -= len(name) + 2
        if room < 0:
            break
        said.add(name)
    return said


def _counts(hunks: list[Part]) -> str:
    """How many hunks were left out, and how many lines they add and take."""
    added, taken = (sum(len(_changed(part.lines, sign)) for part in hunks) for sign in "+-")
    return f"{number(len(hunks), 'hunk')}, +{added:,} −{taken:,}"


def _mark(counts: str, names: list[str], said: set[str]) -> str:
    """What stands for hunks that were left out: their counts, and the names they change, as far as these are to be said."""
    of = [name for name in names if name in said]
    more = f" and {len(names) - len(of):,} more names" if len(of) < len(names) else ""
    return mark(f"{counts}: {', '.join(of)}{more}" if of else counts + more)
