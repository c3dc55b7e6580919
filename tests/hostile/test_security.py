"""SAFETY.md's list, "Security", each line with a test of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.config import SETTINGS
from nexscout_cli.store.sqlite import database, journal
from tests.hostile.conftest import COMMAND, KEY, Home
from tests.support.openai_server import OpenAIServer

ROOT = Path(__file__).parents[2]
MARK = "Xylophone-Quetzal-7741"
"""A word that nothing else says."""
SCREEN = (
    "Plain \x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ \x9b2J\x9d0;t\x07 \x1bP1;2q\x1b\\"
    " \u202eevil\u202c \u2066iso\u2069 \u200e\u200f\u061c over\rwrite \x08\x7f\x00 [/x] [bold]b[/bold] :smile: end"
)
UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")


def modes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in folder.rglob("*")
        if path.is_file()
    }


def everywhere(home: Home) -> bytes:
    """Every byte of every file below the home and in the current folder."""
    return b"".join(path.read_bytes() for path in home.folder.parent.rglob("*") if path.is_file())


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A shell that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


# 1. Keys


def echoing(kind: str) -> Any:
    """A server's answer to everything: it says the key that it was given."""
    headers = {"Content-Type": "application/json", "x-request-id": KEY, "WWW-Authenticate": f"Bearer {KEY}"}
    bodies = {
        "openai": (401, json.dumps({"error": {"message": f"Incorrect API key: {KEY}.", "code": KEY, "type": KEY}})),
        "detail": (403, json.dumps({"detail": f"{KEY} is not allowed", "id": KEY})),
        "text": (401, f"go away, {KEY}"),
        "html": (401, f"<html><b>{KEY}</b></html>"),
        "list": (400, json.dumps([{"error": {"message": KEY}}])),
        "limited": (429, json.dumps({"error": {"message": f"slow down, Bearer {KEY}"}})),
        "server": (500, json.dumps({"error": {"message": f"crashed on {KEY}"}})),
        "gateway": (504, f"upstream of {KEY} is away"),
        "redirect": (302, KEY),
    }
    status, body = bodies[kind]
    if status == 429:
        headers["Retry-After"] = "0"
    if status == 302:
        headers["Location"] = f"http://127.0.0.1:9/{KEY}"
    return lambda request: (status, headers, body)


ECHOES = ["openai", "detail", "text", "html", "list", "limited", "server", "gateway", "redirect"]


@pytest.mark.parametrize("kind", ECHOES)
@pytest.mark.parametrize("options", [(), ("--stream",), ("--json",)], ids=["plain", "stream", "json"])
def test_a_key_that_the_provider_echoes_is_shown_and_kept_nowhere(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, kind: str, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MIN", "0")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_RETRIES", "0")
    server.fail = echoing(kind)
    done = home("--debug", "run", *options, "Hello")
    assert done.status == 5 and server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    shown = done.out + done.err
    for argv in (("log",), ("log", "--json"), ("report", "--json"), ("db", "resolve"), ("doctor",)):
        told = home(*argv)
        shown += told.out + told.err
    for request_id in home.books.listed("requests", "request_id"):
        shown += home("log", request_id, "--json").out
    assert KEY not in shown and KEY[8:20] not in shown
    assert KEY.encode() not in everywhere(home) and home.sound()


def test_a_key_in_the_answer_itself_is_not_in_the_log(home: Home, server: OpenAIServer) -> None:
    server.model = KEY
    done = home("run", "--no-cache", "Hello")
    server.model = None
    assert done.status == 0
    assert KEY not in home("log", "--json").out and KEY.encode() not in home.bytes()


def test_under_debug_a_process_that_fails_at_its_provider_shows_no_key(home: Home, server: OpenAIServer) -> None:
    server.fail = echoing("openai")
    done = home.process("--debug", "run", "--stream", "Hello")
    assert done.status == 5 and KEY not in done.out + done.err
    assert KEY.encode() not in everywhere(home)


