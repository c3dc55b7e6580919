"""A store with use of several days, whose names are what nobody should call anything, for pages."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

from nexscout_cli.config import Settings
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.store.sqlite import usage
from nexscout_cli.store.sqlite.store import SqliteStore
from tests.support.clock import SettableClock

SCRIPT = "<script>document.title='x'</script>"
HOSTILE = (SCRIPT, "{{7*7}}{% raw %}", "\u202eevil\u2066", "n" * 300, "🦊\"'&amp;</title>", "ann")
MODELS = ("gpt-4o", "gpt-4o-mini", SCRIPT, "{{7*7}}")


def used_store(
    path: Path, now: datetime, *, days: int = 40, names: tuple[str, ...] = HOSTILE, seed: int = 1
) -> SqliteStore:
    """An open store, owned by root, in which every one of ``names`` was used on most of the days up to ``now``."""
    chance, clock = random.Random(seed), SettableClock(now - timedelta(days=days))
    store = SqliteStore(path, clock, store_rules(Settings()), "root")
    for day in range(days + 1):
        for number, name in enumerate(names):
            for turn in range(chance.randint(0, 3)):
                clock.time = min(now, now - timedelta(days=days - day, minutes=chance.randint(0, 200)))
                outcome = chance.choice(("posted",) * 6 + ("hit", "failed"))
                posted = outcome == "posted"
                with store.write("root") as t:
                    usage.record(
                        t,
                        {
                            "request_id": f"{day:03}{number:03}{turn}",
                            "n": 1,
                            "user_id": name,
                            "feature": names[-1 - number],
                            "model_used": chance.choice(MODELS),
                            "outcome": outcome,
                            "input_tokens": chance.randint(1, 900) if posted else 0,
                            "output_tokens": chance.randint(1, 900) if posted else 0,
                            "cost_usd": chance.randint(1, 9_000_000) if posted else 0,
                            "baseline_usd": 9_000_000,
                            "avoided_usd": 0 if posted else 5_000,
                            "energy": chance.randint(0, 3),
                            "mode": "auto",
                            "routing_reason": "balanced",
                        },
                    )
    clock.time = now
    return store
