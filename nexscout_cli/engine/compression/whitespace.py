"""Whitespace that means nothing: the one form that a prompt's whitespace variants share.

What goes: the kind of line ends, blanks around the prompt, at line ends and repeated between words, repeated blank
lines. What stays, as it may mean something: indentation, fenced and inline code, short quotations, columns, Markdown's
hard breaks, every line's place; a text handed over to be checked, counted or converted; and the whole of a short
prompt that asks about whitespace or characters.
"""

from __future__ import annotations

import re
import unicodedata

SHORT = 280
"""Characters up to which a prompt that speaks of whitespace or characters is taken to ask about its own."""
CODE_INDENT = 4
"""Blanks from which a block is indented code (CommonMark 0.31, 4.4)."""
PROSE_WORDS = 5
"""Words from which a quotation is prose, whose doubled blanks mean nothing; a shorter one may be a literal."""

_BLANK = "[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]"
_BLANKS = re.compile(f"{_BLANK}+")
_RUN_OR_ODD = re.compile(f"{_BLANK}{{2}}|(?! ){_BLANK}")
_ABOUT = re.compile(
    r"\bwhite[ -]?spac|\bindent|\bpep ?8\b|\blint|\bregex|\bregular expression|\bascii|\blen\("
    r"|\bunicode|\bcode ?points?\b|\bmorse|\bbraille|\btokeni[sz]|\bspacing"
    r"|\b(?:base64|md5|sha-?\d+|checksum|hash|strlen|utf-?\d+|hex|urlencode|percent-encode)"
    r"|\b(?:double|extra|trailing|leading|consecutive|multiple|redundant|single|blank|empty|the|in|of|and|or)"
    r"\s+(?:spaces?|spacing|blanks?|tabs?|newlines?|line breaks?)\b|\b(?:double|blank|empty) lines?\b"
    r"|leerzeichen|leerstelle|zwischenr(?:aum|äume)|zeilenumbr|einrück|\bdobles? espacio|\bespacios? (?:en blanco|dobles?)"
    r"|\bdoubles? espaces?|\bspazi\b|\b(?:spatie|mellanslag|mellomrom|mellemrum|mezer|spacj|boşluk)|пробел|отступ|مساف|रिक्त"
    r"|空格|空白|换行|換行|スペース|改行|공백|띄어쓰기"
    r"|(?:\b(?:zähl|anzahl|länge|wie (?:viele|lang)|cu[aá]nt|cont[aá]|número|longitud|combien|compte|nombre|longueur|quant|numero"
    r"|lunghezza|comprimento|hoeveel|tel|lengte|сколько|посчита|подсчита|длин|kaç|ile)|数|幾|几|何|多少|كم|عدد|몇|कितने)"
    r"[^.!?。\n]{0,60}?(?:zeichen|buchstab|espa[cç]|caract|letra|lettre|spazi|caratter|letter|teken|символ|букв|знак|karakter"
    r"|harf|znak|liter|字|حرف|حروف|أحرف|글자|문자|अक्षर)"
    r"|\b(?:how (?:many|long)|count|number|length|position|index|every|each|nth|\d+(?:st|nd|rd|th)|first|last|remove"
    r"|replace|strip|trim|split|collapse|reverse|escape|encode|decode|join|find|delete|insert|keep|preserve|exact\w*"
    r"|verbatim)\b[^.!?\n]{0,60}?\b(?:spaces?|blanks?|gaps?|tabs?|characters?|chars?|letters?|newlines?|line breaks?|bytes?"
    r"|symbols?|code ?points?|strings?)\b",
    re.IGNORECASE,
)
_HANDS_OVER = re.compile(
    r"(?:(?:(?:please|kindly|can you|could you|would you|i need you to|help me)[ \t]+){0,2}"
    r"(?:proof-?read|spell-?check|correct|edit|fix|check|count|format|re-?format|indent|lint|parse|tokeni[sz]e|split|compare|diff|"
    r"escape|encode|decode|hash|reverse|minify|beautify|align|wrap|convert|transcribe|copy|repeat|echo|quote|transform|"
    r"translate|rewrite|re-?phrase|paraphrase|render|print|normali[sz]e|clean|trim|strip|sort|explain|review|debug|refactor|run|"
    r"execute|evaluate|what(?:'s|’s| does| is| will| would)|how (?:many|long|does|will))\b[^:\n]{0,200}:"
    r"|[^:\n]{0,200}[.!?]\s+(?:please[ \t]+)?(?:proof-?read|spell-?check|correct|count|tokeni[sz]e|lint|encode|decode|hash)"
    r"\b[^:\n]{0,60}:"
    r"|(?:bitte |por favor,? |s'il vous plaît,? |пожалуйста,? |请)?(?:korrigier|berichtig|überprüf|prüf|zähl|formatier|übersetz|"
    r"umschreib|lektorier|corrig|corrij|corregi|cuent|revis|traduc|traduz|traduis|format|compt|vérifi|relis|corregg|conta|verific|"
    r"controleer|verbeter|vertaal|исправ|провер|подсчит|посчит|перевед|перепиш|校对|校對|检查|纠正|改正|修改|翻译|翻譯|校正|訂正|修正|"
    r"添削|翻訳|صحح|ترجم|دقق|고쳐|번역)[^:：\n]{0,200}[:：])\s*",
    re.IGNORECASE,
)
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_LITERAL = re.compile(
    r"(`{1,3})[^`]+\1|\\ +|\"[^\"]*\"|“[^“”]*”|„[^„“”]*[“”]|«[^«»]*»|(?<!\w)'[^']*'(?!\w)|(?<!\w)‘[^‘’]*’(?!\w)"
)
_WORDY = re.compile(r"\w")
_CODE_LINE = re.compile(r"(?:def|class|if|elif|else|for|while|with|try|except)\b.*:$")
_COLUMN_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")
_CLOSED = tuple(".?!\"'`)”»。？！")


