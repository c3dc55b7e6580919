"""Templates through the command line: kept, filled, edited, and those that llm wrote."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import files, templates
from tests.acceptance.conftest import Home
from tests.support.openai_server import OpenAIServer


def asked(server: OpenAIServer) -> str:
    """The user's message of the last request."""
    return str(server.requests[-1].body["messages"][-1]["content"])


def test_a_template_is_filled_with_its_parameters_and_the_input(six: Home, server: OpenAIServer) -> None:
    six("template", "add", "summary", "In $words words, for $$5: $input", "--default", "words=50")
    six("run", "-t", "summary", "A long letter")
    assert asked(server) == "In 50 words, for $5: A long letter"
    six("run", "--template", "summary", "-p", "words=20", "A long letter")
    assert asked(server) == "In 20 words, for $5: A long letter"


def test_what_a_template_says_holds_where_the_command_line_does_not_say_otherwise(
    six: Home, server: OpenAIServer
) -> None:
    argv = ("--system", "You answer for $company", "-f", "ai_coaching", "-m", "gpt-4o", "-o", "max-tokens=70")
    six("template", "add", "reply", *argv)
    first = six("run", "-t", "reply", "-p", "company=TechCo", "Hello", "--json").json
    body = server.requests[-1].body
    assert body["messages"][0]["content"].startswith("You answer for TechCo") and asked(server) == "Hello"
    assert body["model"] == "gpt-4o" and first["metadata"]["plan"]["max_output_tokens"] == 70
    six("run", "-t", "reply", "-p", "company=TechCo", "-m", "gpt-4o-mini", "--system", "Otherwise", "Hello")
    body = server.requests[-1].body
    assert body["model"] == "gpt-4o-mini" and body["messages"][0]["content"].startswith("Otherwise")
    assert six.books.usage()[-1]["feature"] == "ai_coaching"


def test_a_template_with_a_schema_gives_checked_json_and_is_quoted_as_it_runs(six: Home, server: OpenAIServer) -> None:
    server.reply = '{"name": "Ana", "age": 7}'
    six("template", "add", "person", "Who is it? $input", "--schema", "name, age int")
    argv = ("-t", "person", "Ana is seven", "--json")
    quote, done = six("simulate", *argv).json, six("run", *argv).json
    assert done["parsed"] == {"name": "Ana", "age": 7}
    assert quote["predicted_input_tokens"] == done["metadata"]["plan"]["predicted_input_tokens"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("-t", "both", "Hello"), "needs the parameter tone"),
        (("-t", "both", "-p", "tone=warm", "-p", "ton=x", "Hello"), "no parameter 'ton'"),
        (("-t", "both", "-p", "tone=warm"), "needs an input"),
        (("-t", "bth", "Hello"), "did you mean both?"),
        (("-t", "both", "-p", "tone", "Hello"), "is not KEY=VALUE"),
        (("-p", "tone=warm", "Hello"), "belongs to a template"),
        (("-t", "../both", "Hello"), "cannot be a template's name"),
    ],
)
def test_what_does_not_fit_a_template_is_named_and_nothing_is_sent(
    six: Home, server: OpenAIServer, argv: tuple[str, ...], says: str
) -> None:
    six("template", "add", "both", "In a $tone tone: $input")
    done = six("run", *argv, ok=False)
    assert done.status == 2 and says in done.err and server.hits == 0


def test_a_yaml_template_of_llms_is_read_where_it_is_and_taken_over(six: Home, server: OpenAIServer) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    Path("pirate.yaml").write_text(
        f"name: pirate\nmodel: gpt-4o\nsystem: You talk like a $who\ndefaults:\n  who: pirate\n"
        f"options:\n  temperature: 0.5\nschema_object: {json.dumps(schema)}\nprompt: |\n  Name: $input\n"
    )
    server.reply = '{"name": "Jack"}'
    six("run", "-t", "pirate.yaml", "Jack")
    first = server.requests[-1].body
    six("template", "add", "pirate", "--from", "pirate.yaml")
    six("run", "-t", "pirate", "Jack", "--no-cache")
    assert server.requests[-1].body == first
    assert (first["temperature"], first["model"]) == (0.5, "gpt-4o") and "like a pirate" in json.dumps(first)
    assert "schema" in six("template", "show", "pirate").out


def test_a_field_of_llms_that_is_not_known_is_named(six: Home) -> None:
    Path("old.yaml").write_text("prompt: Hello\nfragments: [a]\n")
    done = six("template", "add", "old", "--from", "old.yaml", ok=False)
    assert done.status == 2 and "fragments is not known" in done.err
    Path("bad.yaml").write_text("prompt: [\n")
    assert "not valid YAML" in six("run", "-t", "bad.yaml", ok=False).err
    Path("evil.yaml").write_text("!!python/object/apply:os.system ['true']\n")
    assert six("run", "-t", "evil.yaml", ok=False).status == 2


def test_templates_are_listed_replaced_when_forced_and_removed(six: Home) -> None:
    six("template", "add", "one", "Hello $name")
    assert six("template", "add", "one", "Other", ok=False).status == 2
    six("template", "add", "one", "Hello $other", "--force")
    rows = six("template", "list", "--json").json["rows"]
    assert rows == [{"name": "one", "parameters": ["other"], "begins": "Hello $other", "error": None}]
    file = six.folder / "templates" / "one.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert six("template", "show", "one").out == 'prompt = "Hello $other"\n'
    six("template", "rm", "one")
    assert not file.exists() and six("template", "rm", "one", ok=False).status == 2


def test_what_an_editor_leaves_is_kept_only_where_it_is_a_template(
    six: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    six("template", "add", "one", "Hello")

    def edited(text: str) -> Any:
        script = tmp_path / "editor"
        script.write_text(f"#!/bin/sh\ncat > \"$1\" <<'END'\n{text}\nEND\n")
        script.chmod(0o700)
        monkeypatch.setenv("VISUAL", str(script))
        return six("template", "edit", "one", ok=False)

    assert edited('prompt = "Bye $name"').status == 0
    assert six("template", "show", "one", "--json").json["parameters"] == ["name"]
    refused = edited('promt = "Bye"')
    assert refused.status == 2 and "promt is not known" in refused.err
    assert "Bye $name" in six("template", "show", "one").out


def test_an_empty_pipe_is_no_input_of_a_template(
    six: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    six("template", "add", "fixed", "Say hello")
    six("template", "add", "open", "Shorten: $input")
    monkeypatch.setattr(files, "stdin_is_piped", lambda: True)
    monkeypatch.setattr(files, "read_stdin", lambda limit: "\n")
    six("run", "-t", "fixed")
    assert asked(server) == "Say hello"
    refused = six("run", "-t", "open", ok=False)
    assert refused.status == 2 and "needs an input" in refused.err and server.hits == 1


def test_a_template_of_a_feature_that_cannot_be_is_not_kept(six: Home) -> None:
    assert six("template", "add", "bad", "Hello", "-f", "letters", ok=False).status == 2
    assert six("template", "list", "--json").json["rows"] == []


def test_a_template_that_is_broken_is_mended_with_edit(six: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    six("template", "add", "broken", "Hello")
    templates.path_of("broken").write_text('prompt = ["')
    monkeypatch.setenv("VISUAL", """sh -c 'echo prompt = \\"Hi\\" > "$0"'""")
    six("template", "edit", "broken")
    assert six("template", "show", "broken", "--json").json["prompt"] == "Hi"
