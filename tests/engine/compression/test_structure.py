from __future__ import annotations

import json

import pytest

from nexscout_cli.engine.compression.structure import kind_of

TEXTS = {
    "diff": "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n",
    "log": "\n".join(f"2026-01-02 10:00:0{n} INFO worker: job {n} done" for n in range(8)),
    "code": "import os\n\n\ndef main():\n    for name in os.listdir():\n        print(name)\n",
    "table": "id,name,city\n" + "\n".join(f"{n},n{n},Oakham" for n in range(9)),
    "columns": "\n".join(f"{name:<10}{n:>6}    Oakham" for n, name in enumerate(["Ann", "Bob", "Cleo", "Dan", "Eve"])),
    "records": json.dumps([{"id": n, "name": "x"} for n in range(4)], indent=1),
    "json": '{"a": [1, 2]}',
    "config": "[server]\nhost = localhost\nport = 80\nname = a\n[client]\nretries = 3\n",
    "mail": "From: ann@x.io\nTo: bob@x.io\nSubject: The fair\n\nHello Bob,\n\nsee you there.\n\nAnn\n",
    "html": "<!doctype html>\n<html><head></head>\n<body>\n<p>Hello</p>\n<p>You</p>\n</body></html>",
    "markdown": "# Title\n\nSome words.\n\n## Part\n\nMore of them.\n",
    "prose": "The harbour was built in 1824. It was deepened twice.\n\nThe pilots went on strike, and nobody minded.\n",
}
MORE = [
    ("diff", "commit 1a2b3c\nAuthor: Ann\n\n    Say it\n\n" + TEXTS["diff"]),
    ("diff", "@@ -1,2 +1,2 @@\n a\n-b\n+c\n"),
    ("log", 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    x()\nValueError: no\n'),
    ("code", "func main() {\n\tfmt.Println(1)\n}\n\nfunc other(a int) int {\n\treturn a;\n}\n"),
    ("code", "#!/bin/sh\nset -eu\necho hello\n"),
    ("table", "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"),
    ("table", "id\tname\n" + "\n".join(f"{n}\tn" for n in range(6))),
    ("records", "\n".join(json.dumps({"id": n, "name": "x"}) for n in range(4))),
    ("mail", "Fine with me.\n\nOn Monday, Ann wrote:\n> Shall we?\n> Ann\n"),
    ("config", "name: build\non: push\njobs:\n  test:\n    steps:\n      - uses: checkout\n      - run: make\n"),
    ("prose", "Ann: Shall we begin?\nBob: Yes. I have the list here, and it is long.\nAnn: Read it, please.\n" * 3),
    ("prose", ""),
]


@pytest.mark.parametrize(("kind", "text"), [*TEXTS.items(), *MORE])
def test_what_people_pipe_is_told_by_how_it_looks(kind: str, text: str) -> None:
    assert kind_of(text) == kind
