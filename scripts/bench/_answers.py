"""Rows of prompts with the lengths of real answers, as the files of shared/data/routing hold them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from _rows import read


class Answers(NamedTuple):
    """A prompt of so many tokens, the task it belongs to, the tokens of each model's answer, and what it is about, where told."""

    task: str
    prompt: str
    tokens: int
    answers: dict[str, int]
    subject: str = ""


def rows(path: Path) -> Iterator[Answers]:
    """The rows of a .jsonl or .jsonl.gz in order; a row without a prompt, its tokens or any answer is left out.

    A row without a task belongs to the one its id begins with, one without an id to the file.
    """
    for row in read(path):
        tokens = _count(row.get("in_tokens")) or _count(row.get("prompt_tokens"))
        answers = _answers(row)
        if isinstance(row.get("prompt"), str) and tokens and answers:
            yield Answers(_task(row, path), row["prompt"], tokens, answers, str(row.get("category") or ""))


def _task(row: dict[str, Any], path: Path) -> str:
    name = path.name.partition(".")[0]
    if str(row.get("task") or "").strip():
        return str(row["task"])
    if "strong_out_tokens" in row or "weak_out_tokens" in row:
        return name.removesuffix("_dev")
    front, slash, _ = str(row.get("id", "")).partition("/")
    return front if slash else name


def _answers(row: dict[str, Any]) -> dict[str, int]:
    """Tokens by model; RouteLLM's two models are called strong and weak."""
    models = row.get("models")
    given = {
        str(name): _count(answer.get("out_tokens"))
        for name, answer in (models if isinstance(models, dict) else {}).items()
        if isinstance(answer, dict)
    }
    given |= {name: _count(row.get(f"{name}_out_tokens")) for name in ("strong", "weak")}
    return {name: tokens for name, tokens in given.items() if tokens}


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0
