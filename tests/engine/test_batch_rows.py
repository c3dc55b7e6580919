from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.engine import batch_rows
from nexscout_cli.engine.request import AIRequest, Attachment, Options
from nexscout_cli.errors import UsageError

DEFAULTS = AIRequest("ada", "ai_chatbot", "", options=Options(force_model="gpt-4o-mini", policy="rules"))


def parse(row: Any) -> AIRequest:
    return batch_rows.parse(row, DEFAULTS, lambda name: Attachment(name, f"text of {name}"))


def test_a_line_has_every_field_of_a_request() -> None:
    asked = parse(
        {
            "id": "7",
            "user": "bob",
            "feature": "ai_message",
            "prompt": "Hi",
            "goal": "g",
            "tone": "t",
            "context": {"k": 1},
            "attachments": ["a.txt"],
            "options": {
                "max_tokens": 9,
                "temperature": 0,
                "system": "s",
                "allow_cache": False,
                "force_model": "gpt-4o",
                "mode": "fast",
                "max_cost": "0.01",
                "idempotency_key": "k",
                "policy": "rules",
                "skip_energy_charge": True,
            },
        }
    )
    assert asked == AIRequest(
        "bob",
        "ai_message",
        "Hi",
        "g",
        "t",
        {"k": 1},
        (Attachment("a.txt", "text of a.txt"),),
        Options(False, "gpt-4o", "fast", True, 9, 10_000_000, "s", 0, "k", "rules"),
    )


def test_what_is_missing_comes_from_the_command_line() -> None:
    assert parse({"prompt": "Hi"}) == AIRequest("ada", "ai_chatbot", "Hi", options=DEFAULTS.options)


def test_user_id_is_understood_as_user() -> None:
    assert parse({"prompt": "Hi", "user_id": "bob"}).user_id == "bob"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ([], "not a JSON object"),
        ("Hi", "not a JSON object"),
        ({}, "no prompt"),
        ({"prompt": None}, "no prompt"),
        ({"prompt": 5}, "prompt is text"),
        ({"prompt": "x", "tone": ["a"]}, "tone is text"),
        ({"prompt": "x", "promt": "y"}, "no field 'promt'"),
        ({"prompt": "x", "attachments": "a.txt"}, "list of file names"),
        ({"prompt": "x", "attachments": [1]}, "list of file names"),
        ({"prompt": "x", "options": []}, None),
        ({"prompt": "x", "options": [1]}, "options is a JSON object"),
        ({"prompt": "x", "options": {"speed": 1}}, "no option 'speed'"),
        ({"prompt": "x", "options": {"max_tokens": "9"}}, "max_tokens cannot"),
        ({"prompt": "x", "options": {"max_tokens": True}}, "max_tokens cannot"),
        ({"prompt": "x", "options": {"allow_cache": 1}}, "allow_cache cannot"),
        ({"prompt": "x", "options": {"mode": "turbo"}}, "mode cannot be 'turbo'"),
        ({"prompt": "x", "options": {"max_cost": -1}}, "max_cost"),
        ({"prompt": "x", "options": {"max_cost": True}}, "max_cost"),
        ({"prompt": "x", "id": {}, "options": {"temperature": "hot"}}, "temperature cannot"),
    ],
)
def test_what_is_wrong_is_said_by_field(row: Any, says: str | None) -> None:
    if says is None:
        assert parse(row).prompt == "x"
        return
    with pytest.raises(UsageError, match=says) as caught:
        parse(row)
    assert caught.value.suggestion
