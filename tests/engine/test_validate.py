"""What is checked of a request that a program hands over, before anything is read for it."""

from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.validate import check_request
from nexscout_cli.errors import Blocked, UsageError
from tests.support.values import request


def check(asked: AIRequest, **settings: Any) -> None:
    check_request(asked, Settings().with_values(**settings))


def test_a_request_with_every_option_is_let_through() -> None:
    check(
        request(
            allow_cache=False,
            force_model="gpt-4o",
            mode="pro",
            skip_energy_charge=True,
            max_tokens=200,
            max_cost=5,
            system="Be kind",
            temperature=0.5,
            idempotency_key="k",
            policy="learned",
            compress="extract",
            keep=0.5,
        )
    )


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"mode": "turbo"}, "mode cannot be"),
    ({"policy": "best"}, "policy cannot be"),
    ({"compress": "zip"}, "compress cannot be"),
    ({"allow_cache": None}, "allow_cache cannot be"),
    ({"skip_energy_charge": "yes"}, "skip_energy_charge cannot be"),
    ({"max_tokens": 0}, "max_tokens cannot be"),
    ({"max_cost": 0.05}, "nano-dollars"),
    ({"temperature": 3}, "temperature cannot be"),
    ({"idempotency_key": ""}, "idempotency_key cannot be"),
    ({"force_model": 5}, "force_model is int, not text"),
    ({"force_model": "a\0b"}, "force_model has a NUL"),
    ({"system": "\ud800"}, "system is not valid text"),
    ({"mode": b"fast"}, "mode is bytes, not text"),
]


@pytest.mark.parametrize(("given", "says"), WRONG, ids=str)
def test_an_option_that_cannot_be_so_is_said_by_its_name(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check(request()._replace(options=Options(**given)))


@pytest.mark.parametrize("mode", ["off", "lossless"])
def test_keep_is_refused_where_nothing_can_be_extracted(mode: str) -> None:
    for settings, options in (({}, {"compress": mode}), ({"compress": mode}, {})):
        with pytest.raises(UsageError, match=f"keep has no effect: compress is {mode}"):
            check(request(keep=0.5, **options), **settings)
        check(request(**options), **settings)


@pytest.mark.parametrize("mode", ["auto", "extract"])
def test_keep_is_taken_where_something_may_be_extracted(mode: str) -> None:
    check(request(keep=0.5, compress=mode), compress="off")
    check(request(keep=0.5), compress=mode)


def test_bytes_of_all_texts_count_together() -> None:
    asked = request("x" * 60, goal="y" * 30, system="z" * 10)
    size = 100 + len(asked.user_id) + len(asked.feature)
    check(asked, firewall__max_bytes=size)
    with pytest.raises(Blocked, match=f"the input is {size} bytes"):
        check(asked, firewall__max_bytes=size - 1)
