"""What extraction keeps of the kinds of text that people pipe."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.config import Settings
from nexscout_cli.engine.compression.by_structure import WAYS, shorten
from nexscout_cli.engine.compression.choice import compress_texts
from nexscout_cli.engine.compression.prompt_parts import split
from nexscout_cli.engine.compression.structure import kind_of
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.planning.texts import originals
from nexscout_cli.engine.routing import explain
from tests.engine.compression.test_structure import MORE, TEXTS
from tests.support.values import count, request, snapshot

FAULT = "2026-01-02 10:15:00 ERROR worker-3: cannot open the queue: no space left on device"
LOG = "\n".join(
    FAULT
    if n == 900
    else f"2026-01-02 10:{n // 60:02}:{n % 60:02} INFO worker-{n % 7}: job {n * 37} done in {n % 90} ms"
    for n in range(1_500)
)
TRACE = 'Traceback (most recent call last):\n  File "a.py", line {n}, in run\n    go()\nValueError: no town {n}\n'


def hunk(name: str, number: int, lines: int = 12) -> str:
    body = "".join(f" context_{number}_{n} = {n}\n" for n in range(lines))
    return (
        f"@@ -{number},{lines + 1} +{number},{lines + 1} @@\n{body}-old_{name}_{number}(1)\n+new_{name}_{number}(2)\n"
    )


def file(path: str, hunks: str) -> str:
    return f"diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n{hunks}"


PATHS = [f"src/part_{n}.py" for n in range(6)]
DIFF = file("package-lock.json", "".join(hunk("lock", n, 60) for n in (1, 100))) + "".join(
    file(path, "".join(hunk(f"part{n}", at) for at in (1, 50, 90))) for n, path in enumerate(PATHS)
)
CODE = "import os\n\nLIMIT = 3\n\n\n" + "\n\n".join(
    f"def {name}_town(town: str) -> int:\n"
    + "".join(f"    step_{n} = town + '{name}'\n" for n in range(15))
    + "    return 1\n"
    for name in ("find", "build", "count", "paint", "sell", "move")
)
GO = "package main\n\n" + "\n".join(
    f"func {name}Town(town string) int {{\n" + "".join(f"\tx := {n}\n\ty(x)\n" for n in range(5)) + "\treturn 1\n}\n"
    for name in ("find", "build", "count", "paint", "sell", "move")
)
ROWS = [{"id": 1000 + n, "name": f"Town {n}", "mills": (n * 37) % 101, "mayor": "Ann"} for n in range(120)]
CSV = "id,name,mills,mayor\n" + "".join(",".join(map(str, row.values())) + "\n" for row in ROWS)
MARK = re.compile(r"\[… ")


def cut(text: str, question: str, keep: float) -> str:
    return shorten(text, kind_of(text), question, keep)


def test_of_a_log_the_fault_its_time_and_its_neighbours_stay_and_repeats_are_counted() -> None:
    short = cut(LOG, "Why did the worker fail?", 0.1)
    assert FAULT in short and len(short) < 0.1 * len(LOG)
    assert "10:14:59" in short and "10:15:01" in short
    assert "1,499 times in all, last at 2026-01-02 10:24:59" in short
    assert re.search(r"\[… 89\d lines\]", short)


def test_a_stack_trace_stands_once_with_its_count() -> None:
    log = "\n".join(f"2026-01-02 10:00:{n:02} ERROR failed\n{TRACE.format(n=n)}" for n in range(40))
    short = cut(log, "What is wrong?", 0.2)
    assert short.count("Traceback") < 9 and "40 times in all" in short and "ValueError: no town 0" in short


def test_of_a_diff_every_file_and_every_changed_name_outside_lock_files_is_still_named() -> None:
    short = cut(DIFF, "Write a commit message", 0.5)
    assert len(short) <= 0.55 * len(DIFF)
    for n, path in enumerate(PATHS):
        assert f"--- a/{path}\n+++ b/{path}" in short
        assert all(f"{side}_part{n}_{at}" in short for side in ("old", "new") for at in (1, 50, 90))
    assert "+++ b/package-lock.json\n[… 2 hunks, +2 −2]" in short


def test_of_hunks_that_go_the_names_in_code_are_said_before_the_words_of_what_is_written() -> None:
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}ness" for n in range(200)]
    talk = "@@ -1 +1,20 @@\n" + "".join(f"+It has {' and '.join(words[n : n + 10])}.\n" for n in range(0, 200, 10))
    text = "".join(
        file(f"src/m{n}.py", talk.replace("It", f"# m{n}") + f"+    total{'xyz'[n]} = call(n)\n") for n in range(3)
    )
    short = shorten(text.replace("+1,20 @@", "+1,21 @@"), "diff", "Write a commit message", 0.2)
    assert all(f"total{letter}" in short for letter in "xyz") and "more names]" in short


def test_a_diff_whose_headers_are_all_that_may_be_kept_still_says_names_that_changed() -> None:
    text = "".join(
        file(f"src/a/long/way/down/to/module_{n}.py", f"@@ -{n} +{n} @@\n-old_{n} = {n}\n+new_{n} = {'1 + ' * 9}{n}\n")
        for n in range(20)
    )
    assert "new_3" in shorten(text, "diff", "Write a commit message", 0.3)


def test_hunks_stay_whole_or_go_whole() -> None:
    short = cut(DIFF, "What changed in part 3?", 0.4)
    for part in re.split(r"(?m)^(?=@@ |diff |\[…)", short):
        assert not part.startswith("@@") or part.rstrip("\n") in DIFF


@pytest.mark.parametrize("code", [CODE, GO])
def test_of_a_program_the_function_in_question_stays_whole_and_the_others_with_their_signatures(code: str) -> None:
    short = cut(code, "How does paint work?", 0.4)
    heads = [line for line in code.split("\n") if line.startswith(("def ", "func ", "import ", "package ", "LIMIT"))]
    assert all(head in short for head in heads)
    whole = code[
        code.index(next(head for head in heads if "paint" in head)) : code.index(next(h for h in heads if "sell" in h))
    ]
    assert whole.strip() in short and MARK.search(short) and len(short) < 0.6 * len(code)


def test_every_line_of_a_program_that_stays_keeps_its_indentation() -> None:
    lines = CODE.split("\n")
    assert all(line in lines for line in cut(CODE, "How does paint work?", 0.4).split("\n") if not MARK.search(line))


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        json.dumps(ROWS, indent=1),
        "\n".join(map(json.dumps, ROWS)),
        "|" + CSV.replace(",", "|").replace("\n", "|\n|"),
    ],
)
def test_of_a_table_the_row_in_question_stays_and_the_others_are_counted_with_their_ranges(text: str) -> None:
    short = cut(text, "How large is mills of 1042?", 0.3)
    assert "1042" in short and str(ROWS[42]["mills"]) in short and len(short) < 0.45 * len(text)
    assert re.search(r"the \d+ rows left out: id \d+–\d+; name \d+ values", short)
    assert text.split("\n")[0] in short or text[0] == "["


def test_records_that_were_cut_are_still_json() -> None:
    assert "[… " in json.dumps(json.loads(cut(json.dumps(ROWS), "mills of 1042?", 0.3)), ensure_ascii=False)


@pytest.mark.parametrize("question", ["What is the total of mills?", "How many towns are there?", "Wie viele sind es?"])
def test_a_table_is_not_cut_where_the_answer_needs_every_row(question: str) -> None:
    assert cut(CSV, question, 0.3) == CSV


def test_the_rows_with_the_least_and_the_greatest_values_stay_for_who_asks_for_them() -> None:
    top = max(ROWS, key=lambda row: row["mills"])
    assert f"{top['id']},{top['name']},{top['mills']}" in cut(CSV, "Which has the highest number of mills?", 0.3)


def test_of_a_mail_thread_what_is_quoted_again_goes_and_every_first_saying_stays() -> None:
    said = [f"The fair should cost {n * 10} euros, and the hall opens at {n + 8}." for n in range(6)]
    thread = "\n".join(
        f"From: p{n}@x.io\nTo: all@x.io\nSubject: The fair\n\n{said[n]}\n\n--\nThe Office\nLindmouth\n\n"
        + "".join(f"> {line}\n>\n" for line in said[: n * (n > 1)])
        for n in range(6)
    )
    short = cut(thread, "Who said what?", 0.9)
    assert all(short.count(line) == 1 for line in said) and short.count("The Office") == 1
    assert all(f"From: p{n}@x.io" in short for n in range(6))


def test_of_a_page_the_main_text_stays() -> None:
    page = f"<!doctype html>\n<html><head><style>{'a{}' * 90}</style></head><body>\n<nav><a>Menu</a></nav>\n<h1>Mills</h1>\n"
    page += (
        "<p>The mill of Oakham was built in 1824 &amp; burnt.</p>\n<p>Other.</p>\n<script>x()</script></body></html>"
    )
    short = cut(page, "When was the mill built?", 0.9)
    assert (
        "# Mills\n\nThe mill of Oakham was built in 1824 & burnt." in short
        and "x()" not in short
        and "Menu" not in short
    )


def test_of_markdown_every_heading_and_the_section_in_question_stay() -> None:
    names = ("Oakham", "Newby", "Lind")
    text = "# Towns\n\n" + "\n\n".join(f"## {name}\n\n" + f"{name} has a mill by the river.\n" * 20 for name in names)
    short = cut(text, "What has Newby?", 0.5)
    assert all(f"## {name}\n" in short for name in ("Oakham", "Newby", "Lind"))
    assert short.count("Newby has a mill") == 20 and "[… 20 lines]" in short


@pytest.mark.parametrize("text", [TEXTS["config"], TEXTS["json"], TEXTS["diff"], "x = 1\ny = 2\n" * 200])
def test_what_cannot_be_cut_safely_is_not_cut(text: str) -> None:
    assert cut(text, "What is this?", 0.1) == text


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([text for _, text in MORE] + list(TEXTS.values())), max_size=6).map("\n".join),
    st.sampled_from(sorted(WAYS)),
    st.sampled_from([0.1, 0.3, 0.5]),
)
def test_no_way_makes_a_text_longer_and_none_fails_on_a_text_of_another_kind(text: str, kind: str, keep: float) -> None:
    assert len(shorten(text, kind, "What has the worker done in Oakham?", keep)) <= len(text)


@pytest.mark.parametrize(
    ("before", "text", "after", "kind"),
    [
        ("Write a commit message\n\n", DIFF, "", "diff"),
        ("Write a commit message:\n", DIFF, "", "diff"),
        ("", DIFF.rstrip("\n"), "\n\nWrite a commit message for this.", "diff"),
        ("How does paint work?\n\n", CODE, "", "code"),
        ("", CODE.rstrip("\n"), "\n\nHow does paint work?", "code"),
        ("Why did the worker fail?\n\n", LOG, "", "log"),
        ("What is in it?\n\n", CSV, "", "table"),
    ],
)
def test_the_question_is_told_from_what_was_piped(before: str, text: str, after: str, kind: str) -> None:
    assert split(before + text + after) == (before, text, after, kind)


def plan(prompt: str, **options: Any) -> Any:
    return Planner(Settings(), count).plan(request(prompt, **options), snapshot())


def test_auto_says_which_structure_it_found_and_off_undoes_it() -> None:
    asked = f"Why did the worker fail?\n\n{LOG}"
    made = plan(asked)
    assert made.error is None and FAULT in made.messages[-1].content
    assert made.as_json()["compression"]["found"] == ["log"] and made.decision.as_json()["extracted"] == ("log",)
    assert plan(asked, compress="off").messages[-1].content == asked


def test_why_says_which_kinds_were_made_shorter() -> None:
    assert explain.extraction({"extracted": ["log", "diff"]}) == [
        "What was sent is an extract of what was given: log, diff."
    ]
    assert explain.extraction({}) == []


def test_auto_extracts_nothing_where_the_request_asks_about_form() -> None:
    asked = request("How many lines are these?", context=LOG)
    assert compress_texts(asked, originals(asked), snapshot(), Settings(), count)[0] == originals(asked)


@pytest.mark.parametrize("mode", ["off", "lossless"])
def test_a_refusal_says_what_extraction_would_come_to_and_whether_that_fits(mode: str) -> None:
    error = plan(f"Why did the worker fail?\n\n{LOG}", compress=mode).error
    assert error["code"] == "too_many_tokens"
    said = r"use `--compress extract --keep 0.5`, which would bring it to about [\d,]+ tokens and fits"
    assert re.search(said, error["suggestion"])


@pytest.mark.parametrize(("window", "says"), [(2_000, "and fits"), (400, "which is still too many")])
def test_a_refusal_by_a_models_window_says_it_too(window: int, says: str) -> None:
    world = snapshot()
    prose = " ".join(
        f"The worker of mill {n} was tired of the {n * 7}th day, and so it failed again." for n in range(200)
    )
    narrow = world._replace(models=tuple(m._replace(max_tokens=window) for m in world.models))
    asked = request("Why did the worker of mill 77 fail?", context=prose, compress="off", force_model="gpt-4o")
    error = Planner(Settings(), count).plan(asked, narrow).error
    assert error is not None and error["code"] == "context_window"
    assert "`--compress extract --keep 0." in error["suggestion"] and says in error["suggestion"]


def test_a_refusal_of_what_cannot_be_cut_offers_no_extraction() -> None:
    error = plan("What is this?\n\n" + "name: harbour\nport: 80\n" * 5_000).error
    assert error["suggestion"] == "split your input into smaller parts"


@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_of_records_within_an_object_is_cut_as_one_and_the_rest_of_it_stays(indent: int | None) -> None:
    text = json.dumps({"total": 120, "items": ROWS, "next": None}, indent=indent)
    assert kind_of(text) == "records"
    short = cut(text, "Which mills has id 1077?", 0.3)
    assert len(short) < 0.31 * len(text)
    value = json.loads(short)
    assert value["total"] == 120 and value["next"] is None and ROWS[77] in value["items"]
    assert any(isinstance(item, str) and "rows left out" in item for item in value["items"])


def test_an_object_that_holds_more_than_one_list_is_left_as_it_is() -> None:
    text = json.dumps({"a": ROWS, "b": ROWS})
    assert kind_of(text) == "json" and cut(text, "Which mills has id 1077?", 0.3) == text


def test_a_merge_diff_keeps_its_files_and_says_what_both_sides_changed() -> None:
    def merged(name: str) -> str:
        hunks = "".join(
            f"@@@ -{at},9 -{at},9 +{at},9 @@@ def f():\n"
            + "".join(f"  context_{n}\n" for n in range(9))
            + f"- old_{name}_{at}\n -older_{name}_{at}\n++new_{name}_{at}\n"
            for at in (1, 40, 80)
        )
        return f"diff --cc src/{name}.py\nindex 1,2..3\n--- a/src/{name}.py\n+++ b/src/{name}.py\n{hunks}"

    text = "".join(map(merged, ("harbour", "mill", "tower", "market")))
    assert kind_of(text) == "diff"
    short = cut(text, "Write a commit message", 0.5)
    assert all(f"diff --cc src/{name}.py" in short for name in ("harbour", "mill", "tower", "market"))
    kept = [hunk for hunk in re.split(r"(?=^@@@ |^diff )", short, flags=re.M) if hunk.startswith("@@@")]
    assert kept and all(re.sub(r"\[… .*\n", "", hunk) in text for hunk in kept)
    changed = {
        f"{old}_{name}_{at}"
        for old in ("old", "older", "new")
        for name in ("harbour", "mill", "tower", "market")
        for at in (1, 40, 80)
    }
    assert sum(name in short for name in changed) > 0.9 * len(changed)
