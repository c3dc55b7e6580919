"""Prices and windows from LiteLLM's table, read as a file: LiteLLM itself is not imported."""

from __future__ import annotations

import json
import re
from decimal import ROUND_CEILING, Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from nexscout_cli.engine.model import ABILITIES
from nexscout_cli.errors import StoreError

TABLE = "model_prices_and_context_window_backup.json"
_MAIN = ("openai", "anthropic", "gemini", "mistral", "deepseek")
_PICO = 10**12

_CLASSES = {
    "cache_read_input_token_cost": "cached",
    "input_cost_per_token_cache_hit": "cached",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_in",
    "output_cost_per_audio_token": "audio_out",
    "input_cost_per_image_token": "image_in",
    "output_cost_per_image_token": "image_out",
}
"""Entries of the table that are prices of a class of tokens."""
_TIERS = {
    f"{key}_{tier}": f"{tier}_{name}"
    for tier in ("flex", "priority")
    for key, name in ({"input_cost_per_token": "input", "output_cost_per_token": "output"} | _CLASSES).items()
}
"""Entries of the table that are prices in another service tier."""
_BATCH = {
    f"{key}_batches": name
    for key, name in ({"input_cost_per_token": "input", "output_cost_per_token": "output"} | _CLASSES).items()
}
"""Entries of the table that are prices of a batch that is answered later."""
_ABILITIES = {"supports_function_calling": "tools", "supports_vision": "images", "supports_response_schema": "schema"}
_FEES = {"input_cost_per_request": "request", "search_context_cost_per_query": "search"}
"""Entries that are charged by the piece."""
_NANO = 10**9
# Extra charges that come only with what we never ask for: service tiers, batches, tools, and media in the input.
_OPTED_INTO = re.compile(
    r"_(?:batches|priority|flex|balanced|ultrafast|decisions)$"
    r"|^(?:search_context|google_maps|code_interpreter|file_search|computer_use|vector_store)"
    r"|^(?:input|cache_\w+_input|cache_read_input|cache_creation_input)_(?:cost_per_)?(?:audio|image|video)"
    r"|^output_cost_per_(?:image|video)"
    r"|^(?:input|output)_dbu_cost"
)
_TOKEN_TIER = re.compile(r"_above_(\d+)k_tokens$")
# Models whose every answer uses a tool that is charged apart.
_ALWAYS_SEARCHES = re.compile(r"\b(?:search|sonar|computer-use|deep-research)\b")


class Listing(NamedTuple):
    """One entry of the table. Prices in pico-dollars per token, exact (rounded up where a pico-dollar does not divide).

    ``class_prices`` are those of special classes of tokens, and fees in nano-dollars (see ``engine/usage.py``).
    ``tiered`` is True when the prices do not bound every call: a dearer rate above some number of tokens, or charges apart
    from tokens. ``flat_input_tokens`` is then how many input tokens the prices hold up to, when that is all that stands in
    the way: with a window cut to it they are a bound again; None otherwise. ``unbounded_by`` names the entries of the table
    that charge for something else. ``batch``: prices by class in a batch that is answered later, as far as there are any.
    """

    name: str
    provider: str
    mode: str
    price_in: int
    price_out: int
    max_input_tokens: int | None
    max_output_tokens: int | None
    tiered: bool
    flat_input_tokens: int | None
    class_prices: dict[str, int]
    unbounded_by: tuple[str, ...]
    reasons: bool = False
    abilities: tuple[str, ...] | None = None
    batch: dict[str, int] = {}  # noqa: RUF012 - never changed


class CurrentModel(NamedTuple):
    """A model ``models seed --current`` offers. Prices in pico-dollars per token, ``max_tokens`` the context window."""

    name: str
    litellm_model: str
    type: str
    price_in: int
    price_out: int
    max_tokens: int
    quality: float
    speed: float
    best_for: str
    api_key_env: str
    class_prices: dict[str, int]
    max_output: int | None
    reasons: bool
    abilities: tuple[str, ...] | None


def lookup(litellm_model: str) -> Listing | None:
    """What the table says of a model, under its name with or without the provider; None when there is no full price.

    A name is never looked up without its provider when the entry found is another provider's: a reseller's price
    is its own. Raises StoreError when LiteLLM's table is not there.
    """
    table = _table()
    provider, slash, bare = litellm_model.partition("/")
    names = [litellm_model]
    if slash and _same_provider(table.get(bare), provider):
        names.append(bare)
    if not slash:
        names.extend(f"{main}/{litellm_model}" for main in _MAIN)
    entry_name = next((name for name in names if name in table and name != "sample_spec"), None)
    return _listing(entry_name, table[entry_name]) if entry_name is not None else None


