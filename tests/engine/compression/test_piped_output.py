"""What tests, builds, servers and databases print is told by how it looks, and cut so that the answer stays."""

from __future__ import annotations

import json

import pytest

from nexscout_cli.engine.compression.by_structure import shorten
from nexscout_cli.engine.compression.structure import kind_of

WORDS = ("harbour", "mill", "river", "tower", "garden", "market", "bridge", "lantern") * 8
GO = """panic: nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x6f2a3c]

goroutine 1 [running]:
main.(*Cart).Total(0x0)
\t/app/cart.go:41 +0x1c
main.main()
\t/app/main.go:88 +0x9d
""" + "".join(
    f"\ngoroutine {n} [select, 3 minutes]:\nnet/http.(*persistConn).writeLoop(0xc0001{n}00)\n\t/go/transport.go:2444 +0xf0\n"
    "created by net/http.(*Transport).dialConn\n\t/go/transport.go:1799 +0x1585\n"
    for n in range(20, 60)
)
NODE = "TypeError: no total\n    at Cart.total (/app/cart.js:41:17)\n    at async /app/server.js:88:3\n"
JAVA = (
    'Exception in thread "w-{n}" java.lang.IllegalStateException: pool is closed\n\tat org.x.Pool.take(Pool.java:88)\n'
    "Caused by: java.io.IOException: Broken pipe\n\tat org.x.Net.write0(Native Method)\n\t... 3 more\n"
)
PYTHON = (
    'Traceback (most recent call last):\n  File "/app/a.py", line 4, in f\n    g()\nKeyError: 1\n\n'
    "During handling of the above exception, another exception occurred:\n\n"
    'Traceback (most recent call last):\n  File "/app/a.py", line 6, in f\n    h()\nValueError: no tea\n'
)
RUBY = "/app/a.rb:4:in `total': no tea (KeyError)\n\tfrom /app/a.rb:9:in `each'\n\tfrom /app/a.rb:12:in `<main>'\n"
PHP = "PHP Fatal error:  Uncaught Error: no tea in /app/a.php:4\nStack trace:\n#0 /app/b.php(9): total()\n#1 {main}\n"
TRACES = {
    "go": (GO, "goroutine 20 [", "goroutine 21 [", 40),
    "node": (NODE * 30, "TypeError", "", 30),
    "java": ("".join(JAVA.format(n=n) for n in range(30)), "Caused by", "w-1\"", 30),
    "python": (PYTHON * 30, "ValueError: no tea", "", 30),
    "ruby": (RUBY * 30, "no tea", "", 30),
    "php": (PHP * 30, "no tea", "", 30),
}  # fmt: skip


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_of_any_language_stands_once_with_its_count(name: str) -> None:
    text, once, gone, times = TRACES[name]
    assert kind_of(text) == "log"
    short = shorten(text, "log", "Why did it crash?", 0.3)
    assert short.count(once) == 1 and f"{times} times in all" in short
    assert not gone or gone not in short


def test_of_a_crashed_go_program_what_it_says_stays_with_the_goroutine_that_panics() -> None:
    short = shorten(GO, "log", "Why did it crash?", 0.1)
    assert short.startswith(GO[: GO.index("\n\ngoroutine 20")])


def test_a_trace_in_a_log_with_times_belongs_to_the_line_that_tells_of_it() -> None:
    lines = [f"2026-03-01 08:00:{n % 60:02} INFO x.{WORDS[n % 8]} - did {n}" for n in range(90)]
    lines[40] = "2026-03-01 08:00:40 ERROR x.Cart - cannot total\n" + JAVA.format(n=1).rstrip("\n")
    short = shorten("\n".join(lines), "log", "What is the root cause?", 0.3)
    assert lines[40] in short and lines[39] in short


