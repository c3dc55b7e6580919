"""The Limits page: what is left of each limit and until when, and alerts for admins alone. Dead keys on Providers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nexscout_cli.engine.budgets import window_end
from tests.server.browsing import Browser
from tests.server.conftest import Scout
from tests.support.openai_server import OpenAIServer


@pytest.mark.parametrize(
    ("window", "now", "end"),
    [
        ("day", "2026-12-31T23:59", "2027-01-01"),
        ("week", "2026-11-29T10:00", "2026-11-30"),
        ("week", "2026-11-30T00:00", "2026-12-07"),
        ("month", "2026-12-31T10:00", "2027-01-01"),
        ("month", "2028-01-31T00:00", "2028-02-01"),
    ],
)
def test_a_window_is_over_when_the_next_one_begins(window: str, now: str, end: str) -> None:
    found = window_end(window, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(end).replace(tzinfo=UTC)


def test_what_never_begins_anew_has_no_end() -> None:
    assert window_end("ever", datetime.now(UTC)) is None


def test_a_member_sees_their_own_limits_and_no_alerts(shared: Scout) -> None:
    shared("budget", "set", "3/month", "--user", "lia")
    shared("budget", "set", "7/month", "--user", "lou")
    browser = Browser(shared.url)
    browser.sign_in(shared.key("--user", "lia", "--name", "limits-lia"))
    text = browser("/limits").text
    assert "$3.0000" in text and "$7.0000" not in text and "tokens a day" in text
    assert "What went off" not in text


def test_an_admin_sees_everybodys_limits_and_alerts_without_the_address_that_holds_a_key(shared: Scout) -> None:
    shared("budget", "set", "0.5/ever", "--tag", "limits")
    shared("alerts", "add", "--when", "spend day > 80% of cap", "--notify", "webhook:https://hooks.example.com/s3cret")
    browser = Browser(shared.url)
    browser.sign_in(shared.key("--user", "ada", "--name", "limits-ada"))
    text = browser("/limits").text
    assert "tag limits" in text and "$0.5000" in text and "never" in text
    assert "spend day &gt; 80% of cap" in text and "hooks.example.com" in text and "s3cret" not in text


def test_days_on_which_a_key_was_refused_are_said(shared: Scout, provider: OpenAIServer) -> None:
    shared("user", "set-tier", "dee", "pro")
    key = shared.key("--user", "dee", "--name", "limits-dee")
    provider.fail = 401
    assert shared.chat("Hello", key, "gpt-4o-mini").status == 502
    provider.fail = None  # all tests share it
    browser = Browser(shared.url)
    browser.sign_in(key)
    assert "Keys were refused: <bdi" in browser("/providers").text.replace("\n", "")
