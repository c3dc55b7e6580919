"""What a prompt asks for, as far as it tells how long the answer will be: its kind, and of an open one a vector of features."""

from __future__ import annotations

import math
import re

HEAD, TAIL = 3_000, 1_500
"""Characters read at a long prompt's beginning and end: what is asked stands in one of the two."""
OPENING = 12
"""Words in which a prompt's own verb is looked for; a word further on may belong to the text it is about."""

# English, then Spanish, German, French, Italian, Portuguese, and what is written without spaces further down.
_LEXICON = {
    "opus": "essay essays article articles blog story stories report paper novel chapter screenplay curriculum syllabus guide "
    "tutorial manual proposal plan strategy itinerary course lecture ensayo artículo historia cuento informe aufsatz "
    "artikel geschichte bericht rédaction histoire rapport saggio storia relazione redação história relatório",
    "letter": "email emails mail letter memo message speech poem song lyrics rap review introduction dialogue conversation "
    "paragraph correo carta poema mensaje gedicht nachricht lettre courriel poème lettera poesia mensagem",
    "line": "title titles tweet slogan tagline headline caption haiku joke jokes pun riddle quote hashtag bio sentence word "
    "name subject título titel titre titolo witz chiste blague frase satz phrase palabra wort mot parola palavra",
    "write": "write compose draft create generate craft design develop produce make build prepare escribe redacta crea "
    "schreibe schreib verfasse erstelle écris écrivez rédige rédigez scrivi escreva crie",
    "list": "list lists ideas examples suggestions recommendations brainstorm tips reasons ways steps top lista ejemplos "
    "consejos liste ideen beispiele idées exemples elenco esempi exemplos",
    "rewrite": "rewrite rephrase paraphrase proofread correct edit improve polish convert transform change replace reword "
    "simplify grammar modify reescribe corrige mejora korrigiere verbessere corrigez réécris riscrivi correggi",
    "translate": "translate translation traduce traducir übersetze übersetzen traduis traduisez traduci traduza переведи",
    "classify": "classify categorize categorise sentiment label extract identify detect match rank sort true false yes no "
    "positive negative clasifica extrae klassifiziere classe classifica",
    "summary": "summarize summarise summary tldr gist takeaways abstract condense shorten resume resumen resumir "
    "zusammenfassung résume résumé resumez riassumi riassunto resumo",
    "explain": "explain describe discuss elaborate teach why analyze analyse critique evaluate explica describe erkläre "
    "beschreibe warum explique expliquez décris pourquoi spiega descrivi perché porque",
    "compare": "compare comparison difference differences versus vs pros cons advantages disadvantages benefits compara "
    "diferencia vergleiche unterschied différence differenza diferença",
    "advice": "should advice recommend best help suggest tips improve better consejo ratschlag conseil consiglio conselho",
    "fact": "who whom when where which whose quién cuándo dónde cuál wer wann wo welche qui où quelle chi dove quale",
    "what": "what whats qué was quoi cosa",
    "how": "how cómo wie comment come como",
    "arithmetic": "calculate compute solve probability equation sum total percent percentage average integral derivative prove "
    "proof value cuánto cuántos combien quanto quanti quantos berechne calcula calcule",
    "code": "code function python javascript typescript java rust golang sql query regex html css react api bash shell script "
    "program algorithm class implement pandas excel formula docker linux kotlin swift php ruby código funktion fonction",
    "function": "function functions method regex formula command one-liner snippet función funktion fonction funzione função",
    "debug": "error bug fix debug exception traceback issue fails failed wrong",
    "data": "json yaml xml csv dictionary table format schema markdown",
    "steps": "step steps reasoning think reason show working",
    "long": "detail detailed details comprehensive thorough thoroughly depth long extensive complete full everything "
    "professional elaborate many detallado ausführlich détaillé dettagliato detalhado",
    "short": "brief briefly short shortly concise concisely succinct succinctly breve brevemente corto kurz knapp bref "
    "brièvement court conciso curto",
    "only": "only just simply simple quick without solo nur seulement soltanto apenas",
    "role": "act pretend imagine roleplay expert assistant",
    "chat": "hi hello hey thanks thank morning hola gracias hallo danke bonjour merci ciao grazie obrigado",
}
KINDS = ("open", "choice", "sum", "form")
OPEN = KINDS.index("open")
GROUPS = tuple(_LEXICON)
_GROUPS_OF: dict[str, list[int]] = {}
for _at, _words in enumerate(_LEXICON.values()):
    for _word in _words.split():
        _GROUPS_OF.setdefault(_word, []).append(_at)
_PHRASES = ("step by step", "how many", "how much", "how to", "how do", "what is", "give me", "explain", "you are")
_WORD = re.compile(r"[^\W\d_]+")
_OPTION = re.compile(r"^[ \t]*\(?[A-J][.)][ \t]", re.MULTILINE)
_LATEX = re.compile(r"\$[^$\n]+\$|\\[a-z]{2,}|\\[(\[]")
_CODE = re.compile(
    r"[{};]$|^ *(?:def |class |import |from \w+ import|#include|SELECT |function |const |var |let )", re.MULTILINE
)
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_NUMBER = re.compile(r"\d+")
_BULLET = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])[ \t]", re.MULTILINE)
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af]")
_FOREIGN = re.compile("[^\x00-\x7f\u2000-\u2bff]")
_BLANK = re.compile("_{3,}")
_SOUGHT = re.compile(
    r"\b(?:how (?:many|much|long|old|far|high|tall|fast|big)|calculate|find|compute|solve|"
    r"what(?:'s|\u2019s| is| was| are| will| would| number| percent(?:age)?))\b"
)
_AMOUNT = re.compile(
    r"\bhow (?:many|much|long|old|far|high|tall|fast|big)\b|\bcalculate\b|"
    r"\bwhat(?:'s|\u2019s| is| was) the (?:total|number|sum|average|probability)\b"
)
_SPELT = re.compile(
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|dozen|twenty|fifty|hundred|half|third|quarter|fourth|"
    r"twice|double|triple|each|every|times)\b"
)

