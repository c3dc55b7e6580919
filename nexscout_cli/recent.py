"""What is looked at again and again and seldom changes: a server looks at it once a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

from nexscout_cli import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")
_SECONDS = 1.0
_MOST = 256


class Recent(Generic[T]):
    """Values by what they were made of. Only what a server's coroutines ask for is kept; a command looks each time."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[float, T]] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value: of a second ago at most, else made anew."""
        if waiting.here() is None:
            return make()
        now, kept = time.monotonic(), self._kept.get(key)
        if kept is not None and now - kept[0] < _SECONDS:
            return kept[1]
        if len(self._kept) >= _MOST:
            self._kept.clear()
        value = make()
        self._kept[key] = (now, value)
        return value