def settled(prompt: str) -> str:
    """The prompt in NFC without the whitespace that means nothing."""
    if len(prompt) <= SHORT and _ABOUT.search(prompt):
        return _whole(prompt)
    text = unicodedata.normalize("NFC", prompt.replace("\r\n", "\n").replace("\r", "\n"))
    handed = _HANDS_OVER.match(text, len(text) - len(text.lstrip()))
    if handed is None:
        return _lines(text)
    head, tail = text[: handed.end()], text[handed.end() :]
    kept = tail if _ABOUT.search(head) else tail.rstrip()
    return f"{_lines(head)}{chr(10) if chr(10) in head[len(head.rstrip()) :] else ' '}{kept}"


def _whole(prompt: str) -> str:
    """A prompt that asks about its own characters: only what lies outside its sentence goes."""
    text = prompt.rstrip() if prompt.rstrip().endswith(_CLOSED) else prompt
    return text if "\n" in text else text.lstrip()


def _lines(text: str) -> str:
    is_json = text.strip()[:1] + text.strip()[-1:] in ("{}", "[]")
    lines = [line if line.strip() else "" for line in text.split("\n")]
    kept: list[str] = []
    fence = ""
    for at, line in enumerate(lines):
        if not line:
            if kept and kept[-1]:
                kept.append("")
            continue
        mark = _FENCE.match(line)
        if fence or mark:
            kept.append(line)
        else:
            following = lines[at + 1] if at + 1 < len(lines) else ""
            kept.append(_line(line, lines[at - 1] if at else "", following, is_json))
        if mark and (not fence or mark.group(1).startswith(fence)):
            fence = "" if fence else mark.group(1)
    if kept:
        kept[0] = _first(kept)
    return "\n".join(kept).rstrip()


def _first(kept: list[str]) -> str:
    """The first line without the blanks before it, but for those that indent code."""
    bare = kept[0].lstrip()
    below = next((line for line in kept[1:] if line), "")
    indented = all(len(line) - len(line.lstrip()) >= CODE_INDENT for line in (kept[0], below))
    return kept[0] if indented or _CODE_LINE.match(bare) else bare


def _line(line: str, before: str, after: str, is_json: bool) -> str:
    bare = line.rstrip()
    hard_break = "  " if line.endswith("  ") and after else ""
    indent = len(bare) - len(bare.lstrip())
    if not _RUN_OR_ODD.search(bare, indent) or (not is_json and _in_columns(bare, before, after)):
        return bare + hard_break
    pieces: list[str] = []
    start = indent
    for literal in _LITERAL.finditer(bare, indent):
        if _is_kept(literal, is_json):
            pieces += _BLANKS.sub(" ", bare[start : literal.start()]), literal.group()
            start = literal.end()
    return bare[:indent] + "".join(pieces) + _BLANKS.sub(" ", bare[start:]) + hard_break


def _is_kept(literal: re.Match[str], is_json: bool) -> bool:
    """False for a quotation of prose, whose doubled blanks mean nothing, and for a text in JSON that has words."""
    text = literal.group()
    if literal.group(1) or text[:1] == "\\":
        return True
    if is_json:
        return not _WORDY.search(text)
    return len(text.split()) < PROSE_WORDS or literal.string[: literal.start()].endswith(("(", "="))


def _in_columns(line: str, *near: str) -> bool:
    """True for a row of a table: cells between bars or tabs, or columns that line up with a neighbouring line's by
    more than one doubled blank.
    """
    body = line.strip()
    if body.count("|") > 1 or ("\t" in body and (body.count("\t") > 1 or any("\t" in other.strip() for other in near))):
        return True
    gaps = {gap.end(): len(gap.group()) for gap in _COLUMN_GAP.finditer(line)}
    for other in near:
        shared = [max(gaps[g.end()], len(g.group())) for g in _COLUMN_GAP.finditer(other) if g.end() in gaps]
        if len(shared) > 1 or any(width > 2 for width in shared):
            return True
    return False
