"""What single models got right, by set and kind of prompt: the table that ``nexscout_cli.engine.routing.pairs`` reads."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from _router import kind_of
from _sets import CATALOG, Asked, Rows, question

LEAST_GAIN = 0.01
"""What is expected of any two models at the least: it is divided by."""


def pairs(known: Sequence[Asked], odds: Iterable[Sequence[float]], rows: Rows) -> dict[str, Any]:
    """The table of ``known``, which are as ``odds`` says (log-odds of strong and cheap, for questions left out of the fit).

    The catalog's models go by its own names, others by those they came with.
    """
    from nexscout_cli.engine.routing.difficulty import logistic

    ours = {theirs: name for name, theirs in CATALOG.items()}
    results = {
        question(row["id"]): row["models"]
        for name in ("zeroeval_dev", "math_dev", "mmlupro_dev", "science_code_dev")
        for row in rows[name]
    }
    expected: dict[str, list[float]] = {}
    marks: dict[str, dict[str, list[float]]] = {}
    for one, both in zip(known, odds, strict=True):
        if one.example.group == "routellm":  # a pair without a name
            continue
        cell = f"{one.set} {kind_of(one.example.prompt)}"
        expected.setdefault(cell, []).append(logistic(both[0]) - logistic(both[1]))
        for name, of in results[one.example.question].items():
            right = float(of.get("correct", of.get("score")))
            marks.setdefault(ours.get(name, name), {}).setdefault(cell, []).append(right)
    return {
        "gain": {cell: round(max(LEAST_GAIN, statistics.fmean(of)), 4) for cell, of in sorted(expected.items())},
        "models": {
            name: {cell: [len(right), round(statistics.fmean(right), 4)] for cell, right in sorted(cells.items())}
            for name, cells in sorted(marks.items())
        },
    }
