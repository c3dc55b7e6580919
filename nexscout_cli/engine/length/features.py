"""What a prompt asks for, as far as it tells how long the answer will be: a vector of features, and a length it names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

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
    r"\b(?:how (?:many|much|long|old|far)|what (?:is|was|are|will|percent)|calculate|find|compute|solve)\b"
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
    "blanks",
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
EXAM = (
    "exam",
    "exam_in",
    "exam_past_150",
    "exam_numbers",
    "exam_latex",
    "exam_options",
    "exam_word_problem",
    "form",
    "form_in",
    "form_latex",
    "form_numbers",
    "form_code",
)
NAMES = (
    *SIZES,
    *(f"has_{name}" for name in GROUPS),
    *(f"opens_{name}" for name in GROUPS),
    *(phrase.replace(" ", "_") for phrase in _PHRASES),
    *MIXED,
    *EXAM,
)


def features(text: str, tokens: int, manner: str = "") -> list[float]:
    """The features of a prompt of that many tokens, in the order of NAMES: counts as logarithms, the others 0 or 1.

    ``manner`` is what was said beside the prompt about the answer wanted: tone and goal.
    """
    if len(text) > HEAD + TAIL:
        text = text[:HEAD] + "\n" + text[-TAIL:]
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
    options = len(_OPTION.findall(text))
    numbers = math.log1p(len(_NUMBER.findall(plain)))
    latex = math.log1p(len(_LATEX.findall(text)))
    code = math.log1p(len(_CODE.findall(text)))
    blanks = len(_BLANK.findall(text))
    form = 1.0 if blanks else 0.0
    sought = _SOUGHT.search(low)
    problem = 1.0 if options < 3 and not form and numbers > 1.0 and code < 1.0 and sought and end in ("?", ".") else 0.0
    exam = 1.0 if options >= 3 or form or problem else 0.0
    past = max(0.0, size - 5.0)
    short_fact = float(len(words) <= 12 and asks and any(word in _FACT for word in words[:2]))
    on_text = max(opens[_REWRITE], opens[_TRANSLATE], opens[_CLASSIFY])
    return [
        size - 4.0, past, max(0.0, size - 6.55), math.log1p(len(words)) - 3.0, math.log1p(low.count("?")),
        asks, float(not asks and end not in (".", "!", "。")), numbers, latex, code, math.log1p(text.count("```")),
        math.log1p(text.count("\n")), math.log1p(len(_BULLET.findall(text))), _share(_WIDE, text), _share(_FOREIGN, text),
        math.log1p(blanks), *has, *opens, *(float(phrase in low) for phrase in _PHRASES),
        float(len(words) <= 3), short_fact, asks * (len(words) <= 12), on_text, on_text * (size - 4.0),
        opens[_TRANSLATE] * (size - 4.0), opens[_WRITE] * has[_OPUS],
        float(sought is not None) * (1.0 - exam), exam, exam * (size - 5.0), exam * past, exam * numbers, exam * latex,
        math.log1p(options) * exam, problem, form, form * (size - 5.0), form * latex, form * numbers, form * code,
    ]  # fmt: skip


def kind(vector: Sequence[float]) -> int:
    """What sort of prompt it is, an index of KINDS.

    A question with one right answer has options to choose from, a form to fill, or a sum to find.
    """
    return 0 if vector[_EXAM_AT] == 0.0 else 3 if vector[_FORM_AT] else 2 if vector[_SUM_AT] else 1


def _share(pattern: re.Pattern[str], text: str) -> float:
    return min(1.0, 4 * len(pattern.findall(text)) / max(1, len(text)))


_REWRITE, _TRANSLATE, _CLASSIFY = GROUPS.index("rewrite"), GROUPS.index("translate"), GROUPS.index("classify")
_WRITE, _OPUS = GROUPS.index("write"), GROUPS.index("opus")
_FACT = frozenset(f"{_LEXICON['fact']} {_LEXICON['what']} is are was were do does did can has have".split())
_EXAM_AT, _SUM_AT, _FORM_AT = NAMES.index("exam"), NAMES.index("exam_word_problem"), NAMES.index("form")


# Tokens that one of them takes, and how far the number decides: a model keeps to words, and takes an item as it likes.
_UNITS: tuple[tuple[float, float, str], ...] = (
    (1.35, 0.9, "word words palabra palabras wort worte wörter wörtern mot mots parola parole palavra palavras слов слова"),
    (24.0, 0.85, "sentence sentences oración oraciones frase frases satz sätze sätzen phrase phrases frasi предложения"),
    (14.0, 0.8, "line lines verse verses línea líneas zeile zeilen ligne lignes riga righe linha linhas"),
    (100.0, 0.8, "paragraph paragraphs párrafo párrafos absatz absätze absätzen paragraphe paragraphes paragrafi parágrafos"),
    (28.0, 0.75, "bullet bullets point points punto puntos stichpunkte stichpunkten puces punti ponto pontos"),
    (45.0, 0.6, "item items step steps idea ideas example examples suggestion suggestions tip tips reason reasons ways pasos "
     "consejos ejemplos schritte schritten ideen tipps beispiele étapes idées exemples conseils idee consigli passi dicas"),
    (75.0, 0.6, "slide slides diapositivas folien diapositives"),
    (600.0, 0.7, "page pages página páginas seite seiten pagina pagine"),
)  # fmt: skip
_UNIT = {word: (per, sure) for per, sure, words in _UNITS for word in words.split()}
_NUMBERS = (
    "one two three four five six seven eight nine ten",
    "una dos tres cuatro cinco seis siete ocho nueve diez",
    "einem zwei drei vier fünf sechs sieben acht neun zehn",
    "une deux trois quatre cinq six sept huit neuf dix",
    "un due tre quattro cinque sei sette otto nove dieci",
    "uma duas três quatro cinco seis sete oito nove dez",
)
_VALUE = {word: value for words in _NUMBERS for value, word in enumerate(words.split(), 1)}
_VALUE |= {
    "a": 1,
    "single": 1,
    "einen": 1,
    "eine": 1,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "fifty": 50,
    "hundred": 100,
}
_PIECE = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)|\w+|[^\w\s-]")
_CHARACTERS = re.compile(r"(\d{1,5}) ?(?:字|文字|个字|글자)")
_TOKENS_PER_CHARACTER = 0.8


def named_length(text: str) -> tuple[float, float] | None:
    """The tokens that a length named in the prompt comes to, and how far it decides (0..1); None when none is named.

    Of several the longest counts: of "5 tips in 2 sentences each" that is the five tips.
    """
    if len(text) > HEAD + TAIL:
        text = text[:HEAD] + "\n" + text[-TAIL:]
    best = (0.0, 0.0)
    pieces = _PIECE.findall(text.lower())
    for at, piece in enumerate(pieces):
        if piece in _UNIT:
            per, sure = _UNIT[piece]
            # Of "a 200-word email" the number is 200, not "a"; a word may come between: "3 short sentences".
            before = [_number(word) for word in pieces[max(0, at - 2) : at]]
            number = next((n for n in reversed(before) if n), 0)
            # "One point" or "a step" is said of other things, too.
            if number > 1 or (number == 1 and sure > 0.75):
                best = max(best, (number * per, sure))
    if not text.isascii():
        for characters in _CHARACTERS.findall(text):
            best = max(best, (int(characters) * _TOKENS_PER_CHARACTER, 0.9))
    return best if best[0] else None


def _number(word: str) -> int:
    if word in _VALUE:
        return _VALUE[word]
    digits = word.replace(",", "")
    return int(digits) if digits.isdecimal() and len(digits) <= 5 else 0
