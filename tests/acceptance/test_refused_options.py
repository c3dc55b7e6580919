"""Options that a provider refuses, service tiers, prompts as they are written, and targets that cannot be called."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.openai_server import Body, OpenAIServer

JSON = {"Content-Type": "application/json"}


def unsupported(
    name: str, words: str = "Unsupported parameter: '{}' is not supported with this model."
) -> Callable[[Body], Any]:
    """Refuses calls with that parameter, as OpenAI does."""
    error = json.dumps({"error": {"message": words.format(name), "type": "invalid_request_error", "param": name}})
    return lambda body: (400, JSON, error) if name in body else None


def bodies(server: OpenAIServer) -> list[Body]:
    return [request.body for request in server.requests]


@pytest.mark.parametrize("stream", [False, True])
def test_a_bound_that_goes_by_another_name_is_sent_under_it_and_that_is_remembered(
    six: Any, server: OpenAIServer, stream: bool
) -> None:
    server.fail = unsupported("max_tokens")
    line = ("run", "-m", "gpt-4o", "--no-cache", "--stream" if stream else "--no-stream")
    done = six(*line, "Hello")
    assert (
        done.out.strip() == "Hello there."
        and "gpt-4o refused max_tokens; its bound was sent under the other name" in done.err
    )
    assert ["max_tokens" in body for body in bodies(server)] == [True, False]
    assert bodies(server)[1]["max_completion_tokens"] == bodies(server)[0]["max_tokens"]
    # One attempt, one hold: what is refused is not billed.
    assert six.books.listed("attempts", "n", "state") == [(1, "posted")]
    assert "refused" not in six(*line, "Hello again").err and server.hits == 3
    assert six("models", "show", "gpt-4o", "--json").json["refused_options"] == ["max_tokens"]
    six("models", "set", "gpt-4o", "--litellm-model", "openai/another")
    assert six("models", "show", "gpt-4o", "--json").json["refused_options"] == []


@pytest.mark.parametrize(
    ("flag", "value", "name", "words"),
    [
        ("--temperature", "0.2", "temperature", "Unsupported value: '{}' does not support 0.2 with this model."),
        ("--top-p", "0.5", "top_p", "`temperature` and `{}` cannot both be specified for this model."),
        ("--seed", "7", "seed", "property '{}' is unsupported"),
    ],
)
def test_an_option_that_is_refused_is_left_out_once_said_and_remembered(
    six: Any, server: OpenAIServer, flag: str, value: str, name: str, words: str
) -> None:
    server.fail = unsupported(name, words)
    line = ("run", "-m", "gpt-4o", "--no-cache", "--json", flag, value)
    warnings = six(*line, "Hello").json["metadata"]["warnings"]
    assert any(f"gpt-4o refused {name}" in warning for warning in warnings)
    again = six(*line, "Hello again").json["metadata"]["warnings"]
    assert [name in body for body in bodies(server)] == [True, False, False]
    assert any("not sent" in warning for warning in again)


def test_what_was_asked_for_is_not_left_out(six: Any, server: OpenAIServer) -> None:
    server.fail = unsupported("stop")
    done = six("run", "-m", "gpt-4o", "--stop", "END", "Hello", ok=False)
    assert done.status == 5 and server.hits == 1 and "'stop' is not supported" in done.err


def test_a_bound_that_is_too_large_is_no_option_that_is_refused(six: Any, server: OpenAIServer) -> None:
    server.fail = unsupported(
        "max_tokens", "{} is too large: 5000. This model supports at most 4096 completion tokens."
    )
    assert six("run", "-m", "gpt-4o", "Hello", ok=False).status == 5 and server.hits == 1


def test_a_service_tier_is_asked_for_priced_held_and_read_back(six: Any, server: OpenAIServer) -> None:
    six("models", "set", "gpt-4o", "--api-base", server.url)
    plain = six("simulate", "-m", "gpt-4o", "--json", "Hello").json["max_cost_usd"]
    first = six("simulate", "-m", "gpt-4o", "--service-tier", "priority", "--json", "Hello").json["max_cost_usd"]
    assert float(first) == pytest.approx(1.7 * float(plain), rel=0.01)
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
    costs = []
    for asked, served in (("priority", "priority"), ("priority", "default"), (None, "priority"), (None, "default")):
        server.usage = lambda body, text, served=served: usage | {"service_tier": served}
        tier = ("--service-tier", asked) if asked else ()
        meta = six("run", "-m", "gpt-4o", "--no-cache", "--json", *tier, "Hello").json["metadata"]
        costs.append((meta["cost_usd"], any("dearer tier" in warning for warning in meta["warnings"])))
        assert bodies(server)[-1].get("service_tier") == asked
    # 1,000 × $4.25 + 10 × $17, and 1,000 × $2.50 + 10 × $10 a million.
    assert costs == [("0.004420000", False), ("0.002600000", False), ("0.004420000", True), ("0.002600000", False)]
    assert six("db", "check").status == 0


def test_a_tier_whose_price_is_not_known_is_refused(six: Any, server: OpenAIServer) -> None:
    done = six("run", "-m", "claude-3-haiku", "--service-tier", "flex", "Hello", ok=False)
    assert done.status == 3 and "its price in the flex tier is not known" in done.err and server.hits == 0
    # Without a name, a model is chosen that has the tier.
    assert six("run", "--service-tier", "priority", "--json", "Hello").json["metadata"]["model_used"] == "gpt-4o-mini"


def test_system_text_is_sent_as_written_with_ours_after_it_or_without(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "You are a poet.\n\n  Keep   blanks."
    six("run", "--no-cache", "--system", own, "Hello")
    six("run", "--no-cache", "--system", own, "--no-shape", "Hello")
    six("run", "--no-cache", "--no-shape", "Hello")
    six("run", "--no-cache", "--no-shape", "--tone", "calm", "Hello")
    monkeypatch.setenv("NEXSCOUT_SHAPING_OFF", "ai_message")
    six("run", "--no-cache", "-f", "ai_message", "Hello")
    shaped, bare, none, toned, by_setting = (body["messages"] for body in bodies(server))
    assert shaped[0]["content"].startswith(own + "\n") and "Answer in at most about" in shaped[0]["content"]
    assert bare[0] == {"role": "system", "content": own}
    assert [m["role"] for m in none] == ["user"] == [m["role"] for m in by_setting]
    assert toned[0]["content"] == "Tone: calm."
    assert {body["max_tokens"] for body in bodies(server)} == {3000}


def test_a_short_answer_is_not_asked_to_be_detailed_as_well(six: Any, server: OpenAIServer) -> None:
    six("run", "--max-tokens", "20", "--no-cache", "Hello")
    assert bodies(server)[0]["messages"][0]["content"] == "Answer in at most about 10 words."


@pytest.mark.parametrize(
    ("target", "lacks", "remedy"),
    [
        ("oci/meta.llama-3.1-8b", "the package oci is not installed", "pip install oci"),
        ("vertex_ai/gemini-2.0-flash", "the package google-auth is not installed", "pip install google-auth"),
        ("azure/mine", "AZURE_API_BASE is not set", "--api-base"),
        ("groq/llama-3.1-8b-instant", "GROQ_API_KEY is not set", "export GROQ_API_KEY"),
    ],
)
def test_a_target_that_cannot_be_called_says_what_it_lacks_and_counts_as_not_available(
    six: Any, monkeypatch: pytest.MonkeyPatch, target: str, lacks: str, remedy: str
) -> None:
    monkeypatch.setenv("AZURE_API_KEY", "x")
    price = ("--input-price", "0.001", "--output-price", "0.002", "--max-tokens", "8000")
    done = six("models", "add", "new", "--litellm-model", target, *price)
    assert f"it cannot be called yet: {lacks}" in done.err and remedy in done.err
    row = six("models", "show", "new", "--json").json
    assert not row["available"] and lacks in row["missing"]
    assert lacks in six("doctor", ok=False).out


@pytest.mark.parametrize(
    ("param", "hint"),
    [
        ("n=4", "--answers"),
        ("service_tier=priority", "--service-tier"),
        ('extra_body={"n": 9}', "one by one"),
        ("tools=[]", "--tools"),
        ("best_of=5", "paid"),
        ("seeed=7", "did you mean seed?"),
        ("api_key=abc", "options of their own"),
    ],
)
def test_what_a_model_may_not_be_given_is_refused_with_what_does_it_instead(six: Any, param: str, hint: str) -> None:
    done = six("models", "set", "gpt-4o", "--param", param, ok=False)
    assert done.status == 2 and "--param" in done.err and hint in done.err


def test_every_parameter_that_may_be_set_is_sent(six: Any, server: OpenAIServer) -> None:
    given = {
        "seed": 7,
        "top_p": 0.5,
        "user": "ana",
        "verbosity": "low",
        "top_k": 40,
        "min_p": 0.1,
        "logit_bias": {"5": 1},
    }
    for name, value in given.items():
        six("models", "set", "gpt-4o", "--param", f"{name}={json.dumps(value) if name != 'user' else value}")
    six("run", "-m", "gpt-4o", "--no-cache", "Hello")
    assert {name: bodies(server)[0].get(name) for name in given} == given


def test_what_one_deployment_refuses_is_left_out_there_alone_until_it_moves(six: Any, server: OpenAIServer) -> None:
    with OpenAIServer() as other:
        other.fail = unsupported("seed")
        six("models", "deploy", "gpt-4o", "--name", "eu", "--api-base", other.url)
        ask = ("run", "-m", "gpt-4o", "--no-cache", "--json", "--seed", "7", "Hello")

        def asked_at(name: str) -> dict[str, Any]:
            for one in ("eu", "default"):
                six("models", "deploy", "gpt-4o", "--name", one, "--weight", str(int(one == name)))
            return six(*ask).json["metadata"]  # type: ignore[no-any-return]

        assert any("gpt-4o refused seed" in warning for warning in asked_at("eu")["warnings"])
        assert any("does not take seed" in warning for warning in asked_at("eu")["warnings"])
        assert asked_at("default")["warnings"] == []
        assert [body.get("seed") for body in bodies(other)] == [7, None, None] and bodies(server)[-1]["seed"] == 7
        assert six("models", "show", "gpt-4o", "--json").json["refused_options"] == ["eu: seed"]
        # The model's own target refuses something else, which says nothing of the other place.
        server.fail = unsupported("seed")
        asked_at("default")
        assert six("models", "show", "gpt-4o", "--json").json["refused_options"] == ["eu: seed", "seed"]
        six("models", "set", "gpt-4o", "--litellm-model", "openai/another")
        assert six("models", "show", "gpt-4o", "--json").json["refused_options"] == ["eu: seed"]
        six("models", "deploy", "gpt-4o", "--name", "eu", "--weight", "2")
        assert six("models", "show", "gpt-4o", "--json").json["refused_options"] == ["eu: seed"]
        six("models", "deploy", "gpt-4o", "--name", "eu", "--target", "openai/other")
        assert six("models", "show", "gpt-4o", "--json").json["refused_options"] == []


def test_a_temperature_that_one_deployment_does_not_take_is_said_of_it_alone(six: Any, server: OpenAIServer) -> None:
    with OpenAIServer() as other:
        other.fail = unsupported("temperature")
        six("models", "deploy", "gpt-4o", "--name", "eu", "--api-base", other.url)
        six("models", "deploy", "gpt-4o", "--name", "default", "--weight", "0")
        ask = ("run", "-m", "gpt-4o", "--no-cache", "--json", "--temperature", "0.2", "Hello")
        assert any("refused temperature" in warning for warning in six(*ask).json["metadata"]["warnings"])
        again = six(*ask).json["metadata"]["warnings"]
        assert again == ["gpt-4o takes no temperature but its own at eu: 0.2 is not sent there"]
        assert [body.get("temperature") for body in bodies(other)] == [0.2, None, None]
