"""What recurs at the head of a user's prompts, known by hashes: providers bill it at less as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexscout_cli.engine.request import AIRequest

PREFIX_TOKENS = 1_024
"""The shortest beginning that providers bill at less when it recurs (OpenAI's and Anthropic's prompt caching)."""
_STEP = 1_024  # characters between two places at which a head is compared
_MAX_STEPS = 32
_DIGITS = 12  # of a hash

Count = Callable[[str, str], tuple[int, bool]]


def head_hashes(request: AIRequest, texts: tuple[str, ...]) -> str:
    """What a request's head is known by later: hashes of its beginnings, one every ``_STEP`` characters, in one string."""
    text = "\n\n".join(texts)
    digest = hashlib.blake2b((request.options.system or "").encode(), digest_size=_DIGITS // 2)
    found = []
    for end in range(_STEP, min(len(text), _MAX_STEPS * _STEP) + 1, _STEP):
        digest.update(text[end - _STEP : end].encode())
        found.append(digest.hexdigest())
    return "".join(found)


def recurring_heads(
    request: AIRequest, known: tuple[str, ...], texts: tuple[str, ...], count: Count
) -> tuple[int, ...]:
    """How many characters at the head of each text recur and are billed at less: 0 for all where nothing does."""
    none = (0,) * len(texts)
    if not known:
        return none
    own = head_hashes(request, texts)
    recurs = max(_common(own, other) for other in known) * _STEP
    if not recurs:
        return none
    heads = []
    for text in texts:
        head = min(recurs, len(text))
        if head < len(text):  # a block that is cut in two is none
            head = text.rfind("\n", 0, head) + 1
        heads.append(head)
        recurs = max(0, recurs - len(text) - 2)
    tokens = count(request.options.system or "", "")[0]
    tokens += sum(count(text[:head], "")[0] for text, head in zip(texts, heads, strict=True))
    return tuple(heads) if tokens >= PREFIX_TOKENS else none


def _common(one: str, other: str) -> int:
    """How many hashes two heads share. Each covers all before it, so the last that is equal tells."""
    for size in range(min(len(one), len(other)) // _DIGITS, 0, -1):
        if one[(size - 1) * _DIGITS : size * _DIGITS] == other[(size - 1) * _DIGITS : size * _DIGITS]:
            return size
    return 0