SIZES = (
    "in",
    "in_past_150",
    "in_past_700",
    "asked_words",
    "questions",
    "ends_in_question",
    "ends_open",
    "numbers",
    "latex",
    "code_lines",
    "fences",
    "lines",
    "bullets",
    "wide",
    "foreign",
)
MIXED = (
    "tiny",
    "short_fact",
    "short_question",
    "on_text",
    "on_text_in",
    "on_text_translate",
    "opus_written",
    "sum_sought",
)
NAMES = (
    *SIZES,
    *(f"has_{name}" for name in GROUPS),
    *(f"opens_{name}" for name in GROUPS),
    *(phrase.replace(" ", "_") for phrase in _PHRASES),
    *MIXED,
)


def seen(text: str) -> str:
    """What is read of a prompt: all of it, or of a long one its beginning and its end."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def features(text: str, tokens: int, manner: str = "") -> list[float]:
    """The features of a prompt of that many tokens, in the order of NAMES: counts as logarithms, the others 0 or 1.

    ``manner`` is what was said beside the prompt about the answer wanted: tone and goal.
    """
    text = seen(text)
    plain = _FENCED.sub("\n", text) if "```" in text else text
    low = plain.lower()
    words = _WORD.findall(low)
    has, opens = [0.0] * len(GROUPS), [0.0] * len(GROUPS)
    for at, word in enumerate(words):
        for group in _GROUPS_OF.get(word, ()):
            has[group] = 1.0
            if at < OPENING:
                opens[group] = 1.0
    for word in _WORD.findall(manner.lower()):
        for group in _GROUPS_OF.get(word, ()):
            has[group] = 1.0
    size = math.log(max(tokens, 1))
    end = plain.rstrip()[-1:]
    asks = float(end in ("?", "？"))
    numbers = math.log1p(len(_NUMBER.findall(plain)))
    latex = math.log1p(len(_LATEX.findall(text)))
    code = math.log1p(len(_CODE.findall(text)))
    sought = _SOUGHT.search(low)
    past = max(0.0, size - 5.0)
    short_fact = float(len(words) <= 12 and asks and any(word in _FACT for word in words[:2]))
    on_text = max(opens[_REWRITE], opens[_TRANSLATE], opens[_CLASSIFY])
    return [
        size - 4.0, past, max(0.0, size - 6.55), math.log1p(len(words)) - 3.0, math.log1p(low.count("?")),
        asks, float(not asks and end not in (".", "!", "。")), numbers, latex, code, math.log1p(text.count("```")),
        math.log1p(text.count("\n")), math.log1p(len(_BULLET.findall(text))), _share(_WIDE, text), _share(_FOREIGN, text),
        *has, *opens, *(float(phrase in low) for phrase in _PHRASES),
        float(len(words) <= 3), short_fact, asks * (len(words) <= 12), on_text, on_text * (size - 4.0),
        opens[_TRANSLATE] * (size - 4.0), opens[_WRITE] * has[_OPUS],
        float(sought is not None),
    ]  # fmt: skip


def kind(text: str) -> int:
    """What sort of prompt it is, an index of KINDS.

    A question with one right answer has options to choose from, a form to fill, or a sum to find; a sum's numbers may be
    spelt where it says how many are sought.
    """
    text = seen(text)
    if _BLANK.search(text):
        return KINDS.index("form")
    if len(_OPTION.findall(text)) >= 3:
        return KINDS.index("choice")
    plain = _FENCED.sub("\n", text) if "```" in text else text
    low = plain.lower()
    if plain.rstrip()[-1:] not in ("?", ".") or not _SOUGHT.search(low) or len(_CODE.findall(text)) > 1:
        return OPEN
    numbers = len(_NUMBER.findall(plain))
    words = _WORD.findall(low)
    if not _CODES.isdisjoint(words[:OPENING]):
        return OPEN
    counted = numbers + len(_SPELT.findall(low)) if _AMOUNT.search(low) else numbers
    return KINDS.index("sum") if counted > 1 else OPEN


def _share(pattern: re.Pattern[str], text: str) -> float:
    return min(1.0, 4 * len(pattern.findall(text)) / max(1, len(text)))


_REWRITE, _TRANSLATE, _CLASSIFY = GROUPS.index("rewrite"), GROUPS.index("translate"), GROUPS.index("classify")
_WRITE, _OPUS = GROUPS.index("write"), GROUPS.index("opus")
_FACT = frozenset(f"{_LEXICON['fact']} {_LEXICON['what']} is are was were do does did can has have".split())
_CODES = frozenset(["code", "function", "python", "javascript", "sql", "query", "script"])
