"""What a cascade saves on the sets whose answers are on record, a task of them left out of all training."""

from __future__ import annotations

from typing import Any

import numpy as np
from _pgr import Case, Router, figures
from _prices import PRICES, price


def saved(every: list[Any], doubt: Any, unseen: dict[tuple[str, str], float], rows: Any) -> float:
    """The share of gpt-4o's cost that the cascade over gpt-4o-mini saves at gpt-4o's accuracy, on all of those sets together.

    ``every``: the cheap models' answers (scripts/train/_sets.py); ``doubt``: the model of it; ``unseen``: the doubt by set and
    question where its own question was left out of the fit, of the tasks that were trained on. claude-3-haiku is asked too.
    """
    from _sets import CATALOG, CHEAP, question

    from nexscout_cli.engine.answers.doubt import extent_in, second_opinion, weigh

    results = {question(row["id"]): row for name in ("zeroeval_dev", "math_dev") for row in rows[name]}
    own = [one for one in every if one.model == CATALOG["gpt-4o-mini"]]
    alone = [unseen.get((o.of, o.judged.question), weigh(o.judged.signs, doubt).score) for o in own]
    either = np.array(
        [
            [second_opinion(score, same, extent_in(one.judged.signs), doubt) for same in (False, True)]
            for score, one in zip(alone, own, strict=True)
        ]
    )
    agrees = np.array([one.judged.agrees for one in own])
    of = [results[one.judged.question] for one in own]
    usd = {name: np.array([_dollars(row, name) for row in of]) for name in (CATALOG["gpt-4o"], *CHEAP[:2])}
    wrong, right = (np.array([getattr(one.judged, which) for one in own]) for which in ("wrong", "right"))
    case = Case(right, 1 - wrong, usd[CATALOG["gpt-4o"]], usd[CHEAP[0]])
    router = Router(
        np.where(agrees, either[:, 1], either[:, 0]), 0.0, True, either.min(1), either.max(1), usd[CHEAP[1]]
    )
    spent = figures(case, router)["usd_at_strong"]
    return 1 - float(spent) / float(usd[CATALOG["gpt-4o"]].mean() * 1000)  # type: ignore[arg-type]


def _dollars(row: dict[str, Any], name: str) -> float:
    each = price(name, PRICES)
    assert each is not None
    return (each[0] * row["in_tokens"] + each[1] * row["models"][name]["out_tokens"]) / 1000
