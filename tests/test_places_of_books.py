"""Where the books are: a URL that nexscout can't use is said, and no file of that name is made."""

from __future__ import annotations

import pytest

from nexscout_cli.config import locations
from nexscout_cli.errors import ConfigError


@pytest.mark.parametrize("url", ["mysql://a/b", "sqlite:///tmp/x.db", "file://x"])
def test_a_url_of_another_database_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXSCOUT_DB", url)
    with pytest.raises(ConfigError, match="which nexscout can't use"):
        locations.db_path()
