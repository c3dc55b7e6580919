"""Providers' keys at rest: set, used, never shown, and told of by `doctor`."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import files
from nexscout_cli.cli.app import main
from tests.acceptance.conftest import Home
from tests.support.openai_server import OpenAIServer

Patch = pytest.MonkeyPatch
KEY = "sk-quicksilver-0123456789abcdef"
VARIABLE = "OPENAI_API_KEY"


@pytest.fixture(params=["openai/gpt-4o-mini", "custom_openai/gpt-4o-mini"], ids=["own wire", "litellm"])
def keyless(request: Any, home: Home, server: OpenAIServer, monkeypatch: Patch) -> Home:
    """A home whose model needs a key that the environment does not have."""
    argv = ("--litellm-model", request.param, "--api-base", server.url, "--api-key-env", VARIABLE)
    home("models", "set", "gpt-4o-mini", *argv)
    for name in ("gpt-4o", "gpt-4o-mini-high"):
        home("models", "disable", name)
    return home


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: Patch) -> None:
    """The system's own keyring is nothing for a test."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


def pipe_in(monkeypatch: Patch, text: str) -> None:
    monkeypatch.setattr(files, "stdin_is_piped", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def keep(home: Home, monkeypatch: Patch, *argv: str, key: str = KEY, ok: bool = True) -> Any:
    with monkeypatch.context() as patch:
        pipe_in(patch, key + "\n")
        return home("models", "key", "set", *(argv or ("openai", "--file")), ok=ok)


def sent_key(server: OpenAIServer) -> str:
    return str({name.lower(): value for name, value in server.requests[-1].headers.items()}["authorization"])


def test_a_kept_key_is_used_and_the_environment_comes_first(
    keyless: Home, server: OpenAIServer, monkeypatch: Patch
) -> None:
    assert keyless("run", "-m", "gpt-4o-mini", "Hello", ok=False).status == 3 and server.hits == 0
    keep(keyless, monkeypatch)
    keyless("run", "-m", "gpt-4o-mini", "Hello")
    assert sent_key(server) == f"Bearer {KEY}"
    monkeypatch.setenv(VARIABLE, "sk-of-the-environment")
    keyless("run", "-m", "gpt-4o-mini", "Hello again")
    assert sent_key(server) == "Bearer sk-of-the-environment"


def test_a_kept_key_is_in_no_error_no_list_no_backup_and_not_in_the_database(
    keyless: Home, server: OpenAIServer, monkeypatch: Patch, tmp_path: Path
) -> None:
    shown = [keep(keyless, monkeypatch)]
    server.fail = lambda body: (401, {}, json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}))
    shown += [keyless("run", "-m", "gpt-4o-mini", "Hello", "--debug", ok=False)]
    shown += [keyless("models", "key", "list"), keyless("models", "key", "list", "--json")]
    shown += [keyless("doctor", "--json", ok=False), keyless("doctor", "--keys", ok=False), keyless("log")]
    keyless("db", "backup", str(tmp_path / "copy.bak"))
    assert [one for one in shown if KEY in one.out + one.err] == []
    assert KEY.encode() not in keyless.db.read_bytes() + (tmp_path / "copy.bak").read_bytes()


def test_doctor_says_where_each_key_comes_from(keyless: Home, monkeypatch: Patch) -> None:
    keep(keyless, monkeypatch)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-the-environment")
    found = keyless("doctor", "--json", ok=False).json
    assert found["key_sources"][VARIABLE] == "file" and found["key_sources"]["ANTHROPIC_API_KEY"] == "environment"
    assert f"{VARIABLE} from the file of keys" in keyless("doctor", ok=False).out


def test_the_file_is_its_owners_alone_and_one_that_others_may_read_is_refused(
    keyless: Home, server: OpenAIServer, monkeypatch: Patch
) -> None:
    keep(keyless, monkeypatch)
    file = keyless.folder / "provider-keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    refused = keyless("run", "-m", "gpt-4o-mini", "Hello", ok=False)
    assert refused.status == 3 and "others may read it" in refused.err and server.hits == 0
    assert "chmod 600" in keyless("doctor", ok=False).out
    assert keyless("models", "key", "list", ok=False).status == 6
    file.chmod(0o600)
    file.write_text(f'{{"{VARIABLE}": ["{KEY}"]}}')
    broken = keyless("models", "key", "list", ok=False)
    assert broken.status == 6 and KEY not in broken.err


