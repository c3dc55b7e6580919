"""What the price table says, and what it refuses to say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nexscout_cli.providers import prices


@pytest.mark.parametrize("name", ["gpt-4o", "openai/gpt-4o"])
def test_a_price_is_exact_with_or_without_the_provider(name: str) -> None:
    listing = prices.lookup(name)
    assert listing is not None
    assert (
        listing.price_in,
        listing.price_out,
        listing.max_input_tokens,
        listing.mode,
        listing.provider,
        listing.tiered,
    ) == (2_500_000, 10_000_000, 128_000, "chat", "openai", False)


def test_every_price_is_read_without_rounding_noise() -> None:
    listing = prices.lookup("openai/gpt-4o-mini")
    assert listing is not None and (listing.price_in, listing.price_out) == (150_000, 600_000)


def test_a_name_kept_with_its_provider_is_found() -> None:
    listing = prices.lookup("gemini/gemini-2.5-flash")
    assert listing is not None and listing.provider == "gemini" and not listing.tiered


@pytest.mark.parametrize(
    "name",
    [
        "nope",
        "sample_spec",
        "openrouter/gpt-4o",
        "azure/claude-haiku-4-5",
        "embedded/smollm2-135m",
        "",
        "/",
    ],
)
def test_what_has_no_plain_price_of_that_provider_is_not_found(name: str) -> None:
    assert prices.lookup(name) is None


def test_a_dearer_rate_above_some_size_is_tiered_and_says_from_where() -> None:
    listing = prices.lookup("gemini/gemini-3.1-pro-preview")
    assert listing is not None and listing.tiered and listing.flat_input_tokens == 200_000


@pytest.mark.parametrize("name", ["openai/gpt-4o-search-preview", "perplexity/sonar-pro"])
def test_charges_that_the_two_prices_do_not_bound_are_tiered(name: str) -> None:
    listing = prices.lookup(name)
    assert listing is not None and listing.tiered and listing.flat_input_tokens is None


def test_the_seeded_claude_3_models_are_gone_from_the_table() -> None:
    assert [prices.lookup(f"anthropic/claude-3-{n}") for n in ("opus", "sonnet", "haiku")] == [None] * 3


def test_current_models_have_bounded_prices_and_every_main_provider_has_a_ladder() -> None:
    models, left_out = prices.current_models()
    assert all(left_out.values())
    assert len({m.name for m in models}) == len(models)
    for model in models:
        listing = prices.lookup(model.litellm_model)
        assert listing is not None and listing.mode == "chat" and model.price_in > 0 and model.price_out > 0
        assert not listing.tiered or model.max_tokens == listing.flat_input_tokens
        assert 0.5 < model.quality < 1 and 0 < model.speed < 1
    for provider in ("openai", "anthropic", "gemini"):
        best = [m.quality for m in models if m.litellm_model.startswith(provider)]
        assert min(best) >= 0.7 and any(0.85 <= q < 0.95 for q in best) and max(best) >= 0.95
    assert {m.type for m in models} == {"small", "medium", "large", "xl"}


def test_litellm_is_not_imported() -> None:
    program = (
        "import sys\nfrom nexscout_cli.providers import prices\nassert prices.current_models()\n"
        "assert 'litellm' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
