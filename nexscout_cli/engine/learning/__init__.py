"""What settled requests teach of their users."""

MAX_CANDIDATES = 200
"""Phrases of a prompt that are looked at, and of a user that are counted, at most."""
