"""A notebook (Jupyter): its cells as they were written, those that bear on the question, without pictures and long outputs.

What comes out is no notebook any more but its text, a line before each cell saying which it is.
"""

from __future__ import annotations

import json

from nexscout_cli.engine.compression.cuts import MARK_SIZE, fill, join, mark, number
from nexscout_cli.engine.compression.relevance import relevance

_MOST = 400
"""Characters of an output that stay."""


def is_notebook(value: object) -> bool:
    """True for a notebook of the fourth format, which has been written since 2015."""
    return isinstance(value, dict) and "nbformat" in value and isinstance(value.get("cells"), list)


def shorten(text: str, question: str, keep: float) -> str:
    """The notebook's text with at most about ``keep`` (0..1) of the file's characters; all sources stay where they fit."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not is_notebook(value):
        return text
    cells = [_cell(at, cell) for at, cell in enumerate(value["cells"], 1) if isinstance(cell, dict)]
    scores = relevance(cells, question)
    sizes = [len(cell) + 1 + MARK_SIZE for cell in cells]
    order = sorted(range(len(cells)), key=lambda at: (-scores[at], at))
    kept = fill(order, sizes, keep * len(text) - 60)
    if not kept:
        return text
    short = "\n".join([mark("a notebook's cells, as text"), *join(cells, kept, "cell"), ""])
    return short if len(short) < len(text) else text


def _cell(number_: int, cell: dict[str, object]) -> str:
    outputs = cell.get("outputs")
    said = [_output(one) for one in outputs if isinstance(one, dict)] if isinstance(outputs, list) else []
    return "\n".join(
        [f"[{number_}] {cell.get('cell_type', '')}", _text(cell.get("source")).rstrip("\n"), *filter(None, said)]
    )


def _output(output: dict[str, object]) -> str:
    """What a cell printed or gave, or an error; of a picture that there was one."""
    data = output.get("data")
    kinds = data if isinstance(data, dict) else {}
    text = _text(output.get("text")) or _text(kinds.get("text/plain"))
    if output.get("output_type") == "error":
        text = f"{output.get('ename')}: {output.get('evalue')}"
    text = text.rstrip("\n")
    if len(text) > _MOST:
        left_out = len(text) - _MOST
        text = f"{text[:_MOST]}\n{mark(number(left_out, 'character'))}"
    pictures = [mark(kind) for kind in kinds if kind.startswith("image/")]
    return "\n".join(filter(None, [f"→ {text}" if text else "", *pictures]))


def _text(value: object) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else ""
