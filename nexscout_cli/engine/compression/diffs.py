"""A unified diff by files and hunks: headers and messages stay, whole hunks go, each with what it changed said in its place.

Lock files, generated and vendored files go first. Of the others the names that a hunk changes are still said, as far as they
fit, so that a commit message or a review knows of them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nexscout_cli.engine.compression.cuts import MARK_SIZE, fill, mark, number
from nexscout_cli.engine.compression.relevance import relevance
from nexscout_cli.engine.compression.structure import COMBINED, HUNK

_NOISE = re.compile(
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|[\w.-]+\.lock|go\.sum|uv\.lock"
    r"|node_modules/.*|vendor/.*|third_party/.*|dist/.*|build/.*|__snapshots__/.*|[^/]+\.(?:min\.(?:js|css)|map|snap|svg)"
    r"|[^/]+(?:_pb2(?:_grpc)?\.pyi?|\.pb\.\w+|\.g\.dart|[._-]generated\.\w+)|generated/.*)\Z"
)
_NAME = re.compile(r"[^\W\d]\w{2,}")
_NEW_FILE = ("diff --git ", "diff -", "Index: ")
_IN_HUNK = (" ", "+", "-", "\\")


class Part(NamedTuple):
    """``kind``: text (a commit's message), head (of a file), or hunk; and the name of its file."""

    kind: str
    lines: list[str]
    file: str


def shorten(diff: str, question: str, keep: float) -> str:
    """The diff with at most about ``keep`` (0..1) of its characters; headers stay even where they alone are more."""
    parts = _parts(diff.split("\n"))
    bodies = ["\n".join(part.lines) for part in parts]
    hunks = [at for at, part in enumerate(parts) if part.kind == "hunk"]
    if len(hunks) < 2:
        return diff
    noise = {at for at in hunks if _NOISE.search(parts[at].file)}
    names = _changed_names(parts, [at for at in hunks if at not in noise])
    always = {at for at in range(len(parts)) if parts[at].kind != "hunk"}
    room = keep * len(diff) - sum(len(bodies[at]) + 1 for at in always)
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


def _changed(lines: list[str], sign: str) -> list[str]:
    """The lines of a hunk that are added or taken; of a merge's those of which one of the two parents says so."""
    columns = 2 if lines and COMBINED.match(lines[0]) else 1
    return [line for line in lines[1:] if sign in line[:columns]]


def _joined(
    parts: list[Part], bodies: list[str], kept: set[int], names: dict[int, list[str]], room: float
) -> list[str]:
    """The kept parts, and one mark for the hunks that are left out between two of them; ``room`` is for the marks."""
    shown = {name for at in kept for name in _NAME.findall(bodies[at])}
    result: list[str] = []
    gone: list[int] = []
    for at in range(len(parts) + 1):
        if at < len(parts) and at not in kept:
            gone.append(at)
            continue
        if gone:
            changed = [name for one in gone for name in names.get(one, ()) if name not in shown]
            result.append(_mark([parts[one] for one in gone], changed, room))
            room -= len(result[-1]) + 1
            gone = []
        if at < len(parts):
            result.append(bodies[at])
    return result


def _mark(hunks: list[Part], names: list[str], room: float) -> str:
    """How many hunks were left out, how many lines they add and take, and which names they change."""
    added, taken = (sum(len(_changed(part.lines, sign)) for part in hunks) for sign in "+-")
    text = f"{number(len(hunks), 'hunk')}, +{added:,} −{taken:,}"
    said: list[str] = []
    size = len(text) + 20
    for name in names:
        size += len(name) + 2
        if size > room:
            break
        said.append(name)
    more = f" and {len(names) - len(said):,} more names" if len(said) < len(names) else ""
    return mark(f"{text}: {', '.join(said)}{more}" if said else text + more)