def current_models() -> tuple[list[CurrentModel], dict[str, str]]:
    """Today's chat models of the main providers, as far as the table knows them with a price that bounds every call; and why
    others were left out, by name.

    Where a dearer rate begins above some number of input tokens, the window is cut to that number.
    """
    found: list[CurrentModel] = []
    left_out: dict[str, str] = {}
    for name, litellm_model, kind, quality, speed, best_for in _CURRENT:
        listing = lookup(litellm_model)
        if listing is None or listing.price_out == 0 or listing.max_input_tokens is None:
            left_out[name] = "its price or context window is not in LiteLLM's table"
            continue
        if listing.tiered and listing.flat_input_tokens is None:
            left_out[name] = f"its price has parts that no bound holds: {', '.join(listing.unbounded_by)}"
            continue
        window = min(listing.max_input_tokens, listing.flat_input_tokens or listing.max_input_tokens)
        found.append(
            CurrentModel(
                name,
                litellm_model,
                kind,
                listing.price_in,
                listing.price_out,
                window,
                quality,
                speed,
                best_for,
                _KEYS[litellm_model.partition("/")[0]],
                listing.class_prices,
                listing.max_output_tokens,
                listing.reasons,
                listing.abilities,
            )
        )
    return found, left_out


def meant_provider(name: str) -> str | None:
    """The provider of the table that a name which is none was probably meant for; None where it is one, or is like none."""
    from difflib import get_close_matches

    known = {str(entry.get("litellm_provider", "")) for entry in _table().values()}
    known |= {name.partition("/")[0] for name in _table() if "/" in name}
    return None if name in known else next(iter(get_close_matches(name, sorted(known), 1, 0.8)), None)


