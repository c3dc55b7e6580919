"""What scripts/fuzz tries, a kind at a time: each makes a case from a seed, and raises Finding where something broke."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sqlite3
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from pytest import MonkeyPatch

from nexscout_cli.engine.call import Call, Completion
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.model import Model
from nexscout_cli.providers.failing import error_text
from nexscout_cli.providers.wires.provider import _READERS
from nexscout_cli.providers.wires.reader import Damaged, ErrorAnswer, Reader
from tests.support.families import random_family
from tests.support.growth import MOST, growth
from tests.support.lies import BLOCKS, CONTENT, FIELDS, MESSAGE, VALUES, as_events, events, with_field
from tests.support.text_functions import functions

Case = Callable[[Random], None]


class Finding(Exception):
    """Something broke; the message says what."""


def _broke(what: str, error: BaseException) -> Finding:
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return Finding(f"{what}: {type(error).__name__}: {str(error)[:200]} at {where}")


def mutated(data: bytes, chance: Random) -> bytes:
    """The bytes with a few changes: bits, cuts, copies, numbers and tokens that mean something."""
    found = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(6):
            case 0 if at < len(found):
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                del found[at : at + chance.choice((1, 2, 10, 100))]
            case 2:
                found[at:at] = found[at : at + chance.randrange(40)] * chance.choice((1, 2, 50))
            case 3:
                found[at:at] = chance.choice(_TOKENS)
            case 4:
                del found[at:]
            case _:
                end = chance.randrange(len(found) + 1)
                found[at:at] = found[min(at, end) : max(at, end)][:500]
    return bytes(found)


_TOKENS = (
    b"null", b"-1", b"1e999", b"NaN", b"[]", b"{}", b'"', b"\\", b"\\ud83d", b"\xff", b"\0", b"\r", b"\n\n", b"\xef\xbb\xbf",
    b"data:", b"event: error\n", b"[" * 2_000, b'{"a":' * 2_000, b"9" * 5_000, b",", b":", b"true", b"'''", b"=", b"\x1b[", b"#",
)  # fmt: skip


def _with_odd_value(document: Any, chance: Random) -> Any:
    """The document with a value of another type somewhere."""
    if chance.random() < 0.25 or not isinstance(document, dict | list) or not document:
        return chance.choice(list(VALUES.values()))
    if isinstance(document, dict):
        name = chance.choice(list(document))
        return document | {name: _with_odd_value(document[name], chance)}
    at = chance.randrange(len(document))
    return [*document[:at], _with_odd_value(document[at], chance), *document[at + 1 :]]


def _answer(wire: str, chance: Random, *, streamed: bool) -> bytes:
    """An answer of a wire with something odd in it."""
    if wire == "openai":
        path, name = chance.choice(FIELDS), chance.choice(list(VALUES))
        lie = with_field(path, VALUES[name], name)
        sent: list[bytes] = []
        (lie.streamed if streamed else lie.plain)(_Sink(sent))  # type: ignore[arg-type]
        return (events() if streamed and chance.random() < 0.3 else b"") + b"".join(sent)
    if not streamed:
        return json.dumps(_with_odd_value(MESSAGE if wire == "anthropic" else CONTENT, chance)).encode()
    parts: list[Any] = [*(BLOCKS if wire == "anthropic" else (CONTENT, CONTENT))]
    at = chance.randrange(len(parts))
    parts[at] = _with_odd_value(parts[at], chance)
    return as_events(*parts)


class _Sink:
    """A connection that keeps what is sent to it."""

    def __init__(self, sent: list[bytes]) -> None:
        self._sent = sent

    def head(self, status: int, headers: Any) -> None:
        """Heads are not looked at here."""

    def send(self, data: bytes) -> None:
        """Keep it."""
        self._sent.append(data)


def _read(reader: Reader, pieces: list[bytes], kind: str) -> str:
    """What a reader makes of an answer; "damaged" where it says so."""
    reader.start({"content-type": kind})
    try:
        for piece in pieces:
            reader.feed(piece)
        reader.finish()
    except (Damaged, ErrorAnswer):
        return "damaged"
    return reader.text


@contextmanager
def providers() -> Iterator[Case]:
    """Answers of each wire, odd in their values and in their bytes, cut anywhere."""
    from nexscout_cli.engine.answers.charge import classes

    model = Model("m", "openai/gpt-4o", "small", 1, 1, 128_000, 0.7, 0.9, "", True, False, "", None, {})

    def case(chance: Random) -> None:
        wire, streamed = chance.choice(list(_READERS)), chance.random() < 0.6
        data = mutated(_answer(wire, chance, streamed=streamed), chance)
        kind = "text/event-stream" if streamed == (chance.random() < 0.9) else "application/json"
        options = {"response_format": {"type": "json_object"}} if chance.random() < 0.2 else {}
        call = Call(model, (Message("user", "hi"),), 100, None, 5, 5, streamed, options=options)
        made = getattr(import_module(f"nexscout_cli.providers.wires.{wire}"), _READERS[wire])
        try:
            one, other = made(call), made(call)
            text = _read(one, [data], kind)
            cut, rest = [], data
            while rest:
                size = chance.choice((1, 2, 7, 100, 5_000))
                cut.append(rest[:size])
                rest = rest[size:]
            if _read(other, cut, kind) != text:
                raise Finding(f"{wire}: read otherwise where it is cut: {data[:300]!r}")
            usage = one.usage()
            if usage is not None:
                classes(usage, (10, 10))
            done = one.more.added_to(Completion(one.text, "stop", usage, one.id, one.model))
            done.all_text.encode()
            error_text(data)
        except Finding:
            raise
        except Exception as error:
            raise _broke(f"{wire} {kind} {data[:300]!r}", error) from error

    yield case


@contextmanager
def texts() -> Iterator[Case]:
    """Every function that reads texts, with families made by chance: no error, and no more than its share of time."""
    with tempfile.TemporaryDirectory() as folder:
        table = functions(Path(folder))
        for function in table.values():
            function.reads("What is 1 + 1 = 2? `x`")

        def case(chance: Random) -> None:
            family, text = random_family(chance)
            name = chance.choice(list(table))
            try:
                found = growth(table[name].reads, text, 1_500)
            except Exception as error:
                raise _broke(f"{name} of {family}", error) from error
            if found is not None and found.ratio > MOST:
                raise Finding(f"{name} of {family}: {found.ratio:.1f} times, {found.large:.2f} s")

        yield case


_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0\x1f\xf3\xffa\0\0\0\0IEND\xaeB`\x82"
_TOOLS = '[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]'
_SCHEMA = '{"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}'
_CHAT = '[{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}]'
_FILES = {
    "rows.jsonl": b'{"id": "1", "prompt": "hi", "options": {"max_tokens": 20}}\n{"prompt": "ho", "context": {"a": [1, 2]}}\n',
    "rows.csv": b'id,prompt,context,max_tokens\n1,hi,"{""a"": 1}",20\n2,"a,b\nc",text,\n',
    "nexscout.toml": b'user = "ada"\n[report]\ntz = "UTC"\n[caps.usd]\ntotal_month = 5.0\n',
    "schema.json": _SCHEMA.encode(),
    "tools.json": _TOOLS.encode(),
    "chat.json": _CHAT.encode(),
    "a.png": _PNG,
    "a.gif": b"GIF89a\x10\0\x10\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x10\0\x10\0\0\x02\x0e\x84\x8f\xa9;",
    "a.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08\0\x10\0\x10\x03\x01\"\0",
    "a.webp": b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\x01\0\x9d\x01\x2a\x10\0\x10\0\x02\0\x34\x25\xa4\0\x03\x70\0",
}  # fmt: skip
_OF_FILES = {
    "rows": ("batch", "FILE", "--out", "out.jsonl"),
    "schema": ("simulate", "--schema", "FILE", "hi"),
    "tools": ("simulate", "--tools", "FILE", "hi"),
    "chat": ("simulate", "--messages", "FILE"),
    "a": ("simulate", "--image", "FILE", "hi"),
    "nexscout": ("simulate", "hi"),
}
"""The command that reads each; no model can be called, so that nothing is sent."""


def _command(argv: tuple[str, ...]) -> tuple[int, str]:
    """A command line in this process: its status and stderr."""
    from nexscout_cli.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["--debug", *argv])
    return status, err.getvalue()


@contextmanager
def _home() -> Iterator[Path]:
    """A folder to work in, with a home of ada's and no key; what the environment held is put back."""
    before, here = dict(os.environ), Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        for known in list(os.environ):
            if known.startswith(("NEXSCOUT_", "XDG_")) or known.endswith("_API_KEY"):
                del os.environ[known]
        os.environ |= {"NEXSCOUT_HOME": f"{name}/home", "HOME": name, "NEXSCOUT_ACTOR": "ada"}
        os.environ["NEXSCOUT_EMBEDDED_MODEL"] = "/nonexistent"
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)


