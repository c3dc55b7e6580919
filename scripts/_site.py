"""What the site has beside the pages in docs: the home page from the README, and the reference from the code itself.

Links that lead out of docs on the checkout lead to what the site has instead, or are plain text there.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
_OUT = re.compile(
    r"\[([^\]]+)\]\((?:\.\./)?(?:README|CHANGELOG|CONTRIBUTING|SECURITY|LICENSE|fixtures|scripts|tests|nexscout_cli)[^)]*\)"
)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    home = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=home))
    files.append(File.generated(config, "reference.md", content=reference()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to what the site does not have be their text."""
    return _OUT.sub(r"\1", markdown)


def reference() -> str:
    """Every public name with its signature and what it says of itself."""
    import nexscout_cli

    lines = ["# Signatures", "", "Made from the code: what `nexscout_cli` offers to programs.", ""]
    for name in nexscout_cli.__all__:
        thing = getattr(nexscout_cli, name)
        if not callable(thing):
            continue
        try:
            signature = str(inspect.signature(thing))
        except ValueError:
            signature = "(…)"
        lines += [f"## {name}", "", "```python", f"{name}{signature}", "```", "", inspect.getdoc(thing) or "", ""]
    return "\n".join(lines)
