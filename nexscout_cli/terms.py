"""The words of the product, each list in one place: tiers, modes, features, routing policies, ways of compressing."""

from __future__ import annotations

TIERS = ("free", "pro", "elite", "enterprise")
ROLES = ("admin", "member", "reader")
"""What a user may do: everything; their own; look at their own and not spend."""
MODES = ("auto", "fast", "pro", "expert")
"""How good a model a request may ask for; ``auto`` lets the routing rules decide."""
FEATURES = (
    "ai_message",
    "ai_objection",
    "ai_pitchdeck",
    "ai_coaching",
    "ai_deepscan",
    "ai_chatbot",
    "ai_sequence",
)
"""The features that routing, shapes and prediction know by name; any other ``ai_*`` name may be used too."""
SERVICE_TIERS = ("default", "flex", "priority")
"""How soon a provider answers, and at what price: flex is cheaper and slower, priority dearer and faster."""
EFFORTS = ("none", "low", "medium", "high")
"""How much a model is asked to think before it answers."""
POLICIES = ("rules", "learned", "cascade")
"""How a model is chosen: by the table of rules, by the prompt's difficulty, or by asking a cheap model first."""
COMPRESS = ("auto", "off", "lossless", "extract")
"""What is left out of prompts: see :mod:`nexscout_cli.engine.compression.choice`."""
EXTRACTING = ("auto", "extract")
"""The ways of compressing that may leave out sentences; only these look at ``keep``."""
YES_OR_NO = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}
"""How a switch is written as text, in lower case."""