def test_the_traceback_of_a_bug_shows_no_secret_of_the_environment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSE_PW", "Tr0ub4dor.and.3.more.words")

    def broken(*_: object) -> None:
        try:
            raise ValueError(f"Authorization: Bearer {KEY}")
        except ValueError as error:
            raise RuntimeError("refused with Tr0ub4dor.and.3.more.words") from error

    monkeypatch.setattr("nexscout_cli.config.load", broken)
    for argv in (("run", "Hi"), ("--debug", "run", "Hi"), ("run", "Hi", "--json", "--debug")):
        done = home(*argv)
        assert done.status == 1 and KEY not in done.out + done.err and "Tr0ub4dor" not in done.out + done.err
        assert ("Traceback" in done.err) is ("--debug" in argv)
        assert "***" in done.err


def test_a_key_typed_where_a_name_belongs_is_neither_kept_nor_repeated(home: Home) -> None:
    for argv in (
        ("models", "set", "gpt-4o", "--api-key-env", KEY),
        ("models", "set", "gpt-4o", "--api-base", f"https://{KEY}@example.com/v1"),
        ("models", "set", "gpt-4o", "--param", f"api_key={KEY}"),
        ("config", "set", "openai.api_key", KEY),
    ):
        done = home(*argv)
        assert done.status == 2 and KEY not in done.out + done.err
    assert KEY.encode() not in everywhere(home)


def test_a_run_that_succeeds_writes_the_key_nowhere(home: Home, server: OpenAIServer) -> None:
    shown = home("run", "Hello").out + home("run", "--stream", "--no-cache", "Hello").out
    shown += home("config", "show", "--json").out + home("models", "list", "--json").out + home("doctor", "--json").out
    assert server.hits == 2 and KEY not in shown and KEY.encode() not in everywhere(home)


# 2. Files that only their owner reads


def test_whatever_it_writes_only_its_owner_reads(
    tmp_path: Path, home: Home, server: OpenAIServer, open_umask: None
) -> None:
    shutil.rmtree(home.folder)
    Path("b.jsonl").write_text('{"prompt": "Hi"}')
    Path("b.jsonl").chmod(0o600)
    assert home("simulate", "Hi").status == 0
    os.umask(0)
    assert home("config", "set", "feature", "ai_message").status == 0
    os.umask(0)
    assert home("batch", "b.jsonl", "--out", "out.jsonl").status in (0, 7)
    os.umask(0)
    assert home("batch", "b.jsonl", "--out", "out.jsonl", "--resume").status in (0, 7)
    os.umask(0)
    assert home("db", "backup").status == 0 and home("db", "backup", "mine.bak").status == 0
    found = modes(tmp_path)
    for name in ("home/nexscout.db", "home/nexscout.db.lock", "home/config.toml", "out.jsonl", "mine.bak"):
        assert found[name] == "0o600"
    assert set(found.values()) == {"0o600"} and any(name.endswith("Z.bak") for name in found)
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(("wal", "beside"), [(False, ["-journal"]), (True, ["-wal", "-shm"])])
def test_the_journals_too_while_they_are_there(
    home: Home, monkeypatch: pytest.MonkeyPatch, open_umask: None, wal: bool, beside: list[str]
) -> None:
    monkeypatch.setattr(journal, "wal_is_safe", lambda *_: wal)
    db = database.Database(home.db)
    db.open(lambda c: None)
    os.umask(0)
    with db.write() as c:
        c.execute("INSERT INTO users (user_id, daily_token_budget, created_at) VALUES ('bob', 1, '')")
        c.execute("PRAGMA cache_spill = 1")
        for suffix in beside:
            assert stat.S_IMODE(home.db.with_name(f"nexscout.db{suffix}").stat().st_mode) == 0o600
    db.close()


# 3. Prompts are not kept; forgetting forgets


