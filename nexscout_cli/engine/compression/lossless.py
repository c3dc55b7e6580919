"""The lossless compressor: fewer characters, the same content. Code, JSON values, links, quotes and numbers stay."""

from __future__ import annotations

import re
from collections import Counter

from nexscout_cli.engine.compression.json_tables import tabled
from nexscout_cli.engine.compression.protected_spans import HOLE, Block, blocks, mask, unmask

STEPS = ("whitespace", "json", "repeats", "fillers")
MIN_REPEAT = 80
MAX_ROUNDS = 6

_JSON_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\n\r]+')
_TRAILING = re.compile(r"(?<![ \t])[ \t]+(?=\r?(?:\n|\Z))")
_INNER = re.compile(r"(?<=[^\s]) {2,}(?=[^\s])")

# Without one of these no filler can be found; looking for them costs a fraction of the rest.
_POLITE = ("please", "kindly", "thank", "wondering", "appreciate", "would like", "'d like", "would be")
_BLANKS = ("  ", " \n", "\t\n", " \r\n", "\t\r\n")
# Text that is handed over to be worked on may contain its own "please": then nothing polite is removed.
_PAYLOAD = re.compile(
    r"\b(?:translat|proofread|re(?:write|phrase|word)|paraphras|correct|edit|spell|grammar|count|polite|courte"
    r"|following|below|tone"
    r"|letter|e-?mails?|texts?|sentences?|words?|phrases?|messages?|transcript|classif|sentiment|quot|verbatim"
    r"|reply|say)",
    re.IGNORECASE,
)
_NOT_VERB = (
    r"(?!(?:not|never|no|only|also|be|been|have|the|a|an|i|we|you|it|this|that|if|with|note|all|always|find|see|is|are|was"
    r"|do|at|more|less|up|within|without|except|unless|neither|none|nothing|nicht|kein\w*|nie|nur|höchstens|mindestens"
    r"|pas|jamais|seulement|nunca|solo|sólo|mai|não|niet|nooit|alleen)\b)"
)
_ASK = (
    r"(?:i was (?:just )?wondering (?:if|whether) you (?:could|would|can)|i (?:would|'d) like you to|i'd like you to"
    r"|(?:could|can|would|will) you (?=please |kindly )|i(?: would|'d) (?:really "
    r"|greatly )?appreciate it if you (?:could|would)"
    r"|it would be (?:really |very )?(?:great|nice|good|helpful|wonderful|lovely) if you (?:could|would))"
)
_OPENING = re.compile(
    rf"(?P<lead>(?:^|(?<=[.!?] )|(?<=\n))[ ]*(?:[-*•] |\ue000[.)] )?)"
    rf"(?P<ask>{_ASK} ?)?(?P<polite>(?:please,? |kindly )*)(?={_NOT_VERB}(?-i:[a-z]+) )(?P<rest>[^.!?:\n]*)(?P<end>[.!?:]"
    rf"|$|(?=\n))",
    re.IGNORECASE | re.MULTILINE,
)
_LAYOUT = re.compile(
    r"\b(?:json|yaml|xml|csv|schema|objects?|arrays?|keys?|fields?|records? format|format|convert|transform|valid|pretty|indent"
    r"|same (?:form|structure|shape)|return (?:it|them|the)|edit|fix|refactor|code|api|payload)",
    re.IGNORECASE,
)
_INNER_PLEASE = re.compile(
    r"(?<=\b(?:and|but)) please (?=[a-z])|(?<=\bthen) please (?=[a-z])|,? (?-i:please)(?=[.!?](?:\s|$))",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"(?:(?<=[.!?] )|(?<=\n)|^)(?:thank you|thanks|many thanks)(?: (?:so"
    r"|very) much)? in advance(?: for your (?:help|time|support))?[.!]*[ ]*(?=\n|\Z|[A-Z])",
    re.IGNORECASE,
)