PASSED = "".join(f"tests/test_{word}.py::test_{n} PASSED [ 9%]\n" for n, word in enumerate(WORDS))
FAILURE = """______________ test_total ______________

    def test_total():
        cart.apply(Voucher('TEN', 10))
>       assert cart.total() == 720
E       assert 800 == 720

tests/test_cart.py:41: AssertionError
"""
BUILDS = {
    "pytest": (
        f"===== test session starts =====\n{PASSED}\n===== FAILURES =====\n{FAILURE}===== 1 failed, 64 passed in 3s =====\n",
        FAILURE,
    ),
    "cargo": (
        "".join(f"test {word}::{n} ... ok\n" for n, word in enumerate(WORDS))
        + "test cart::total ... FAILED\n\nfailures:\n\n---- cart::total stdout ----\nthread 'x' panicked at src/cart.rs:88:9:\n"
        "  left: 800\n right: 720\n\ntest result: FAILED. 64 passed; 1 failed\n",
        "thread 'x' panicked at src/cart.rs:88:9:\n  left: 800\n right: 720\n",
    ),
    "go test": (
        "".join(f"=== RUN   Test{word}{n}\n--- PASS: Test{word}{n} (0.0{n % 9}s)\n" for n, word in enumerate(WORDS))
        + "=== RUN   TestTotal\n    cart_test.go:41: total = 800, want 720\n--- FAIL: TestTotal (0.00s)\nFAIL\n",
        "    cart_test.go:41: total = 800, want 720\n--- FAIL: TestTotal",
    ),
    "make": (
        "".join(f"[{n:3}%] Building C object x.dir/{word}{n}.c.o\n" for n, word in enumerate(WORDS))
        + "/src/cart.c: In function 'total':\n/src/cart.c:41:12: error: 'voucher' undeclared\n   41 |     return voucher->sum;\n"
        "make[2]: *** [cart.c.o] Error 1\n",
        "/src/cart.c:41:12: error: 'voucher' undeclared\n   41 |     return voucher->sum;\n",
    ),
    "docker compose": (
        "".join(f'web-1  | {{"level": "info", "ts": {n}, "msg": "got {word}"}}\n' for n, word in enumerate(WORDS))
        + 'db-1  | {"level": "error", "ts": 99, "msg": "disk full"}\n',
        'db-1  | {"level": "error", "ts": 99, "msg": "disk full"}',
    ),
}


@pytest.mark.parametrize("name", BUILDS)
def test_of_what_tests_and_builds_print_the_failure_stays_whole(name: str) -> None:
    text, failure = BUILDS[name]
    assert kind_of(text) == "log"
    short = shorten(text, "log", "Why does it fail?", 0.3)
    assert failure in short and len(short) < 0.35 * len(text) + len(failure)


def test_messages_of_a_chat_with_times_in_other_forms_are_told_by_them() -> None:
    chat = "".join(
        f"01/03/2026, 08:{n:02} - {'Ann' if n % 2 else 'Bob'}: the {word} is old\n" for n, word in enumerate(WORDS[:60])
    )
    assert kind_of(chat) == "log" and kind_of(chat.replace(" - ", " PM - ").replace("01/03/2026", "1/3/26")) == "log"


COPY = "CREATE TABLE users (\n    id integer,\n    email text\n);\nCOPY users (id, email) FROM stdin;\n{}\\.\n\nANALYZE users;\n"
DUMPS = {
    "copy": COPY.format("".join(f"{n}\t{word}{n}@x.org\n" for n, word in enumerate(WORDS))),
    "insert": "CREATE TABLE `users` (\n  `id` int\n);\n"
    + "".join(f"INSERT INTO `users` VALUES ({n},'{word}{n}@x.org');\n" for n, word in enumerate(WORDS)),
    "many in a line": "CREATE TABLE users (id int);\nINSERT INTO users VALUES "
    + ",".join(f"({n},'{word}{n}@x.org','it''s; (old), \\'')" for n, word in enumerate(WORDS))
    + ";\nANALYZE users;\n",
}


@pytest.mark.parametrize("name", DUMPS)
def test_of_a_dump_the_tables_and_the_row_in_question_stay_and_the_others_are_counted(name: str) -> None:
    text = DUMPS[name]
    assert kind_of(text) == "sql"
    short = shorten(text, "sql", "What is the email of user 57?", 0.4)
    assert "mill57@x.org" in short and "rows of users]" in short and len(short) < 0.5 * len(text)
    assert short.split("\n")[0] == text.split("\n")[0] and ("ANALYZE users;" in short) == ("ANALYZE" in text)
    assert shorten(text, "sql", "How many users are there?", 0.4) == text


def test_a_question_about_no_row_leaves_a_dump_whole() -> None:
    assert shorten(DUMPS["copy"], "sql", "Xylophone?", 0.4) == DUMPS["copy"]