def test_a_prompt_is_kept_nowhere(home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MIN", "0")
    Path("in.jsonl").write_text(json.dumps({"prompt": f"Batch {MARK}", "context": {"a": MARK}}))
    Path("note.txt").write_text(MARK)
    said = ("--goal", MARK, "--tone", MARK, "--system", MARK, "-c", f"a={MARK}", "--attach", "note.txt")
    assert home("run", *said, f"Tell me about {MARK}").status == 0
    assert home("run", "--stream", "--no-cache", f"Tell me about {MARK}").status == 0
    assert home("run", "--idempotency-key", "k1", f"Tell me of {MARK}").status == 0
    assert home("run", *said, f"Tell me about {MARK}").status == 0
    assert home("batch", "in.jsonl").status == 0
    server.fail = lambda body: (400, {"Content-Type": "application/json"}, json.dumps({"error": body["messages"][1]}))
    assert home("run", "--no-cache", f"Now tell me about {MARK}").status == 5
    monkeypatch.setenv("NEXSCOUT_FIREWALL_BLOCK_TOKENS", "1")
    assert home("run", "--no-cache", f"Tell me more about {MARK}").status == 3
    assert MARK in str([request.body for request in server.requests])
    assert MARK.encode() not in home.bytes()


def test_an_answer_is_kept_in_the_cache_and_under_its_key_alone(home: Home, server: OpenAIServer) -> None:
    server.reply = f"It is {MARK}."
    assert home("run", "--no-cache", "Hello").status == 0
    assert MARK.encode() not in home.bytes()
    assert home("run", "Hello").status == 0 and home("run", "--idempotency-key", "k", "Hi").status == 0
    kept = {
        f"{table}.{column}"
        for (table,) in sqlite3.connect(home.db).execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (column,) in sqlite3.connect(home.db).execute(f"SELECT name FROM pragma_table_info('{table}')")
        if home.sql(f"SELECT count(*) FROM {table} WHERE instr(CAST({column} AS TEXT), ?)", MARK)[0]
    }
    assert kept == {"cached_ai_responses.response_text", "requests.answer"}


def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An SQLite that was built without secure_delete: what is removed stays in its pages unless we see to it."""
    connect = sqlite3.connect

    def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connected)


def with_texts(home: Home, server: OpenAIServer) -> None:
    """Bob has answers kept, and phrases and a style learned."""
    server.reply = f"It is {MARK}. " * 40
    for n in range(6):
        prompt = f"The {MARK} project is late, number {n}"
        assert home("run", "-u", "bob", "-f", "ai_message", prompt).status == 0
    assert home("run", "-u", "bob", "--idempotency-key", f"key of {MARK}", "Once").status == 0
    assert MARK.encode() in home.bytes()


def test_forgetting_removes_a_persons_text_from_the_files_very_bytes(home: Home, server: OpenAIServer) -> None:
    with_texts(home, server)
    assert home("user", "forget", "bob", "--yes").status == 0
    assert MARK.encode() not in home.bytes() and home.sound()


def test_what_was_removed_before_is_gone_from_the_free_pages_too(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless(monkeypatch)
    with_texts(home, server)
    assert home("cache", "clear", "--user", "bob", "--yes").status == 0
    assert home("user", "forget", "bob", "--yes").status == 0
    assert MARK.encode() not in home.bytes() and home.sound()


def test_forgetting_leaves_no_journal_with_the_text_while_others_have_the_database_open(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "wal_is_safe", lambda *_: True)
    other = sqlite3.connect(home.db)
    with_texts(home, server)
    other.execute("SELECT count(*) FROM users").fetchall()
    assert home("user", "forget", "bob", "--yes").status == 0
    assert MARK.encode() not in home.bytes()
    other.close()


def test_forgetting_removes_what_a_provider_said_of_a_persons_text(home: Home, server: OpenAIServer) -> None:
    server.fail = lambda body: (400, {"Content-Type": "application/json"}, json.dumps({"error": {"message": MARK}}))
    assert home("run", "-u", "bob", "--no-cache", "Again").status == 5
    assert home("user", "forget", "bob", "--yes").status == 0
    assert MARK.encode() not in home.bytes() and home.sound()


# 4. Controls and markup


def on_a_terminal(home: Home, *argv: str) -> str:
    """What a terminal of 120 columns is sent."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *argv],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "120"},
    )
    os.close(slave)
    screen, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            screen += piece
        elif process.poll() is not None:
            break
    os.close(master)
    assert process.wait(30) in (0, 5, 6)
    return screen.decode()


