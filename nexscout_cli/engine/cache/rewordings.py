"""Other words for the same short question, where they can't change the answer.

- A number word before a plural is its digits: "five eggs", "5 eggs". Not where the question is about names, titles or how
  something is written.
- Parts whose order says nothing have one order: the two of "the difference between A and B", of "which is bigger, A or B",
  of "Is Ann a poet or a painter", and a condition or "In Python," before its question or behind it. Only where the parts are
  so plain that nothing in them could belong to one of both, and never numbers: 7 and 3 differ by 4, or by −4.
- One and many are one where a kind of thing is asked about: "What is a heat pump" and "What are heat pumps". Only of
  :data:`KINDS`: a plural often means something of its own (glasses, customs, minutes, statistics), so it is a list of nouns
  of which none does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nexscout_cli.engine.cache.slips import GRAMMAR, words_of

_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_BELOW_TWENTY = (
    "two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen"
)
_DIGITS = dict(zip((*_BELOW_TWENTY.split(), *_TENS), map(str, (*range(2, 21), *range(30, 100, 10))), strict=True))
_PART_OF_A_NUMBER = words_of(
    "and or to point hundred thousand million billion half minus plus times by no the number"
) | set(_DIGITS)
"""After one of these a number word is a part of something larger, or a name: "the seven sisters", "number two pencils"."""
_WRITTEN = words_of(
    "write writes writing written wrote enter entering fill check checks cheque cheques digit digits numeral numerals number "
    "numbers font code search searching variable string strings title titles titled movie movies film films song songs band "
    "bands book books novel show shows series episode game games play album name named call called calls read reading "
    "spelling text line lines line's roman keyboard key keys password command commands file files"
)
"""In a question with one of these the way a number is written may be what is asked."""
_NO_COUNTED = (GRAMMAR | _PART_OF_A_NUMBER) - {"good", "best", "new"}
_PLURALS = words_of("people men women children feet teeth mice geese")
_NO_PLURAL = words_of(
    "is was has does this less plus minus times its us yes as across versus thus always perhaps sometimes news series "
    "species means cos"
)


def with_digits(tokens: Sequence[str], words: Mapping[str, int]) -> list[str]:
    """The tokens with number words before a plural as digits: "five good eggs" becomes "5 good eggs"."""
    plain = [token.strip(",()") for token in tokens]
    if {token.lower() for token in plain} & _WRITTEN:
        return list(tokens)
    changed = list(tokens)
    for at, token in enumerate(tokens):
        if token not in _DIGITS or (at and (plain[at - 1] in _PART_OF_A_NUMBER or plain[at - 1][-1:].isdigit())):
            continue
        after = plain[at + 1 : at + 3]
        if tokens[at + 1 : at + 2] == after[:1] and after[:1] and after[0].isalpha() and after[0].islower():
            counted = after[0] if _is_plural(after[0], words) or len(after) == 1 else after[1]
            if after[0] not in _NO_COUNTED and _is_plural(counted, words):
                changed[at] = _DIGITS[token]
    return changed


def _is_plural(word: str, words: Mapping[str, int]) -> bool:
    if word in _PLURALS:
        return True
    ends_so = word.endswith("s") and not word.endswith(("ss", "us", "is")) and word not in _NO_PLURAL
    return ends_so and word.isalpha() and word.islower() and (word[:-1] in words or word[:-2] in words)


_HEADS = (
    "heat pump|water pump|solar panel|solar cell|black hole|neutron star|electric car|hybrid car|credit card|debit card|"
    "hard drive|hard disk|search engine|neural network|language model|operating system|power plant|wind turbine|steam engine|"
    "jet engine|diesel engine|mutual fund|hedge fund|index fund|blood vessel|stem cell|red blood cell|white blood cell|"
    "light bulb|fuel cell|fire extinguisher|washing machine|smoke detector|data centre|data center|web server|web browser|"
    "linked list|hash table|binary tree|binary search tree|design pattern|prime number|whale shark|guinea pig|polar bear|"
    "vacuum cleaner|air conditioner|compiler|transistor|capacitor|resistor|semiconductor|battery|laser|microscope|telescope|"
    "thermometer|barometer|compressor|refrigerator|fridge|freezer|microwave oven|dishwasher|toaster|kettle|blender|"
    "helicopter|airplane|aeroplane|submarine|bicycle|motorcycle|tractor|car|truck|bus|tram|rocket|satellite|comet|asteroid|"
    "meteorite|galaxy|volcano|earthquake|hurricane|tornado|tsunami|glacier|iceberg|geyser|rainbow|desert|island|peninsula|"
    "cat|dog|cow|horse|donkey|goat|pig|rabbit|hamster|squirrel|hedgehog|fox|wolf|bear|lion|tiger|leopard|elephant|giraffe|"
    "zebra|hippopotamus|rhinoceros|kangaroo|koala|panda|monkey|gorilla|chimpanzee|whale|dolphin|shark|octopus|jellyfish|"
    "penguin|ostrich|parrot|pigeon|sparrow|owl|eagle|chicken|duck|goose|flamingo|hummingbird|snake|lizard|crocodile|"
    "alligator|turtle|tortoise|frog|toad|salamander|bee|wasp|ant|butterfly|moth|mosquito|spider|scorpion|snail|worm|"
    "earthworm|beetle|dragonfly|ladybird|grasshopper|cricket|firefly|tomato|potato|carrot|onion|cucumber|pumpkin|eggplant|"
    "avocado|banana|orange|lemon|strawberry|raspberry|blueberry|pineapple|mango|coconut|peanut|walnut|almond|mushroom|"
    "cactus|tulip|orchid|sunflower|oak tree|pine tree|virus|bacterium|vaccine|antibiotic|antibody|enzyme|hormone|vitamin|"
    "neuron|chromosome|electron|proton|neutron|photon|quark|atom|molecule|polymer|isotope|startup|mortgage|"
    "cryptocurrency|blockchain|database|spreadsheet|algorithm|chatbot|firewall|smartphone|laptop|robot|drone|"
    "newborn|toddler|teenager|vegetarian|vegan|dentist|plumber|electrician|architect|lighthouse|skyscraper|cathedral"
)
"""Kinds of things of whose plural nothing else is meant than many of them."""
_IRREGULAR = {
    "wolf": "wolves",
    "goose": "geese",
    "bus": "buses",
    "virus": "viruses",
    "cactus": "cacti",
    "octopus": "octopuses",
    "bacterium": "bacteria",
    "hippopotamus": "hippopotamuses",
    "rhinoceros": "rhinoceroses",
    "jellyfish": "jellyfish",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "volcano": "volcanoes",
    "tornado": "tornadoes",
    "mosquito": "mosquitoes",
    "mango": "mangoes",
    "photo": "photos",
}


def _plural(kind: str) -> str:
    before, _, last = kind.rpartition(" ")
    if last not in _IRREGULAR:
        if last.endswith("y") and last[-2] not in "aeiou":
            many = last[:-1] + "ies"
        else:
            many = last + ("es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s")
    else:
        many = _IRREGULAR[last]
    return f"{before} {many}".strip()


KINDS: dict[str, str] = {kind: _plural(kind) for kind in _HEADS.split("|")}
"""Singular to plural."""
_KIND = "(?P<kind>" + "|".join(sorted(map(re.escape, KINDS), key=len, reverse=True)) + ")"
_ONE = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<a>(?:(?:what|why|how|when|where) )?)does a {_KIND} (?P<rest>.+)",
        rf"(?P<a>(?:(?:what|why|how|when|where) )?)is a {_KIND}(?P<rest>(?: .+)?)",
        rf"(?P<a>(?:(?:what|why|how|when|where) )?(?:can|could|should|will) )a {_KIND} (?P<rest>.+)",
    )
)
_NOUN_AFTER = re.compile(r"(?:\b(?:a|an|the|it|its|itself|one|this|that)\b)")
"""With one of these behind it, more than the first noun would have to be in the plural."""


def _many(body: str) -> str:
    """A question about one of a kind as one about the kind, where only its first words differ."""
    does, is_a, can = (pattern.fullmatch(body) for pattern in _ONE)
    found = does or is_a or can
    if found is None:
        return body
    rest, kinds = found["rest"].strip(), KINDS[found["kind"]]
    if is_a is not None and found["a"] == "":
        one = re.fullmatch(
            rf"a {_KIND}", rest
        )  # "Is a tomato a fruit" would be "Are tomatoes fruit": both known, or none
        if one is not None:
            rest = KINDS[one["kind"]]
    if _NOUN_AFTER.search(rest) or (is_a is not None and found["a"] not in ("", "what ") and not rest):
        return body
    if is_a is not None and found["a"] == "what " and rest:
        return body  # "What is a car made of" is one more form of little use
    verb = "do " if does else "are " if is_a else ""
    return f"{found['a']}{verb}{kinds} {rest}".strip()


_SIDE = r"(?:(?:a|the) )?[A-Za-z][A-Za-z+#-]+(?: [A-Za-z][A-Za-z+#-]+)?"
_BETWEEN = re.compile(rf"what (?:is|are) the differences? between (?P<one>{_SIDE}) and (?P<other>{_SIDE})")
_COMMON = re.compile(rf"(?P<before>what do )(?P<one>{_SIDE})(?P<mid> and )(?P<other>{_SIDE})(?P<after> have in common)")
_WHICH = re.compile(
    rf"(?P<before>(?:which|who|what) is (?:(?:more|less) [a-z]+|[a-z]+er|better|worse), )(?P<one>{_SIDE})(?P<mid> or )"
    rf"(?P<other>{_SIDE})(?P<after>)"
)
_BOTH = re.compile(
    r"(?P<before>(?:is|was) [A-Z][a-z]+(?: [A-Z][a-z]+)? )(?P<one>a [a-z]+(?: [a-z]+)?)(?P<mid> (?:or|and) )"
    r"(?P<other>a [a-z]+(?: [a-z]+)?)(?P<after>)"
)
_MARRIED = re.compile(
    r"(?P<before>(?:is|was) )(?P<one>[A-Z][a-z]+)(?P<mid> (?:married|related|engaged) to )(?P<other>[A-Z][a-z]+)(?P<after>)"
)
_PAIRS = (_COMMON, _WHICH, _BOTH, _MARRIED)
_BOUND = GRAMMAR | words_of("and or nor than to of versus vs while during since until each both either neither")
_COUNTED = set(_DIGITS) | words_of("zero one hundred thousand million billion")


def _alike(one: str, other: str) -> bool:
    """Whether two sides are of one build, with nothing in them that could belong to both, or to what is beside them.

    "old men and women" are not "women and old men": so both have the same number of words, and the same article.
    """
    first, second = one.split(), other.split()
    articles = {"a", "the"}
    if len(first) != len(second) or ((first[0] in articles or second[0] in articles) and first[0] != second[0]):
        return False
    bare = [word for words in (first, second) for word in (words[1:] if words[0] in articles else words)]
    return bool(bare) and not any(word.lower() in _BOUND | _COUNTED for word in bare)


def _sorted(body: str) -> str:
    """The body with the two sides of a question that asks the same of both in the order of the alphabet."""
    between = _BETWEEN.fullmatch(body)
    if between is not None and _alike(between["one"], between["other"]):
        one, other = sorted((between["one"], between["other"]))
        return f"what is the difference between {one} and {other}"
    for pattern in _PAIRS:
        found = pattern.fullmatch(body)
        if found is not None and _alike(found["one"], found["other"]):
            one, other = sorted((found["one"], found["other"]))
            return f"{found['before']}{one}{found['mid']}{other}{found['after']}"
    return body


_IF = re.compile(r"if (?P<condition>[^,]+), (?P<question>what (?:should|can|must|do) I do|what happens)", re.I)
_IN = re.compile(
    r"(?P<where>(?:in|using) [A-Za-z][A-Za-z+#.]*(?: [A-Z][A-Za-z]+)?), "
    r"(?P<how>how (?:(?:do|can) I|to)) (?P<rest>[a-z]+(?: [\w-]+){1,5})",
    re.I,
)
_THINK = re.compile(r"who do (?P<who>[A-Za-z]+) think is (?P<rest>the [a-z]+ [a-z]+(?: in the [a-z]+)?)", re.I)
_LOOSE = words_of(
    "in on at of for from by with without using under over about after before into between and or but if when while that "
    "which who whom whose what how why where not than as to until during against through only also too instead"
)
"""With one of these in it, a question has parts that a place put behind it could belong to."""


def _condition_last(body: str) -> str:
    """The body with a condition or a place that stands before its question put behind it."""
    asked = _IF.fullmatch(body)
    if asked is not None:
        condition = asked["condition"]
        if not condition.lower().startswith("i want to ") and " if " not in condition:
            return f"{asked['question']} if {condition}"
        return body
    thought = _THINK.fullmatch(body)
    if thought is not None and thought["who"].lower() not in GRAMMAR:
        return f"who is {thought['rest']} according to {thought['who']}"
    placed = _IN.fullmatch(body)
    if placed is not None and not set(placed["rest"].lower().split()) & _LOOSE:
        where = placed["where"]
        return f"{placed['how']} {placed['rest']} {where[0].lower() + where[1:]}"
    return body


def in_one_order(body: str) -> str:
    """A question without its last mark, with what may stand in any order, or in one and many, in one form."""
    return _many(_sorted(_condition_last(body)))
