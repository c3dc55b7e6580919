"""What two models differ in: on which kinds of prompts the strong one gains more, and on which less, than strong models do.

The difficulty of a prompt is that for any strong and any cheap model. Of two that were measured on the same questions more is
known: of gpt-4o-mini's sums gpt-4o gets hardly one more right, of its code it does.
"""

from __future__ import annotations

from functools import cache

from nexscout_cli.engine.model import is_version
from nexscout_cli.engine.shipped_data import table

PRIOR, MOST = 50, 600
"""Questions of a kind that nothing being known counts as, and those that one set's count as at most."""
ENOUGH = 10
"""Right answers that the strong one must gain in all for anything to be said: where fewer lie is chance."""
LEAST = 0.05
"""No kind of prompt counts for less: two models may have been measured where by chance nothing was gained."""


@cache
def factors(strong: str, weak: str) -> dict[str, float]:
    """By kind of prompt, how many times as much ``strong`` gains there over ``weak`` as the estimate for any two models says.

    1 is as much as on average over what both were measured on, and what a kind that is not named has. Empty where the two were
    not measured on the same questions, or ``strong`` was hardly the better one. The names are those of ``data/pairs.json``, or
    such a name with a version behind it.
    """
    return compared(table("pairs"), strong, weak)


def compared(
    measured: dict[str, dict[str, dict[str, float | list[float]]]], strong: str, weak: str
) -> dict[str, float]:
    """:func:`factors` by a table such as ``data/pairs.json``: ``gain`` by set and kind of prompt, what is expected of any two
    models; ``models`` by name, set and kind, the questions and the share of them that was right.
    """
    models = measured["models"]
    one, other = (models.get(_name(name, models), {}) for name in (strong, weak))
    gained: dict[str, tuple[float, float, float]] = {}
    for cell in sorted(one.keys() & other.keys()):
        kind, expected = cell.rpartition(" ")[2], float(measured["gain"][cell])  # type: ignore[arg-type]
        (n, right), (m, theirs) = one[cell], other[cell]  # type: ignore[misc]
        weight = float(min(n, m, MOST))
        before = gained.get(kind, (0.0, 0.0, 0.0))
        more = weight, weight * (right - theirs), weight * expected
        gained[kind] = tuple(map(sum, zip(before, more, strict=True)))  # type: ignore[assignment]
    total = sum(gain for _, gain, _ in gained.values())
    if total < ENOUGH:
        return {}
    usual = total / sum(expected for _, _, expected in gained.values())
    return {
        kind: max(LEAST, (n * gain / expected / usual + PRIOR) / (n + PRIOR))
        for kind, (n, gain, expected) in gained.items()
    }


def share_of(gain: float, factor: float) -> float:
    """What an expected gain is multiplied by: where it is below 0, more to gain brings it nearer to 0."""
    return factor if gain > 0 else 1 / factor


def _name(name: str, known: dict[str, dict[str, float | list[float]]]) -> str:
    """What the table calls a model; the longest name that it is a version of."""
    families = [one for one in known if name == one or is_version(name, one)]
    return max(families, key=len, default=name)