@pytest.mark.parametrize("options", [("--stream",), ("--no-stream",), ("--json",)])
def test_a_models_controls_do_not_reach_a_terminal(home: Home, server: OpenAIServer, options: tuple[str, ...]) -> None:
    server.reply = SCREEN
    screen = on_a_terminal(home, "run", *options, "Hi")
    assert not UNSAFE.search(screen) and "Plain red" in screen.replace("\\u001b[31m", "").replace("\\u001b[0m", "")
    assert "[/x] [bold]b[/bold] :smile: end" in screen
    if "--json" not in options:
        assert "title" not in screen and "overwrite" in screen


def test_piped_a_models_text_is_untouched(home: Home, server: OpenAIServer) -> None:
    server.reply = SCREEN
    for options in ((), ("--stream",)):
        ended = subprocess.run([COMMAND, "run", "--no-cache", *options, "Hi"], capture_output=True, stdin=-3)
        assert ended.stdout == SCREEN.encode() + b"\n" and ended.stderr == b""
    assert home("run", "--json", "Hi").json["result"] == SCREEN


def test_text_that_is_kept_does_not_reach_a_terminal_either(home: Home, server: OpenAIServer) -> None:
    server.reply = SCREEN
    assert home("run", "Hi").status == 0
    assert home("models", "set", "gpt-4o", "--best-for", SCREEN.replace("\0", "")).status == 0
    assert home("energy", "grant", "bob", "5", "--reason", SCREEN.replace("\0", "")).status == 0
    for argv in (
        ("cache", "show", "1"),
        ("models", "show", "gpt-4o"),
        ("models", "list"),
        ("energy", "history", "-u", "bob"),
    ):
        screen = on_a_terminal(home, *argv)
        assert not UNSAFE.search(screen) and "Traceback" not in screen


def test_a_providers_controls_do_not_reach_a_terminal_in_its_error(home: Home, server: OpenAIServer) -> None:
    server.fail = lambda body: (401, {"Content-Type": "text/plain"}, SCREEN)
    assert not UNSAFE.search(on_a_terminal(home, "run", "Hi"))
    assert not UNSAFE.search(on_a_terminal(home, "log", home.books.listed("requests", "request_id")[0]))


@pytest.mark.parametrize(
    "name", ["[/x]", "[bold", "[red]x[/blue]", "\\[/]", ":smile:", "'; DROP TABLE users; --", "=1+1"]
)
def test_names_of_markup_and_sql_are_names(home: Home, server: OpenAIServer, name: str) -> None:
    assert home("user", "set-tier", name, "pro").status == 0
    assert home("run", "-u", name, "Hi").status == 0
    assert home.books.listed("users", "tier", user_id=name) == ["pro"]
    screen = ""
    for argv in (("user", "list"), ("user", "show", name), ("report", "users"), ("report",), ("log",)):
        one = on_a_terminal(home, *argv) if argv in (("report", "users"), ("user", "list")) else home(*argv).out
        screen += one
        assert "Traceback" not in one and (name in one or argv == ("report",))
    assert home("report", "--format", "md").status == 0 and home.sound()


def test_markup_in_an_answer_crashes_nothing(home: Home, server: OpenAIServer) -> None:
    server.reply = "[/x] [link=http://evil]x[/link] [[]] \\[ [bold"
    for options in ((), ("--stream",), ("--json",)):
        assert home("run", "--no-cache", *options, "Hi").status == 0
    assert server.reply in on_a_terminal(home, "run", "Hi")


# 5. Spreadsheets


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_a_csv_cell_that_a_spreadsheet_would_run_is_prefixed(home: Home, server: OpenAIServer, first: str) -> None:
    name = f'{first}HYPERLINK("http://evil")'
    assert home("run", f"--user={name}", "Hi").status == 0
    done = home("report", "users", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(done.out))
    assert row["user_id"] == "'" + name
    assert home("report", "users", "--json").json["rows"][0]["user_id"] == name


def test_a_csv_cell_that_begins_with_a_control_is_prefixed_too() -> None:
    from nexscout_cli.engine.reports.csv_text import as_csv

    for first in "\t\r\n":
        (row,) = csv.DictReader(io.StringIO(as_csv(("a",), [{"a": first + "x"}]), newline=""))
        assert row["a"] == f"'{first}x"


