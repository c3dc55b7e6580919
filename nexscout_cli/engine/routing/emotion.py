"""Emotional complexity: how much feeling a request carries that an answer would have to handle with care.

Valences and sentence polarity come from VADER (Hutto & Gilbert, 2014; the package ``vaderSentiment``). VADER alone
cannot
tell "the process was killed" from "he was killed", so each sentence is weighed by what it is about: a person's feelings
count in full, a topic a little, technical vocabulary hardly at all.

The function, for the sentences of the text that are prose (code, JSON, links and stock phrases such as "no problem" are
left out):

1. *heat* of a sentence = the sum over its words of |negative valence| × weight (feeling 0.95, other 0.35 or,
between two people, 0.6, technical 0.05;
   a fifth of it after a negation) + 1.9 for each phrase (two at most) of anger, fear, grief or conflict + 0.6 ×
   −compound where VADER's
   compound is negative; then × 1 when a person speaks or is spoken of, × 0.35 otherwise, × 0.2 in an impersonal
   instruction
   ("List the causes of …").
2. heat of the text = hottest + 0.5 × second + 0.3 × third sentence, so that length alone changes nothing.
3. Mixed feelings: + 1.2 where personal warmth meets some heat across "but", "yet", "though"…, + 0.5 where they merely meet;
   where warmth far outweighs a little heat without a contrast, heat is halved.
4. What the words themselves tell (:mod:`nexscout_cli.engine.routing.emotion_words`, trained) is weighed against that heat:
   score = logistic(LEVEL + STEEP × (constant + a × log-odds by the words + b × heat, at most 4)); 0 where neither tells of any.

Sentences in German, Spanish, Chinese, Hindi or Arabic are read by lists of their own, and a short text that tells of the
writer's life without asking for anything counts as hot where something in it may lie heavy (both:
:mod:`nexscout_cli.engine.routing.feelings`).

Only the first 6,000 characters and 60 sentences of at most 400 characters are read.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, NamedTuple

from nexscout_cli.engine.routing import emotion_words, feelings
from nexscout_cli.engine.routing.feelings import language, unsaid

MAX_CHARS = 6_000
MAX_SENTENCES = 60
MAX_SENTENCE_CHARS = 400
LEVEL, STEEP = 0.4, 8.0
"""Where nothing speaks for either side the score is 0.6, between what counts as calm (below 0.5) and as heavy (above 0.7)."""
TAKEN_BACK, FEW_CHARS = 0.5, 40
"""In so few characters a heat below this is that of a feeling taken back ("I'm not angry"), whatever else the words say."""

_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]{1,200}`|https?://\S+|\S{1,100}@\S+"  # code, links, addresses
    r"|^(?: {4}|\t)[^\n]*|^[^\n]*[{};]\s*$|^[^\S\n]*+(?:Traceback|File \")[^\n]*"  # indented code, statements, stack traces
    r"|\b\w+(?:Error|Exception)\b",
    re.DOTALL | re.MULTILINE,
)
_STOCK = re.compile(
    r"\b(?:i(?:'| a)m afraid (?:i|we|that|the|it|there|not|so)\b|(?:i'm |we're |so |very )*sorry (?:for|about|to"
    r"|but|i|we|if)\b"
    r"|no (?:problem|worries|doubt|hurry|rush)|(?:don't|do not|didn't|not to) (?:hesitate|worry|miss)|can(?:'"
    r"|no)?t (?:wait|hate)\b"
    r"|regret to (?:inform|tell|announce)|regret any|nothing to worry|worry about nothing|hate to (?:bother|break"
    r"|ask|say|interrupt|be)|can't complain|(?:death|mortality|suicide|crime|divorce|fear|anger) (?:rate|index"
    r"|statistic|toll)s?"
    r"|dead ?line|death and taxes|pain points?|cut ?off|fear of missing out|crying out for|drop dead gorgeous"
    r"|(?:cold|cost|sales?|objection) (?:calls?|cutting|attack)|attack (?:surface|vector)|angry birds"
    r"|killer (?:feature|app))",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？।؟])|\n+")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")

_PERSON = frozenset(
    """i me my mine myself we us our ours i'm i've i'd i'll we're we've you your you're you've he she him her his
    hers they them
    their they're he's she's he'll she'll mum mom mother dad father parents sister brother son daughter kids
    children baby wife
    husband partner girlfriend boyfriend ex friend boss manager cofounder colleague neighbour neighbor landlord
    grandmother
    grandfather grandma grandpa aunt uncle family somebody someone everyone nobody whose widow dog cat client
    customer""".split()  # noqa: SIM905
)
_FIRST = frozenset("i me my mine i'm i've i'd us".split())  # noqa: SIM905
_RELATION = _PERSON - frozenset(
    "you your you're you've we us our ours their them they i me my mine myself i'm i've i'd i'll we're".split()  # noqa: SIM905
)
_IMPERATIVE = re.compile(
    r"^\W*(?:please |now |then |also |and |can you |could you |would you )*"
    r"(?:write|summari[sz]e|explain|list|translate|generate|create|fix|draft|compare|classify|analy[sz]e|describe"
    r"|implement|refactor"
    r"|rewrite|prepare|suggest|give|make|kill|stop|find|show|compute|calculate|design|build|review|extract|convert"
    r"|add|remove|delete"
    r"|debug|update|test|run|score|rank|define|outline|propose|plan|use|return|print|check|avoid|ignore|mention"
    r"|what|which|how|why"
    r"|when|is|are|does|do|should)\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"^\W*(?:what|which|how|why|when|is|are|does|do|should)\b", re.IGNORECASE)
_NEGATION = re.compile(r"^(?:not|no|never|without|hardly|(?:is|are|was|were|do|does|did|wo|ca)n't|cannot)$")
_CONTRAST = re.compile(
    r"\b(?:but|yet|though|although|however|still|while|and then|at the same time|at once|part of me|torn|even so"
    r"|on the other hand"
    r"|mixed feelings|bittersweet|conflicted|ambivalent|because|too)\b",
    re.IGNORECASE,
)

# Stems of words that name a feeling or a hurt done to somebody, whatever VADER's valence for them is.
_FEELING = re.compile(
    r"^(?:ang(?:er|ry|rier|rily)|furious(?:ly)?|fury|rag(?:e|ing)|enrag|livid|fuming|outrag|infuriat|irate|resent"
    r"|hat(?:e[ds]?|ing|red)$"
    r"|loath|despis|disgust|seeth|bitter(?:ly|ness)?$|mad$|pissed|fed$|frustrat|contempt|insult|humiliat|disrespect"
    r"|betray|liar|lied$"
    r"|cheat|crook|selfish|cruel|bull(?:y|ie[ds]|ying)$|abus(?:e[ds]?|ive|ing)$|harass|steal|stole|stab|backstab"
    r"|unforgiv"
    r"|afraid|fear(?:s|ful|ed)?$|scar(?:ed|es?|ing)$|terrif|terror|frighten|panic|petrif|anxi|dread|worried|nervous"
    r"|horrif|helpless"
    r"|desperat|shak(?:e|ing)$|trembl|nightmare|overwhelm"
    r"|grie[fv]|mourn|heart(?:br|ache)|devast|sorrow|lying$|rude$|alone$|dumped$|sad(?:ness|ly|der)?$|cry(?:ing)?$"
    r"|cried$|cries$|weep|wept|sob|tears$|lonel"
    r"|miserabl|hopeless|despair|depress|broken$|hurt|suicid|funeral|condolence|bereave|dying$|died$|suffer"
    r"|worthless|numb$|eulog"
    r"|guilt|asham|shame|jealous|env(?:y|ious)$|regret|lonesome|exhausted$|heavy-?hearted|torn$|ambivalen|conflicted"
    r"|yell|scream|shout|argu(?:e|ed|ing|ment|ments)$|quarrel|fought|fight(?:s|ing)?$|feud|threat|accus"
    r"|blam(?:e[ds]?|ing)$|confront"
    r"|hostil|revenge|divorc|incompeten|cheated|dishonest|manipulat|gaslight|toxic|unfair|awful|horribl|terribl"
    r"|ruin|disappoint|upset)"
)
_TECHNICAL = frozenset(
    """problem problems error errors bug bugs crash crashes crashed fail fails failed failing failure failures kill
    kills killed killing
    abort aborted fatal critical exception invalid reject rejects rejected dead die dies died deadline block blocked
    blocks drop cut stop
    stops attack attacks attacker vulnerability exploit threat threats fraud risk risks warning warnings missing
    lost loss corrupt broken
    bad wrong cancel cancelled cancellation overdue debt penalty cancer disease war crime virus infection damage
    hazard waste leak low
    limited limit pay demand demands urgent issue issues delay delayed complaint complaints complain no poor debug
    panic hang conflict
    conflicts objection objections competitor fight fights orphan zombie shake noise loud depression churn injury
    hell argument arguments
    abuse fire aggressive sick bankrupt raise sue anxious""".split()  # noqa: SIM905
)
_CODEISH = re.compile(
    r"\b(?:function|process|server|build|compil\w+|code|python|java\w*|rust|sql|api|thread|kernel|script|class|test"
    r"|deploy\w*|docker|git"
    r"|port|file|log|query|loop|branch|commit|database|spreadsheet|formula|null|stack|cache|login|password|app"
    r"|browser|laptop"
    r"|in production|research|statistics|article|essay|novel|film|movie|chapter|policy)\b",
    re.IGNORECASE,
)
_KIN = (
    r"(?:m[ou]m|mother|dad|father|wife|husband|son|daughter|brother|sister|child|kid|baby|friend|dog|cat"
    r"|grand\w+|parents?|partner)"
)
_FELT = re.compile(
    r"\b(?:i(?:'m| am| was| feel| felt)|me feel) (?:\w+ )?" + _FEELING.pattern.removeprefix("^"),
    re.IGNORECASE | re.MULTILINE,
)
# What people say when the feeling has no word of its own.
_PHRASES = re.compile(
    rf"\b(?:passed away|bur(?:y|ied) (?:my|our|him|her)|(?:can't|cannot|can never|never|won't|can ?not"
    rf"|don't) forgive|forgive (?:him|her|them|myself)"
    r"|(?:care|cares|cared) about me|do(?:ne|ing)? (?:this|that|it) to (?:me|us)|did to (?:me|us|my|our|him|her)"
    r"|after everything"
    r"|i(?:'m| am)? (?:feel|felt|feeling) (?:like (?:a |an )?)?(?:\w+ly |so |very )?(?:alone|empty|small|failure"
    r"|fraud|weak|useless|invisible|trapped|lost|rejected|used|stuck|stupid|sick|bad)"
    r"|you (?:never|always|don't even) (?:\w+ )?(?:listen|care|ignore|do this|let|interrupt|criti)\w*|stop (?:lying"
    r"|ignoring|treating|blaming|pretending)"
    r"|(?:burned|burnt) out|(?:do|take) (?:this|it) any ?more|hospice|terminal(?:ly ill| cancer)|miscarriage"
    r"|stillb\w+|(?:got|was|been) dumped|dumped me"
    r"|(?:haven't|not|never) spoken since|stomach (?:turns|churns|drops)|swore at|spat at|cheat(?:s|ed"
    r"|ing)? on (?:me|him|her)|walk(?:ing)? on eggshells"
    rf"|wits'? end|never loved|worst (?:possible )?news|since (?:my )?{_KIN} (?:passed|died|left)|since (?:she"
    rf"|he) (?:left|passed|died)|half of me"
    r"|(?:a|had) (?:bad )?falling out|eat(?:s|ing) (?:at me|me up)|tear(?:s|ing) (?:me|us) apart|end of my rope"
    r"|at a breaking point|wept|in tears"
    r"|died (?:last|this|yesterday|today|suddenly|in)|killed (?:him|her)self"
    r"|(?:br[eo]ak(?:s|ing)?|broke) (?:my|his|her|our) heart|(?:this|that|it)(?:'s| is"
    r"| was) (?:\w+ ){0,2}(?:outrageous|unacceptable|shameful|disgusting"
    r"|ridiculous|disgraceful|pathetic|appalling|heartbreaking|unbearable|a disgrace|a nightmare)|lost (?:my|his"
    r"|her) (?:job|home|house|mind|faith|temper)"
    rf"|(?:lost|losing|lose) (?:my|our|his|her|their) {_KIN}|{_KIN}[^.!?]{{0,30}} (?:died|dies|is dying|was killed)"
    r"|killed (?:him|her|them|my)sel(?:f|ves)|say goodbye|put down yesterday|had to be put down|laid to rest"
    r"|miss(?:ing)? (?:her|him|them|you)\b"
    r"|break(?:ing)? down|fall(?:ing)? apart|f[ea]ll(?:en)? apart|words won't come|nothing matters|point (?:of"
    r"|in) (?:getting|living|going)"
    r"|(?:can't|cannot|couldn't) (?:stop|sleep|eat|breathe|cope|go on|take (?:it|this)|stand)|what if (?:he|she"
    r"|they|i)\b|heart (?:is |was )?pounding"
    r"|(?:lose|losing) (?:my|our|the|his|her) (?:house|home|job|kids|mind|sleep)|scared to death|worried sick"
    r"|following me|sick to my stomach"
    r"|how dare|sick and tired|fed up|had enough|blood boil|talks? down to|took credit|(?:stabbed"
    r"|stab) \w+ in the back|hung up on|laugh(?:ed|s) at me"
    r"|(?:worst|horrible|terrible) (?:service|experience|company)|never (?:been so|trust)|let (?:us|me) down"
    r"|ripped (?:me|us) off|are (?:such )?a joke\b"
    r"|my lawyer|see you in court|to court|(?:sue|suing) (?:me|us|you|him|her|them)|threaten(?:s|ed|ing)?\b"
    r"|(?:won't|refuses to|doesn't) (?:speak|talk) to"
    r"|slam(?:s|med) the door|storm(?:s|ed) out|behind my back|hate each other|at war\b|won't make it|won't forgive"
    r"|(?:walk(?:ed|s)?|turned) (?:out|his back|her back) on"
    r"|(?:don't|didn't) know what to (?:say|do)|mixed feelings|fire me|firing me|leav(?:e|es|ing) me\b|left me\b"
    r"|(?:to|have to) fire (?:him|her|someone))",
    re.IGNORECASE,
)


class _Sentence(NamedTuple):
    """One sentence's weighed negative and positive feeling."""

    heat: float
    warmth: float


