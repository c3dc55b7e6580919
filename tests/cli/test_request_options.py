"""``run``, ``simulate`` and ``batch`` take their options from the one table: the same flags, the same meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nexscout_cli.engine import batch as batches
from nexscout_cli.engine.chat import Image, Message
from nexscout_cli.engine.chat_options import concise, format_for
from nexscout_cli.engine.options import TABLE, Option
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.request import AIRequest, Attachment, Options
from nexscout_cli.errors import UsageError

TOOLS = [{"type": "function", "function": {"name": "f"}}]
CHOICE = {"type": "function", "function": {"name": "f"}}
WITH = {"tool_choice": ("--tools", "tools.json")}
"""What an option's flag needs beside it."""
ALONE = AIRequest("owner", "ai_chatbot", "Hello there")
SAID: dict[str, tuple[tuple[str, ...], AIRequest]] = {
    "feature": (("ai_message",), ALONE._replace(feature="ai_message")),
    "user_id": (("bob",), ALONE._replace(user_id="bob")),
    "goal": (("a call",), ALONE._replace(goal="a call")),
    "tone": (("",), ALONE._replace(tone="")),
    "context": (("company=TechCo",), ALONE._replace(context={"company": "TechCo"})),
    "attachments": (("notes.txt",), ALONE._replace(attachments=(Attachment("notes.txt", "Price: 40"),))),
    "allow_cache": ((), ALONE._replace(options=Options(allow_cache=False))),
    "skip_energy_charge": ((), ALONE._replace(options=Options(skip_energy_charge=True))),
    "force_model": (("gpt-4o",), ALONE._replace(options=Options(force_model="gpt-4o"))),
    "mode": (("fast",), ALONE._replace(options=Options(mode="fast"))),
    "max_tokens": (("200",), ALONE._replace(options=Options(max_tokens=200))),
    "max_cost": (("0.05",), ALONE._replace(options=Options(max_cost=50_000_000))),
    "system": (("Be kind",), ALONE._replace(options=Options(system="Be kind"))),
    "temperature": (("0",), ALONE._replace(options=Options(temperature=0.0))),
    "idempotency_key": (("order-1",), ALONE._replace(options=Options(idempotency_key="order-1"))),
    "policy": (("learned",), ALONE._replace(options=Options(policy="learned"))),
    "compress": (("extract",), ALONE._replace(options=Options(compress="extract"))),
    "keep": (("0.4",), ALONE._replace(options=Options(keep=0.4))),
    "effort": (("low",), ALONE._replace(options=Options(effort="low"))),
    "allow_fallback": ((), ALONE._replace(options=Options(allow_fallback=True))),
    "tools": (("tools.json",), ALONE._replace(options=Options(tools=TOOLS))),
    "tool_choice": (("f",), ALONE._replace(options=Options(tools=TOOLS, tool_choice=CHOICE))),
    "response_format": (("name",), ALONE._replace(options=Options(response_format=format_for(concise("name"))))),
    "stop": (("END",), ALONE._replace(options=Options(stop="END"))),
    "top_p": (("0.5",), ALONE._replace(options=Options(top_p=0.5))),
    "seed": (("7",), ALONE._replace(options=Options(seed=7))),
    "service_tier": (("flex",), ALONE._replace(options=Options(service_tier="flex"))),
    "shape": ((), ALONE._replace(options=Options(shape=False))),
    "n": (("2",), ALONE._replace(options=Options(n=2))),
    "images": (("https://a.example/x.png",), ALONE._replace(images=(Image("https://a.example/x.png"),))),
    "messages": (("talk.json",), ALONE._replace(messages=(Message("user", "Hi"), Message("assistant", "Yes?")))),
}
"""What stands behind an option's flag, and the request that this makes."""


