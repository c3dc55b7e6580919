"""The English words that the typo rule of ``cache.match = canonical`` knows, with how often each is met."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from nexscout_cli.errors import ConfigError

_WORDS = "frequency_dictionary_en_82_765.txt"
_PAIRS = "frequency_bigramdictionary_en_243_342.txt"


@cache
def english() -> dict[str, int]:
    """Words with their counts, from the list that the package ``symspellpy`` carries (MIT; SCOWL's words with the counts of
    Google's n-grams). The file alone is read: to import the package would build an index that nothing here needs.

    Raises ConfigError where the list is not installed.
    """
    lines = _listed(_WORDS).decode("utf-8-sig").splitlines()
    return {word: int(count) for word, _, count in (line.partition(" ") for line in lines)}


def together(left: str, right: str) -> bool:
    """Whether two lower-case words are in the same package's list of pairs: often met one after the other.

    The list is searched as it lies: only a sentence with a slip asks, and a table of 243,342 pairs takes longer to build than
    many searches (2 to 4 ms each). Raises ConfigError where the list is not installed.
    """
    return f"\n{left} {right} ".encode() in _pairs()


@cache
def _pairs() -> bytes:
    return b"\n" + _listed(_PAIRS).removeprefix(b"\xef\xbb\xbf")


def _listed(name: str) -> bytes:
    package = find_spec("symspellpy")
    try:
        assert package is not None and package.origin is not None
        return Path(package.origin).with_name(name).read_bytes()
    except (AssertionError, OSError) as error:
        raise ConfigError(
            "cache.match = canonical needs the word list of symspellpy", "`pip install symspellpy` brings it"
        ) from error
