"""Files that scripts/fuzz broke a command with."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexscout_cli.config.files import read_file
from nexscout_cli.errors import ConfigError


@pytest.mark.parametrize("text", ["user = " + "9" * 5_000, "a = " + "[" * 5_000, "a = '", "\ud83d"])
def test_a_configuration_that_cannot_be_read_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "nexscout.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_file(file)