@pytest.fixture
def asked(nexscout: Any, home: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The request that a command line hands to the engine."""
    (home / "notes.txt").write_text("Price: 40")
    (home / "tools.json").write_text('[{"name": "f"}]')
    (home / "talk.json").write_text('[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]')
    (home / "rows.jsonl").write_text('{"prompt": "Hello there"}\n')
    seen: list[AIRequest] = []

    def take(engine: Engine, request: Any, *rest: Any, **more: Any) -> None:
        seen.extend(request if isinstance(request, list) else [request])
        raise UsageError("seen", "enough")

    monkeypatch.setattr(Engine, "run", take)
    monkeypatch.setattr(Engine, "simulate", take)
    monkeypatch.setattr(batches, "run", take)

    def run(command: str, *words: str) -> AIRequest:
        seen.clear()
        ran = nexscout(command, "rows.jsonl" if command == "batch" else "Hello there", *words)
        assert (ran.exit, len(seen)) == (2, 1), ran
        return seen[0]

    return run


@pytest.mark.parametrize("option", [one for one in TABLE if one.flags], ids=lambda option: option.name)
def test_each_flag_of_an_option_says_the_same_to_every_command(asked: Any, option: Option) -> None:
    words, expected = SAID[option.name]
    for flag in option.flags:
        for command in ("run", "simulate", *(["batch"] if option.for_batch else [])):
            assert asked(command, flag, *words, *WITH.get(option.name, ())) == expected


def test_where_nothing_is_said_the_defaults_hold(asked: Any) -> None:
    assert [asked(command) for command in ("run", "simulate", "batch")] == [ALONE] * 3


def flags_in_help(text: str) -> list[str]:
    heads = (line.strip().partition("  ")[0] for line in text.splitlines() if line.startswith("  -"))
    return [word for head in heads for word in head.split() if word.startswith("--")]


@pytest.mark.parametrize("command", ["run", "simulate", "batch"])
def test_help_lists_the_options_in_the_order_of_the_table(nexscout: Any, command: str) -> None:
    ran = nexscout(command, "--help")
    shown = flags_in_help(ran.stdout)
    there = [option for option in TABLE if option.flags and (option.for_batch or command != "batch")]
    wanted = [option.flags[-1] for option in there]
    assert [flag for flag in shown if flag in wanted] == wanted
    words = " ".join(ran.stdout.split())
    assert all(option.help in words for option in there)


def test_help_of_run_has_its_own_options_where_they_were(nexscout: Any) -> None:
    shown = flags_in_help(nexscout("run", "--help").stdout)
    place = shown.index("--no-charge")
    assert shown[place + 1 : place + 5] == ["--confirm", "--yes", "--stream", "--no-stream"]
    assert shown[place + 5] == "--idempotency-key" and shown[-3:] == ["--json", "--quiet", "--help"]


@pytest.mark.parametrize(
    "words",
    [
        ("--mode", "turbo"),
        ("--policy", "best"),
        ("--compress", "zip"),
        ("--keep", "2"),
        ("--max-tokens", "0"),
        ("--temperature", "9"),
        ("--compress", "lossless", "--keep", "0.5"),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_a_usage_error_of_two_lines(nexscout: Any, words: tuple[str, ...]) -> None:
    for command in ("run", "simulate"):
        ran = nexscout(command, "Hello there", *words)
        assert ran.exit == 2 and ran.stdout == "" and len(ran.stderr.strip().splitlines()) == 2
        assert words[-2].lstrip("-").replace("-", "_") in ran.stderr


def test_a_wrong_option_is_in_the_document_under_json(nexscout: Any) -> None:
    for command in ("run", "simulate"):
        ran = nexscout(command, "Hello there", "--mode", "turbo", "--json")
        error = json.loads(ran.stdout)["error"]
        assert ran.exit == 2 and error["code"] == "usage" and "turbo" in error["message"]


def test_a_wrong_option_of_a_batch_is_refused_before_anything_is_answered(nexscout: Any, home: Any) -> None:
    (home / "rows.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    ran = nexscout("batch", "rows.jsonl", "--out", "out.jsonl", "--mode", "fats")
    assert ran.exit == 2 and "did you mean fast?" in ran.stderr and not (home / "out.jsonl").exists()
