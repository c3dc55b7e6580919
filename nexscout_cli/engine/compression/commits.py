"""``git log -p``: whole commits that bear on the question; of each other one a line with its subject and what it changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from nexscout_cli.engine.compression.cuts import mark
from nexscout_cli.engine.compression.relevance import relevance

MIN_COMMITS = 4
_COMMIT = re.compile(r"commit ([0-9a-f]{7,64})\b")
_HASH = 7
"""Characters of a commit's name that are said."""
_NAMES = 0.9
"""Share of the room up to which the lines for commits may also name what is changed."""
_LEAST = 400
"""Characters from which what is left of the room is worth cutting a commit to it."""


def commits_of(diff: str) -> list[str]:
    """The commits of a history with changes, what stands before the first one with it; empty for fewer than four."""
    starts = [match.start() for match in re.finditer(r"^commit [0-9a-f]{7,64}\b", diff, re.MULTILINE)]
    if len(starts) < MIN_COMMITS or diff[: starts[0]].strip():
        return []
    starts[0] = 0
    return [diff[a:b] for a, b in zip(starts, [*starts[1:], len(diff)], strict=True)]


def shorten(
    commits: Sequence[str],
    question: str,
    most: float,
    told: Callable[[str, float], str],
    cut: Callable[[str, float], str],
) -> str:
    """The history with at most about ``most`` characters, where a line for each commit is not more than that.

    ``told`` tells of a commit what it changes, names in at most so many characters; ``cut`` makes one shorter to a share
    (0..1) of its characters.
    """
    bare = sum(len(_said(commit, told(commit, 0))) + 1 for commit in commits)
    for_names = max(0, _NAMES * most - bare) / len(commits)
    said = [_said(commit, told(commit, for_names)) for commit in commits]
    scores = relevance(commits, question)
    room = most - sum(len(line) + 1 for line in said)
    result = list(said)
    for at in sorted(range(len(commits)), key=lambda at: (-round(scores[at], 2), at)):
        more = len(commits[at]) - len(said[at])
        if more <= room:
            result[at] = commits[at].rstrip("\n") + "\n"
            room -= more
        elif room > _LEAST:
            short = cut(commits[at], (room + len(said[at])) / len(commits[at]))
            if len(short) - len(said[at]) <= room:
                result[at] = short.rstrip("\n") + "\n"
                room -= len(short) - len(said[at])
    return "\n".join(result)


def _said(commit: str, changes: str) -> str:
    """The mark for a commit: its name, its subject, and what it changes."""
    named = _COMMIT.match(commit)
    name = named.group(1)[:_HASH] if named else ""
    subject = next((line.strip() for line in commit.split("\n") if line.startswith("    ") and line.strip()), "")
    return mark(": ".join(filter(None, (f"commit {name} {subject}".rstrip(), changes))))
