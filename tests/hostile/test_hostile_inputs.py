"""What the command is given by those who mean no good, or mistype: refused with the right exit, and nothing changed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hostile.conftest import Done, Home
from tests.support.openai_server import OpenAIServer

Make = Callable[[Path], None]
DEEP = "[" * 100_000 + "]" * 100_000
NESTED = "[" * 150 + "]" * 150
SQL = "'; DROP TABLE users; --"
NUMBER = "9" * 5_000


class Hostile(NamedTuple):
    """One input. ``files`` are made in the current folder first; ``says`` is in the message."""

    name: str
    argv: tuple[str, ...]
    exit: int
    says: str = ""
    files: dict[str, bytes | Make] = {}  # noqa: RUF012
    env: dict[str, str] = {}  # noqa: RUF012
    stdin: bytes = b""


def folder(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(target: str) -> Make:
    return lambda path: path.symlink_to(target)


def sparse(size: int) -> Make:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make


def run(*argv: str) -> tuple[str, ...]:
    return ("run", *argv)


OPTIONS = [
    Hostile("an unknown option", run("--nonsense", "Hi"), 2, "--nonsense"),
    Hostile("an unknown command", ("rn", "Hi"), 2, "rn"),
    Hostile("too many words", run("Hi", "there"), 2),
    Hostile("an option without its value", run("Hi", "--user"), 2),
    Hostile("a temperature that is no number", run("--temperature", "warm", "Hi"), 2),
    Hostile("a temperature of nan", run("--temperature", "nan", "Hi"), 2),
    Hostile("an infinite temperature", run("--temperature", "inf", "Hi"), 2),
    Hostile("a temperature beyond a float", run("--temperature", "1e999", "Hi"), 2),
    Hostile("a negative bound", run("--max-tokens", "-5", "Hi"), 2),
    Hostile("a bound of 5,000 digits", run("--max-tokens", NUMBER, "Hi"), 2),
    Hostile("a fraction as a bound", run("--max-tokens", "1.5", "Hi"), 2),
    Hostile("a negative cost", run("--max-cost", "-0.01", "Hi"), 2),
    Hostile("a cost of nan", run("--max-cost", "nan", "Hi"), 2),
    Hostile("an infinite cost", run("--max-cost", "Infinity", "Hi"), 2),
    Hostile("a cost of 5,000 digits", run("--max-cost", NUMBER, "Hi"), 2),
    Hostile("a cost with a monstrous exponent", run("--max-cost", "1e99999999999999999999", "Hi"), 2),
    Hostile("a cost that is SQL", run("--max-cost", SQL, "Hi"), 2),
    Hostile("an unknown mode", run("--mode", "../../fast", "Hi"), 2),
    Hostile("an unknown policy", run("--policy", SQL, "Hi"), 2),
    Hostile("a model that is SQL", run("-m", SQL, "Hi"), 2, "there is no model"),
    Hostile("a model of 10,000 letters", run("-m", "x" * 10_000, "Hi"), 2),
    Hostile("a model that is markup", run("-m", "[/bold]", "Hi"), 2, "[/bold]"),
    Hostile("a quote refused where nobody can be asked", run("--confirm", "Hi"), 2, "--yes"),
    Hostile("batch at no concurrency", ("batch", "b.jsonl", "--concurrency", "0"), 2),
    Hostile("batch at a monstrous concurrency", ("batch", "b.jsonl", "--concurrency", "1000000000"), 2),
    Hostile("a log of a monstrous length", ("log", "--limit", "99999999999999999999"), 2),
    Hostile("a log of a negative length", ("log", "--limit", "-1"), 2),
    Hostile("a list of a monstrous length", ("cache", "list", "--limit", "99999999999999999999"), 2),
    Hostile("an answer's id beyond the database's integers", ("cache", "show", "9" * 19), 2),
    Hostile("an answer's id that is SQL", ("cache", "show", "1 OR 1=1"), 2),
    Hostile("an unknown format", ("report", "--format", "../../etc/passwd"), 2, "there is no format"),
    Hostile("an unknown report", ("report", "sqlite_master"), 2, "there is no report"),
    Hostile("a time that is none", ("report", "--since", "0000-00-00"), 2),
    Hostile("a time beyond the calendar", ("report", "--since", "999999999d"), 2),
    Hostile("a zone that is a path", ("report", "--tz", "../../../etc/passwd"), 2),
    Hostile("a zone of 5,000 letters", ("report", "--tz", "a" * 5_000), 2),
    Hostile("a request's id that is a pattern", ("log", "%%%%%%%%"), 2),
    Hostile("energy that is no number", ("energy", "grant", "bob", "1e3"), 2),
    Hostile("energy of 5,000 digits", ("energy", "grant", "bob", NUMBER), 2),
    Hostile("an unknown tier", ("user", "set-tier", "bob", "god"), 2),
    Hostile("forgetting without being asked", ("user", "forget", "ada"), 2, "--yes"),
]
NAMES = [
    Hostile("the installation's own name", run("-u", "*", "Hi"), 2),
    Hostile("an empty user", run("-u", "", "Hi"), 2),
    Hostile("a blank user", run("-u", "   ", "Hi"), 2),
    Hostile("a user of 10,000 letters", run("-u", "u" * 10_000, "Hi"), 2),
    Hostile("a user with a line break", run("-u", "bob\nroot", "Hi"), 2),
    Hostile("a user with an escape sequence", run("-u", "bob\x1b[2J", "Hi"), 2),
    Hostile("a user with a bidirectional override", run("-u", "bob\u202egpj", "Hi"), 2),
    Hostile("a user with a zero-width space", run("-u", "bob\u200b", "Hi"), 2),
    Hostile("a tier for a user with a C1 control", ("user", "set-tier", "bob\x9b31m", "pro"), 2),
    Hostile("energy for a user with a tab", ("energy", "grant", "\tbob", "5"), 2),
    Hostile("a look at a user that is SQL", ("user", "show", SQL), 2),
    Hostile("forgetting a user that is SQL", ("user", "forget", SQL, "--yes"), 2),
    Hostile("a look at a user that is markup", ("user", "show", "[/x][red]"), 2, "[/x][red]"),
    Hostile("a feature that is SQL", run("-f", "ai_" + SQL, "Hi"), 2),
    Hostile("a feature without its prefix", run("-f", "message", "Hi"), 2),
    Hostile("an empty feature", run("-f", "", "Hi"), 2),
    Hostile("a feature of 10,000 letters", run("-f", "ai_" + "a" * 10_000, "Hi"), 2),
    Hostile("a feature in letters that only look like ASCII", run("-f", "ai_mеssage", "Hi"), 2),
    Hostile("an empty key", run("--idempotency-key", "", "Hi"), 2),
    Hostile("a key of 10,000 letters", run("--idempotency-key", "k" * 10_000, "Hi"), 2),
    Hostile("a model named like SQL", ("models", "add", SQL, "--free", "--max-tokens", "9"), 2),
    Hostile("a model named like a mode", ("models", "add", "fast", "--free", "--max-tokens", "9"), 2),
    Hostile("a model with a line break", ("models", "add", "a\nb", "--free", "--max-tokens", "9"), 2),
    Hostile("a key where its variable's name belongs", ("models", "set", "gpt-4o", "--api-key-env", "sk-a1b2c3"), 2),
    Hostile("an address with a password", ("models", "set", "gpt-4o", "--api-base", "http://u:pw@h/v1"), 2),
    Hostile("an address of a file", ("models", "set", "gpt-4o", "--api-base", "file:///etc/passwd"), 2),
    Hostile("an address with a line break", ("models", "set", "gpt-4o", "--api-base", "http://h\r\nX: y"), 2),
    Hostile("a parameter that moves the address", ("models", "set", "gpt-4o", "--param", "base_url=http://e"), 2),
    Hostile("a negative price", ("models", "set", "gpt-4o", "--input-price", "-1"), 2),
    Hostile("a price of nan", ("models", "set", "gpt-4o", "--output-price", "nan"), 2),
    Hostile("a monstrous price", ("models", "set", "gpt-4o", "--output-price", "1e300"), 2),
    Hostile("a quality of nan", ("models", "set", "gpt-4o", "--quality", "nan"), 2),
    Hostile("a window of nothing", ("models", "set", "gpt-4o", "--max-tokens", "0"), 2),
]
TEXTS = [
    Hostile("an empty prompt", run(""), 2),
    Hostile("a prompt of blanks", run(" \t\n "), 2),
    Hostile("a prompt with a NUL", run("a\0b"), 2, "NUL"),
    Hostile("a prompt with a lone surrogate", run("a\ud800b"), 2, "UTF-8"),
    Hostile("a goal with a lone surrogate", run("--goal", "\udcff", "Hi"), 2, "UTF-8"),
    Hostile("a key with a NUL", run("--idempotency-key", "\0", "Hi"), 2, "NUL"),
    Hostile("no prompt at all", run(), 2),
    Hostile("nothing on stdin", run("-"), 2),
    Hostile("stdin that is not UTF-8", run("-"), 2, "UTF-8", stdin=b"\xff\xfeH\0i\0"),
    Hostile("stdin with a NUL", run("Hi"), 2, "NUL", stdin=b"a\0b"),
    Hostile("a prompt's file in UTF-16", run("@p.txt"), 2, "UTF-8", {"p.txt": "Hello".encode("utf-16")}),
    Hostile("a prompt's file in UTF-16 without a mark", run("@p.txt"), 2, "NUL", {"p.txt": "Hi".encode("utf-16-le")}),
    Hostile("a prompt's file in Latin-1", run("@p.txt"), 2, "UTF-8", {"p.txt": b"caf\xe9"}),
    Hostile("a prompt's file with over-long UTF-8", run("@p.txt"), 2, "UTF-8", {"p.txt": b"\xc0\xaf"}),
    Hostile("a prompt's file with an encoded surrogate", run("@p.txt"), 2, "UTF-8", {"p.txt": b"\xed\xa0\x80"}),
    Hostile("a prompt's file that is only a mark", run("@p.txt"), 2, "empty", {"p.txt": b"\xef\xbb\xbf"}),
]
FILES = [
    Hostile("a file that is not there", run("@gone.txt"), 2, "gone.txt"),
    Hostile("a folder as a prompt", run("@dir"), 2, "regular", {"dir": folder}),
    Hostile("the current folder as a prompt", run("@"), 2, "regular"),
    Hostile("a pipe nobody writes to", run("@pipe"), 2, "regular", {"pipe": fifo}),
    Hostile("/dev/zero", run("@/dev/zero"), 2, "regular"),
    Hostile("a link to /dev/zero", run("@zero"), 2, "regular", {"zero": link("/dev/zero")}),
    Hostile("links in a circle", run("@round"), 2, "", {"round": link("round")}),
    Hostile("a link to nowhere", run("@lost"), 2, "", {"lost": link("gone")}),
    Hostile("memory as a file", run("@/proc/self/mem"), 2),
    Hostile("the environment, keys and all", run("@/proc/self/environ"), 2, "NUL"),
    Hostile("a name of 5,000 letters", run("@" + "n" * 5_000), 2),
    Hostile("a file's name for a prompt", run("../secrets.txt"), 2, "no such file"),
    Hostile("a file of 3 GB", run("@huge"), 3, "bytes", {"huge": sparse(3 << 30)}),
    Hostile("a folder as an attachment", run("--attach", "dir", "Hi"), 2, "regular", {"dir": folder}),
    Hostile("a pipe as an attachment", run("--attach", "pipe", "Hi"), 2, "regular", {"pipe": fifo}),
    Hostile("a program as an attachment", run("--attach", "/bin/sh", "Hi"), 2),
    Hostile("an attachment of 3 GB", run("--attach", "huge", "Hi"), 3, "bytes", {"huge": sparse(3 << 30)}),
    Hostile("attachments that are too much together", run("--attach", "a", "--attach", "a", "Hi"), 3, "bytes",
            {"a": b"x" * 1_500_000}),
]  # fmt: skip
CONTEXT = [
    Hostile("context that is neither pair nor file", run("-c", "x", "Hi"), 2),
    Hostile("context without a key", run("-c", "=x", "Hi"), 2),
    Hostile("context of no JSON", run("-c", "@c", "Hi"), 2, "JSON", {"c": b"{'a': 1}"}),
    Hostile("context of cut JSON", run("-c", "@c", "Hi"), 2, "JSON", {"c": b'{"a": [1, 2'}),
    Hostile("context of two documents", run("-c", "@c", "Hi"), 2, "JSON", {"c": b"{}{}"}),
    Hostile("context 100,000 deep", run("-c", "@c", "Hi"), 2, "JSON", {"c": DEEP.encode()}),
    Hostile("context 150 deep", run("-c", "@c", "Hi"), 2, "deep", {"c": NESTED.encode()}),
    Hostile("context of NaN", run("-c", "@c", "Hi"), 2, "NaN", {"c": b'{"a": NaN}'}),
    Hostile("context of Infinity", run("-c", "@c", "Hi"), 2, "Infinity", {"c": b'{"a": -Infinity}'}),
    Hostile("context beyond a float", run("-c", "@c", "Hi"), 2, "1e999", {"c": b'{"a": 1e999}'}),
    Hostile("context of 5,000 digits", run("-c", "@c", "Hi"), 2, "JSON", {"c": NUMBER.encode()}),
    Hostile("context with a key twice", run("-c", "@c", "Hi"), 2, "twice", {"c": b'{"a": 1, "a": 2}'}),
    Hostile("context with a lone surrogate", run("-c", "@c", "Hi"), 2, "surrogate", {"c": b'{"a": "\\ud800"}'}),
    Hostile("a list with something added", run("-c", "@c", "-c", "a=b", "Hi"), 2, "", {"c": b"[1]"}),
    Hostile("context of 3 MB", run("-c", "@c", "Hi"), 3, "bytes", {"c": b'"' + b"x" * 3_000_000 + b'"'}),
]
BATCHES = [
    Hostile("a batch that is not there", ("batch", "gone.jsonl"), 2),
    Hostile("a batch of another kind", ("batch", "b.xml"), 2, "jsonl", {"b.xml": b"<x/>"}),
    Hostile("an empty batch", ("batch", "b.jsonl"), 2, "no rows", {"b.jsonl": b"\n \n"}),
    Hostile("a batch in UTF-16", ("batch", "b.csv"), 2, "UTF-8", {"b.csv": "prompt\nHi\n".encode("utf-16")}),
    Hostile("a batch with a NUL", ("batch", "b.jsonl"), 2, "NUL", {"b.jsonl": b'{"prompt": "a\0"}'}),
    Hostile("a batch that is a folder", ("batch", "b.jsonl"), 2, "regular", {"b.jsonl": folder}),
    Hostile("a batch that is a pipe", ("batch", "b.csv"), 2, "regular", {"b.csv": fifo}),
    Hostile("a batch of 3 GB", ("batch", "b.jsonl"), 3, "bytes", {"b.jsonl": sparse(3 << 30)}),
    Hostile("a table without prompts", ("batch", "b.csv"), 2, "prompt", {"b.csv": b"id,text\n1,Hi\n"}),
    Hostile("a table with an open quote", ("batch", "b.csv"), 2, "CSV", {"b.csv": b'prompt\n"Hi\n'}),
    Hostile("answers over a file that is there", ("batch", "b.jsonl", "-o", "o"), 2, "exists",
            {"b.jsonl": b'{"prompt": "Hi"}', "o": b"precious"}),
    Hostile("answers into a folder that is not there", ("batch", "b.jsonl", "-o", "no/o"), 2, "",
            {"b.jsonl": b'{"prompt": "Hi"}'}),
    Hostile("a purse below nothing", ("batch", "b.jsonl", "--max-cost", "-1"), 2, "", {"b.jsonl": b'{"prompt": "Hi"}'}),
]  # fmt: skip
MINE, THEIRS = "home/config.toml", "nexscout.toml"
CONFIG = [
    Hostile("settings that are no TOML", run("Hi"), 6, "TOML", {MINE: b"this is = = not"}),
    Hostile("settings in Latin-1", run("Hi"), 6, "TOML", {MINE: b'feature = "ai_\xe9"'}),
    Hostile("settings with a byte-order mark", run("Hi"), 6, "TOML", {MINE: b'\xef\xbb\xbffeature = "ai_chatbot"'}),
    Hostile("a setting given twice", run("Hi"), 6, "TOML", {MINE: b"compress = 'off'\ncompress = 'auto'"}),
    Hostile("settings 100,000 deep", run("Hi"), 6, "TOML", {MINE: b"a = " + DEEP.encode()}),
    Hostile("settings 5,000 tables deep", run("Hi"), 6, "", {MINE: b".".join([b"a"] * 5_000) + b" = 1"}),
    Hostile("settings that are a folder", run("Hi"), 6, "regular", {MINE: folder}),
    Hostile("settings that are a pipe", run("Hi"), 6, "regular", {MINE: fifo}),
    Hostile("settings of 3 GB", run("Hi"), 6, "bytes", {MINE: sparse(3 << 30)}),
    Hostile("a setting there is not", run("Hi"), 6, "firewall.block_tokens", {MINE: b"firewall.block_token = 9"}),
    Hostile("a setting of another type", run("Hi"), 6, "", {MINE: b"firewall.block_tokens = '9'"}),
    Hostile("a limit of nan", run("Hi"), 6, "", {MINE: b"caps.usd.total_day = nan"}),
    Hostile("a limit of infinity", run("Hi"), 6, "", {MINE: b"caps.usd.total_day = inf"}),
    Hostile("a limit below nothing", run("Hi"), 6, "", {MINE: b"caps.usd.total_day = -1"}),
    Hostile("a limit beyond the database", run("Hi"), 6, "", {MINE: b"caps.usd.total_day = 9e15"}),
    Hostile("a style with an escape sequence", run("Hi"), 6, "", {MINE: b'tiers.elite.style = "\\u001b[2J"'}),
    Hostile("a project's pipe", run("Hi"), 6, "regular", {THEIRS: fifo}),
    Hostile("a project's link to /dev/zero", run("Hi"), 6, "regular", {THEIRS: link("/dev/zero")}),
    Hostile("a project that lifts a cap", run("Hi"), 6, "cannot change money", {THEIRS: b"caps.usd.total_day = 1e6"}),
    Hostile("a project that fills a tier", run("Hi"), 6, "cannot change money", {THEIRS: b"tiers.free.energy = 99999"}),
    Hostile("a project that lifts the firewall", run("Hi"), 6, "", {THEIRS: b"firewall.block_tokens = 1000000000"}),
    Hostile("a project with an address", run("Hi"), 6, "there is no setting", {THEIRS: b"api_base = 'http://evil'"}),
    Hostile("a project with a key", run("Hi"), 6, "there is no setting", {THEIRS: b"openai_api_key = 'sk-x'"}),
    Hostile("a project with a database", run("Hi"), 6, "there is no setting", {THEIRS: b"db = '/tmp/evil.db'"}),
    Hostile("setting what is not there", ("config", "set", "nonsense", "1"), 2),
    Hostile("setting a folder's way out", ("config", "set", "../../x", "1"), 2),
    Hostile("setting a limit of nan", ("config", "set", "caps.usd.total_day", "nan"), 2),
    Hostile("setting a number of 5,000 digits", ("config", "set", "surge.capacity", NUMBER), 2),
    Hostile("setting a text with a line break", ("config", "set", "tiers.pro.style", 'x"\ncaps.usd.total_day=9'), 2),
    Hostile("setting beside what is broken", ("config", "set", "caps.usd.total_day", "1"), 6, "", {MINE: b"caps = 1"}),
]
ENVIRONMENT = [
    Hostile("a limit of words", run("Hi"), 6, "NEXSCOUT_SURGE_CAPACITY", env={"NEXSCOUT_SURGE_CAPACITY": "many"}),
    Hostile("a limit of nan in the environment", run("Hi"), 6, env={"NEXSCOUT_CAPS_USD_USER_DAY": "nan"}),
    Hostile("a limit of 1e400", run("Hi"), 6, env={"NEXSCOUT_CAPS_USD_USER_DAY": "1e400"}),
    Hostile("a switch that is none", run("Hi"), 6, env={"NEXSCOUT_CACHE_ENABLED": "maybe"}),
    Hostile("routing rules of another kind", run("Hi"), 6, env={"NEXSCOUT_ROUTING_ORDER": "free,first"}),
    Hostile("a database in a folder", run("Hi"), 6, env={"NEXSCOUT_DB": "/"}),
    Hostile("a database in a device", run("Hi"), 6, env={"NEXSCOUT_DB": "/dev/null"}),
    Hostile("a database that is a pipe", run("Hi"), 6, "pipe", {"x.db": fifo}, {"NEXSCOUT_DB": "x.db"}),
    Hostile("a database without end", run("Hi"), 6, env={"NEXSCOUT_DB": "/dev/zero"}),
    Hostile("a database that is another file", run("Hi"), 6, "not a NexScout database",
            {"x.db": b"not a database at all"}, {"NEXSCOUT_DB": "x.db"}),
    Hostile("a database that is empty", run("Hi"), 6, "empty", {"x.db": b""}, {"NEXSCOUT_DB": "x.db"}),
    Hostile("a database with a name of 5,000 letters", run("Hi"), 6, env={"NEXSCOUT_DB": "/tmp/" + "d" * 5_000}),
    Hostile("a home of nobody's", run("Hi"), 6, env={"NEXSCOUT_HOME": "~no-such-user-here/x"}),
    Hostile("a home that is a file", run("Hi"), 6, "", {"f": b""}, {"NEXSCOUT_HOME": "f/home"}),
    Hostile("settings kept below a file", ("config", "set", "feature", "ai_chatbot"), 6, "cannot write", {"f": b""},
            {"NEXSCOUT_HOME": "f/home"}),
    Hostile("a user with an escape sequence in the environment", run("Hi"), 6, env={"NEXSCOUT_USER": "b\x1b[2J"}),
    Hostile("the installation's own name in the environment", run("Hi"), 2, env={"NEXSCOUT_USER": "*"}),
]  # fmt: skip
ALL = [*OPTIONS, *NAMES, *TEXTS, *FILES, *CONTEXT, *BATCHES, *CONFIG, *ENVIRONMENT]


def prepared(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in hostile.files.items():
        path = Path(name)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content)
    for name, value in hostile.env.items():
        monkeypatch.setenv(name, value)


def refused(done: Done, status: int, says: str) -> None:
    """The right exit, a message of at most three lines, no traceback."""
    assert done.status == status, done
    lines = done.err.splitlines()
    assert 1 <= len(lines) <= 3 and all(len(line) < 1_100 for line in lines), done.err[:3_000]
    assert "Traceback" not in done.err and "unexpected failure" not in done.err
    assert says.lower() in done.err.lower()
    assert all(ch.isprintable() or ch == "\n" for ch in done.err)


def on_disk(home: Home) -> tuple[bytes, set[str]]:
    return home.db.read_bytes(), {path.name for path in home.folder.iterdir() if not stat.S_ISFIFO(path.stat().st_mode)}


@pytest.mark.parametrize("hostile", ALL, ids=lambda hostile: hostile.name)
def test_it_is_refused_and_nothing_changes(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, hostile: Hostile
) -> None:
    prepared(hostile, monkeypatch)
    before = on_disk(home)
    done = home(*hostile.argv, stdin=hostile.stdin)
    refused(done, hostile.exit, hostile.says)
    assert done.out == ""
    assert on_disk(home) == before and server.hits == 0


FALLS_SHORT = [
    Hostile("an actor with the installation's name", run("Hi"), 2, "", {},
            {"NEXSCOUT_ACTOR": "*", "NEXSCOUT_DB": "home/new.db"}),
    Hostile("a history of a monstrous length", ("energy", "history", "--limit", "99999999999999999999"), 2),
    Hostile("a parameter beyond a float", ("models", "set", "gpt-4o", "--param", "seed=1e999"), 2),
    Hostile("a parameter 100,000 deep", ("models", "set", "gpt-4o", "--param", "seed=" + DEEP), 2),
    Hostile("a batch for the installation", ("batch", "b.jsonl", "-u", "*"), 2, "", {"b.jsonl": b'{"prompt": "Hi"}'}),
    Hostile("a batch for nobody", ("batch", "b.jsonl", "-u", ""), 2, "", {"b.jsonl": b'{"prompt": "Hi"}'}),
    Hostile("answers in a file with a name of 5,000 letters", ("batch", "b.jsonl", "-o", "o" * 5_000), 2, "",
            {"b.jsonl": b'{"prompt": "Hi"}'}),
    Hostile("going on with a file that holds no answers", ("batch", "b.jsonl", "-o", "b.jsonl", "--resume"), 2, "",
            {"b.jsonl": b'{"prompt": "Hi"}'}),
]  # fmt: skip


@pytest.mark.parametrize("hostile", FALLS_SHORT, ids=lambda hostile: hostile.name)
def test_what_should_be_refused_too(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, hostile: Hostile
) -> None:
    test_it_is_refused_and_nothing_changes(home, server, monkeypatch, hostile)
    for name, content in hostile.files.items():
        assert Path(name).read_bytes() == content


def test_there_are_at_least_sixty_of_them() -> None:
    assert len({hostile.name for hostile in ALL}) == len(ALL) >= 60


@pytest.mark.parametrize("hostile", ALL[::7], ids=lambda hostile: hostile.name)
def test_under_json_the_error_is_a_document_on_stdout(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, hostile: Hostile
) -> None:
    prepared(hostile, monkeypatch)
    before = on_disk(home)
    done = home(*hostile.argv, "--json", stdin=hostile.stdin)
    refused(done, hostile.exit, "" if hostile.argv[0] == "batch" else hostile.says)
    assert done.json["success"] is False and done.json["result"] is None
    assert set(done.json["error"]) == {"code", "message", "suggestion"}
    assert on_disk(home) == before and server.hits == 0


@pytest.mark.parametrize(
    ("argv", "stdin"),
    [
        ((b"run", b"caf\xe9"), None),
        ((b"run", b"--user", b"\xff\xfe", b"Hi", b"--json"), None),
        ((b"run", b"--context", b"a=\xc3", b"Hi", b"--json"), None),
        ((b"models", b"set", b"gpt-4o", b"--best-for", b"\xff"), None),
        ((b"run", b"-"), "/dev/null"),
        ((b"log", b"\xff\xff\xff\xff\xff\xff", b"--json"), None),
    ],
)
def test_a_line_of_broken_utf_8_is_refused_by_the_process(
    home: Home, server: OpenAIServer, argv: tuple[bytes, ...], stdin: str | None
) -> None:
    before = on_disk(home)
    with open(stdin or os.devnull, "rb") as source:
        done = home.process(*argv, stdin=source)
    refused(done, 2, "" if stdin else "UTF-8")
    assert (json.loads(done.out)["success"] is False) if b"--json" in argv else done.out == ""
    assert on_disk(home) == before and server.hits == 0


def test_an_endless_stdin_is_cut_off_at_the_limit(home: Home, server: OpenAIServer) -> None:
    before = on_disk(home)
    with open("/dev/zero", "rb") as endless:
        refused(home.process("run", "-", stdin=endless), 3, "bytes")
    assert on_disk(home) == before and server.hits == 0


def test_a_stdout_without_room_ends_in_a_plain_message_and_the_call_is_in_the_books(
    home: Home, server: OpenAIServer
) -> None:
    with open("/dev/full", "wb") as full:
        import subprocess

        from tests.hostile.conftest import COMMAND

        ended = subprocess.run(
            [COMMAND, "run", "Hi"], stdout=full, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60
        )
    err = ended.stderr.decode()
    assert ended.returncode == 0 and "cannot write to stdout" in err and "Traceback" not in err
    assert len(err.splitlines()) <= 3
    assert server.hits == 1 and home.books.count("usage") == 1 and home.sound()


def test_a_closed_stdin_and_stdout_do_no_harm(home: Home, server: OpenAIServer) -> None:
    import subprocess

    from tests.hostile.conftest import COMMAND

    ended = subprocess.run(f"'{COMMAND}' run - <&- >&-", shell=True, stderr=subprocess.PIPE, timeout=60)
    assert ended.returncode == 2 and b"Traceback" not in ended.stderr
    ended = subprocess.run(f"'{COMMAND}' run Hi <&- >&-", shell=True, stderr=subprocess.PIPE, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"") and server.hits == 1 and home.sound()


def test_an_answer_that_the_terminals_encoding_lacks_is_written_in_escapes(home: Home, server: OpenAIServer) -> None:
    server.reply = "Grüße 🎈"
    done = home.process("run", "Hi", PYTHONIOENCODING="ascii")
    assert done == (0, "Gr\\xfc\\xdfe \\U0001f388\n", "")
    assert home.process("run", "Hi", "--json", PYTHONIOENCODING="ascii").json["result"] == "Grüße 🎈"


def test_a_run_that_the_firewall_refuses_leaves_its_prediction_and_nothing_else(
    home: Home, server: OpenAIServer
) -> None:
    before = home.rows()
    Path("long.txt").write_text("".join(f"{n} differs from {n + 1}. " for n in range(8_000)))
    refused(home("run", "@long.txt"), 3, "20,000")
    assert home.books.listed("predictions", "approved", "rejected_reason") == [(0, "too_many_tokens")]
    assert home.rows() == before and server.hits == 0 and home.sound()


ROWS = {
    "no JSON": b"{nonsense",
    "a list": b"[1, 2]",
    "a number of 5,000 digits": NUMBER.encode(),
    "100,000 deep": DEEP.encode(),
    "150 deep": b'{"prompt": "x", "context": ' + NESTED.encode() + b"}",
    "no prompt": b'{"id": "a"}',
    "an empty prompt": b'{"prompt": ""}',
    "a prompt that is a number": b'{"prompt": 5}',
    "a prompt with a NUL": b'{"prompt": "a\\u0000b"}',
    "a prompt with a lone surrogate": b'{"prompt": "a\\ud800b"}',
    "an id with a lone surrogate": b'{"id": "\\udfff", "prompt": "x"}',
    "a prompt twice": b'{"prompt": "cheap", "prompt": "dear"}',
    "a field there is not": b'{"prompt": "x", "api_base": "http://evil"}',
    "an option there is not": b'{"prompt": "x", "options": {"api_key": "sk-x"}}',
    "an empty user": b'{"prompt": "x", "user": ""}',
    "the installation's name": b'{"prompt": "x", "user": "*"}',
    "a user with an escape sequence": b'{"prompt": "x", "user": "\\u001b[2J"}',
    "a feature that is SQL": b'{"prompt": "x", "feature": "ai_\'; DROP TABLE users"}',
    "a bound of NaN": b'{"prompt": "x", "options": {"max_tokens": NaN}}',
    "a bound that is a boolean": b'{"prompt": "x", "options": {"max_tokens": true}}',
    "a bound below one": b'{"prompt": "x", "options": {"max_tokens": -1}}',
    "a cost beyond a float": b'{"prompt": "x", "options": {"max_cost": 1e999}}',
    "a cost of 4,000 digits": b'{"prompt": "x", "options": {"max_cost": ' + b"9" * 4_000 + b"}}",
    "a temperature beyond a float": b'{"prompt": "x", "options": {"temperature": 1e999}}',
    "an unknown mode": b'{"prompt": "x", "options": {"mode": "god"}}',
    "an empty key": b'{"prompt": "x", "options": {"idempotency_key": ""}}',
    "a key of 10,000 letters": b'{"prompt": "x", "options": {"idempotency_key": "' + b"k" * 10_000 + b'"}}',
    "an attachment above": b'{"prompt": "x", "attachments": ["../secret.txt"]}',
    "an attachment elsewhere": b'{"prompt": "x", "attachments": ["/etc/passwd"]}',
    "an attachment behind a link": b'{"prompt": "x", "attachments": ["link.txt"]}',
    "an attachment that is the folder": b'{"prompt": "x", "attachments": [""]}',
    "an attachment with a NUL": b'{"prompt": "x", "attachments": ["a\\u0000b"]}',
    "an attachment in a circle": b'{"prompt": "x", "attachments": ["round"]}',
    "an attachment with a name of 5,000 letters": b'{"prompt": "x", "attachments": ["' + b"n" * 5_000 + b'"]}',
    "an attachment that is a pipe": b'{"prompt": "x", "attachments": ["pipe"]}',
    "attachments that are none": b'{"prompt": "x", "attachments": "notes.txt"}',
    "attachments of 0": b'{"prompt": "x", "attachments": 0}',
}


@pytest.fixture
def rows_folder(tmp_path: Path) -> Path:
    """A batch file's folder: a secret above it, a link to that, a link in a circle, a pipe."""
    inside = tmp_path / "batch"
    inside.mkdir()
    (tmp_path / "secret.txt").write_text("the secret")
    (inside / "link.txt").symlink_to("../secret.txt")
    (inside / "round").symlink_to("round")
    os.mkfifo(inside / "pipe")
    return inside


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_bad_row_is_its_own_error_and_the_others_run(
    home: Home, server: OpenAIServer, rows_folder: Path, row: bytes
) -> None:
    (rows_folder / "b.jsonl").write_bytes(b'{"id": "first", "prompt": "Hello"}\n' + row + b'\n{"prompt": "Again"}\n')
    done = home("batch", "batch/b.jsonl", "--out", "out.jsonl", "--no-cache")
    refused(done, 7, "2 answered, 1 failed")
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    (bad,) = [line for line in lines if not line["success"]]
    assert len(lines) == 3 and bad["error"]["code"] == "usage" and len(bad["error"]["message"]) < 1_000
    assert server.hits == 2 and home.books.count("users") == 1 and home.sound()
    assert "the secret" not in str([request.body for request in server.requests])


CELLS = {
    "more cells than columns": b"a,b,c,d,e\n",
    "context that is no JSON": b'x,"{bad",,\n',
    "options that are no JSON": b"x,,max_tokens=5,\n",
    "options of another kind": b"x,,[1],\n",
    "an attachment above": b"x,,,../secret.txt\n",
    "an attachment behind a link": b"x,,,link.txt;notes.txt\n",
    "no prompt": b',"{""a"": 1}",,\n',
}


@pytest.mark.parametrize("row", CELLS.values(), ids=CELLS)
def test_a_bad_row_of_a_table_is_its_own_error_too(
    home: Home, server: OpenAIServer, rows_folder: Path, row: bytes
) -> None:
    (rows_folder / "b.csv").write_bytes(b"prompt,context,options,attachments\nHello,,,\n" + row)
    done = home("batch", "batch/b.csv")
    refused(done, 7, "1 answered, 1 failed")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert sorted(answer["success"] for answer in answers) == [False, True]
    assert server.hits == 1 and home.sound()
