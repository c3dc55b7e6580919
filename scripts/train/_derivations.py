"""The learner of how long a derivation is, for ``scripts/train/lengths``: what all tasks share, and what each has of its own.

A regression over all rows would let a task's habits pass for what its prompts have in common, and say them of the next
task. So each task has a level of its own, drawn towards nothing (a random effect): the slopes are those within tasks. A
prompt's traits tell how deep a question is only in part, which makes such slopes too flat between tasks; the means of a
task's subjects lie on the steeper line, and each counts like a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nexscout_cli.engine.length.derivation import SLOPES

TASK, SHARED = 0.6, 0.15
"""How strongly a task's level, and the slope of what is the same for all of a task, are drawn to 0; a task's rows weigh 1."""
ASKED = SLOPES.index("reasons")
SUBJECT, FEW = 1.0, 20
"""What the mean of a subject counts for beside a task, and the answers that make one."""
ENOUGH = 500
"""Answers from which on a task counts in full, and is a kind of request of its own."""
OTHER = 0.1
"""How much speaks for a kind of request that nobody has measured; a prompt in the centre of a known one weighs 1."""


class Rows(NamedTuple):
    """Answers: the traits of each one's prompt, the task and the subject that it is of, the model, and ln of its tokens."""

    traits: Any
    tasks: Any
    subjects: Any
    models: Any
    logs: Any


def fit(rows: Rows, together: dict[str, str]) -> dict[str, Any]:
    """What ``derivation.unpack`` reads. ``together``: tasks of the same questions, which count as one."""
    tasks = np.array([together.get(task, task) for task in rows.tasks])
    names = sorted(set(rows.tasks))
    weight = np.zeros(len(tasks))
    for task in set(tasks):
        of = tasks == task
        weight[of] = min(1.0, of.sum() / ENOUGH) / of.sum()
    x, y = (_apart(values, rows, weight) for values in (rows.traits[:, : len(SLOPES)], rows.logs[:, None]))
    member = np.array([[float(task == name) for name in names] for task in rows.tasks])
    design = np.column_stack([np.ones(len(y)), x, member])
    means = [
        rows.subjects == name for name in sorted(set(rows.subjects) - {""}) if (rows.subjects == name).sum() >= FEW
    ]
    every, target = design, y[:, 0]
    how_much = weight
    if means:
        every = np.vstack([design, [design[of].mean(0) for of in means]])
        target = np.r_[target, [y[of, 0].mean() for of in means]]
        how_much = np.r_[weight, np.full(len(means), SUBJECT)]
    ridge = np.r_[1e-6, [SHARED if at == ASKED else 1e-3 for at in range(len(SLOPES))], np.full(len(names), TASK)]
    found = np.linalg.solve((every.T * how_much) @ every + np.diag(ridge), (every.T * how_much) @ target)
    slopes, levels = found[: 1 + len(SLOPES)], found[1 + len(SLOPES) :]
    rest = y[:, 0] - design @ found
    # A bill adds up means, and these are medians: what lies between the two in the middle of the tasks.
    whole = [of for of in (tasks == task for task in sorted(set(tasks))) if of.sum() >= ENOUGH]
    lift = (
        float(np.median([np.log(np.average(np.exp(rest[of]), weights=weight[of])) for of in whole])) if whole else 0.0
    )
    kinds = {
        str(name): {"centre": _rounded(rows.traits[rows.tasks == name].mean(0)), "level": round(float(level), 4)}
        for name, level in zip(names, levels, strict=True)
        if (rows.tasks == name).sum() >= ENOUGH
    }
    return {
        "intercept": round(float(slopes[0]) + lift, 4),
        "weights": dict(zip(SLOPES, _rounded(slopes[1:]), strict=True)),
        "kinds": kinds,
        "scale": _rounded(_scatter(rows)),
        "other": OTHER,
    }


def _apart(values: Any, rows: Rows, weight: Any) -> Any:
    """``values`` without what each model of a task has of its own: as if every model had been asked the same."""
    _, pair = np.unique(
        [f"{task}|{model}" for task, model in zip(rows.tasks, rows.models, strict=True)], return_inverse=True
    )
    total = np.bincount(pair, weight)
    found = np.array(values, dtype=float)
    for column in found.T:
        column -= (np.bincount(pair, weight * column) / total)[pair]
    for task in set(rows.tasks):
        of = rows.tasks == task
        found[of] += np.average(values[of], axis=0, weights=weight[of])
    return found


def _scatter(rows: Rows) -> Any:
    """How far prompts of a task lie from its centre, by trait, each task the same; at least a little."""
    within = [rows.traits[rows.tasks == task].var(0) for task in set(rows.tasks)]
    return np.sqrt(np.mean(within, axis=0) + 0.05)


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 4) for value in values]
