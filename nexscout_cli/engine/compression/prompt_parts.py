"""What of a prompt is a text to be read, and what asks something about it."""

from __future__ import annotations

import re
from typing import NamedTuple

_SHORT, _LONG = 500, 2_000
"""Characters up to which a paragraph of a prompt may be its question, and from which the rest is a text to be read."""
_ASKS = re.compile(r"[?？؟:：]\s*\Z")
# A sentence of a prompt that may tell the model what to do.
INSTRUCTS = re.compile(
    r"\b(?:you|your|must|should|shall|please|never|always|ensure|make sure|do not|don't|only|at most|at least|no more than"
    r"|answer|write|summari[sz]e|list|explain|translate|return|output|use|avoid|include"
    r"|sie|ihr|bitte|muss|müssen|soll|sollst|nicht|nie|immer|nur|höchstens|mindestens"
    r"|usted|tú|debes?|debe|nunca|siempre|sólo|solo|por favor|vous|tu|dois|devez|jamais|toujours|seulement"
    r"|devi|deve|mai|sempre|você|não|nunca|moet|nooit|altijd|alleen|должен|должны|никогда|всегда|только|пожалуйста)\b"
    r"|^\s*(?:[-*•]|\d{1,3}[.)])\s|请|必须|不要|不得|ください|必ず|\$?\{[^{}]*\}|<[^<>]+>|\$[A-Z]",
    re.IGNORECASE,
)


class Parts(NamedTuple):
    """The question before a long text, the text, and the question after it. Joined they are the prompt again."""

    before: str
    text: str
    after: str


def split(prompt: str) -> Parts:
    """The parts of a prompt; all of it is question where no text can be told."""
    if len(prompt) < _LONG:
        return Parts(prompt, "", "")
    start = prompt.find("\n\n") + 2
    if not 2 <= start <= _SHORT:
        start = 0
    end = prompt.rstrip().rfind("\n\n", start)
    if end < 0 or len(prompt) - end > _SHORT:
        end = len(prompt)
    before, inner, after = prompt[:start], prompt[start:end], prompt[end:]
    if not (_tells(before) or _tells(after)) or len(inner) < _LONG:
        return Parts(prompt, "", "")
    return Parts(before, inner, after)


def question(parts: Parts) -> str:
    """What is asked: of the paragraphs around a text those that ask or instruct, for the others may belong to it."""
    around = (parts.before, parts.after)
    return "\n".join([part for part in around if _tells(part)] or around)


def _tells(part: str) -> bool:
    return bool(_ASKS.search(part) or INSTRUCTS.search(part))
