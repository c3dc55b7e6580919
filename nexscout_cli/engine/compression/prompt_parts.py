"""What of a prompt is a text to be read, and what asks something about it."""

from __future__ import annotations

import re
from typing import NamedTuple

from nexscout_cli.engine.compression.structure import kind_of, reads_as_prose

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
    """The question before a long text, the text, and the question after it. Joined they are the prompt again.

    ``kind`` is that of the text (:mod:`nexscout_cli.engine.compression.structure`).
    """

    before: str
    text: str
    after: str
    kind: str = "prose"


def split(prompt: str) -> Parts:
    """The parts of a prompt; all of it is question where no text can be told."""
    if len(prompt) < _LONG:
        return Parts(prompt, "", "")
    start, kind = _begin(prompt)
    end = prompt.rstrip().rfind("\n\n", start)
    if end < 0 or len(prompt) - end > _SHORT or not _is_question(prompt[end:], prompt[:start], kind):
        end = len(prompt)
    before, inner, after = prompt[:start], prompt[start:end], prompt[end:]
    if not (_tells(before) or _tells(after)) or len(inner) < _LONG:
        return Parts(prompt, "", "")
    return Parts(before, inner, after, kind)


def _begin(prompt: str) -> tuple[int, str]:
    """Where the text begins that is to be read, and its kind: after the first paragraph or line, where that is its own."""
    start = prompt.find("\n\n") + 2
    if not 2 <= start <= _SHORT:
        start = 0
    kind = kind_of(prompt[start:])
    line = prompt.find("\n") + 1
    if kind == "prose" or not start:  # what is piped may follow on the next line
        of_rest = kind_of(prompt[line:]) if 0 < line <= _SHORT and _tells(prompt[:line]) else "prose"
        if of_rest != "prose" and reads_as_prose(prompt[:line]):
            return line, of_rest
    if kind != "prose" and not (_tells(prompt[:start]) and reads_as_prose(prompt[:start])):
        return 0, kind
    return start, kind


def _is_question(last: str, before: str, kind: str) -> bool:
    """Whether the last paragraph is no part of a text of that kind."""
    if kind == "prose":
        return True
    if kind in ("markdown", "mail") and _tells(before):
        return False
    return _tells(last) and reads_as_prose(last)


def question(parts: Parts) -> str:
    """What is asked: of the paragraphs around a text those that ask or instruct, for the others may belong to it."""
    around = (parts.before, parts.after)
    return "\n".join([part for part in around if _tells(part)] or around)


def _tells(part: str) -> bool:
    return bool(_ASKS.search(part) or INSTRUCTS.search(part))
