"""What ``models add`` and ``models set`` may be told of a model, and how that is read."""

from __future__ import annotations

import json
from typing import Annotated, Any

from nexscout_cli import files
from nexscout_cli.cli import choices, declared
from nexscout_cli.engine.catalog import endpoints
from nexscout_cli.engine.catalog.params import check as check_param
from nexscout_cli.engine.catalog.rules import TYPES, Change
from nexscout_cli.engine.model import ABILITIES
from nexscout_cli.engine.money import price_per_1k
from nexscout_cli.errors import UsageError

Target = Annotated[
    str | None, declared.Option("--litellm-model", help="What is really called, for instance openai/gpt-4o-mini.")
]
InputPrice = Annotated[str | None, declared.Option("--input-price", help="Dollars per 1,000 input tokens.")]
OutputPrice = Annotated[str | None, declared.Option("--output-price", help="Dollars per 1,000 output tokens.")]
Free = Annotated[
    bool, declared.Option("--free", help="It costs nothing: allows a price of 0, and sets it where none is given.")
]
Window = Annotated[int | None, declared.Option("--max-tokens", min=1, max=10**8, help="The context window, in tokens.")]
Kind = Annotated[str | None, declared.Option("--type", help="small, medium, large or xl.")]
Quality = Annotated[float | None, declared.Option("--quality", help="0 to 1; gpt-4o-mini is 0.70, gpt-4o 0.95.")]
Speed = Annotated[float | None, declared.Option("--speed", help="0 to 1.")]
BestFor = Annotated[str | None, declared.Option("--best-for", help="A few words.")]
Base = Annotated[str | None, declared.Option("--api-base", help="Address of the server, or none.")]
KeyVariable = Annotated[str | None, declared.Option("--api-key-env", help="The variable that holds the key, or none.")]
Param = Annotated[
    list[str] | None, declared.Option("--param", help="KEY=VALUE for every call; KEY= removes it; may be repeated.")
]

CachedPrice = Annotated[
    str | None,
    declared.Option("--cached-price", help="Dollars per 1,000 input tokens from the provider's cache, or none."),
]
CacheWritePrice = Annotated[
    str | None,
    declared.Option(
        "--cache-write-price", help="Dollars per 1,000 input tokens written to the provider's cache, or none."
    ),
]
ReasoningPrice = Annotated[
    str | None, declared.Option("--reasoning-price", help="Dollars per 1,000 tokens of thinking, or none.")
]
Reasons = Annotated[
    bool | None, declared.Option("--thinks/--does-not-think", help="Whether it can think before it answers.")
]
Can = Annotated[
    str | None,
    declared.Option("--can", help="What it can do beside text: tools, images, schema, by commas; or nothing."),
]
MaxOutput = Annotated[
    int | None, declared.Option("--max-output", min=1, max=10**8, help="The longest answer it can give, in tokens.")
]


def change(
    litellm_model: str | None,
    input_price: str | None,
    output_price: str | None,
    free: bool,
    max_tokens: int | None,
    kind: str | None,
    quality: float | None,
    speed: float | None,
    best_for: str | None,
    api_base: str | None,
    api_key_env: str | None,
    param: list[str] | None,
    retired: bool | None = None,
    class_prices: dict[str, str | None] | None = None,
    max_output: int | None = None,
    reasons: bool | None = None,
    can: str | None = None,
) -> Change:
    """The options as a change. Raises UsageError for values that cannot be."""
    if free and input_price is None and output_price is None:
        input_price = output_price = "0"
    return Change(
        litellm_model=None if litellm_model is None else endpoints.check_target(litellm_model),
        price_in=per_token(input_price, "--input-price"),
        price_out=per_token(output_price, "--output-price"),
        free=free,
        max_tokens=max_tokens,
        type=None if kind is None else choices.one_of(kind, TYPES, "type"),
        quality=_share(quality, "--quality"),
        speed=_share(speed, "--speed"),
        best_for=best_for,
        api_base=None if api_base is None else endpoints.check_base(api_base),
        api_key_env=None if api_key_env is None else endpoints.check_variable(api_key_env),
        params=_params(param or []),
        retired=retired,
        class_prices={
            name: None if text == "none" else per_token(text, f"--{name.replace('_', '-')}-price")
            for name, text in (class_prices or {}).items()
            if text is not None
        },
        max_output=max_output,
        reasons=reasons,
        abilities=None if can is None else _abilities(can),
    )


def _abilities(text: str) -> tuple[str, ...]:
    """The abilities that are named; none for "nothing". Raises UsageError for others."""
    named = {word.strip() for word in text.split(",") if word.strip()} - {"nothing"}
    for word in sorted(named):
        choices.one_of(word, ABILITIES, "ability")
    return tuple(ability for ability in ABILITIES if ability in named)


def per_token(text: str | None, option: str) -> int | None:
    """Dollars per 1,000 tokens as pico-dollars per token. Raises UsageError, which names the option."""
    if text is None:
        return None
    try:
        price = price_per_1k(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", f"dollars per 1,000 tokens, for instance {option} 0.0006") from error
    if price > 10**12:
        raise UsageError(
            f"{option}: {text} dollars per 1,000 tokens is more than any model costs", f"for instance {option} 0.0006"
        )
    return price


def _share(value: float | None, option: str) -> float | None:
    if value is not None and not 0 <= value <= 1:
        raise UsageError(f"{option} lies between 0 and 1", f"for instance {option} 0.85")
    return value


def _params(parts: list[str]) -> dict[str, Any]:
    """KEY=VALUE pairs; a value is JSON where it reads as such, else text."""
    params: dict[str, Any] = {}
    for part in parts:
        key, equals, text = part.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError("--param takes KEY=VALUE", "for instance --param seed=7")
        if text:  # what was set before this list was made can still be removed
            check_param(key)
        params[key] = _param(text) if text else None
    return params


def _param(text: str) -> Any:
    """JSON where it reads as such, else the text. Raises UsageError for JSON that cannot be kept."""
    try:
        json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        pass
    return files.parse_json(text, "--param")
