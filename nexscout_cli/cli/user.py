"""``nexscout user``: who there is, what was learned of them, tiers, and forgetting."""

from __future__ import annotations

from typing import Annotated, Any

from nexscout_cli import config
from nexscout_cli.cli import choices, declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.book_types import Backup, Energy
from nexscout_cli.engine.learning.profile import ProfileState
from nexscout_cli.errors import UsageError
from nexscout_cli.terms import POLICIES, ROLES, TIERS

app = declared.App(no_args_is_help=True)

Whom = Annotated[str, declared.Argument(metavar="USER", help="The user's name.")]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]

_STYLE = {
    "sentence_length": "words a sentence",
    "word_length": "letters a word",
    "formality": "formality",
    "questions": "questions",
    "exclamations": "exclamations",
}


@app.callback()
def user() -> None:
    """Look at users, give them a tier, forget them.

    \b
    nexscout user list
    nexscout user show bob
    nexscout user set-tier bob pro
    nexscout user set-policy bob cascade
    nexscout user forget bob
    """


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """List the users with tier, role and balance; without the role of admin you see yourself.

    \b
    nexscout user list
    nexscout user list --json
    """
    session = Session()
    rows = [row._asdict() for row in session.store.users.listing(session.actor)]
    if as_json:
        output.emit({"rows": rows})
        return 0
    tables.show(
        ("user", "tier", "role", "balance", "tokens a day", "expected a day", "efficiency", "mode"),
        [
            [
                row["user_id"],
                row["tier"],
                row["role"],
                f"{row['balance']:,}",
                f"{row['daily_token_budget']:,}",
                f"{row['predicted_daily_usage']:,}",
                f"{row['efficiency_rating']:.2f}",
                row["model_mode"],
            ]
            for row in rows
        ],
        right=range(3, 7),
    )
    return 0


@app.command()
def show(
    who: Annotated[str | None, declared.Argument(metavar="[USER]", help="Default: yourself.")] = None,
    as_json: AsJson = False,
) -> int:
    """Show a user: tier, balance, forecast, and everything that was learned.

    \b
    nexscout user show
    nexscout user show bob --json
    """
    session = Session()
    subject = session.subject(who)
    role = _role(session, subject)
    facts = _facts(session, subject, role)
    if as_json:
        output.emit(facts)
        return 0
    learned, forecast = facts["profile"], facts["forecast"]
    tables.pairs(
        [
            ("user", f"{subject} ({facts['role']}, tier {facts['tier']})"),
            ("energy", f"{facts['balance']:,} left, {facts['held']:,} held"),
            ("tokens today", f"{facts['daily_tokens_used']:,} of {facts['daily_token_budget']:,}"),
            ("forecast", _forecast_text(forecast)),
            ("peak hours", ", ".join(forecast["peak_hours"]) + " UTC" if forecast["peak_hours"] else "not known yet"),
            (
                "requests",
                f"{learned['total_requests']:,}, {learned['avg_token_per_request']:,.0f} tokens each on average",
            ),
            (
                "efficiency",
                f"{learned['efficiency_rating']:.2f} (how well predictions held; below 0.70 answers are kept shorter)",
            ),
            (
                "cache",
                f"{learned['cache_hit_rate']:.0%} of requests, {learned['total_tokens_saved']:,} tokens saved",
            ),
            ("mode", facts["mode"]),
            ("policy", facts["policy"] or f"{session.settings['routing.policy']} (the installation's)"),
            ("answers", f"{learned['preferred_output_length']}, {learned['avg_output_tokens']:,.0f} tokens as a rule"),
            ("writing style", _style_text(learned["writing_style_profile"])),
            ("models", _models_text(learned["model_preference_score"])),
            ("patterns", "; ".join(learned["common_patterns"]) or "none recurred yet"),
        ]
    )
    return 0


