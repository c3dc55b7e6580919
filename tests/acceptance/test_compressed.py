"""What compression leaves out is shown before it is paid for, is what is sent, and is in the books."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer, tokens

TOWNS = [
    f"The town of {a}{b} lies by the river.  Its mayor is {c} Rhys. It has {len(a) * len(b) + len(c)} mills. Fairs are held."
    for a in ("Lind", "Oak", "Stonehill", "Fair", "Old", "New")
    for b in ("mouth", "ham", "field", "by")
    for c in ("Tom", "Ada", "Edna")
]
LONG = "\n\n".join([*TOWNS, '{"towns":   72}'])
QUESTION = "How many mills has Stonehillham?"


@pytest.fixture
def towns(tmp_path: Path) -> str:
    (tmp_path / "towns.md").write_text(LONG)
    return str(tmp_path / "towns.md")


@pytest.mark.parametrize("mode", ["auto", "off", "lossless", "extract"])
def test_what_simulate_shows_is_what_is_sent(six: Any, server: OpenAIServer, towns: str, mode: str) -> None:
    keep = ("--keep", "0.4") if mode in ("auto", "extract") else ()
    line = ("-m", "gpt-4o", "--compress", mode, *keep, "--attach", towns, QUESTION, "--json")
    plan = six("simulate", *line).json
    meta = six("run", *line).json["metadata"]
    assert meta["plan"] == plan
    body = server.requests[-1].body
    sent = body["messages"][-1]["content"]
    shown = plan["compression"]
    assert sent.startswith(QUESTION) and meta["compression_applied"] == (mode != "off")
    assert shown["mode"] == {"auto": "lossless"}.get(mode, mode)
    assert sum(shown["saved_by"].values()) == shown["tokens_before"] - shown["tokens_after"]
    inner = sent.split(">\n", 1)[1].rsplit("\n<", 1)[0]
    assert tokens(QUESTION) + tokens(inner) == shown["tokens_after"]
    assert tokens(QUESTION) + tokens(LONG) == shown["tokens_before"]
    assert (inner == LONG, "[…]" in inner) == (mode == "off", mode == "extract")


def test_what_was_saved_is_in_the_books_apart_from_routing_and_caching(
    six: Any, server: OpenAIServer, towns: str
) -> None:
    line = ("-m", "gpt-4o", "-f", "ai_deepscan", "--compress", "extract", "--attach", towns, QUESTION)
    plan = six("simulate", *line, "--json").json
    six("run", *line)
    six("run", "-m", "gpt-4o", "-f", "ai_chatbot", "Hello there")
    saved = plan["compression"]["tokens_before"] - plan["compression"]["tokens_after"]
    assert six.books.listed("usage", "compression_applied", "tokens_saved", "compression_saved_usd") == [
        (1, saved, saved * 2_500),
        (0, 0, 0),
    ]
    assert six.books.profile("ada")["total_tokens_saved"] == saved
    report = six("report", "savings", "--json").json
    by_feature = {row["feature"]: row for row in report["rows"]}
    assert float(by_feature["ai_deepscan"]["compression_saved_usd"]) == saved * 2_500 / 1e9
    assert float(by_feature["ai_chatbot"]["compression_saved_usd"]) == 0
    totals = {name: float(value) for name, value in report["totals"].items()}
    assert totals["caching_saved_usd"] == totals["routing_saved_usd"] == 0
    assert totals["saved_usd"] == totals["compression_saved_usd"]


def test_the_diff_is_for_a_person_and_has_colours_only_on_a_terminal(
    six: Any, towns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("simulate", "--compress", "extract", "--attach", towns, QUESTION, "--diff")
    shown = six(*line).out
    assert "\x1b" not in shown and "extract: " in shown
    rows = shown.split("+++ as sent\n", 1)[1].splitlines()
    assert "- The town of Fairby lies by the river." in rows
    assert any(row.startswith("  ") for row in rows) and "@@" in rows
    assert not any(row.startswith("-") and QUESTION in row for row in rows)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31m- The town of Fairby lies by the river." in six(*line).out
    assert "nothing is left out" in six("simulate", "Hello", "--diff").out
    both = six("simulate", "Hello", "--explain", "--diff").out
    assert "nothing is left out" in both and "would cost" in both
    assert six("simulate", "Hello", "--diff", "--json", ok=False).status == 2


def test_the_third_prompt_with_one_long_head_leaves_it_alone(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    head = "Read this guide to the valley:\n\n" + LONG + "\n\n"
    for question in ("Who is mayor of Oakham?", "Where lies Newby?"):
        (tmp_path / "prompt.txt").write_text(head + question)
        six("run", "-m", "gpt-4o", "--compress", "extract", "@prompt.txt")
    first, second = (request.body["messages"][-1]["content"] for request in server.requests[-2:])
    assert "[…]" in first  # nothing recurs yet
    kept = len(head) - len(head) % 1024
    assert second[: kept - 200] == head[: kept - 200]
    plan = six("simulate", "-m", "gpt-4o", "--compress", "extract", "@prompt.txt", "--json").json["compression"]
    assert plan["left_alone"] >= 1_024
    assert "recur at the head" in six("simulate", "-m", "gpt-4o", "--compress", "extract", "@prompt.txt").out
    assert "prompt_heads" not in json.dumps(six("user", "show", "--json").json)


def test_another_way_of_compressing_is_another_answer_for_the_cache(
    six: Any, server: OpenAIServer, towns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("run", "-f", "ai_chatbot", "-m", "gpt-4o", "--attach", towns, QUESTION)
    six(*line)
    six(*line)
    assert server.hits == 1
    six(*line, "--compress", "extract")
    six(*line, "--compress", "extract", "--keep", "0.3")
    assert server.hits == 3
    monkeypatch.setenv("NEXSCOUT_COMPRESS", "extract")
    six(*line)
    assert server.hits == 3


def test_a_batch_row_names_its_own_way_and_a_wrong_one_is_its_own_error(
    six: Any, server: OpenAIServer, tmp_path: Path, towns: str
) -> None:
    rows = [
        {"id": "a", "prompt": QUESTION, "context": LONG, "options": {"compress": "extract", "keep": 0.3}},
        {"id": "b", "prompt": QUESTION, "context": LONG, "options": {"compress": "off"}},
        {"id": "c", "prompt": QUESTION, "options": {"compress": "zip"}},
        {"id": "d", "prompt": QUESTION, "options": {"keep": 7}},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = six("batch", "in.jsonl", "--out", "out.jsonl", "--concurrency", "1", ok=False)
    assert done.status == 7
    answers = {row["id"]: row for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert [answers[name]["success"] for name in "abcd"] == [True, True, False, False]
    assert (
        "one of: auto, off, lossless, extract" in answers["c"]["error"]["suggestion"]
        and "0.1" in answers["d"]["error"]["message"]
    )
    sizes = [len(request.body["messages"][-1]["content"]) for request in server.requests[-2:]]
    assert min(sizes) < 0.4 * max(sizes)


def test_a_wrong_option_is_said_in_two_lines(six: Any) -> None:
    for argv in (("--compress", "zip"), ("--keep", "2"), ("--keep", "nan")):
        done = six("simulate", "Hello", *argv, ok=False)
        assert done.status == 2 and done.out == "" and len(done.err.strip().splitlines()) <= 2
