"""The sources that can be imported, and how each one's rows are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nexscout_cli.engine.imported import (
    anthropic_usage,
    claude_code,
    codex,
    langfuse,
    litellm_spend,
    llm,
    mapped,
    openai_usage,
    openrouter,
)
from nexscout_cli.engine.imported.record import Imported, Parse, Row

SOURCES = ("llm", "litellm", "ccusage", "openai-usage", "anthropic-usage", "openrouter", "langfuse", "csv")
WITH_TEXTS = ("llm", "litellm", "langfuse", "csv")
"""Those whose files may have prompts."""
DATABASE = "llm"
"""The source that is a database and not a file of rows."""
ENDINGS = {"ccusage": (".jsonl",), "llm": (".db",)}
"""How files end that are read of a folder; for sources that are not named see ENDINGS_ELSE."""
ENDINGS_ELSE = (".json", ".jsonl", ".ndjson", ".csv", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".csv.gz")
MARKS = {"ccusage": (b'"usage"', b'_usage"', b'"session_meta"', b'"turn_context"')}
"""What lines that count have in them: others are passed over without being read."""


class Wanted(NamedTuple):
    """What is to be read: a source, its columns where it is a CSV, prompts or not, and of llm how a message is found."""

    source: str
    columns: dict[str, str] = {}  # noqa: RUF012 - never changed
    texts: bool = False
    message: llm.Message | None = None


def parse_of(wanted: Wanted) -> Parse:
    """How the rows of one file are read: a new one for each file, since sessions remember."""
    match wanted.source:
        case "llm":
            return llm.parser(wanted.message if wanted.texts else None)
        case "litellm":
            return litellm_spend.parser(wanted.texts)
        case "ccusage":
            return _sessions(codex.Session())
        case "openai-usage":
            return openai_usage.parse
        case "anthropic-usage":
            return anthropic_usage.parse
        case "openrouter":
            return openrouter.parse
        case "langfuse":
            return langfuse.parser(wanted.texts)
    return mapped.parser(wanted.columns, wanted.texts)


def _sessions(session: codex.Session) -> Parse:
    """Lines of Claude Code and of Codex, told apart by what they have."""

    def parse(row: Row) -> Iterable[Imported]:
        return claude_code.parse(row) if "message" in row or "sessionId" in row else session.parse(row)

    return parse
