"""The canonical form under which short questions that ask the same meet; opt-in, by ``cache.match = canonical``.

Only single sentences of at most 200 characters that hand over no text, quote nothing and ask for no form (translate,
count, spell …) have one. It differs from the sentence in what is listed here and in nothing else:

- politeness around it ("Please …", "Hi, …", "… Thanks!") and the mark that ends it;
- contractions: "what's", "don't", "I'm" (never a noun's "'s");
- "an" and "a" are one;
- the case of a first word that begins questions and instructions;
- "How do I", "How can I", "How to", "What is a good way to", "What is the way to", "If I want to …, what should I do"
  are one, and "Do you think I can …" is "Can I …";
- one slip of the keyboard, two neighbouring characters swapped or a letter left out (:mod:`slips`);
- number words before a plural, the order of parts whose order says nothing, and one and many where a kind of thing is asked
  about (:mod:`rewordings`).

Everything else stays, in its order: names, numbers, negations, quantifiers, comparatives, prepositions, dates, units,
languages, constraints. When in doubt there is no form: a missed repeat costs one call, a wrong one gives a wrong answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nexscout_cli.engine.cache.rewordings import in_one_order, with_digits
from nexscout_cli.engine.cache.slips import GRAMMAR, OPENERS, Together, mended, words_of

MAX_CHARS = 200
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
        (r"what should i do if i want to " + _REST, "how to "),
        (rf"if i want to {_REST}, what should i do", "how to "),
        (
            r"do you think (?P<who>i|you|we|one) (?P<aux>can|could|should|must|may|will|would) " + _REST,
            r"\g<aux> \g<who> ",
        ),
        (r"do you think (?P<who>i|you|we) (?P<aux>have to|need to) " + _REST, r"do \g<who> \g<aux> "),
    )
)


_ASKING = words_of("please kindly")
_ASKS = words_of("how what when where which who whom whose why")
"""Words after which a sentence is a question, whatever ends it."""
_SMALL_I = re.compile(
    r"(?P<before>\b(?:do|did|can|could|should|would|will|may|might|was|when|that) )i\b"
    r"|(?<!does )(?<!is )(?<!of )\bi(?= (?:am|have|had|want|need|would|will|do|did|can|could|should|must|was)\b)",
    re.I,
)
"""A pronoun, and no letter: of i, the imaginary unit, and I, the current, something else is asked."""


def canonical_question(prompt: str, words: Mapping[str, int], together: Together) -> str | None:
    """The canonical form of a normalized prompt, None where it has none. ``words``: known lower-case words with counts;
    ``together``: whether two of them are often met beside each other.
    """
    text = _bare(prompt.replace("’", "'"))
    if text is None:
        return None
    body = text.rstrip(" .?!")
    end = text[len(body) :]
    mark = "!" * end.count("!") or ("?" if "?" in end else ".")  # "What is 5!?"
    for pattern, expansion in _CONTRACTIONS:
        body = pattern.sub(expansion, body)
    tokens = with_digits(mended(body.split(" "), words, together), words)
    first = tokens[0] if tokens[0].isupper() and len(tokens[0]) > 1 else tokens[0].lower()  # WHO and CAN are names
    if first in OPENERS:
        tokens[0] = first
    if first in _ASKS and mark == ".":
        mark = "?"
    body = " ".join(tokens)
    body = _ARTICLE.sub(lambda an: an.group() if an["next"] in GRAMMAR else "a ", body)
    body = in_one_order(body)
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
        if text.split(" ")[0].strip(",").lower() not in OPENERS | _ASKING:  # "Hello, Dolly …"
            return None
    asked = _PLEASE.match(text)
    if asked:
        text = text[asked.end() :]
        if asked.group().lower().startswith(("can", "could", "would", "will")):
            text = text.rstrip(" ?") + "."
    if "  " in text or not _ALLOWED.fullmatch(text) or _LOOSE_APOSTROPHE.search(text) or _FORM.search(text):
        return None
    return None if _INNER_END.search(text) or not text.strip(" .?!") else text