@cache
def _table() -> dict[str, dict[str, Any]]:
    spec = find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        raise StoreError("the price table is not there: litellm is not installed", "install nexscout again")
    path = Path(spec.submodule_search_locations[0], TABLE)
    try:
        table: dict[str, dict[str, Any]] = json.loads(path.read_bytes(), parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise StoreError(f"LiteLLM's price table cannot be read: {error}", "install nexscout again") from error
    return table


def _same_provider(entry: dict[str, Any] | None, provider: str) -> bool:
    listed = str(entry.get("litellm_provider", "")) if entry else ""
    return listed == provider or listed.startswith(f"{provider}-")


def _listing(name: str, entry: dict[str, Any]) -> Listing | None:
    first, end = _first_tier(entry)
    plain = entry | first
    price_in, price_out = _pico(plain.get("input_cost_per_token")), _pico(plain.get("output_cost_per_token"))
    if price_in is None or price_out is None:
        return None
    tiers, unbounded = _extras(name, entry, price_in, price_out)
    tiers += [end] if end else []
    return Listing(
        name,
        str(entry.get("litellm_provider", "")),
        str(entry.get("mode", "")),
        price_in,
        price_out,
        _whole(entry.get("max_input_tokens", entry.get("max_tokens"))),
        _whole(entry.get("max_output_tokens", entry.get("max_tokens"))),
        bool(tiers or unbounded),
        min(tiers) if tiers and not unbounded else None,
        _class_prices(plain),
        unbounded,
        entry.get("supports_reasoning") is True,
        _abilities(name, entry),
        {name: price for key, name in _BATCH.items() if (price := _pico(plain.get(key))) is not None},
    )


def _abilities(name: str, entry: dict[str, Any]) -> tuple[str, ...]:
    """What the table says that a model can do; one of Anthropic's with tools gives an answer by a schema as a tool's input."""
    found = {ability: entry.get(key) is True for key, ability in _ABILITIES.items()}
    found["schema"] |= found["tools"] and "claude" in name
    return tuple(ability for ability in ABILITIES if found[ability])


def _first_tier(entry: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
    """The first tier of a list of prices by input tokens, and the last token that it holds for."""
    tiers = entry.get("tiered_pricing")
    first = tiers[0] if isinstance(tiers, list) and tiers and isinstance(tiers[0], dict) else {}
    span = first.get("range")
    end = _whole(span[1]) if isinstance(span, list) and len(span) == 2 else None
    return first, end if len(tiers or ()) > 1 else None


def _class_prices(entry: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, name in (_CLASSES | _TIERS).items():
        price = _pico(entry.get(key))
        if price is not None:
            found[name] = price
    for key, name in _FEES.items():
        fee = -(-_dearest(entry.get(key)) // (_PICO // _NANO))
        if fee:
            found[name] = fee
    return found


def _extras(name: str, entry: dict[str, Any], price_in: int, price_out: int) -> tuple[list[int], tuple[str, ...]]:
    """Where dearer rates begin, in input tokens, and what else is charged that no price of a class bounds."""
    tiers: list[int] = []
    unbounded = ["every answer searches"] if _ALWAYS_SEARCHES.search(name) else []
    for key, value in entry.items():
        if (
            ("cost" not in key and key != "off_peak_pricing")
            or _OPTED_INTO.search(key)
            or key in _CLASSES
            or key in _FEES
        ):
            continue
        if tier := _TOKEN_TIER.search(key):
            tiers.append(int(tier[1]) * 1000)
            continue
        limit = price_out if key.startswith("output") else price_in
        if _dearest(value) > (limit if "token" in key or key == "off_peak_pricing" else 0):
            unbounded.append(key)
    if _rises_off_peak(entry, price_out):
        unbounded.append("off_peak_pricing")
    return tiers, tuple(dict.fromkeys(unbounded))


def _rises_off_peak(entry: dict[str, Any], price_out: int) -> bool:
    off_peak = entry.get("off_peak_pricing")
    return isinstance(off_peak, dict) and (_pico(off_peak.get("output_cost_per_token")) or 0) > price_out


def _dearest(value: Any) -> int:
    """The highest price in a value, in pico-dollars; of off-peak prices those for the input."""
    if isinstance(value, dict):
        return max((_pico(v) or 0 for k, v in value.items() if not str(k).startswith("output")), default=0)
    return _pico(value) or 0


def _pico(value: Any) -> int | None:
    """Pico-dollars from dollars; None for what is not a price."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or value < 0:
        return None
    return int((Decimal(value) * _PICO).to_integral_value(ROUND_CEILING))


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isdigit() else None
    return int(value) if isinstance(value, (int, Decimal)) and value > 0 else None


_KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
}

# Name, what is called, type, quality, speed, best for. Quality and speed are our judgement, not a benchmark: set
# relative to the seeded ladder (gpt-4o-mini 0.70, gpt-4o-mini-high 0.85, gpt-4o 0.95, claude-3-opus 0.98), so that a
# provider's cheap, middle and best model meet the requirements 0.70, 0.85 and 0.95. Change them with `models set`.
_CURRENT = (
    ("gpt-5-nano", "openai/gpt-5-nano", "small", 0.72, 0.95, "simple messages, chat"),
    ("gpt-5.4-nano", "openai/gpt-5.4-nano", "small", 0.78, 0.95, "simple messages, chat"),
    ("gpt-5-mini", "openai/gpt-5-mini", "medium", 0.87, 0.88, "sequences, objections"),
    ("gpt-5.4-mini", "openai/gpt-5.4-mini", "medium", 0.90, 0.90, "sequences, objections"),
    ("gpt-4.1", "openai/gpt-4.1", "large", 0.95, 0.80, "long documents, analysis"),
    ("gpt-5.2", "openai/gpt-5.2", "large", 0.97, 0.72, "pitch decks, deep analysis"),
    ("gpt-5.6-luna", "openai/gpt-5.6-luna", "small", 0.82, 0.95, "simple messages, chat"),
    ("gpt-5.6-terra", "openai/gpt-5.6-terra", "large", 0.96, 0.85, "pitch decks, deep analysis"),
    ("gpt-5.6-sol", "openai/gpt-5.6-sol", "xl", 0.98, 0.72, "strategic, complex"),
    ("claude-haiku-5-5", "anthropic/claude-haiku-5-5", "small", 0.80, 0.95, "quick tasks"),
    ("claude-haiku-4-5", "anthropic/claude-haiku-4-5", "medium", 0.88, 0.93, "sequences, coaching drafts"),
    ("claude-sonnet-5-5", "anthropic/claude-sonnet-5-5", "large", 0.96, 0.85, "analysis, coaching"),
    ("claude-opus-5-5", "anthropic/claude-opus-5-5", "xl", 0.98, 0.75, "strategic, complex"),
    ("claude-fable-5-1", "anthropic/claude-fable-5-1", "xl", 0.99, 0.65, "the hardest questions"),
    ("gemini-2.5-flash-lite", "gemini/gemini-2.5-flash-lite", "small", 0.72, 0.97, "simple messages, chat"),
    ("gemini-3.5-flash-lite", "gemini/gemini-3.5-flash-lite", "small", 0.80, 0.96, "simple messages, chat"),
    ("gemini-3.8-flash", "gemini/gemini-3.8-flash", "medium", 0.90, 0.92, "sequences, objections"),
    ("gemini-3.1-pro", "gemini/gemini-3.1-pro-preview", "large", 0.96, 0.75, "pitch decks, deep analysis"),
    ("gemini-4-argon", "gemini/gemini-4-argon", "xl", 0.98, 0.72, "strategic, complex"),
    ("mistral-small", "mistral/mistral-small-latest", "small", 0.74, 0.93, "simple messages, chat"),
    ("mistral-medium", "mistral/mistral-medium-3-5", "medium", 0.87, 0.86, "sequences, objections"),
    ("mistral-large", "mistral/mistral-large-4", "large", 0.95, 0.78, "analysis, coaching"),
    ("deepseek-v4-flash", "deepseek/deepseek-v4-flash", "medium", 0.85, 0.85, "sequences, objections"),
    ("deepseek-v4-pro", "deepseek/deepseek-v4-pro", "large", 0.95, 0.72, "analysis, coaching"),
)
