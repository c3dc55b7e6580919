"""Markdown by its sections: every heading stays, whole sections by how much they bear on the question."""

from __future__ import annotations

from nexscout_cli.engine.compression.cuts import fill, mark, number
from nexscout_cli.engine.compression.extract import extract
from nexscout_cli.engine.compression.relevance import relevance
from nexscout_cli.engine.compression.structure import HEADING


def shorten(text: str, question: str, keep: float) -> str:
    """The text with at most about ``keep`` (0..1) of its characters; as it is where no section bears on the question.

    Of a section that bears most and is too long for the room, its sentences are chosen.
    """
    heads, bodies = _sections(text)
    scores = [body + head for head, body in zip(relevance(heads, question), relevance(bodies, question), strict=True)]
    if len(heads) < 3 or not max(scores):
        return extract(text, question, keep)
    sizes = [len(body) for body in bodies]
    room = keep * len(text) - sum(map(len, heads)) - 18 * len(heads)
    order = sorted(range(len(heads)), key=lambda at: (-scores[at], sizes[at]))
    kept = fill(order, sizes, room)
    pieces = [
        head + (body if at in kept or not body.strip() else _mark(body))
        for at, (head, body) in enumerate(zip(heads, bodies, strict=True))
    ]
    best = order[0]
    if best not in kept:
        others = sum(len(piece) for at, piece in enumerate(pieces) if at != best)
        share = max(0.05, (keep * len(text) - others) / (sizes[best] or 1))
        pieces[best] = heads[best] + extract(bodies[best], question, min(share, 0.95))
    short = "".join(pieces)
    return short if len(short) < len(text) else text


def _mark(body: str) -> str:
    return mark(number(sum(bool(line.strip()) for line in body.split("\n")), "line")) + "\n\n"


def _sections(text: str) -> tuple[list[str], list[str]]:
    """The headings and what stands under each; what stands before the first one is under an empty heading."""
    heads, bodies = [""], [""]
    lines: list[str] = []
    fenced = False
    for line in text.splitlines(keepends=True):
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        if HEADING.match(line) and not fenced:
            bodies[-1] = "".join(lines)
            lines = []
            heads.append(line)
            bodies.append("")
        else:
            lines.append(line)
    bodies[-1] = "".join(lines)
    return heads, bodies
