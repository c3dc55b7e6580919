"""The table of settings: every name with its default, type, range and meaning."""

from __future__ import annotations

from typing import Any, NamedTuple

from nexscout_cli.terms import COMPRESS, MODES, POLICIES, TIERS

Value = Any

_MOST_DOLLARS = 1_000_000_000
"""The largest cap. In nano-dollars it still fits the database's integers."""


MOST_WORKERS = 64
"""Processes that a server may have."""


class Setting(NamedTuple):
    """One setting.

    ``kind`` is int, float, bool, str or list (of str). ``low`` and ``high`` bound numbers, both included. ``project`` tells
    whether a project's file may set it: "" never, "trusted" where the user has trusted that file, "always". ``optional``
    tells whether it may be None. ``limit``: what binds a user stands in the database, and environment and files can only
    lower it ("most"), take names out of it ("subset"), or not change it at all ("fixed").
    """

    default: Value
    kind: type
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    project: str = ""
    optional: bool = False
    limit: str = ""


FEATURE_FIRST = ["panic", "forced", "mode", "generation", "deepscan", "emotional", "chatbot", "short", "balanced"]
"""The default order of the routing rules: what a request is for counts before how short it is."""


class Tier(NamedTuple):
    """What a tier gives by default. ``answer_tokens`` bounds one answer; ``price`` is dollars a month."""

    energy: int
    daily_tokens: int
    price: float
    answer_tokens: int
    verbosity: str
    style: str
    modes: tuple[str, ...]


TIER_DEFAULTS = {
    "free": Tier(
        energy=100,
        daily_tokens=50_000,
        price=0,
        answer_tokens=500,
        verbosity="concise",
        style="brief",
        modes=("auto", "fast"),
    ),
    "pro": Tier(
        energy=1_000,
        daily_tokens=250_000,
        price=29,
        answer_tokens=1_500,
        verbosity="balanced",
        style="professional",
        modes=("auto", "fast", "pro"),
    ),
    "elite": Tier(
        energy=5_000,
        daily_tokens=1_000_000,
        price=99,
        answer_tokens=3_000,
        verbosity="detailed",
        style="comprehensive",
        modes=MODES,
    ),
    "enterprise": Tier(
        energy=25_000,
        daily_tokens=5_000_000,
        price=499,
        answer_tokens=5_000,
        verbosity="complete",
        style="executive",
        modes=MODES,
    ),
}


def _tier_settings(name: str) -> dict[str, Setting]:
    tier = TIER_DEFAULTS[name]
    return {
        f"tiers.{name}.energy": Setting(tier.energy, int, f"energy that {name} users get each month", 0, limit="most"),
        f"tiers.{name}.daily_tokens": Setting(
            tier.daily_tokens, int, f"tokens that a {name} user may use a day", 0, limit="most"
        ),
        f"tiers.{name}.price": Setting(
            tier.price, float, f"what a {name} user pays a month, in billing.currency", 0, limit="fixed"
        ),
        f"tiers.{name}.answer_tokens": Setting(
            tier.answer_tokens, int, f"the most tokens in one answer to a {name} user", 1, limit="most"
        ),
        f"tiers.{name}.verbosity": Setting(tier.verbosity, str, f"how much detail answers to {name} users have"),
        f"tiers.{name}.style": Setting(tier.style, str, f"the style of answers to {name} users"),
        f"tiers.{name}.modes": Setting(list(tier.modes), list, f"modes that a {name} user may choose", limit="subset"),
    }


