"""What users and features may be called."""

from __future__ import annotations

from nexscout_cli.errors import UsageError

EVERYONE = "*"
"""Who stands for the whole installation where a user's name is wanted; no user can be called so."""


def check_user(user: str) -> None:
    """Raises UsageError for a name no user can have; ``*`` stands for the installation."""
    if not user or user.startswith(EVERYONE) or len(user) > 200 or not user.isprintable() or user != user.strip():
        raise UsageError(f"{user[:40]!r} cannot be a user's name", "1 to 200 printable characters, the first not *")


def check_feature(feature: str) -> None:
    """Raises UsageError for what is not a feature's name."""
    word = feature.removeprefix("ai_")
    if word == feature or not 0 < len(word) <= 61 or not word.isascii() or not word.replace("_", "a").isalnum():
        raise UsageError(
            f"{feature[:70]!r} is not a feature",
            "a feature is ai_ and then letters, digits and _, for instance ai_message",
        )
