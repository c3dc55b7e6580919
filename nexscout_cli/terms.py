"""The words of the product: tiers, modes, routing policies, ways of compressing."""

from __future__ import annotations

TIERS = ("free", "pro", "elite", "enterprise")
MODES = ("auto", "fast", "pro", "expert")
POLICIES = ("rules", "learned", "cascade")
"""How a model is chosen: by the table of rules, by the prompt's difficulty, or by asking a cheap model first."""
COMPRESS = ("auto", "off", "lossless", "extract")
