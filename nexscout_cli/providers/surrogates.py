"""Halves of a character: providers cut texts anywhere, and JSON may name a half alone."""

from __future__ import annotations


def joined(text: str) -> str:
    """Text that can be stored and printed: halves that stand together become one character, others U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
