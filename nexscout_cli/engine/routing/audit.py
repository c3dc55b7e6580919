"""Audits: a share of the cheap answers is answered by the strong model too, billed and on record, compared, and learned from.

Which requests are drawn is a function of who asks what on which day, so a quote and its run agree. An audit is a second step
whatever the first answer's doubt: the strong model's answer is delivered, the comparison goes into the books.

What is learned shifts the choice of models for a feature, and carefully: see :class:`Careful`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zlib import crc32

from nexscout_cli.engine.routing.estimates import Estimates

if TYPE_CHECKING:
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.request import AIRequest, Json
    from nexscout_cli.engine.snapshot import Verdicts

REASON = "audit"
SHORT = 80
"""Characters of an answer, or of its last line, up to which it states a result."""
MARGIN = 0.05
"""How much better than the catalog says a model may be taken to be under ``rules``: no request gets a model whose catalog quality
is further below what the rules ask for, whatever audits have found."""


def drawn(request: AIRequest, now: datetime, share: float) -> bool:
    """Whether a request is audited, where it can be: a text that is answered at once, by no forced model."""
    if share <= 0 or not request.wants_text or request.options.service_tier == "batch":
        return False
    named = f"{request.user_id}\x1e{request.feature}\x1e{now.date()}\x1e{request.question}"
    return crc32(named.encode("utf-8", "surrogatepass")) / 2**32 < share


def finding(prompt: str, weak: str, first: str, strong: str) -> dict[str, Json]:
    """What is kept of an audit: whose answer was checked, and whether the strong one came to the same.

    ``agrees`` is None where the two cannot be compared: long texts that state no result.
    """
    from nexscout_cli.engine.answers.doubt import agree
    from nexscout_cli.engine.routing.prompt_traits import options

    closed = bool(options(prompt)) or all(_states_a_result(answer) for answer in (first, strong))
    comparable = closed and agree(prompt, first, first) and agree(prompt, strong, strong)
    return {"audit": weak, "agrees": agree(prompt, first, strong) if comparable else None}


def _states_a_result(answer: str) -> bool:
    """Whether an answer is short, or ends in a short line with a figure: two texts about something are not compared."""
    lines = answer.strip().splitlines() or [""]
    last = lines[-1].strip()
    return len(answer.strip()) <= SHORT or (len(last) <= SHORT and any(character.isdigit() for character in last))


class Careful(Estimates):
    """Estimates for the policy ``rules``: a conservative bandit over a feature's models.

    A model counts for as much less as feedback, audits and failures say, so that the rules go past one that fails here. It
    counts for more only with the lower end of what they say (one standard deviation below their mean), and by
    :data:`MARGIN` at most.
    """

    def __init__(self, verdicts: Verdicts) -> None:
        totals: Verdicts = {}
        for (name, _), (good, bad) in verdicts.items():
            before = totals.get((name, None), (0, 0))
            totals[name, None] = (before[0] + good, before[1] + bad)
        super().__init__(totals, None)

    def quality(self, model: Model) -> float:
        """The catalog's quality, corrected within the margin."""
        return min(super().quality(model), model.quality + MARGIN)
