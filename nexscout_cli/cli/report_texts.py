"""A report as Markdown tables."""

from __future__ import annotations

from nexscout_cli.cli.report_parts import HEADS, Section, column
from nexscout_cli.engine.reports.figures import TEXT


def as_markdown(part: Section) -> str:
    """A Markdown table, totals as its last row."""
    heads = [HEADS.get(name, name) for name in part.columns]
    text = TEXT | {"figure", "value"}
    rows = [list(map(_escaped, row)) for row in zip(*(column(part, name) for name in part.columns), strict=True)]
    if part.totals is not None:
        rows[-1] = [f"**{value}**" if value else "" for value in rows[-1]]
    lines = [heads, [":--" if name in text else "--:" for name in part.columns], *rows]
    title = f"### {part.title}\n\n" if part.title else ""
    return title + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