def compress(text: str, *, tables: bool = True) -> tuple[str, dict[str, int]]:
    """The text without what carries no meaning, and the characters that each step took away, in the order of ``STEPS``.

    With ``tables``, and where the text itself says nothing of JSON, lists of records become tables.
    Never longer than the input, and compressing again changes nothing.
    """
    saved: Counter[str] = Counter()
    for _ in range(MAX_ROUNDS):
        shorter, taken = _round(text, tables)
        if len(shorter) >= len(text):
            break
        text = shorter
        saved += taken
    return text, {step: saved[step] for step in STEPS if step in saved}


def _round(text: str, tables: bool) -> tuple[str, Counter[str]]:
    """One pass of every step."""
    saved: Counter[str] = Counter()
    polite = _is_polite(text) and _PAYLOAD.search(text) is None
    done: list[Block] = []
    parts = blocks(text)
    if tables and any(part.kind == "json" for part in parts):
        tables = not any(speaks_of_json(part.text) for part in parts if part.kind != "json")
    for block in parts:
        step, new = "whitespace", block.text
        if block.kind == "json":
            new, step = (tables and tabled(block.text)) or _compact_json(block.text), "json"
        elif block.kind == "blank":
            new = "\n".join([""] * (1 if block.text.count("\n") >= 2 else block.text.count("\n") + 1))
        elif block.kind == "prose":
            new = _single_spaces(block.text)
        saved[step] += len(block.text) - len(new)
        if polite and block.kind == "prose":
            plain = _drop_fillers(new)
            saved["fillers"] += len(new) - len(plain)
            new = plain
        done.append(Block(block.kind, new))
    unique = _drop_repeats(done)
    shorter = "\n".join(block.text for block in unique)
    saved["repeats"] = len(text) - len(shorter) - saved.total()
    return shorter, saved


def speaks_of_json(text: str) -> bool:
    """True for a text that may be about how its data are laid out, not only about what they say."""
    return _LAYOUT.search(text) is not None


def _is_polite(text: str) -> bool:
    lowered = text.lower()
    return any(word in lowered for word in _POLITE)


def _compact_json(text: str) -> str:
    """The JSON text without whitespace outside its strings; every literal stays as it was written."""
    return _JSON_TOKEN.sub(lambda m: m.group(1) or "", text)


def _single_spaces(prose: str) -> str:
    """No trailing spaces, single spaces inside lines; indentation stays."""
    if not any(blank in prose for blank in _BLANKS) and not prose.rstrip("\r")[-1:].isspace():
        return prose
    masked = mask(prose)
    if masked is None:
        return prose
    text, spans = masked
    return unmask(_INNER.sub(" ", _TRAILING.sub("", text)), spans)


def _drop_repeats(parts: list[Block]) -> list[Block]:
    """Without the later copies of a long paragraph, and the blank lines after each."""
    seen: set[str] = set()
    kept: list[Block] = []
    dropped = False
    for at, part in enumerate(parts):
        if dropped and part.kind == "blank":
            dropped = False
            continue
        dropped = False
        alone = (at == 0 or parts[at - 1].kind == "blank") and (at + 1 == len(parts) or parts[at + 1].kind == "blank")
        if part.kind == "prose" and alone and len(part.text) >= MIN_REPEAT:
            if part.text in seen:
                dropped = True
                continue
            seen.add(part.text)
        kept.append(part)
    return kept


def _drop_fillers(prose: str) -> str:
    """Without polite phrases around an instruction, where what is left is an instruction too."""
    if not _is_polite(prose):
        return prose
    masked = mask(prose)
    if masked is None:
        return prose
    text, spans = masked
    short = _OPENING.sub(_opened, text)
    short = _INNER_PLEASE.sub(lambda m: " " if m.group().endswith(" ") else "", short)
    short = _THANKS.sub("", short).rstrip(" ")
    if not short.strip().strip(HOLE) or short.count(HOLE) != len(spans):
        return prose
    return unmask(short, spans)


def _opened(match: re.Match[str]) -> str:
    lead, ask, polite, rest, end = match.group("lead", "ask", "polite", "rest", "end")
    if not ask and not polite:
        return match.group()
    question = bool(ask) and end == "?"
    return lead + rest[:1].upper() + rest[1:] + ("." if question else end)
