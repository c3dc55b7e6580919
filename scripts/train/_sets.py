"""The recorded answers that the router's tables are learned from, each with the task it belongs to.

``mixed_dev`` is only measured on: its licence is not established, so nothing that ships is trained on it.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, NamedTuple

from _router import Example, Judged
from _rows import fail, read

from nexscout_cli.engine.answers.doubt import agree, signs

FILES = (
    *("routellm_mmlu_dev", "routellm_gsm8k_dev", "zeroeval_dev", "zeroeval_outputs_dev", "mmlupro_dev"),
    *("math_dev", "math_outputs_dev", "science_code_dev"),
)
MEASURED = "mixed_dev"
ANSWERED = ("gsm8k", "crux", "math")
"""Tasks of which answers are on record."""
SOURCE = {
    "routellm": "lm-sys/RouteLLM at 0b64fda, Apache-2.0 (MMLU and GSM8K: MIT)",
    "zeroeval": "WildEval/ZeroEval at 8c1485e, Apache-2.0 (GSM8K and CRUXEval: MIT)",
    "mmlupro": "TIGER-AI-Lab/MMLU-Pro at f418b11, Apache-2.0",
    "routerbench": "RouterBench's published table, MIT (ARC: CC BY-SA 4.0, MBPP: CC BY 4.0; labels alone)",
}
CATALOG = {
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4o": "gpt-4o-2024-08-06",
    "claude-3-haiku": "claude-3-haiku-20240307",
    "claude-3-sonnet": "claude-3-sonnet-20240229",
    "claude-3-opus": "claude-3-opus-20240229",
}
"""Our catalog's names, and what they are called where they were measured."""
CHEAP = ("gpt-4o-mini-2024-07-18", "claude-3-haiku-20240307", "gpt-3.5-turbo-0125", "gemini-1.5-flash")
"""Whose answers the doubt learns from; each is also asked what the one before it was, for the agreement."""
CLASSES = {
    "zeroeval": (
        ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13", "claude-3-5-sonnet-20241022", "claude-3-5-sonnet-20240620",
         "Llama-3.1-405B-Instruct-Turbo", "gemini-1.5-pro", "Mistral-Large-2"),
        ("gpt-4o-mini-2024-07-18", "claude-3-haiku-20240307", "claude-3-sonnet-20240229", "gpt-3.5-turbo-0125",
         "gemini-1.5-flash", "Meta-Llama-3.1-8B-Instruct", "Mixtral-8x7B-Instruct-v0.1", "gemma-2-9b-it@together"),
    ),
    "mmlupro": (
        ("gemini-1.5-pro-002", "Meta-Llama-3_1-70B-Instruct", "DeepSeek-Coder-V2", "gemini-1.5-flash-002"),
        ("Mixtral-8x7B-Instruct-v0.1", "Mistral-7B-Instruct-v0.2", "Phi-3-mini-4k-instruct",
         "Meta-Llama-3_1-8B-Instruct"),
    ),
    "routerbench": (
        ("gpt-4-1106-preview", "claude-v1"),
        ("gpt-3.5-turbo-1106", "claude-instant-v1", "mistralai/mixtral-8x7b-chat", "mistralai/mistral-7b-chat"),
    ),
    "mixed": (
        ("llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1"),
        ("qwen2.5-7b-instruct", "llama-3.1-8b-instruct", "mistral-7b-instruct-v0.3"),
    ),
}  # fmt: skip
"""Strong and cheap models: where many were measured, the share of a class that is right says more than one of it."""
PAIRS = {
    "zeroeval": ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"),
    "mmlupro": ("Meta-Llama-3_1-70B-Instruct", "Meta-Llama-3_1-8B-Instruct"),
    "routerbench": ("gpt-4-1106-preview", "gpt-3.5-turbo-1106"),
    "mixed": ("llama-3.1-nemotron-51b-instruct", "qwen2.5-7b-instruct"),
}
"""A pair of each group whose outcomes are measured by themselves."""
Rows = dict[str, list[dict[str, Any]]]


class Asked(NamedTuple):
    """A prompt with its outcomes, the task and the file it is of, and what the strong one of PAIRS gains on it."""

    task: str
    set: str
    example: Example
    gain: float


def load(folder: Path, *names: str) -> Rows:
    """The rows of each file in ``folder``, .jsonl or .jsonl.gz."""
    rows = {}
    for name in names:
        found = [path for path in (folder / f"{name}.jsonl", folder / f"{name}.jsonl.gz") if path.is_file()]
        if not found:
            fail(f"{name}.jsonl(.gz) is not in {folder}")
        rows[name] = read(found[0])
    return rows