def test_a_key_is_removed_and_then_there_is_none(keyless: Home, monkeypatch: Patch) -> None:
    keep(keyless, monkeypatch)
    keyless("models", "key", "remove", "openai")
    assert not (keyless.folder / "provider-keys.json").exists()
    assert keyless("models", "key", "remove", "openai", ok=False).status == 2


@pytest.mark.parametrize("argv", [(KEY,), ("openai", KEY)])
def test_a_key_on_the_command_line_is_refused_and_not_repeated(
    home: Home, monkeypatch: Patch, argv: tuple[str, ...]
) -> None:
    done = keep(home, monkeypatch, *argv, ok=False)
    assert done.status == 2
    assert KEY not in done.out + (done.err if len(argv) == 1 else "")


@pytest.mark.parametrize("key", ["", "two words", "sk-\u00fc", "x" * 20_000])
def test_what_is_no_key_is_not_kept(home: Home, monkeypatch: Patch, key: str) -> None:
    assert keep(home, monkeypatch, "openai", "--file", key=key, ok=False).status in (2, 3)
    assert home("models", "key", "list", "--json").json == {"rows": []}


def test_in_a_keyring_the_file_has_the_name_alone(keyless: Home, server: OpenAIServer, monkeypatch: Patch) -> None:
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend

    kept: dict[tuple[str, str], str] = {}

    class InMemory(KeyringBackend):
        priority = 5  # type: ignore[assignment]

        def set_password(self, service: str, username: str, password: str) -> None:
            kept[service, username] = password

        def get_password(self, service: str, username: str) -> str | None:
            return kept.get((service, username))

        def delete_password(self, service: str, username: str) -> None:
            del kept[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    try:
        keep(keyless, monkeypatch, "openai")
        assert kept == {("nexscout", VARIABLE): KEY}
        assert KEY not in (keyless.folder / "provider-keys.json").read_text()
        keyless("run", "-m", "gpt-4o-mini", "Hello")
        assert sent_key(server) == f"Bearer {KEY}"
        assert keyless("doctor", "--json", ok=False).json["key_sources"][VARIABLE] == "keyring"
        keyless("models", "key", "remove", "openai")
        assert kept == {}
    finally:
        keyring.set_keyring(before)


def test_a_keyring_that_fails_sends_nothing_and_says_so(
    keyless: Home, server: OpenAIServer, monkeypatch: Patch
) -> None:
    file = keyless.folder / "provider-keys.json"
    fd = os.open(file, os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(fd, json.dumps({VARIABLE: None}).encode())
    os.close(fd)
    done = keyless("run", "-m", "gpt-4o-mini", "Hello", ok=False)
    assert done.status == 5 and "keyring" in done.err and server.hits == 0
    assert keyless.books.count("attempts", state="voided") >= 1
    assert main(["db", "check"]) == 0


def test_the_keys_command_keeps_and_removes_a_providers_key_too(home: Home, monkeypatch: Patch) -> None:
    with monkeypatch.context() as patch:
        pipe_in(patch, KEY + "\n")
        kept = home("keys", "set", "openai", "--file", "--json").json
    assert (kept["variable"], kept["kept_in"]) == (VARIABLE, "file")
    assert [row["variable"] for row in home("models", "key", "list", "--json").json["rows"]] == [VARIABLE]
    home("keys", "rm", "openai")
    assert home("models", "key", "list", "--json").json["rows"] == []


@pytest.mark.parametrize(
    ("name", "key", "says"), [("opnai", KEY, "did you mean openai"), ("openai", "x" * 20_000, "too long")]
)
def test_a_key_that_nobody_would_find_or_that_is_none_is_not_kept(
    keyless: Home, monkeypatch: Patch, name: str, key: str, says: str
) -> None:
    refused = keep(keyless, monkeypatch, name, "--file", key=key, ok=False)
    assert refused.status == 2 and says in refused.err
    assert keyless("models", "key", "list", "--json").json["rows"] == []