@app.command("set-tier")
def set_tier(
    who: Whom,
    tier: Annotated[str, declared.Argument(help="free, pro, elite or enterprise.")],
    as_json: AsJson = False,
) -> int:
    """Give a user a tier (admins); who is new comes into being. What a higher tier has more is granted at once.

    \b
    nexscout user set-tier bob free
    nexscout user set-tier bob elite
    """
    choices.one_of(tier, TIERS, "tier")
    session = Session()
    session.recover()
    session.store.users.set_tier(session.actor, who, tier)
    if as_json:
        output.emit(session.store.energy.show(session.actor, who)._asdict())
    elif output.stderr_is_terminal():
        output.note(f"{who} is now in tier {tier}")
    return 0


@app.command("set-role")
def set_role(who: Whom, role: Annotated[str, declared.Argument(help="admin, member or reader.")]) -> int:
    """Make a user an admin, a member, or a reader, who may look at their own and not spend (admins).

    \b
    nexscout user set-role ana admin
    nexscout user set-role auditor reader
    """
    choices.one_of(role, ROLES, "role")
    session = Session()
    session.recover()
    session.store.users.set_role(session.actor, who, role)
    if output.stderr_is_terminal():
        output.note(f"{who} is now {role}")
    return 0


@app.command("set-policy")
def set_policy(
    who: Whom,
    policy: Annotated[str, declared.Argument(help="rules, learned, cascade, or default for the installation's.")],
    as_json: AsJson = False,
) -> int:
    """Set how models are chosen for a user: yourself, or anyone for an admin.

    \b
    nexscout user set-policy bob learned
    nexscout user set-policy bob default
    """
    choices.one_of(policy, (*POLICIES, "default"), "policy")
    session = Session()
    session.recover()
    own = None if policy == "default" else policy
    session.store.profiles.set_policy(session.actor, who, own)
    if as_json:
        output.emit({"user_id": who, "policy": own, "effective": own or session.settings["routing.policy"]})
    elif output.stderr_is_terminal():
        output.note(f"models for {who} are now chosen by {own or session.settings['routing.policy']}")
    return 0


