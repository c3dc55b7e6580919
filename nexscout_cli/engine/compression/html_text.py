"""The main text of a page: without scripts, styles, menus, forms and tags."""

from __future__ import annotations

import html
import re

from nexscout_cli.engine.compression.cuts import mark
from nexscout_cli.engine.compression.extract import extract

_DROPPED = (
    "script",
    "style",
    "nav",
    "header",
    "footer",
    "aside",
    "form",
    "svg",
    "noscript",
    "template",
    "head",
    "iframe",
)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,20})(?:[\s/][^<>]{0,5000})?>|<!--|<![^<>]{0,1000}>")
_BREAKS = frozenset(
    "p div li ul ol h1 h2 h3 h4 h5 h6 tr table section article main br hr blockquote pre dd dt title body".split()  # noqa: SIM905
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "title"})
_PARAGRAPHS = _HEADINGS | {"p", "div", "section", "article", "table"}
_CELLS = frozenset({"td", "th"})


def shorten(page: str, question: str, keep: float) -> str:
    """The page's main text with at most about ``keep`` (0..1) of the page's characters."""
    text = main_text(page)
    if not text.strip():
        return page
    if len(text) > keep * len(page):
        text = extract(text, question, keep * len(page) / len(text))
    short = f"{mark('what is not the main text of the page')}\n{text}"
    return short if len(short) < len(page) else page


def main_text(page: str) -> str:
    """The text of a page, a paragraph for each of its blocks, headings as in Markdown."""
    pieces: list[str] = []
    unclosed: set[str] = set()
    at = 0
    while tag := _TAG.search(page, at):
        pieces.append(page[at : tag.start()])
        at = tag.end()
        closes, name = bool(tag.group(1)), (tag.group(2) or "").lower()
        if tag.group() == "<!--":
            end = page.find("-->", at)
            at = end + 3 if end >= 0 else len(page)
        elif name in _DROPPED and not closes and name not in unclosed:
            end = page.find(f"</{name}", at)
            if end < 0:
                unclosed.add(name)  # looked for once: each look reads to the end
            else:
                at = end
            pieces.append("\n\n")
        else:
            pieces.append(_said_for(name, closes))
    pieces.append(page[at:])
    lines = [" ".join(line.split()) for line in html.unescape("".join(pieces)).split("\n")]
    text = [line for line, before in zip(lines, ["", *lines], strict=False) if line or before]
    return "\n".join(text).strip() + "\n"


def _said_for(name: str, closes: bool) -> str:
    """What stands for a tag in the text."""
    if name in _HEADINGS and not closes:
        return "\n\n# " if name in ("h1", "title") else "\n\n## "
    if name in _BREAKS:
        return "\n\n" if name in _PARAGRAPHS else "\n"
    return " | " if name in _CELLS and closes else ""