def _checked(argv: tuple[str, ...], about: str) -> None:
    status, err = _command(argv)
    if status == 1 or "unexpected failure" in err:
        raise Finding(f"{' '.join(argv)} of {about}: exit {status}: {err[-700:]}")


@contextmanager
def files() -> Iterator[Case]:
    """Files that people hand over, each changed by chance, and the command that reads it."""
    with _home() as folder:
        _command(("simulate", "hi"))

        def case(chance: Random) -> None:
            name = chance.choice(list(_FILES))
            data = mutated(_FILES[name], chance)
            (folder / name).write_bytes(data)
            argv = tuple(name if word == "FILE" else word for word in _OF_FILES[name.partition(".")[0]])
            try:
                _checked(argv, repr(data[:300]))
            finally:
                for left in ("out.jsonl", ".out.jsonl.batch", name):
                    (folder / left).unlink(missing_ok=True)

        yield case


_READING = (
    ("report",), ("report", "users"), ("report", "savings", "--json"), ("log",), ("log", "--json"), ("models", "list"),
    ("user", "list"), ("user", "show"), ("energy", "show"), ("energy", "history"), ("cache", "stats"), ("mode", "show"),
    ("keys", "list"), ("budget", "list"), ("alerts", "list"), ("import", "list"),
    ("simulate", "hi"), ("db", "check"), ("doctor",),
)  # fmt: skip
_ODD = (
    None,
    -1,
    0,
    2**63 - 1,
    1.5,
    "",
    "x",
    "{",
    "[]",
    "{}",
    "null",
    b"\xff",
    "2026-13-45T00:00:00Z",
    "NaN",
    "\x1b[31m",
)