@lru_cache(maxsize=1)
def _vader() -> Any:
    """VADER's analyzer, imported and loaded at the first use."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def _words_heat(words: list[str], lexicon: dict[str, float], technical: bool) -> tuple[float, float]:
    """The weighed negative and the plain positive valence of a sentence's words."""
    heat = warmth = 0.0
    other = 0.6 if _FIRST.intersection(words) and _RELATION.intersection(words) else 0.35
    for at, word in enumerate(words):
        valence = lexicon.get(word, 0.0)
        feeling = _FEELING.match(word) is not None and not (technical and word in _TECHNICAL)
        if not feeling and valence == 0.0:
            continue
        negated = any(_NEGATION.match(before) for before in words[max(0, at - 2) : at])
        if feeling and valence <= 0.5:
            heat += max(2.0, -valence) * 0.95 * (0.2 if negated else 1.0)
        elif valence < 0:
            heat += -valence * (0.05 if word in _TECHNICAL else other) * (0.2 if negated else 1.0)
        elif not negated:
            warmth += valence
    return heat, warmth


def _read(sentence: str) -> _Sentence:
    analyzer = _vader()
    words = _WORD.findall(sentence.lower())
    speaking = _PERSON.intersection(words)
    technical = not speaking or _CODEISH.search(sentence) is not None
    heat, warmth = _words_heat(words, analyzer.lexicon, technical)
    hints = unsaid(sentence)
    heat += 1.9 * min(2, hints + sum(1 for _ in _PHRASES.finditer(sentence)))
    if heat == 0.0 and warmth == 0.0:
        return _Sentence(0.0, 0.0)
    plain = " ".join(w for w in sentence.split() if w.lower().strip(".,;:!?'\"()") not in _TECHNICAL)
    heat += 0.6 * max(0.0, -analyzer.polarity_scores(plain)["compound"]) if plain else 0.0
    if sentence.count("!") > 1 or sum(1 for w in sentence.split() if len(w) > 3 and w.isupper()) > 0:
        heat *= 1.2
    said = hints > 0 or _PHRASES.search(sentence) is not None
    if not speaking and not (said and not _IMPERATIVE.match(sentence)):
        factor = 0.2 if _IMPERATIVE.match(sentence) else 0.35
    elif _IMPERATIVE.match(sentence) and not _RELATION.intersection(words) and not _QUESTION.match(sentence):
        factor = 0.4
    else:
        factor = 0.4 if _CODEISH.search(sentence) and not said and not _FELT.search(sentence) else 1.0
    return _Sentence(heat * factor, warmth * (1.0 if speaking else 0.35))


