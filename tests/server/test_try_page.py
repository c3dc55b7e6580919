"""The Try page: a quote without a call, a run once, and what its caller may not do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.server.browsing import Browser, token
from tests.server.conftest import Scout
from tests.support.openai_server import OpenAIServer

EVIL = "<script>alert(1)</script>"
WORDS = "The price is 12 dollars. The weather was fine.   \n\n\n\nPlease    answer   soon.  "


@pytest.fixture
def browser(shared: Scout, provider: OpenAIServer) -> Iterator[Browser]:
    """Signed in as a member of tier pro."""
    one = Browser(shared.url)
    shared("user", "set-tier", "tess", "pro")
    keys = json.loads(shared("keys", "list", "--json").stdout)["rows"]
    name = f"tess-{sum(row['user_id'] == 'tess' for row in keys) + 1}"
    one.sign_in(shared.key("--user", "tess", "--name", name))
    yield one


def filled(browser: Browser, prompt: str, **more: str) -> dict[str, str]:
    """The page's form, filled in."""
    page = browser("/try").text
    return {"form": token(page), "once": token(page, "once"), "feature": "ai_chatbot", "prompt": prompt, **more}


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_quote_is_what_simulate_says_and_sends_nothing(
    browser: Browser, shared: Scout, provider: OpenAIServer
) -> None:
    got = browser("/try/quote", filled(browser, "Write a haiku about rain", mode="fast"))
    asked = ("simulate", "Write a haiku about rain", "--user", "tess", "--mode", "fast", "--json")
    said = json.loads(shared(*asked).stdout, parse_float=Decimal)
    assert got.status == 200 and said["recommended_model"] in got.text
    assert f"{said['predicted_input_tokens']:,} tokens in" in got.text
    assert provider.requests == []


def test_models_stand_side_by_side_the_chosen_one_marked(browser: Browser) -> None:
    text = browser("/try/quote", filled(browser, "Hello there")).text
    rows = re.findall(r"<tr( class=\"chosen\")?><th scope=\"row\"><bdi[^>]*>([^<]+)", text)
    assert len(rows) >= 2 and sum(bool(chosen) for chosen, _ in rows) == 1


def test_what_compression_leaves_out_is_shown(browser: Browser) -> None:
    chatter = "The weather was fine and nobody minded it at all. " * 60
    prompt = f"Who signed the contract?\n\n{chatter}\n\nThe contract was signed by Ada Lovelace.\n\n{chatter}"
    text = browser("/try/quote", filled(browser, prompt, compress="extract")).text
    assert "compression leaves out" in text and "<del>" in text


@pytest.mark.parametrize(("more", "said"), [({"model": "no-such"}, "no-such"), ({"feature": EVIL}, "not a feature")])
def test_what_is_wrong_is_said_in_the_quote(browser: Browser, more: dict[str, str], said: str) -> None:
    got = browser("/try/quote", filled(browser, "Hello") | more)
    assert got.status == 200 and said in got.text and "<script" not in got.text


def test_an_answer_comes_in_pieces_and_ends_with_its_cost_and_why(
    browser: Browser, shared: Scout, provider: OpenAIServer
) -> None:
    provider.pause = 0.1  # what has come at the same time is sent as one piece
    got = browser("/try/run", filled(browser, "Say hello, tess asks"))
    *pieces, about = events(got.text)
    assert "".join(piece["text"] for piece in pieces) == "Hello there." and len(pieces) > 1
    assert "By the rules" in about["html"] and "Its whole way" in about["html"]
    name = re.search(r"/requests/([0-9a-f]+)", about["html"])
    assert name is not None
    assert json.loads(shared("log", name[1], "--json").stdout)["request"]["user_id"] == "tess"


def test_a_form_that_is_sent_twice_is_run_once(browser: Browser, provider: OpenAIServer) -> None:
    form = filled(browser, "Only once, please")
    browser("/try/run", form)
    again = browser("/try/run", form)
    assert len(provider.requests) == 1 and "the first answer again" in again.text
    other = events(browser("/try/run", form | {"prompt": "Something else"}).text)
    assert len(provider.requests) == 1 and "html" in other[-1] and "text" not in other[-1]


def test_without_script_the_buttons_do_the_same(browser: Browser, provider: OpenAIServer) -> None:
    quoted = browser("/try", filled(browser, f"Hi {EVIL}", do="quote"))
    assert "likely; 9 of 10" in quoted.text and provider.requests == []
    assert "<script>alert" not in quoted.text and "&lt;script&gt;alert" in quoted.text
    provider.reply = f"Answer {EVIL}"
    ran = browser("/try", filled(browser, f"Hi {EVIL}", do="run"))
    assert len(provider.requests) == 1 and "&lt;script&gt;alert" in ran.text and "<script>alert" not in ran.text
    assert "Its whole way" in ran.text


def test_the_page_loads_its_own_script_and_nothing_else(browser: Browser) -> None:
    got = browser("/try")
    policy = got.headers["content-security-policy"]
    assert "script-src 'self'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    assert re.findall(r"<script[^>]*>", got.text) == ['<script src="/try.js" defer>'] and "</script>" in got.text
    assert browser("/try.js").headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/try", "/try/quote", "/try/run"])
def test_a_form_of_elsewhere_is_refused(browser: Browser, provider: OpenAIServer, path: str) -> None:
    assert browser(path, filled(browser, "Hello", do="run") | {"form": "guess"}).status == 403
    browser.cookies.clear()
    assert browser(path, {"prompt": "Hello"}).status == 303 and provider.requests == []


def test_a_reader_may_look_and_not_run(shared: Scout, provider: OpenAIServer) -> None:
    shared("user", "set-role", "rita", "reader")
    browser = Browser(shared.url)
    browser.sign_in(shared.key("--user", "rita", "--name", "try-rita"))
    form = filled(browser, "Hello")
    assert "disabled" in browser("/try").text and "likely; 9 of 10" in browser("/try/quote", form).text
    assert "not spend" in browser("/try/run", form).text
    assert browser("/try", form | {"do": "run"}).status == 403
    assert provider.requests == []


def test_the_bounds_of_the_key_that_signed_in_hold_here_too(shared: Scout, provider: OpenAIServer) -> None:
    shared("user", "set-tier", "kim", "pro")
    browser = Browser(shared.url)
    browser.sign_in(
        shared.key("--user", "kim", "--name", "try-kim", "--models", "gpt-4o-mini", "--rpm", "1", "--budget", "5/day")
    )
    assert "may not use gpt-4o" in browser("/try/quote", filled(browser, "Hello", model="gpt-4o")).text
    assert "gpt-4o-mini-high" not in browser("/try/quote", filled(browser, "Hello", model="gpt-4o-mini")).text
    assert "Hello there." in browser("/try", filled(browser, "Hello", do="run")).text
    assert "1 requests a minute" in browser("/try/run", filled(browser, "Again")).text
    budgets = json.loads(shared("budget", "list", "--json").stdout, parse_float=Decimal)["rows"]
    assert next(row["used"] for row in budgets if row["of"] == "key:try-kim") > 0
