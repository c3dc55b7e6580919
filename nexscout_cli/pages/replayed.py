"""The page of a replay: what a log would have cost, by step, with its range and what nobody can know."""

from __future__ import annotations

from typing import Any

from nexscout_cli.pages.page import environment

_WORDS = {
    "cache": "earlier answers given again",
    "routing": "a cheaper model that will do",
    "compression": "what is left out of long prompts",
    "instructions": "our words on length and style (they cost)",
    "bounds": "bounds on answers",
}


def replay_page(found: dict[str, Any], name: str) -> str:
    """A page of what ``replay --json`` says; ``name`` is the log's file."""
    was, would = found["cost_usd"], found["would_have_cost_usd"]
    most = max([was, found["would_have_cost_usd_high"], *map(abs, found["saved_usd"].values())]) or 1

    def bar(value: Any) -> str:
        return f"{float(abs(value) / most) * 100:.2f}"

    share = f"{float((was - would) / was):.1%}" if was else "–"
    steps = [
        {"name": step, "words": _WORDS.get(step, ""), "usd": f"{usd:,.6f}", "width": bar(usd), "costs": usd < 0}
        for step, usd in found["saved_usd"].items()
    ]
    costs = {
        "as it was": was,
        "through NexScout": would,
        "at least": found["would_have_cost_usd_low"],
        "at most": found["would_have_cost_usd_high"],
    }
    bars = [{"name": what, "usd": f"{value:,.6f}", "width": bar(value)} for what, value in costs.items()]
    shown = {"found": found, "file": name, "share": share, "steps": steps, "bars": bars}
    return environment().get_template("replay.html").render(shown)