def _a_used_database(path: Path) -> None:
    from tests.support.bench import Bench

    bench = Bench(path)
    for name in ("one", "two"):
        bench.post(bench.sent(request_id=name))
    bench.unknown()
    bench.refuse(bench.plan(), "budget", "refused")
    bench.store.feedback.record("ada", "one", "good", "right")
    bench.store.db.backup(path.with_name("master"))
    bench.store.close()


def _spoil(db: Path, chance: Random) -> str:
    """Change bits of the file, or a value of a row, past every check; says what."""
    if chance.random() < 0.4:
        data = bytearray(db.read_bytes())
        places = [chance.randrange(len(data)) for _ in range(chance.choice((1, 3, 30)))]
        for at in places:
            data[at] ^= 1 << chance.randrange(8)
        db.write_bytes(data)
        return f"bits at {places[:5]}"
    with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as c:
        c.execute("PRAGMA ignore_check_constraints = ON")
        c.execute("PRAGMA foreign_keys = OFF")
        for (name,) in c.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            c.execute(f'DROP TRIGGER "{name}"')
        tables = [row[0] for row in c.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        filled = [t for t in tables if c.execute(f'SELECT count(*) FROM "{t}"').fetchone()[0]]
        table = chance.choice(filled)
        column = chance.choice([row[1] for row in c.execute(f'PRAGMA table_info("{table}")')])
        value = chance.choice(_ODD)
        with contextlib.suppress(sqlite3.Error):
            c.execute(f'UPDATE "{table}" SET "{column}" = ?', (value,))
    return f"{table}.{column} = {value!r}"


@contextmanager
def databases() -> Iterator[Case]:
    """Databases with bits flipped and rows changed, under every command that reads."""
    with _home() as folder:
        _a_used_database(folder / "used.db")
        home = folder / "home"
        home.mkdir(exist_ok=True)

        def case(chance: Random) -> None:
            for left in home.glob("nexscout.db*"):
                left.unlink()
            shutil.copy(folder / "master", home / "nexscout.db")
            about = _spoil(home / "nexscout.db", chance)
            for argv in chance.sample(_READING, 4):
                status, err = _command(argv)
                # `db check` and `doctor` end with 1 where they found something.
                if "unexpected failure" in err or (status == 1 and argv[0] not in ("db", "doctor")):
                    raise Finding(f"{' '.join(argv)} of {about}: exit {status}: {err[-900:]}")

        yield case


_WORDS = (
    "", " ", "-", "--", "-1", "0", "1", "1.5", "1e9", "1e-30", "NaN", "inf", "9" * 30, "x", "é", "\u202e", "\0",
    "\n", "a b", "{", "[]", "{}", '{"a": 1}', "null", "true", "%", "50%", "5/day", "7d", "-7d", "0d",
    "2026-13-45", "2026-02-30", "1970-01-01", "9999-12-31", "user:ada", "ada", "gpt-4o", "gpt-4o-mini",
    "ai_message", "openai", "auto", "pro", "pro=1", "a=b=c", "=", "key=value", "x" * 300, "/", "/dev/null",
    "/nonexistent/x", "here.txt", "rows.jsonl", "@here.txt", "@", "http://127.0.0.1:1", "file:told",
    "spend day > 1", "*", "\udcff", "1a2b3c", "USD",
)  # fmt: skip
_NEVER = {("serve",), ("open",), ("top",), ("chat",), ("models", "pull")}
"""They stay, ask somebody, or fetch what is large."""
_MAY_FIND = {("db", "check"), ("doctor",), ("reconcile",), ("alerts", "check")}
"""Commands whose status 1 says that they found something."""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command that does something, by the words that name it."""
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    if path and getattr(command, "invoke_without_command", False):
        yield path, command
    for name in command.list_commands(None):
        yield from leaves(command.get_command(None, name), (*path, name))


def _line(path: tuple[str, ...], command: Any, chance: Random) -> tuple[str, ...]:
    """A command line of it: some of its options, each with a value that it may or may not take."""
    words: list[str] = []
    for one in command.params:
        values = [*_WORDS, *map(str, getattr(one.type, "choices", ()))] * (1 if chance.random() < 0.7 else 0) or ["1"]
        if one.param_type_name == "argument":
            words += chance.choices(values, k=chance.choice((0, 1, 1, 1, 1, 2)))
        elif chance.random() < 0.25:
            name = chance.choice(one.opts + one.secondary_opts)
            words += [name] if one.is_flag else [name, chance.choice(values)]
    return *path, *words


@contextmanager
def commands() -> Iterator[Case]:
    """Command lines of every command, with values of the right and of other kinds: none ends as a bug."""
    from typer.main import get_command

    from nexscout_cli.cli.typer_app import app

    known = [(path, command) for path, command in leaves(get_command(app)) if path not in _NEVER]
    with _home() as folder, MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
        os.environ |= {"EDITOR": "true", "VISUAL": "true", "PATH": ""}  # nothing is started, whatever a line asks for
        (folder / "here.txt").write_text("Say hello.")
        (folder / "rows.jsonl").write_bytes(_FILES["rows.jsonl"])

        def case(chance: Random) -> None:
            path, command = chance.choice(known)
            line = _line(path, command, chance)
            status, err = _command(line)
            if "unexpected failure" in err or (status == 1 and path not in _MAY_FIND):
                raise Finding(f"{line}: exit {status}: {err[-900:]}")

        yield case


KINDS: dict[str, Callable[[], AbstractContextManager[Case]]] = {
    "providers": providers,
    "texts": texts,
    "files": files,
    "databases": databases,
    "commands": commands,
}
"""What is tried, by name."""
