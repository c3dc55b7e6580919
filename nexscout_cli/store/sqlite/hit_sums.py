"""What hits have saved since the beginning, by the kind of match that found them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from nexscout_cli.engine.report_window import Window
from nexscout_cli.store.sqlite.fold_reader import FoldReader
from nexscout_cli.store.sqlite.folds import USAGE
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, Transaction

Row = dict[str, Any]

_CANONICAL = f"""SELECT feature, count(*), sum(tokens_saved), sum(avoided_usd) FROM ai_model_usage
    WHERE outcome = 'hit' AND cache_match = 'canonical' AND {OWN_OR_ADMIN}
    AND feature IN (SELECT feature FROM usage_by_model_day) GROUP BY feature ORDER BY feature"""
_SAVED = ("hits", "hit_tokens", "avoided_usd")
"""Of a fold of usage: what a row of :data:`_CANONICAL` has."""
_NAMES = ("hits", "tokens_saved", "saved_usd")
"""What that is called in a report."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def by_match(t: Transaction) -> tuple[list[Row], list[Row]]:
    """How many requests there were by feature, and what hits saved by feature and kind of match; tokens, nano-dollars.

    Folded days say it of all hits, however many there are; an index finds the canonical ones. Of archived months only the sums
    are left: their hits count as exact.
    """
    everyone = None if t.is_admin() else t.actor
    whole = FoldReader(t, Window(_BEGINNING, t.now + timedelta(microseconds=1)), everyone).of(USAGE, "feature")
    canonical = {row[0]: row[1:] for row in t.execute(_CANONICAL, {"actor": t.actor})}
    requests: list[Row] = []
    matches: list[Row] = []
    for (feature,), sums in sorted(whole.items()):
        of = dict(zip(USAGE.sums, sums, strict=True))
        requests.append({"feature": feature, "requests": of["requests"]})
        others = canonical.get(feature, (0, 0, 0))
        exact = tuple(of[name] - other for name, other in zip(_SAVED, others, strict=True))
        for match, saved in (("canonical", others), ("exact", exact)):
            if saved[0]:
                matches.append({"feature": feature, "match": match, **dict(zip(_NAMES, saved, strict=True))})
    return requests, matches