# 6. Words from a list


@pytest.mark.parametrize(
    "argv",
    [
        ("report", "--format", "xml"),
        ("report", "users; DROP TABLE users"),
        ("report", "user_id"),
        ("mode", "set", "root"),
        ("user", "set-tier", "ada", "admin"),
        ("models", "add", "x", "--type", "huge", "--free", "--max-tokens", "9"),
        ("run", "--policy", "cheapest", "Hi"),
        ("run", "--mode", "panic", "Hi"),
        ("config", "set", "compress", "always"),
    ],
)
def test_words_come_from_a_list(home: Home, server: OpenAIServer, argv: tuple[str, ...]) -> None:
    before = home.bytes()
    done = home(*argv)
    assert done.status == 2 and done.out == "" and len(done.err.splitlines()) <= 3
    assert home.bytes() == before and server.hits == 0


# 8. Attachments


def test_a_batch_file_names_no_file_outside_its_folder(home: Home, server: OpenAIServer, tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "in-too"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "text.txt").write_text(f"text of {folder.name} {MARK}")
    (inside / "away").symlink_to(outside)
    (inside / "away.txt").symlink_to(outside / "text.txt")
    (inside / "near.txt").symlink_to("text.txt")
    bad = ["../in-too/text.txt", str(outside / "text.txt"), "away/text.txt", "away.txt", "../in/../in-too/text.txt"]
    good = ["text.txt", "near.txt", "./text.txt", "../in/text.txt"]
    lines = [{"id": name, "prompt": f"Read {name}", "attachments": [name]} for name in (*bad, *good)]
    (inside / "b.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = home("batch", "in/b.jsonl", "--no-cache")
    answered = {line["id"] for line in map(json.loads, done.out.splitlines()) if line["success"]}
    assert done.status == 7 and answered == set(good)
    sent = str([request.body for request in server.requests])
    assert "text of in " in sent and "in-too" not in sent and server.hits == len(good)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "large", "binary", "gone"])
def test_an_attachment_is_a_regular_text_file_of_bounded_size(home: Home, server: OpenAIServer, kind: str) -> None:
    path = Path("/dev/zero" if kind == "device" else "thing")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(5 << 30)
    elif kind == "binary":
        path.write_bytes(b"\x7fELF\0\0")
    started = time.process_time()
    done = home("run", "--attach", str(path), "Hi")
    assert done.status == (3 if kind == "large" else 2) and server.hits == 0
    assert time.process_time() - started < 5


# 9. A project's settings


def test_a_projects_file_may_set_what_costs_nothing_and_no_more(home: Home) -> None:
    allowed = {key for key, setting in SETTINGS.items() if setting.project}
    assert allowed == {"user", "feature", "routing.policy", "cache.enabled", "compress", "report.tz"}


@pytest.mark.parametrize("key", sorted(key for key, setting in SETTINGS.items() if not setting.project))
def test_a_projects_file_that_sets_anything_else_is_refused(home: Home, key: str) -> None:
    setting = SETTINGS[key]
    value = setting.default if setting.default is not None else setting.kind(7)
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else json.dumps(value)
    Path("nexscout.toml").write_text(f"{key} = {text}")
    done = home("run", "Hi")
    assert done.status == 6 and "cannot change money" in done.err


@pytest.mark.parametrize(
    "key", ["api_base", "models.gpt-4o.api_base", "db", "db_path", "home", "openai_api_key", "actor"]
)
def test_no_file_sets_an_address_a_key_or_the_database(home: Home, server: OpenAIServer, key: str) -> None:
    for path in (Path("nexscout.toml"), home.folder / "config.toml"):
        path.write_text(f'{key} = "http://evil"')
        done = home("run", "Hi")
        assert done.status == 6 and "there is no setting" in done.err and server.hits == 0
        path.unlink()


def test_an_env_file_of_the_current_folder_is_not_read(home: Home, server: OpenAIServer) -> None:
    Path(".env").write_text("OPENAI_API_KEY=sk-of-the-folder\nOPENAI_API_BASE=http://127.0.0.1:9/v1\n")
    assert home.process("run", "Hi").status == 0
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


