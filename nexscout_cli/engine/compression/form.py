"""Whether a request asks about the form of a text: its layout, characters, order or spelling, not only what it says.

English, German, French and Spanish. A word too many costs a saving, one too few an answer: when in doubt, it asks. Only
where the words around it tell that something else is meant ("in order to", "capital city") it does not.
"""

from __future__ import annotations

import re

_STEMS = """
    layout format pretty indent whitespace spac blank newline linebreak tab tabs column align wrap trailing leading margin
    crlf eol byte bytes bom charset encod decod unicode utf ascii nfc nfd codepoint escap quot apostroph character chars
    letter spell misspel typo punctuat capital uppercase lowercase hyphen comma semicolon bracket brace
    length size structur sort order sequence duplicat repeat repetit identical differ diff compar verbatim exact literal
    original unchanged untouched preserve checksum hash md5 sha minif beautif lint valid schema syntax pars serializ
    convert transform translat rewrit edit fix correct refactor proofread copy reproduc echo line lines row rows
    json yaml yml xml csv toml key keys field fields object objects array arrays api payload code verse poem stanza rhym refrain
    zeichen leerzeichen leerzeile leerstelle zeile zeilen zeilenumbruch einrück eingerück ausricht ausgericht abstand
    abstände tabulator spalte kodier codier umlaut buchstab rechtschreib schreibweise schreibung satzzeichen anführung
    komma klammer anzahl zähl länge größe reihenfolge sortier ordnung wiederhol unterschied unterscheid gleich vergleich
    wörtlich genau unverändert original beibehalt belass gültig formatier umwandel übersetz korrigier gedicht strophe vers
    schlüssel feld felder
    espace espaces espacement ligne lignes saut retrait indenté tabulation colonne mise caractère caractere encodage
    orthograph ponctuation guillemet majuscule minuscule virgule accolade crochet nombre compte longueur taille ordre
    trier tri identique différen compare tel exactement inchangé conserv valide corrig tradui poème strophe refrain clé clés
    champ champs répét
    espacio espacios espaciado línea linea líneas lineas salto sangr tabulador columna formato carácter caracter codifica
    ortograf puntuación comilla mayúscula minúscula coma corchete llave número numero cuenta longitud tamaño
    orden repet idéntic identic diferen compar literal exactamente conserv válid traduc poema estrofa estribillo clave
    campo campos
"""
_WHOLE = """
    tab tabs size sha order line lines row rows eol bom utf diff fix json yaml yml xml csv toml key keys field fields object
    objects array arrays api code vers feld felder mise tel tri coma llave quot clé clés champ champs campo campos saut
    compte retrait count counts counted counting zeile zeilen comma komma
"""
_PHRASES = (
    r"how many (?:words|paragraphs|sentences|times)|how long is (?:it|this|the)|wie viele (?:wörter|sätze|absätze)|wie oft"
    r"|combien de (?:mots|phrases|fois)|cuántas (?:palabras|frases|veces)"
    r"|so lassen|so wie|as is|as it is|as they are|as written|word for word"
    r"|keep (?:it|them|the|all|every)|return (?:it|them|the)|same (?:form|structure|shape)|mot (?:à|pour) mot"
    r"|palabra por palabra|tal cual"
)
_OTHERWISE = (
    r"in order (?:to|for|that)|(?:online|pizza|takeaway|grocery|court|world|executive) orders?|order (?:online|from)"
    r"|original(?:ly| (?:price|cost|owner|cast|members?|settlers|inhabitants|inventor|author|novel|film|movie|series))"
    r"|different(?= (?!(?:from|than|to|in|or|and|at|here|there|now|by|enough)\b)\w)|differently|comparable|comparatively"
    r"|characteristics?|characterised?|characterized?|(?:main|fictional|minor|leading|cartoon|movie|film) characters?"
    r"|characters? (?:development|arc|named|played)|played the (?:character|role)"
    r"|formations?|formatives?|lineages?|linear(?:ly)?"
    r"|reproductive|reproduction|conservation(?:ist)?s?|conservatives?|conservatory|beautiful(?:ly)?"
    r"|capital (?:of|city|cities|gains?|markets?|punishment|investments?|expenditures?)|as (?:the |its )?capital|capitalis[mt]s?"
    r"|sort of|what sorts?|(?:what|who|how|why|where|when) exactly|exactly (?:what|who|how|why|where|when|one|once)"
    r"|in a row(?! of)|(?:death|skid) row|in the field of"
    r"|field (?:goals?|trips?|studies|study|work|hockey)|(?:\w+ )?yard field|magnetic fields?"
    r"|key (?:points?|features?|messages?|takeaways?|findings?|figures?|roles?|factors?|ideas?|activities|resources|people"
    r"|players?|reasons?|challenges?|benefits?|concepts?|decisions?|arguments?|themes?)"
    r"|(?:family|population|market|team|company|party) size|size of (?:the |its |their )?(?:population|market|army)"
    r"|outer space|space (?:exploration|stations?|shuttles?|travel|race|program(?:me)?s?|craft|agency|telescopes?)"
    r"|spacecrafts?|spaceships?|parking spaces?|green spaces?|sequence of events"
    r"|(?:cover|love|resignation|recommendation) letters?|letters? of (?:recommendation|resignation|intent)"
    r"|how many times (?:has|have|had|can|could|will|would)|structure of (?:an? |the )?(?:atom|cell|company|government|team)"
    r"|(?:cost|corporate|plant|cell|bone|power|organi[sz]ational|social) structures?"
    r"|code of (?:conduct|ethics)|dress codes?|postal codes?|zip codes?|penal code|area codes?"
    r"|pull tabs?|transformers?"
    r"|rail(?:way)? lines?|front lines?|product lines?|bottom line|phone lines?|repetitive"
)
"""What holds a word of form and means another thing; each is taken out before the words are looked for."""
_WORDS = _WHOLE.split()
_ELSE = re.compile(rf"\b(?:{_OTHERWISE})\b", re.IGNORECASE)
_ABOUT = re.compile(
    rf"\b(?:(?:{'|'.join(_WORDS)})\b|(?:{'|'.join(stem for stem in _STEMS.split() if stem not in _WORDS)})|(?:{_PHRASES})\b)",
    re.IGNORECASE,
)


def asks_about_form(text: str) -> bool:
    """True where one of the words of form stands in the text, and not for something else."""
    return _ABOUT.search(text) is not None and _ABOUT.search(_ELSE.sub("·", text)) is not None
