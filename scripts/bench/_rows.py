"""Rows of measured answers, as files of JSON lines give them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl or .jsonl.gz file. Raises SystemExit with one line where it cannot be read."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file if line.strip()]
    except (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SystemExit(f"{path}: {error}") from None
    if not all(isinstance(row, dict) for row in rows):
        raise SystemExit(f"{path}: each line must be an object")
    return rows
