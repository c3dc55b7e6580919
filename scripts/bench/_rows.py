"""Rows of measured answers, as files of JSON lines give them."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from pathlib import Path
from typing import Any, NoReturn


def fail(text: str) -> NoReturn:
    """End with a line on stderr and exit status 2: what was given cannot be used."""
    print(text, file=sys.stderr)
    raise SystemExit(2)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl or .jsonl.gz file. Fails with one line where it cannot be read."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file if line.strip()]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        fail(f"{path}: {error}")
    if not all(isinstance(row, dict) for row in rows):
        fail(f"{path}: each line must be an object")
    return rows


def of_model(row: dict[str, Any], name: str) -> dict[str, Any]:
    """What a row says of a model under its ``models``; nothing where it does not."""
    models = row.get("models")
    found = models.get(name) if isinstance(models, dict) else None
    return found if isinstance(found, dict) else {}