@app.command()
def forget(
    who: Whom,
    yes: Annotated[bool, declared.Option("--yes", "-y", help="Don't ask.")] = False,
    dry_run: Annotated[bool, declared.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> int:
    """Remove every text of a user's: cached and kept answers, conversations, learned style and phrases. Money stays in the books.

    \b
    nexscout user forget bob --dry-run
    nexscout user forget bob --yes
    """
    session = Session()
    _role(session, who)
    if dry_run:
        return _would_forget(session, who, as_json)
    if not choices.confirmed(f"Remove every text of {who}'s? It cannot be undone.", yes):
        output.note("nothing was removed")
        return 0
    session.recover()
    gone = session.store.users.forget(session.actor, who)
    holding = session.store.maintenance.holding(session.actor, who)
    archived = session.store.maintenance.archives(session.actor)
    if as_json:
        kept = {"backups": [one._asdict() for one in holding], "archives": [one._asdict() for one in archived]}
        output.emit({"user_id": who, "dry_run": False, **gone, **kept})
        return 0
    if output.stderr_is_terminal():
        output.note(
            f"{who} is forgotten: {gone['cached_answers']} cached and {gone['kept_answers']} kept answers, "
            f"{gone['conversations']} conversations, the profile's texts"
        )
    _note_backups(who, holding)
    for one in archived:
        output.note(
            f"warning: {one.month} is archived in {one.folder}, as it was: messages of failures, doubts about answers and "
            f"hashes of prompts of {who}'s may be in there"
        )
    return 0


def _note_backups(who: str, holding: list[Backup]) -> None:
    """Name the backups that still hold a person's texts: also where nobody watches, since nobody else will."""
    on_server = config.db_url() is not None  # whose dumps nobody looks into, and wherever they are
    for one in holding:
        where = one.path if one.there else f"wherever it is now, what was {one.path}"
        output.note(
            f"warning: a backup of {one.made_at[:10]} {'may hold' if on_server else 'still holds'} texts of {who}'s: {where}"
        )
    if holding and on_server:
        output.note("  remove it there")
    elif holding:
        output.note("  remove it, or make new ones and let `nexscout db backup --prune KEEP` remove the old")


def _would_forget(session: Session, who: str, as_json: bool) -> int:
    learned = session.store.profiles.learned(session.actor, who)
    found = {
        "cached_answers": session.store.cache.clear(session.actor, who, None, dry_run=True),
        "conversations": session.store.conversations.forget(session.actor, who, None, dry_run=True),
        "common_patterns": len(learned.common_patterns),
        "writing_style": bool(learned.writing_style_profile),
    }
    holding = session.store.maintenance.holding(session.actor, who)
    if as_json:
        output.emit({"user_id": who, "dry_run": True, **found, "backups": [one._asdict() for one in holding]})
    else:
        output.out(
            f"{found['cached_answers']} cached answers, {found['conversations']} conversations, "
            "answers kept for idempotency keys, "
            f"{found['common_patterns']} phrases, the writing style and the hours of use would be removed"
        )
        _note_backups(who, holding)
    return 0


def _role(session: Session, who: str) -> str:
    """A user's role. Refuses a name that is nobody's, with the nearest, and one that the actor may not look at."""
    found = session.store.users.find(session.actor, who)
    if found is not None:
        return found[0]
    from difflib import get_close_matches

    near = get_close_matches(who, [user.user_id for user in session.store.users.listing(session.actor)], 1)
    raise UsageError(
        f"there is no user {who!r}", f"did you mean {near[0]}?" if near else "`nexscout user list` shows them"
    )


def _facts(session: Session, subject: str, role: str) -> dict[str, Any]:
    """Everything known of a user, profile and forecast included."""
    store, actor = session.store, session.actor
    state, preferences = store.energy.show(actor, subject), store.profiles.preferences(actor, subject)
    learned = store.profiles.learned(actor, subject).with_verdicts(store.feedback.by_model(actor, subject))
    profile = learned._asdict() | {
        "common_patterns": list(learned.common_patterns),
        "peak_usage_hours": list(learned.peak_usage_hours),
    }
    del profile["pattern_counts"], profile["prompt_heads"]
    return {
        **state._asdict(),
        "role": role,
        "mode": preferences.mode,
        "policy": preferences.policy,
        "forecast": _forecast(state, learned),
        "profile": profile,
    }


def _forecast(state: Energy, learned: ProfileState) -> dict[str, Any]:
    """What the days ahead look like: expected tokens against the budget, and the hours they fall into (UTC)."""
    budget, expected = state.daily_token_budget, max(learned.predicted_daily_usage, state.daily_tokens_used)
    return {
        "predicted_daily_usage": expected,
        "daily_token_budget": budget,
        "share_of_budget": round(expected / budget, 4) if budget else None,
        "within_budget": expected <= budget,
        "tokens_left_today": max(0, budget - state.daily_tokens_used),
        "peak_hours": [f"{hour:02}:00–{(hour + 1) % 24:02}:00" for hour in learned.peaks()],
    }


def _forecast_text(forecast: dict[str, Any]) -> str:
    if not forecast["predicted_daily_usage"]:
        return "nothing used yet"
    share = forecast["share_of_budget"]
    verdict = "" if forecast["within_budget"] else "; a higher tier or shorter requests would help"
    return (
        f"{forecast['predicted_daily_usage']:,} tokens a day of {forecast['daily_token_budget']:,}"
        f"{f' ({share:.0%})' if share is not None else ''}{verdict}"
    )


def _style_text(style: dict[str, Any]) -> str:
    parts = [f"{words} {style[key]:.2g}" for key, words in _STYLE.items() if key in style]
    return ", ".join(parts) + f" (prompts seen: {style['n']})" if parts else "not known yet"


def _models_text(scores: dict[str, float]) -> str:
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {score:.2f}" for name, score in best) or "none used yet"
