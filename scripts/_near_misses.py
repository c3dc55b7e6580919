"""Generated near-misses: pairs of short questions that differ in one thing that changes the answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

Pair = tuple[str, str, str]
"""Kind, and the two questions."""

NAMES = [
    "Anna",
    "Ben",
    "Brian",
    "Carol",
    "Daniel",
    "Elena",
    "Farid",
    "Grace",
    "Hugo",
    "Irina",
    "Jon",
    "John",
    "Karen",
    "Lars",
    "Maria",
    "Mario",
    "Nadia",
    "Omar",
    "Petra",
    "Peter",
]
CITIES = [
    "Oslo",
    "Bergen",
    "Vienna",
    "Lyon",
    "Nice",
    "Paris",
    "Berlin",
    "Bern",
    "Lima",
    "Quito",
    "Cairo",
    "Delhi",
    "Tokyo",
    "Kyoto",
    "Sydney",
    "Boston",
    "Austin",
    "Denver",
]
LANGUAGES = [
    "Python",
    "Java",
    "JavaScript",
    "Rust",
    "Go",
    "C",
    "C++",
    "C#",
    "Ruby",
    "Perl",
    "PHP",
    "Kotlin",
    "Scala",
    "Swift",
    "SQL",
    "Bash",
    "Haskell",
    "Julia",
]
HUMAN = [
    "English",
    "German",
    "French",
    "Spanish",
    "Dutch",
    "Danish",
    "Polish",
    "Czech",
    "Greek",
    "Hindi",
    "Arabic",
    "Chinese",
    "Japanese",
    "Korean",
]
UNITS = [
    "km",
    "miles",
    "metres",
    "feet",
    "inches",
    "kilograms",
    "pounds",
    "ounces",
    "litres",
    "gallons",
    "cups",
    "grams",
    "celsius",
    "fahrenheit",
    "hours",
    "minutes",
]
CODE = [
    "uint",
    "unit",
    "struct",
    "strict",
    "memoize",
    "memorize",
    "regex",
    "param",
    "parm",
    "malloc",
    "calloc",
    "stdin",
    "stdout",
    "stderr",
    "async",
    "await",
    "mutex",
    "tuple",
    "numpy",
    "scipy",
    "pandas",
    "polars",
    "redis",
    "nginx",
    "kubectl",
    "systemctl",
    "userId",
    "user_id",
    "getUser",
    "getUsers",
    "x",
    "x1",
    "x2",
    "foo",
    "bar",
    "baz",
    "i",
    "I",
]
THINGS = [
    "cat",
    "dog",
    "horse",
    "car",
    "house",
    "tree",
    "glass",
    "glasses",
    "arm",
    "arms",
    "custom",
    "customs",
    "minute",
    "minutes",
    "statistic",
    "statistics",
    "spirit",
    "spirits",
    "stock",
    "stocks",
    "bond",
    "bonds",
    "heat",
    "pump",
    "form",
    "from",
    "farm",
    "trail",
    "trial",
    "angel",
    "angle",
    "diary",
    "dairy",
    "desert",
    "dessert",
    "affair",
    "affairs",
]
DIGITS = [str(n) for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 20, 30, 50, 90)]
SPELLED = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fifteen",
    "twenty",
    "thirty",
    "fifty",
    "ninety",
]
COUNTED = [
    "eggs",
    "names",
    "people",
    "days",
    "tips",
    "books",
    "cards",
    "apples",
    "teams",
    "goals",
    "cups",
    "pages",
    "plants",
    "dogs",
    "exercises",
    "children",
]
ADJECTIVES = [
    "fast",
    "slow",
    "old",
    "new",
    "cheap",
    "expensive",
    "big",
    "small",
    "safe",
    "dangerous",
    "happy",
    "sad",
    "strong",
    "weak",
    "hot",
    "cold",
    "open",
    "closed",
]
COMPARED = [
    "bigger",
    "smaller",
    "faster",
    "slower",
    "cheaper",
    "older",
    "younger",
    "better",
    "worse",
    "warmer",
    "taller",
    "heavier",
]
NOUNS = [
    "cats",
    "dogs",
    "lions",
    "tigers",
    "apples",
    "pears",
    "trains",
    "buses",
    "tablets",
    "laptops",
    "lakes",
    "rivers",
    "novels",
    "poems",
    "wasps",
    "bees",
]
ROLES = [
    "poet",
    "painter",
    "nurse",
    "lawyer",
    "pilot",
    "baker",
    "judge",
    "farmer",
    "singer",
    "dancer",
    "coach",
    "writer",
]
VERBS = ["like", "trust", "hate", "know", "help", "follow", "blame", "call", "paint", "invite"]
PAST = {"like": "liked", "trust": "trusted", "hate": "hated", "help": "helped", "follow": "followed", "blame": "blamed"}
ACTS = ["read", "open", "close", "parse", "delete", "copy", "rename", "split", "merge", "upload"]
OBJECTS = ["a file", "a list", "a string", "a folder", "a page", "a picture", "a table", "a record"]
CONDITIONS = [
    "it rains",
    "I lose my key",
    "my car breaks down",
    "I miss the train",
    "the lights go out",
    "my dog is ill",
]
KINDS = [
    "heat pump",
    "black hole",
    "tomato",
    "cat",
    "whale",
    "laptop",
    "firewall",
    "volcano",
    "mortgage",
    "vaccine",
    "wolf",
    "bee",
]

ONE_SLOT: list[tuple[str, str, list[str]]] = [
    ("name", "How do I write to {}?", NAMES),
    ("name", "What does {} think of me?", NAMES),
    ("place", "What is the best time to visit {}?", CITIES),
    ("place", "In {}, how do I rent a flat?", CITIES),
    ("code language", "In {}, how do I open a file?", LANGUAGES),
    ("code language", "How do I write a test in {}?", LANGUAGES),
    ("human language", "How do I learn {} at home?", HUMAN),
    ("human language", "What is a tax? Answer in {}.", HUMAN),
    ("code identifier", "What does {} do?", CODE),
    ("code identifier", "How do I use {} in a project?", CODE),
    ("similar word", "What is a {}?", THINGS),
    ("similar word", "What are {}?", THINGS),
    ("number", "How do I boil {} eggs?", DIGITS + SPELLED),
    ("number", "What are {} good names for a bakery?", DIGITS + SPELLED),
    ("number", "What is {} plus three?", DIGITS + SPELLED),
    ("unit", "How much is 40 {}?", UNITS),
    ("kind", "How does a {} work?", KINDS),
    ("comparative", "Which is {}, a cat or a dog?", COMPARED),
    ("adjective", "Is it {} in winter?", ADJECTIVES),
    ("act", "How do I {} a file?", ACTS),
    ("object", "How do I delete {}?", OBJECTS),
    ("condition", "What should I do if {}?", CONDITIONS),
    ("condition", "If {}, what should I do?", CONDITIONS),
]
TWO_SLOTS: list[tuple[str, str, list[str]]] = [
    ("direction", "How do I convert {} to {}?", UNITS),
    ("direction", "How do I change {} into {}?", UNITS),
    ("direction", "How do I get from {} to {}?", CITIES),
    ("direction", "Is {} larger than {}?", CITIES),
    ("direction", "Does {} owe {} money?", NAMES),
    ("direction", "Is {} taller than {}?", NAMES),
    ("direction", "Are {} faster than {}?", NOUNS),
    ("direction", "How do I port code from {} to {}?", LANGUAGES),
    ("direction", "How do I call {} from {}?", LANGUAGES),
    ("direction", "What is {} minus {}?", DIGITS),
    ("direction", "What is {} less {}?", SPELLED),
    ("direction", "Why did {} leave {}?", NAMES),
    ("direction", "What is the difference between {} and {} men?", ADJECTIVES),
    ("direction", "What is the price difference from {} to {}?", CITIES),
]
CHANGES: list[tuple[str, str, str]] = [
    ("negation", "Is it {} to swim after lunch?", "Is it not {} to swim after lunch?"),
    ("negation", "Why is it {} here?", "Why is it never {} here?"),
    ("quantifier", "Are all {} cats fast?", "Are some {} cats fast?"),
    ("tense", "Is the {} shop open?", "Was the {} shop open?"),
    ("asking", "How do I buy a {} car?", "Why do I buy a {} car?"),
    ("asking", "How do I buy a {} car?", "Should I buy a {} car?"),
    ("preposition", "Should I stretch before a {} run?", "Should I stretch after a {} run?"),
    ("pronoun", "How do I tell him about his {} job?", "How do I tell him about her {} job?"),
    ("one of them", "What is the {} car made of?", "What is a {} car made of?"),
    ("reported condition", "Should I tell a {} man if it rains?", "If it rains, should I tell a {} man?"),
]


def _one_slot(chance: random.Random) -> Pair:
    kind, template, fillings = chance.choice(ONE_SLOT)
    while True:
        one, other = chance.sample(fillings, 2)
        if not _same_number(one, other):
            return kind, template.format(one), template.format(other)


def _same_number(one: str, other: str) -> bool:
    """Whether one is the other as a word, which is no near-miss."""
    spelled = dict(zip(SPELLED, DIGITS, strict=True))
    return spelled.get(one, one) == spelled.get(other, other)


def _two_slots(chance: random.Random) -> Pair:
    kind, template, fillings = chance.choice(TWO_SLOTS)
    one, other = chance.sample(fillings, 2)
    return kind, template.format(one, other), template.format(other, one)


def _changed(chance: random.Random) -> Pair:
    kind, before, after = chance.choice(CHANGES)
    filling = chance.choice(ADJECTIVES)
    return kind, before.format(filling), after.format(filling)


def _passive(chance: random.Random) -> Pair:
    verb, past = chance.choice(sorted(PAST.items()))
    one, other = chance.sample(NAMES, 2)
    return "direction", f"Does {one} {verb} {other}?", f"Is {one} {past} by {other}?"


def _sides(chance: random.Random) -> Pair:
    """Two sides of which one is another thing, or whose link is."""
    one, other, third = chance.sample(NOUNS, 3)
    roles = chance.sample(ROLES, 3)
    name = chance.choice(NAMES)
    return chance.choice(
        [
            ("sides", f"What is the difference between {one} and {other}?", f"What is the difference between {one} and {third}?"),
            ("sides", f"What is the difference between {one} and {other}?", f"What do {one} and {other} have in common?"),
            ("sides", f"What is the difference between old {one} and {other}?",
             f"What is the difference between {other} and old {one}?"),
            ("sides", f"Which is better, {one} or {other}?", f"Which is worse, {other} or {one}?"),
            ("sides", f"Which is better, {one} or {other}?", f"Which is better, {third} or {one}?"),
            ("sides", f"Is {name} a {roles[0]} or a {roles[1]}?", f"Is {name} a {roles[1]} and a {roles[0]}?"),
            ("sides", f"Is {name} a {roles[0]} and a {roles[1]}?", f"Is {name} a {roles[2]} and a {roles[0]}?"),
        ]
    )  # fmt: skip


def _written(chance: random.Random) -> Pair:
    """A number as digits or as a word, where how it is written is what is asked, or a larger number holds it."""
    at = chance.randrange(2, len(SPELLED))
    counted = chance.choice(COUNTED)
    template = chance.choice(
        [
            f"How do I write {{}} {counted} on a check?",
            f"What is the title {{}} {counted} about?",
            f"Who sang the song {{}} {counted}?",
            f"How many letters are in {{}} {counted}?",
            f"Translate {{}} {counted} into German.",
            f"What is the name {{}} {counted} from?",
        ]
    )
    return "number written", template.format(DIGITS[at]), template.format(SPELLED[at])


def _places(chance: random.Random) -> Pair:
    """Where the place belongs to something else than the whole question."""
    one, other = chance.sample(CITIES, 2)
    act, thing = chance.choice(ACTS), chance.choice(OBJECTS)
    first, second = chance.sample(LANGUAGES, 2)
    return chance.choice(
        [
            ("place", f"In {one}, how do I find a train to {other}?", f"In {other}, how do I find a train to {one}?"),
            ("place", f"In {first}, how do I {act} {thing} from {second}?", f"In {second}, how do I {act} {thing} from {first}?"),
            ("place", f"In {first}, how do I {act} {thing}?", f"How do I {act} {thing} in {second}?"),
            ("place", f"In {first}, how do I {act} {thing}?", f"Using {first}, how do I {act} {thing}?"),
        ]
    )  # fmt: skip


def _condition(chance: random.Random) -> Pair:
    one, other = chance.sample(CONDITIONS, 2)
    return chance.choice(
        [
            ("condition", f"If {one}, what should I do?", f"What should I do if {other}?"),
            ("condition", f"If {one}, what should I do?", f"What must I do if {one}?"),
            ("condition", f"If {one}, what happens?", f"What should I do if {one}?"),
        ]
    )


_MAKERS: list[Callable[[random.Random], Pair]] = [
    *([_one_slot] * 8), *([_two_slots] * 4), _changed, _passive, _sides, _written, _places, _condition,
]  # fmt: skip


def generated(count: int, seed: int = 1) -> Iterator[Pair]:
    """That many near-misses, no two alike."""
    chance = random.Random(seed)
    seen: set[tuple[str, str]] = set()
    while len(seen) < count:
        kind, a, b = chance.choice(_MAKERS)(chance)
        if (a, b) not in seen and a != b:
            seen.add((a, b))
            yield f"generated: {kind}", a, b


def _slips(word: str) -> Iterator[str]:
    for at in range(1, len(word) - 1):
        yield word[:at] + word[at + 1 :]
        if word[at] != word[at + 1]:
            yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def neighbours(words: dict[str, int], count: int, least: int = 200_000, seed: int = 1) -> Iterator[Pair]:
    """Near-misses of known words that are one slip of the keyboard apart ("trail", "trial"), of those met ``least`` often."""
    common = sorted(word for word, met in words.items() if met >= least and len(word) > 3 and word.isalpha())
    pairs = [(word, slip) for word in common for slip in _slips(word) if words.get(slip, 0) >= least]
    chance = random.Random(seed)
    templates = ["What is a {}?", "How do I use {} in a project?", "Is {} good for me?", "What makes the {} so new?"]
    makers = [partial(str.format, template) for template in templates]
    for one, other in chance.sample(pairs, min(count // len(makers), len(pairs))):
        for maker in makers:
            yield "generated: neighbours", maker(one), maker(other)
