"""What audits, feedback and failures teach the policy ``rules``, within a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.routing.estimates import Estimates

if TYPE_CHECKING:
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.snapshot import Verdicts

MARGIN = 0.05
"""How much better than the catalog says a model may be taken to be under ``rules``: no request gets a model whose catalog quality
is further below what the rules ask for, whatever audits have found."""


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
