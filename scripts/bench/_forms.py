"""Pairs of prompts that differ in form alone: how many of them have two exact cache keys, and are sent as two."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from _common import ROOT


def figures() -> Iterator[str]:
    """A line for the keys, and one for the prompts as sent in each way, as prompts and as a question with a context."""
    sys.path.insert(0, str(ROOT))
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.cache.key import cache_key
    from nexscout_cli.engine.compression.choice import compress_texts
    from nexscout_cli.engine.plan_types import Shape
    from nexscout_cli.engine.planning.texts import originals
    from tests.support.form_pairs import pairs
    from tests.support.values import count, request, snapshot

    found = list(dict.fromkeys((one, other) for _, one, other in pairs()))
    shape = Shape(500, 350, "concise", "brief", "Be concise.")

    def key(prompt: str) -> str:
        return cache_key(request(prompt), shape, "auto", None)

    def sent(prompt: str, mode: str | None, in_context: bool) -> Any:
        question, _, text = prompt.partition("\n\n")
        asked = request(question, context=text, compress=mode) if in_context else request(prompt, compress=mode)
        return compress_texts(asked, originals(asked), snapshot(), Settings(), count)[0]

    def told(what: str, of: Callable[[str], Any]) -> str:
        return f"{what:34}{sum(of(one) != of(other) for one, other in found):>5} of {len(found)} pairs told apart"

    yield told("exact cache keys", key)
    ends = sum(one.rstrip("\r\n") == other.rstrip("\r\n") for one, other in found)
    yield f"  of the others {ends} differ only in line ends at the very end, which a pipe leaves there"
    for mode in ("auto", "lossless"):
        yield told(f"as sent, {mode}", lambda prompt: sent(prompt, mode, False))  # noqa: B023
        yield told(f"as sent, {mode}, as a context", lambda prompt: sent(prompt, mode, True))  # noqa: B023
