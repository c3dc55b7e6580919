"""What pages say of users and models beside their reports: what was learned of them, and how they compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.report_window import Only
from nexscout_cli.engine.reports.margins import margins
from nexscout_cli.engine.routing.estimates import corrected, needless
from nexscout_cli.pages.words import share, text_of

if TYPE_CHECKING:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.store_ports import Store
    from nexscout_cli.pages.facts import Facts

Row = dict[str, Any]


def compared(store: Store, actor: str, facts: Facts) -> list[Row]:
    """The models of the catalog and of the window, those that answered most first: how good they are, how they did, and
    which other one makes each needless.
    """
    models = {model.name: model for model in store.catalog.models(actor)}
    verdicts = store.feedback.by_model(actor, facts.user)
    calls = {row["model_used"]: row for row in facts.reports["providers"]["rows"]}
    dominated = needless([model for model in models.values() if model.enabled])
    names = facts.window.only.model
    rows = []
    for name in models.keys() | calls.keys() if names is None else {names}:
        model, did = models.get(name), calls.get(name, {})
        good, bad = verdicts.get(name, (0, 0))
        rival = dominated.get(name)
        rows.append(
            {
                "model": name,
                "calls": did.get("calls", 0),
                "quality": f"{model.quality:.2f}" if model else "–",
                "said good": good,
                "said bad": bad,
                "with feedback": f"{corrected(model.quality, good, bad):.2f}" if model else "–",
                "failed": share(did["error_rate"] or 0) if did else "–",
                "p50 ms": text_of("latency_p50_ms", did.get("latency_p50_ms")),
                "p95 ms": text_of("latency_p95_ms", did.get("latency_p95_ms")),
                "dominated by": f"{rival.by}: {rival.theirs:.2f} ≥ {rival.own:.2f}, {rival.basis}" if rival else "–",
            }
        )
    return sorted(rows, key=lambda row: (-row["calls"], row["model"]))


def people(store: Store, actor: str, facts: Facts, settings: Settings) -> list[Row]:
    """The users whose figures are shown, in the report's order: what was learned of each, what is left, what they bring in."""
    known = {one.user_id: one for one in store.users.listing(actor)}
    whole = facts.window._replace(only=Only())
    with store.reports.reading(actor, whole, facts.user) as reader:
        billed = margins(reader, settings)
    rows = []
    for row in facts.reports["users"]["rows"]:
        user, bill = known.get(row["user_id"]), billed.get(row["user_id"])
        if user is None:  # forgotten since
            continue
        rows.append(
            {
                "user": user.user_id,
                "efficiency": f"{user.efficiency_rating:.2f}",
                "tokens each": f"{user.avg_token_per_request:,.0f}",
                "tokens expected a day": f"{user.predicted_daily_usage:,}",
                "allowed a day": f"{user.daily_token_budget:,}",
                "energy left": f"{user.balance:,}",
                "revenue": "–" if bill is None else text_of("revenue_usd", bill["revenue_usd"]),
                "margin": "–" if bill is None else text_of("margin_usd", bill["margin_usd"]),
            }
        )
    return rows


def person(store: Store, actor: str, user: str) -> list[tuple[str, str]]:
    """What was learned of one user, in words."""
    learned = store.profiles.learned(actor, user)
    hours = ", ".join(f"{hour:02}:00–{(hour + 1) % 24:02}:00" for hour in learned.peaks())
    liked = sorted(learned.model_preference_score.items(), key=lambda one: (-one[1], one[0]))
    style = ", ".join(
        f"{name.replace('_', ' ')} {value:.2f}"
        for name, value in learned.writing_style_profile.items()
        if isinstance(value, float)
    )
    return [
        ("busiest hours", f"{hours} UTC" if hours else "not known yet"),
        ("length of answers", f"{learned.preferred_output_length}, {learned.avg_output_tokens:,.0f} tokens on average"),
        ("asks again and again", "; ".join(learned.common_patterns) or "nothing"),
        ("style", style or "not known yet"),
        ("models by outcome", ", ".join(f"{name} {score:.2f}" for name, score in liked) or "not known yet"),
        ("in all", f"{learned.total_requests:,} requests, {learned.cache_hits:,} from the cache"),
    ]