# 10. Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("options", [(), ("--stream",)], ids=["plain", "stream"])
def test_a_redirect_is_not_followed(home: Home, server: OpenAIServer, status: int, options: tuple[str, ...]) -> None:
    with OpenAIServer("stolen") as elsewhere:
        server.fail = lambda body: (status, {"Location": f"{elsewhere.url}/chat/completions"}, "")
        done = home("run", *options, "Hi")
        assert done.status == 5 and "redirect" in done.err and elsewhere.hits == 0
    assert set(home.books.listed("attempts", "state")) == {"voided"} and home.sound()


# 11. What is installed


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = [line.split("#")[0].split(";")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in lines if line)
    return {canonical(name): version for name, version in (line.split("==") for line in lines if line)}


def requirements(lines: list[str]) -> set[str]:
    return {canonical(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in lines if "extra ==" not in line}


def test_every_dependency_is_pinned_and_so_is_what_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = pins()
    todo = requirements([*project["dependencies"], *project["optional-dependencies"]["dev"]])
    assert todo <= set(pinned)
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        seen.add(name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        here = [line for line in needs if ";" not in line]
        assert requirements(here) <= set(pinned), name
        todo |= requirements(here) - seen


def test_the_malicious_versions_are_ruled_out() -> None:
    assert pins()["litellm"] not in ("1.82.7", "1.82.8")
    (line,) = [
        d for d in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"] if "litellm" in d
    ]
    assert "!=1.82.7" in line and "!=1.82.8" in line


# 12. The network

WATCHED = """
import sys
calls = []
def watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        calls.append(("connect", str(args[1][0])))
    elif event == "socket.getaddrinfo" and args[0]:
        calls.append(("look up", str(args[0])))
    elif event == "subprocess.Popen":
        calls.append(("start", str(args[0])))
sys.addaudithook(watch)
from nexscout_cli.cli.app import main
status = 0
for line in sys.argv[1:]:
    status = main(line.split()) or status
here = ("127.0.0.1", "localhost", "uname")
print("litellm" in sys.modules, [c for c in calls if c[1] not in here], len(calls), file=sys.stderr)
"""


def watched(home: Home, *lines: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", WATCHED, *lines], capture_output=True, stdin=-3, timeout=120)
    return ended.stderr.decode().strip().splitlines()[-1].split(" ", 1)


def test_nothing_but_a_call_to_a_provider_touches_the_network(home: Home, server: OpenAIServer) -> None:
    lines = (
        "simulate Hello",
        "simulate Hello --compare --json",
        "report",
        "doctor",
        "mode show",
        "models list --json",
        "models sync",
        "models seed --current --dry-run",
        "cache clean",
        "user list",
        "db check",
        "config show --json",
        "log",
    )
    assert watched(home, *lines) == ["False", "[] 0"]
    assert server.hits == 0


@pytest.mark.parametrize(("target", "litellm"), [("openai/gpt-4o-mini", "False"), ("novita/gpt-4o-mini", "True")])
def test_a_call_goes_to_its_provider_alone_litellms_import_included(
    home: Home, server: OpenAIServer, target: str, litellm: str
) -> None:
    argv = ("models", "set", "gpt-4o-mini", "--litellm-model", target, "--api-base", server.url)
    assert home(*argv, "--api-key-env", "OPENAI_API_KEY").status == 0
    imported, rest = watched(home, "run -m gpt-4o-mini Hello", "run -m gpt-4o-mini --stream --no-cache Hello")
    assert imported == litellm and rest.startswith("[] ") and server.hits == 2


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode != 0,
    reason="namespaces cannot be made here",
)
def test_without_any_network_everything_but_a_call_works(home: Home) -> None:
    for argv in (("simulate", "Hello"), ("report",), ("models", "list"), ("db", "check")):
        ended = subprocess.run(["unshare", "-rn", COMMAND, *argv], capture_output=True, stdin=-3, timeout=60)
        assert ended.returncode == 0, ended.stderr
