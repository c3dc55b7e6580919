"""The embedded model's file: where it lives, and whether it is there."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SIZE = 98_362_432
PATH_VARIABLE = "NEXSCOUT_EMBEDDED_MODEL"


def model_path(data_dir: Path) -> Path:
    """Where the file is, or would be; NEXSCOUT_EMBEDDED_MODEL names another place."""
    override = os.environ.get(PATH_VARIABLE)
    return Path(override) if override else data_dir / "models" / FILE_NAME


def is_present(path: Path) -> bool:
    """True when a file of the right size is there. Its content was checked when it was pulled."""
    try:
        return path.stat().st_size == SIZE
    except OSError:
        return False


@cache
def runtime_present() -> bool:
    """True when the package that runs the model is installed; does not import it."""
    from importlib.util import find_spec

    return find_spec("xllamacpp") is not None