NOTEBOOK = {
    "nbformat": 4,
    "cells": [
        {
            "cell_type": "code",
            "source": [f"{word}_{n} = load()\n", "def churn(users):\n    return users.lost" if n == 40 else "x"],
            "outputs": [
                {"output_type": "stream", "text": ["long\n"] * 200},
                {"output_type": "display_data", "data": {"image/png": "QUJD" * 99}},
                {"output_type": "error", "ename": "KeyError", "evalue": "tea"},
            ],
        }
        for n, word in enumerate(WORDS)
    ],
}


def test_of_a_notebook_the_cell_in_question_stays_and_no_picture_does() -> None:
    text = json.dumps(NOTEBOOK, indent=1)
    assert kind_of(text) == "notebook"
    short = shorten(text, "notebook", "How is churn computed?", 0.3)
    assert "def churn(users):\n    return users.lost\n" in short and "→ KeyError: tea" in short
    assert "QUJD" not in short and "[… image/png]" in short and len(short) <= 0.3 * len(text)


@pytest.mark.parametrize(
    "text", ['{"nbformat": 4, "cells": [1, {"source": 7, "outputs": [{"data": 3}, 4]}]}', "{", "[]"]
)
def test_a_notebook_of_another_shape_does_not_fail(text: str) -> None:
    assert len(shorten(text, "notebook", "What?", 0.3)) <= len(text)


KUBERNETES = "---\n".join(
    f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {word}-{n}\nspec:\n  containers:\n  - image: x.org/{word}:1.{n}\n"
    for n, word in enumerate(WORDS[:24])
)


def test_of_many_documents_of_yaml_whole_ones_stay_and_the_others_are_named() -> None:
    assert kind_of(KUBERNETES) == kind_of("---\n" + KUBERNETES) == "entries"
    short = shorten(KUBERNETES, "entries", "Which image does tower-11 use?", 0.4)
    assert (
        "image: x.org/tower:1.11\n" in short
        and "Deployment lantern-23]" in short
        and len(short) <= 0.41 * len(KUBERNETES)
    )


def test_rules_between_paragraphs_make_no_documents() -> None:
    assert kind_of("The mill is old. It burnt.\n\n---\n\nNobody came.\n\n" * 9) == "prose"


def test_the_sum_of_a_plan_stays() -> None:
    plan = (
        "".join(f"  # x.{word} will be destroyed\n  - resource {{\n    }}\n\n" for word in WORDS)
        + "Plan: 64 to destroy.\n"
    )
    assert kind_of(plan) == "entries" and shorten(plan, "entries", "What of the mill?", 0.3).endswith(
        "\nPlan: 64 to destroy.\n"
    )


HISTORY = "".join(
    f"commit {n:07x}{n:033}\nAuthor: Ann <ann@x.org>\nDate:   Mon Mar 2 10:00:00 2026\n\n    Mend the {word}\n\n    It is old\n\n"
    f"diff --git a/{word}.py b/{word}.py\nindex 1..2 100644\n--- a/{word}.py\n+++ b/{word}.py\n@@ -1,2 +1,2 @@\n import os\n"
    f"-{word}_old{n} = 1\n+{word}_new{n} = 2\n\n"
    for n, word in enumerate(WORDS[:24])
)


def test_of_a_history_with_changes_every_commit_still_has_its_subject_its_file_and_its_names() -> None:
    short = shorten(HISTORY, kind_of(HISTORY), "What was done to the tower?", 0.4)
    assert kind_of(HISTORY) == "diff" and len(short) <= 0.41 * len(HISTORY)
    assert "[… commit 0000001 Mend the mill: mill.py, 1 hunk, +1 −1: mill_new1" in short
    assert "+tower_new3 = 2\n" in short and all(f"Mend the {word}" in short for word in WORDS)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("config", "".join(f"[{word}]\nport={n}\nhost={word}.x.org\n; note\n\n" for n, word in enumerate(WORDS))),
        ("config", "".join(f"FROM debian AS {word}\nRUN make {word} \\\n    && make\nCOPY a b\n" for word in WORDS)),
        (
            "code",
            "!function(e,t){"
            + "".join(f"function {word}(e){{var n=e+{n};return n}}" for n, word in enumerate(WORDS))
            + "}",
        ),
        ("prose", "It was (as they said) a long day; nobody minded. " * 40),
    ],
)
def test_what_cannot_be_cut_is_told_and_left_whole(kind: str, text: str) -> None:
    assert kind_of(text) == kind
    assert kind == "prose" or shorten(text, kind, "What is the port of the tower?", 0.3) == text
