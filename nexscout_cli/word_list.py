"""The English words that the typo rule of ``cache.match = canonical`` knows, with how often each is met."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from nexscout_cli.errors import ConfigError

_FILE = "frequency_dictionary_en_82_765.txt"


@cache
def english() -> dict[str, int]:
    """Words with their counts, from the list that the package ``symspellpy`` carries (MIT; SCOWL's words with the counts of
    Google's n-grams). The file alone is read: to import the package would build an index that nothing here needs.

    Raises ConfigError where the list is not installed.
    """
    package = find_spec("symspellpy")
    try:
        assert package is not None and package.origin is not None
        text = Path(package.origin).with_name(_FILE).read_text(encoding="utf-8-sig")
    except (AssertionError, OSError) as error:
        raise ConfigError(
            "cache.match = canonical needs the word list of symspellpy", "`pip install symspellpy` brings it"
        ) from error
    return {word: int(count) for word, _, count in (line.partition(" ") for line in text.splitlines())}
