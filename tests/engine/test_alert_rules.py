"""What people may write for an alert, and what it says."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.alerts import Notice, amount, first_day, parse, pause, payload, share_elapsed, signature
from nexscout_cli.errors import UsageError

FILE = "file:/tmp/x"


@pytest.mark.parametrize(
    ("when", "whose", "expected"),
    [
        ("spend day > 80% of cap", "everyone", ("spend", "day", 800_000, True)),
        ("Spend  month > $1,000.50", "user:ana", ("spend", "month", 1_000_500_000_000, False)),
        ("tokens week > 2_000_000", "tag:x", ("tokens", "week", 2_000_000, False)),
        ("forecast month > 100% of cap", "users", ("forecast", "month", 1_000_000, True)),
        ("errors day > 2.5%", "feature:ai_chatbot", ("errors", "day", 25_000, False)),
        ("unknown > 0.5", "everyone", ("unknown", "day", 500_000_000, False)),
        ("energy < 100", "users", ("energy", "day", 100, False)),
        ("unusual day > 3x", "users", ("unusual", "day", 3_000_000, False)),
    ],
)
def test_a_rule_is_read_as_it_is_said(when: str, whose: str, expected: tuple[str, str, int, bool]) -> None:
    rule = parse(when, whose, FILE, None)
    assert (rule.metric, rule.window, rule.bound, rule.of_cap) == expected
    assert f"{rule.scope}:{rule.subject}".rstrip(":") == whose


@pytest.mark.parametrize(
    ("when", "whose", "notify"),
    [
        ("spend > 5", "everyone", FILE),
        ("spend day < 5", "everyone", FILE),
        ("spend day > 5%", "everyone", FILE),
        ("spend day > 5 of cap", "everyone", FILE),
        ("energy > 5", "users", FILE),
        ("energy day < 5", "users", FILE),
        ("energy < 5", "everyone", FILE),
        ("errors day > 5", "everyone", FILE),
        ("errors day > 5% of cap", "everyone", FILE),
        ("unusual week > 3x", "users", FILE),
        ("unusual day > 3x", "everyone", FILE),
        ("spend day > 80% of cap", "feature:f", FILE),
        ("spend day > .,.", "everyone", FILE),
        ("spend day > 0.0000000001", "everyone", FILE),
        ("tokens day > 1.5", "everyone", FILE),
        ("spend day > 5", "user", FILE),
        ("spend day > 5", "everyone:x", FILE),
        ("spend day > 5", "team:x", FILE),
        ("spend day > 5", "everyone", "mail:x"),
        ("spend day > 5", "everyone", "webhook:"),
        ("spend day > 5", "everyone", "webhook:ftp://x/y"),
        ("spend day > 5", "everyone", "webhook:https://me:secret@x/y"),
    ],
)
def test_what_makes_no_rule_is_refused_with_an_example(when: str, whose: str, notify: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(when, whose, notify, None)
    assert caught.value.suggestion


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_any_words_make_a_rule_or_a_refusal(when: str, whose: str, notify: str) -> None:
    try:
        rule = parse(when, whose, notify, None)
    except UsageError as error:
        assert error.suggestion
    else:
        assert rule.bound >= 0 and rule.notify == notify


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_window_begins_by_now_and_is_over_to_a_part(now: datetime) -> None:
    for window, days in (("day", 1), ("week", 7), ("month", 31)):
        start = datetime.fromisoformat(first_day(window, now)).replace(tzinfo=UTC)
        assert timedelta(0) <= now - start < timedelta(days=days)
        assert 0 < share_elapsed(window, now) <= 1


def notice(notify: str = FILE) -> Notice:
    return Notice(
        *(7, 1, "spend day > 5", notify, None, "user", "ana", "2026-11-01", 6_000_000_000, 5_000_000_000, "spend"),
        *("2026-11-01T12:00:00Z", "pending", 0, None, None, None),
    )


def test_a_notice_says_what_it_is_what_the_bound_is_and_of_whom() -> None:
    text = str(payload(notice())["text"])
    assert "user ana" in text and "$6.000000000" in text and "$5.000000000" in text
    assert payload(notice("slack:https://x/y")) == {"text": text}
    assert payload(notice("discord:https://x/y"))["content"] == text
    assert (amount("errors", 25_000), amount("unusual", 3_500_000), amount("tokens", 1000)) == (
        "2.5%",
        "3.5x",
        "1,000 tokens",
    )


def test_a_receiver_can_check_the_signature() -> None:
    made = hmac.new(b"key", b"12.body", hashlib.sha256).hexdigest()
    assert signature(b"body", "key", 12) == f"t=12,v1={made}"


def test_pauses_grow_to_six_hours() -> None:
    assert [pause(n).total_seconds() / 60 for n in (1, 2, 3, 4, 5, 6, 12)] == [1, 4, 16, 64, 256, 360, 360]