def question(name: str) -> str:
    """What an id says of the question: GSM8K's are asked in two files."""
    return "gsm8k " + name.rpartition("#")[2].rpartition("/")[2] if name.startswith("gsm") else name


def shares(row: dict[str, Any], names: tuple[str, ...]) -> float:
    """How much of a class of models is right."""
    found = [row["models"][m] for m in names if m in row["models"]]
    return statistics.fmean(float(one.get("correct", one.get("score"))) for one in found)


def asked(rows: Rows) -> list[Asked]:
    """What the difficulty is learned from."""
    found = []
    for name in ("mmlu", "gsm8k"):
        for row in rows[f"routellm_{name}_dev"]:
            if not row.get("contaminated"):
                marks = row["strong"], row["weak"]
                about = row.get("domain", name)
                example = Example(row["prompt"], *marks, about, "routellm", question=question(row["id"]), task=name)
                found.append(Asked(name, name, example, marks[0] - marks[1]))
    for row in (*rows["zeroeval_dev"], *rows["math_dev"]):
        task = {"gsm": "gsm8k", "math-l5": "math"}.get(row["task"], row["task"])
        found.append(_of_classes(row, "zeroeval", task, row["task"], f"zeroeval {row['task']}"))
    for row in rows["mmlupro_dev"]:
        if not row["src"].startswith("ori_mmlu"):  # MMLU's own questions: some may be asked where MMLU is measured
            found.append(_of_classes(row, "mmlupro", "mmlupro", row["category"], "mmlupro", 0.5))
    for row in rows["science_code_dev"]:
        if not set(PAIRS["routerbench"]) <= row["models"].keys():
            continue
        task = {"arc_challenge": "arc"}.get(row["task"], row["task"])
        found.append(_of_classes(row, "routerbench", task, row["task"], task))
    return found


def mixed(rows: Rows) -> list[Asked]:
    """The prompts that nothing is trained on."""
    return [_of_classes(row, "mixed", "mixed", f"cluster {row['cluster_id']}", "mixed") for row in rows[MEASURED]]


def _of_classes(row: dict[str, Any], group: str, task: str, about: str, name: str, weight: float = 1.0) -> Asked:
    marks = [shares(row, names) for names in CLASSES[group]]
    strong, weak = (shares(row, (model,)) for model in PAIRS[group])
    return Asked(
        task, name, Example(row["prompt"], *marks, about, group, weight, question(row["id"]), name), strong - weak
    )


class Answered(NamedTuple):
    """A cheap model's answer as the doubt learns from it; ``of`` is its set, ``set`` that one where it is what is measured."""

    task: str
    set: str
    of: str
    model: str
    judged: Judged


def answered(rows: Rows, odds: dict[tuple[str, str], Any]) -> list[Answered]:
    """What the doubt is learned from; ``odds``: the difficulty by set and question, for questions left out."""
    found = []
    for row in rows["routellm_gsm8k_dev"]:
        if not row.get("contaminated"):
            about = question(row["id"])
            seen = signs(row["prompt"], row["weak_response"], "stop", odds["gsm8k", about])
            # one model's answers, in a style of their own, beside the four of the other file
            one = Judged(seen, 1 - row["weak"], row["strong"], "gsm8k", about, float(len(CHEAP)))
            found.append(Answered("gsm8k", "gsm8k", "gsm8k", "weak", one))
    results = {row["id"]: row for row in (*rows["zeroeval_dev"], *rows["math_dev"])}
    for row in (*rows["zeroeval_outputs_dev"], *rows["math_outputs_dev"]):
        result = results[row["id"]]
        name, about = f"zeroeval {result['task']}", question(row["id"])
        task = {"gsm": "gsm8k", "math-l5": "math"}.get(result["task"], result["task"])
        for model, second in zip(CHEAP, (*CHEAP[1:], CHEAP[0]), strict=True):
            if not {model, second} <= row["models"].keys() or model not in result["models"]:
                continue
            answer = row["models"][model]["output"]
            seen = signs(result["prompt"], answer, "stop", odds[name, about])
            same = agree(result["prompt"], answer, row["models"][second]["output"])
            marks = result["models"][model]["correct"], result["models"][CATALOG["gpt-4o"]]["correct"]
            one = Judged(seen, 1 - marks[0], marks[1], f"{name} {model}", about, agrees=same)
            found.append(Answered(task, name if model == CATALOG["gpt-4o-mini"] else "", name, model, one))
    return found
