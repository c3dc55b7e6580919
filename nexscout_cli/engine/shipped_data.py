"""What was learned or measured beforehand and ships with the package: JSON in ``nexscout_cli/data``, read at first use."""

from __future__ import annotations

import json
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "data"


@cache
def table(name: str) -> dict[str, Any]:
    """The table ``name``; each says under ``source`` what it was made from, and by what."""
    return json.loads((FOLDER / f"{name}.json").read_bytes())  # type: ignore[no-any-return]


def signed_bytes(text: str) -> memoryview:
    """Base64 as whole numbers from -128 to 127."""
    return memoryview(b64decode(text)).cast("b")
