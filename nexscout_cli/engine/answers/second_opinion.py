"""Whether to ask a second cheap model before a doubtful answer is sent up to a dear one."""

from __future__ import annotations

from nexscout_cli.engine.answers.doubt import second_opinion


def chance_of_agreement(score: float) -> float:
    """The probability that a second cheap model gives the same answer, 0..1, where the first one's doubt is ``score``.

    What an agreement and a disagreement tell (their likelihood ratios, wrong to right answers) leaves one share of wrong
    answers, w, and one of right ones, r, that are agreed to: w ÷ r is the one, (1 − w) ÷ (1 − r) the other.
    """
    agreed, disagreed = (wrong / (1 - wrong) for wrong in (second_opinion(0.5, True), second_opinion(0.5, False)))
    if not agreed < 1 < disagreed:
        return 0.0
    right = (disagreed - 1) / (disagreed - agreed)
    return score * right * agreed + (1 - score) * right


def pays(score: float, limit: float, cost: int, saving: int) -> bool:
    """Whether a second opinion for ``cost`` can settle a doubt of ``score``, and is expected to save more of ``saving``."""
    return score < 1 and second_opinion(score, True) < limit and chance_of_agreement(score) * saving > cost