SETTINGS: dict[str, Setting] = {
    "user": Setting("", str, "the user that requests are for without --user; empty: the actor", project="trusted"),
    "feature": Setting("ai_chatbot", str, "the feature of requests without --feature", project="trusted"),
    "model": Setting(  # no project's: a folder from somebody else could name the dearest
        "",
        str,
        "the model of `run`, `chat` and `simulate` without --model, --mode and --policy; empty: the best fitting",
    ),
    "models.aliases": Setting([], list, "short names for models, each as SHORT=MODEL: `--model SHORT` asks MODEL"),
    "users.auto_create": Setting(
        True,
        bool,
        "when an admin names a new user, that user is made, in tier free, by the first request",
        limit="most",
    ),
    "routing.policy": Setting(
        "rules",
        str,
        "how a model is chosen: by rules, by the prompt's difficulty, or by asking a cheap model first",
        choices=POLICIES,
        project="trusted",
    ),
    "routing.quality_target": Setting(
        0.95, float, "share of the strong model's advantage that learned and cascade keep", 0, 1
    ),
    "routing.audit": Setting(
        0.0,
        float,
        "share of the cheap answers that the strong model answers too, billed, compared and learned from",
        0,
        1,
    ),
    "routing.order": Setting(FEATURE_FIRST, list, "order of the routing rules; the first that matches decides"),
    "routing.floor": Setting(0.5, float, "models below this quality are used only when no better one is there", 0, 1),
    "serve.host": Setting("127.0.0.1", str, "the address that the server listens on"),
    "serve.port": Setting(8300, int, "the port that the server listens on", 1, 65_535),
    "serve.workers": Setting(1, int, "processes of the server that answer, behind one address", 1, MOST_WORKERS),
    "serve.max_at_once": Setting(1_000, int, "requests that the server works on at once; more are refused", 1, 100_000),
    "serve.max_body_bytes": Setting(30_000_000, int, "the most bytes of a request to the server", 1_000),
    "shaping.off": Setting(
        [], list, "features whose requests are sent as written: nothing is said of length and style (--no-shape)"
    ),
    "firewall.block_tokens": Setting(
        20_000, int, "a call predicted to use more tokens than this is refused", 1, limit="most"
    ),
    "firewall.warn_tokens": Setting(15_000, int, "a call predicted to use more tokens than this has a warning", 1),
    "firewall.max_image_bytes": Setting(
        20_000_000, int, "more bytes of pictures in a request than this are refused", 1, limit="most"
    ),
    "firewall.max_bytes": Setting(
        2_000_000, int, "the most bytes of prompt, context and attachments together; more is not read", 1, limit="most"
    ),
    "caps.usd.user_day": Setting(
        None, float, "dollars a user may spend a day", 0, _MOST_DOLLARS, optional=True, limit="most"
    ),
    "caps.usd.user_month": Setting(
        None, float, "dollars a user may spend a month", 0, _MOST_DOLLARS, optional=True, limit="most"
    ),
    "caps.usd.total_day": Setting(
        None, float, "dollars the installation may spend a day", 0, _MOST_DOLLARS, optional=True, limit="most"
    ),
    "caps.usd.total_month": Setting(
        None, float, "dollars the installation may spend a month", 0, _MOST_DOLLARS, optional=True, limit="most"
    ),
    "caps.tokens.user_month": Setting(None, int, "tokens a user may use a month", 0, optional=True, limit="most"),
    "caps.tokens.total_day": Setting(
        None, int, "tokens the installation may use a day", 0, optional=True, limit="most"
    ),
    "caps.tokens.total_month": Setting(
        None, int, "tokens the installation may use a month", 0, optional=True, limit="most"
    ),
    "energy.usd_per_unit": Setting(0.015, float, "dollars that one unit of energy stands for", 0.000001, limit="most"),
    "surge.capacity": Setting(1_000, int, "calls a minute at which surge pricing starts", 1, limit="most"),
    "cache.enabled": Setting(True, bool, "answer repeated requests from the cache", project="trusted"),
    "cache.days": Setting(30, int, "days an answer is kept", 1, 3650),
    "cache.max_tokens": Setting(1_000, int, "answers of this many tokens or more are not kept", 1),
    "cache.features": Setting(
        ["ai_message", "ai_objection", "ai_chatbot", "ai_sequence"], list, "features whose answers are kept"
    ),
    "cache.match": Setting(
        "exact",
        str,
        "what counts as a repeat: the same to the last character (exact), whitespace that means nothing left out (whitespace), "
        "or also a short question that asks the same in other words (canonical)",
        choices=("exact", "whitespace", "canonical"),
    ),
    "cache.max_mb": Setting(
        None, int, "above this many megabytes `cache clean` drops the answers not used for longest", 1, optional=True
    ),
    "compress": Setting(
        "auto",
        str,
        "what is left out of prompts: nothing, what carries no meaning, or also sentences beside the point",
        choices=COMPRESS,
        project="trusted",
    ),
    "compression.keep": Setting(0.5, float, "share of a long text that extraction keeps", 0.1, 0.9),
    "compression.min_tokens": Setting(1_000, int, "auto shortens prompts of this many tokens or more", 1),
    "compression.low_energy": Setting(
        0.1, float, "auto shortens every prompt below this share of the monthly energy", 0, 1
    ),
    "conversations.keep": Setting(
        False, bool, "keep what is asked and answered, so that `run --continue` goes on with it"
    ),
    "jobs.poll_seconds": Setting(
        60.0, float, "seconds between two looks at a batch that `--wait` waits for", 0.05, 86_400
    ),
    "jobs.unsure_seconds": Setting(
        120.0,
        float,
        "seconds that a batch may take to appear at its provider, after which it is asked for again where a process died",
        0,
        86_400,
    ),
    "jobs.keep_days": Setting(30, int, "days that the answers of a finished job are kept", 1, 3650),
    "learning.patterns": Setting(True, bool, "learn phrases that recur (numbers and names masked)"),
    "providers.timeout": Setting(
        60.0, float, "seconds a call may take; for a stream, seconds between two tokens", 0.1, 3600
    ),
    "providers.prompt_cache": Setting(
        True, bool, "quote with what providers keep of a prompt's beginning, and mark it for Anthropic where that pays"
    ),
    "deployments.wait": Setting(
        120.0,
        float,
        "seconds a call waits while each of its model's deployments is at its limits; a batch waits longer",
        0,
        3600,
    ),
    "providers.stream_timeout": Setting(600.0, float, "seconds a whole stream may take", 0.1, 86_400),
    "providers.retries": Setting(2, int, "how often one model is tried again after a fault that may pass", 0, 10),
    "providers.backoff_min": Setting(0.5, float, "seconds before the first retry", 0, 60),
    "providers.backoff_max": Setting(8.0, float, "the most seconds before a retry", 0, 300),
    "fallback.models": Setting(
        "unforced",
        str,
        "when another model may answer after one has failed: unless --model names one, always, or never",
        choices=("unforced", "always", "never"),
    ),
    "fallback.refused_key": Setting(
        "stop",
        str,
        "what follows a key that a provider refuses (401, 403): stop with an error, or the next model",
        choices=("stop", "next"),
    ),
    "fallback.embedded": Setting(
        "no_key",
        str,
        "when the embedded model is the last resort: only where no other model can be called, always, or never",
        choices=("no_key", "always", "never"),
    ),
    "store.lock_timeout": Setting(30.0, float, "seconds a writer waits for its turn at the database", 0.1, 600),
    "billing.day": Setting(1, int, "day of the month on which a tier's price is due", 1, 28, limit="fixed"),
    "billing.currency": Setting("USD", str, "the currency of the tiers' prices", limit="fixed"),
    "billing.usd_per_unit": Setting(
        1.0, float, "dollars that one unit of that currency is worth", 0.000001, limit="fixed"
    ),
    "billing.internal": Setting(
        [], list, "users that nobody bills, beside the admins: they are left out of margins", limit="fixed"
    ),
    "billing.min_loss": Setting(0.0, float, "dollars that a user must cost above what they pay to be listed", 0),
    "report.tz": Setting("UTC", str, "time zone of a report's days", project="always"),
    "report.baseline": Setting("gpt-4o", str, "the model that savings are compared with"),
} | {key: setting for tier in TIERS for key, setting in _tier_settings(tier).items()}
