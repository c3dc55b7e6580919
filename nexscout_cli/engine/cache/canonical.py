"""The canonical form under which short questions that ask the same meet; opt-in, by ``cache.match = canonical``.

Only single sentences of at most 200 characters that hand over no text, quote nothing and ask for no form (translate,
count, spell …) have one. It differs from the sentence in what is listed here and in nothing else:

- politeness around it ("Please …", "Hi, …", "… Thanks!") and the mark that ends it;
- contractions: "what's", "don't", "I'm" (never a noun's "'s");
- "an" and "a" are one;
- the case of a first word that begins questions and instructions;
- "How do I", "How can I", "How to", "What is a good way to", "What is the way to", "If I want to …, what should I do"
  are one, and "Do you think I can …" is "Can I …";
- one slip of the keyboard, two neighbouring characters swapped: in a word that no list knows, where exactly one swap
  makes a known word of it; never in a name, a number or an abbreviation.

Everything else stays, in its order: names, numbers, negations, quantifiers, comparatives, prepositions, dates, units,
languages, constraints. When in doubt there is no form: a missed repeat costs one call, a wrong one gives a wrong answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

MAX_CHARS = 200
MIN_COUNT = 500_000
"""How often a word must have been met to be what a slip of the keyboard meant."""
MAX_UNKNOWN = 2
"""Plain words that no list knows up to which a slip is looked for: with more of them it is another language, or jargon."""
SLIP_LENGTH = 5
"""Letters from which a word may be mended into any known one; a shorter one only into a word of grammar."""

SHIFT_LENGTH = 3
"""The same, where the swap was with a blank and two words must come out right."""

_ALLOWED = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ0-9 ,.'?!$€£%&+#()/-]+")
_LOOSE_APOSTROPHE = re.compile(r"(?<![A-Za-z])'|'(?![A-Za-z])")
_INNER_END = re.compile(r"[.?!]+\s|\s-+\s|/\s")
_GREETING = re.compile(r"(?:hi|hello|hey|good (?:morning|afternoon|evening))(?: there)?[,!.] +", re.I)
_PLEASE = re.compile(r"(?:(?:can|could|would|will) you (?:please|kindly)|please|kindly),? +", re.I)
_THANKS = re.compile(r"(?<=[.?!,\n])\s*(?:thanks|thank you|thx)(?: a lot| so much| very much| in advance)?[.!]*$", re.I)
_PLEASE_LAST = re.compile(r", please(?=[.?!]*$)", re.I)

_FORM = re.compile(
    r"\b(?:translat|proof-?read|re-?writ|re-?phras|paraphras|summari[sz]|shorten|abbreviat|correct|edit|spell|rhym|counts?\b|counted|counting|pronounc|"
    r"conjugat|declin|capitali[sz]|lower-?case|upper-?case|punctuat|hyphen|syllabl|letters?\b|words?\b|characters?\b|vowel|consonant|"
    r"spaces?\b|blanks?\b|sentences?\b|phras|grammar|gramm?atical|typos?\b|misspel|synonym|antonym|homophon|anagram|palindrom|acronym|"
    r"plural|singular|tense\b|prefix|suffix|etymolog|means?\b|meaning|defin|stands? for|say\b|said\b|says\b|"
    r"quot|repeat|echo|copy|type\b|output|print|format|convert|encod|decod|encrypt|decrypt|hash|revers|sort\b|regex|parse|"
    r"abbr|transcri|haiku|poem|limerick|acrostic|alliterat|lyrics?\b|contraction|article\b|articles\b|polite|formal|please\b|thank|"
    r"errors?\b|mistakes?\b|(?:is|are) \w+ (?:right|wrong|valid|ok)[.?!]*$|"
    r"how many [a-z](?:'?s)?\b|english|french|german|spanish|italian|portugu|dutch|swedish|norwegian|danish|finnish|"
    r"icelandic|polish|czech|slova|hungarian|romanian|bulgarian|greek|turkish|russian|ukrainian|serbian|croatian|arabic|hebrew|persian|"
    r"farsi|urdu|hindi|bengali|punjabi|tamil|telugu|marathi|gujarati|chinese|mandarin|cantonese|japanese|korean|vietnamese|thai\b|"
    r"indonesian|malay\b|tagalog|filipino|swahili|latin\b|irish|welsh|catalan|basque|afrikaans|esperanto|sanskrit)",
    re.I,
)
_ARTICLE = re.compile(r"\ban (?=(?P<next>\w+))")

_CONTRACTIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.I), expansion)
    for pattern, expansion in (
        (r"\b(can)(?:not|'t)\b", r"\1 not"),
        (r"\bwon't\b", "will not"),
        (r"\b(do|does|did|is|are|was|were|has|have|had|would|could|should|must|need|might)n't\b", r"\1 not"),
        (r"\b(do|does|did|is|are|was|would|could|should|has|have)nt\b", r"\1 not"),
        (r"\b(what|who|where|when|why|how|that|there|here|it|he|she)'s\b", r"\1 is"),
        (r"\bwhats\b", "what is"),
        (r"\b(what|who|where|when|why|how|there|these|those|we|you|they)'re\b", r"\1 are"),
        (r"\b(where|when|why|how)'d\b(?! \w+ (?:like|feel|react|respond|be)\b)", r"\1 did"),
        (r"\bi'm\b", "I am"),
        (r"\b(i|you|we|they|should|would|could|might|must)'ve\b", r"\1 have"),
        (r"\b(i|you|he|she|it|we|they|that|there|what|who)'ll\b", r"\1 will"),
    )
)
_REST = r"(?P<rest>.+)"
_STATES = (
    "look|sound|seem|feel|smell|appear|rank|compare|fare|rate|do|score|have|own|owe|weigh|differ|resemble|relate|belong|benefit"
    "|stack|measure up|come (?:across|off)|hear|breathe|digest|age|die"
)
"""Of these "How do I" asks how it is, and "How can I" how it is done."""
_FRAMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(f"{pattern}$", re.I), beginning)
    for pattern, beginning in (
        (
            r"how (?:do|can) i (?!(?:" + _STATES + r")\b)" + _REST,
            "how to ",
        ),
        (r"what is (?:a good|a|the) way to " + _REST, "how to "),
        (rf"if i want to {_REST}, what should i do", "how to "),
        (
            r"do you think (?P<who>i|you|we|one) (?P<aux>can|could|should|must|may|will|would) " + _REST,
            r"\g<aux> \g<who> ",
        ),
        (r"do you think (?P<who>i|you|we) (?P<aux>have to|need to) " + _REST, r"do \g<who> \g<aux> "),
    )
)


def _set(words: str) -> frozenset[str]:
    return frozenset(re.findall(r"\S+", words))


_GRAMMAR = _set(
    "a about after all am an and any are as at be been before being but by can could did do does doing for from "
    "get had has have how i if in into is it its like made make many me more most much my need no not of off on "
    "one only or other our out over should so some such than that the their them then there these they this those "
    "to too under up us use was way we were what when where which who whom whose why will with without would you "
    "your best good first last new time work"
)
"""Words of grammar, and a few that are about as frequent."""
_MENDED = _set(
    "the and what when where which how who whom why does did are have has with without from that this there these those "
    "they their than then your you for not some should would could about into over after before more most many much any "
    "best good make know is in of to at do on"
)
"""Short words that a slip is mended into: none that could stand for a thing, so that "cna" does not become "can"."""
_OPENERS = _set(
    "am are can could did do does had has have how if is may might must shall should was were what when where "
    "which who whom whose why will would i in on for give list name tell explain describe show find help suggest "
    "recommend compare write create make draft"
)
"""Words that begin questions and instructions, and are no names."""
_ASKING = _set("please kindly")
_ASKS = _set("how what when where which who whom whose why")
"""Words after which a sentence is a question, whatever ends it."""
_SMALL_I = re.compile(
    r"(?P<before>\b(?:do|did|can|could|should|would|will|may|might|was|when|that) )i\b"
    r"|\bi(?= (?:am|have|had|want|need|would|will|do|did|can|could|should|must|was)\b)",
    re.I,
)
"""A pronoun, and no letter: of i, the imaginary unit, and I, the current, something else is asked."""
_PLAIN = re.compile(r"[a-z]+")
_SLIPPED_CAPITAL = re.compile(r"[a-z][A-Z][a-z]+")


def canonical_question(prompt: str, words: Mapping[str, int]) -> str | None:
    """The canonical form of a normalized prompt, None where it has none. ``words``: known lower-case words with counts."""
    text = _bare(prompt.replace("’", "'"))
    if text is None:
        return None
    body = text.rstrip(" .?!")
    end = text[len(body) :]
    mark = "!" * end.count("!") or ("?" if "?" in end else ".")  # "What is 5!?"
    for pattern, expansion in _CONTRACTIONS:
        body = pattern.sub(expansion, body)
    tokens = _mended(body.split(" "), words)
    first = tokens[0] if tokens[0].isupper() and len(tokens[0]) > 1 else tokens[0].lower()  # WHO and CAN are names
    if first in _OPENERS:
        tokens[0] = first
    if first in _ASKS and mark == ".":
        mark = "?"
    body = " ".join(tokens)
    body = _ARTICLE.sub(lambda an: an.group() if an["next"] in _GRAMMAR else "a ", body)
    for pattern, beginning in _FRAMES:
        framed = pattern.match(body)
        if framed:
            body, mark = framed.expand(beginning).lower() + framed["rest"], "?"
            break
    return _SMALL_I.sub(lambda i: f"{i['before'] or ''}I", body) + mark


def _bare(text: str) -> str | None:
    """The sentence without politeness around it; None where it is not a single plain one, or asks about a form."""
    if len(text) > MAX_CHARS:
        return None
    text = _THANKS.sub("", text).strip(" ,\n")
    text = _PLEASE_LAST.sub("", text)
    greeting = _GREETING.match(text)
    if greeting:
        text = text[greeting.end() :]
        if text.split(" ")[0].strip(",").lower() not in _OPENERS | _ASKING:  # "Hello, Dolly …"
            return None
    asked = _PLEASE.match(text)
    if asked:
        text = text[asked.end() :]
        if asked.group().lower().startswith(("can", "could", "would", "will")):
            text = text.rstrip(" ?") + "."
    if "  " in text or not _ALLOWED.fullmatch(text) or _LOOSE_APOSTROPHE.search(text) or _FORM.search(text):
        return None
    return None if _INNER_END.search(text) or not text.strip(" .?!") else text


def _mended(tokens: Sequence[str], words: Mapping[str, int]) -> list[str]:
    """The tokens with a single slip of the keyboard put right; as they are where there is none, or more than one."""
    plain = [token.strip(",()") for token in tokens]
    known = [token.lower() in words and not _SLIPPED_CAPITAL.fullmatch(token) for token in plain]
    lower = [is_known for token, is_known in zip(plain, known, strict=True) if _PLAIN.fullmatch(token)]
    if not lower.count(False) <= min(MAX_UNKNOWN, lower.count(True)):
        return list(tokens)
    slips: set[tuple[int, int, str]] = set()
    for at, (token, is_known) in enumerate(zip(plain, known, strict=True)):
        if not is_known:
            meant = set(_meant(token, words, is_first=at == 0))
            slips |= {(at, at + 1, tokens[at].replace(token, word)) for word in meant}
    for at, (left, right) in enumerate(pairwise(tokens)):
        if not (known[at] and known[at + 1]):
            slips |= {(at, at + 2, pair) for pair in _reshifted(left, right, words, is_first=at == 0)}
    if len(slips) != 1:
        return list(tokens)
    begin, end, meant_text = slips.pop()
    return [*tokens[:begin], *meant_text.split(" "), *tokens[end:]]


def _meant(token: str, words: Mapping[str, int], *, is_first: bool) -> Iterator[str]:
    """What an unknown word may have been before two of its neighbouring letters were swapped."""
    if _SLIPPED_CAPITAL.fullmatch(token):
        swapped = token[1] + token[0] + token[2:]
        if swapped[1].islower() and words.get(swapped.lower(), 0) >= MIN_COUNT:
            yield swapped
        return
    if not _PLAIN.fullmatch(token) and not (is_first and _PLAIN.fullmatch(token.lower())):
        return
    for at in range(len(token) - 1):
        swapped = token[:at].lower() + token[at + 1].lower() + token[at].lower() + token[at + 2 :]
        if (
            token[at] != token[at + 1]
            and _likely(swapped, words, SLIP_LENGTH, _MENDED)
            and (token.islower() or swapped in _OPENERS)
        ):
            yield swapped


def _reshifted(left: str, right: str, words: Mapping[str, int], *, is_first: bool) -> Iterator[str]:
    """What two words may have been before the blank between them changed places with the letter beside it."""
    lowered = left.lower() if is_first else left
    tail = right.rstrip(",)")
    if not (_PLAIN.fullmatch(lowered) and _PLAIN.fullmatch(tail)):
        return
    for one, other in ((lowered + tail[0], tail[1:]), (lowered[:-1], lowered[-1] + tail)):
        if one and other and all(_likely(word, words, SHIFT_LENGTH, _GRAMMAR) for word in (one, other)):
            yield f"{one} {other}{right[len(tail) :]}"


def _likely(word: str, words: Mapping[str, int], least: int, short: frozenset[str]) -> bool:
    return words.get(word, 0) >= MIN_COUNT if len(word) >= least else word in short