def _prose(text: str) -> str:
    return _STOCK.sub(" ", _NOT_PROSE.sub(" ", text[:MAX_CHARS].replace("\u2019", "'")))


def heat_by_rules(text: str) -> float:
    """The heat of a text by steps 1 to 3, from 0 up."""
    return _heat(_prose(text))


def _heat(prose: str) -> float:
    sentences = [s[:MAX_SENTENCE_CHARS] for s in _SENTENCE.split(prose)[:MAX_SENTENCES] if s.strip()]
    tongue = language(prose)
    read = [_read(s) if tongue is None else _Sentence(*feelings.read(s, tongue)) for s in sentences]
    hottest = sorted((s.heat for s in read), reverse=True)[:3]
    heat = sum(h * w for h, w in zip(hottest, (1.0, 0.5, 0.3), strict=False))
    warmth = sum(sorted((s.warmth for s in read), reverse=True)[:3])
    if heat >= 0.6 and warmth >= 1.5:
        contrast = any(_CONTRAST.search(s) for s, r in zip(sentences, read, strict=True) if r.heat > 0 or r.warmth > 0)
        if contrast and heat >= 0.7:
            heat += 1.2
        elif warmth > 2.5 * heat and heat < 1.5:
            heat *= 0.5
        else:
            heat += 0.5
    elif warmth > heat:
        heat *= 0.5
    if heat < feelings.HIT and warmth < 1.5 and len(prose) <= feelings.TOLD_CHARS and not _CODEISH.search(prose):
        heat = max(heat, feelings.told(prose, tongue or "en"))
    return heat


def emotional_complexity(text: str) -> float:
    """How emotionally demanding a text is, 0..1 to three decimals; the module says how it is computed.

    Anger, fear, grief, conflict and mixed feelings come out above 0.7, neutral and plainly happy text below 0.5. A text that
    is empty, or in which nothing tells of feeling in the languages known, is 0.
    """
    prose = _prose(text)
    heat, heard = _heat(prose), emotion_words.odds(prose)
    if heat == 0.0 and heard <= 0.0:
        return 0.0
    if 0.0 < heat < TAKEN_BACK and len(prose) <= FEW_CHARS:
        heard = min(heard, -heat)
    constant, by_words, by_rules = emotion_words.shipped().weighing
    weighed = constant + by_words * heard + by_rules * min(heat, emotion_words.HEAT)
    return round(1 / (1 + math.exp(-max(-30.0, min(30.0, LEVEL + STEEP * weighed)))), 3)
