"""A length that a prompt tells itself: by a number ("in 50 words"), by worked examples, or by asking for the bare answer."""

from __future__ import annotations

import re

from nexscout_cli.engine.length.features import seen

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
    text = seen(text)
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


def told(text: str, opens: bool) -> tuple[float, float] | None:
    """The tokens that the prompt itself tells, and how far they decide (0..1); None where it tells nothing.

    ``opens``: it has no one right answer. In a question that has, numbers are part of what is told ("reads 120 pages in 4
    days"), and may be all that is wanted.
    """
    return shown_length(text) or (named_length(text) if opens else bare_length(text))


BARE_TOKENS, BARE_SURE = 4.0, 0.8
"""What a bare answer comes to, with the sign or the word that models put beside it, and how far it is believed."""
EXAMPLES_SURE, TOKENS_PER_EXAMPLE_CHARACTER = 0.9, 0.25
"""How far worked examples decide, and what a character of their answers comes to, beside one token."""
_LABEL = re.compile(r"(?:\A|\n)[ \t]*+([^\n:]{1,30}+:)\s*+\Z")
_LABEL_ROOM = 80
_BARE = re.compile(
    r"\b(?:answer|respond|reply|print|give|write|output|return|choose|say|state|with)\b[^.\n]{0,25}\b(?:only|just|a single)\b"
    r"[^.\n]{0,25}\b(?:letter|choice|option|number|answer|word|digit)\b|"
    r"\b(?:letter|number|answer|choice|option) only\b|\b(?:without|no) (?:any )?(?:explanations?|reasoning)\b|"
    r"\b(?:do not|don't) (?:explain|show (?:your|any|the) (?:work|steps|reasoning))\b|\bnothing else\b",
    re.I,
)


def shown_length(text: str) -> tuple[float, float] | None:
    """The tokens that answers of worked examples have, and how far they decide (0..1); None where the prompt shows none.

    A prompt that ends in a label ("Answer:") which stood before shows answers behind it, each up to an empty line.
    """
    text = seen(text)
    found = _LABEL.search(text[-_LABEL_ROOM:])
    if found is None:
        return None
    # What stands behind the last label is what is asked for.
    parts = text.split(f"\n{found[1]}")[1:-1]
    answers = [len(part.strip().partition("\n\n")[0]) for part in parts]
    if not answers:
        return None
    return max(BARE_TOKENS, 1 + TOKENS_PER_EXAMPLE_CHARACTER * sum(answers) / len(answers)), EXAMPLES_SURE


def bare_length(text: str) -> tuple[float, float] | None:
    """The tokens of a question's bare answer, where the prompt asks for no more than that; None where it does not."""
    return (BARE_TOKENS, BARE_SURE) if _BARE.search(seen(text)) else None
