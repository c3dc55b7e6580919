"""What is summed up of usage. Of its own, for a command that sums needs nothing else of what the books tell."""

from __future__ import annotations

SUMS = (
    "requests",
    "calls",
    "hits",
    "failures",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "energy",
    "baseline_usd",
    "avoided_usd",
    "compression_saved_usd",
    "tokens_saved",
)
"""What is summed up of usage, per user and day and per day, model and feature; from the fifth on they are columns of its rows."""
