"""What may stand in the catalog: models that are added, changed and pointed elsewhere. Pure.

Prices are pico-dollars per token.
"""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine.catalog import endpoints
from nexscout_cli.engine.catalog.comparison import Listed, Lookup, difference, window
from nexscout_cli.engine.catalog.seed import EMBEDDED
from nexscout_cli.engine.model import EMBEDDED_PREFIX, Model
from nexscout_cli.engine.request import Json
from nexscout_cli.errors import UsageError

TYPES = ("small", "medium", "large", "xl")
QUALITY = {"small": 0.70, "medium": 0.85, "large": 0.95, "xl": 0.98}
"""The quality an added model is taken to have when nobody says: what its type's seeded model has."""
_UP_TO = (("small", 1_500_000), ("medium", 6_000_000), ("large", 20_000_000))
"""Types by the price of output that a model of unknown size has at most; above the last it is xl."""
_SPEED = 0.8
UNKNOWN_WINDOW = 8_192
"""The context window of a model that no table knows: a small one, so that a request that fits here fits there."""
_CHAT = ("chat", "completion", "responses")


class Change(NamedTuple):
    """What an admin says of a model; None: nothing. ``api_base`` and ``api_key_env`` are "" to be cleared; a param or the
    price of a class that is None is removed. ``free`` allows a price of 0.
    """

    litellm_model: str | None = None
    price_in: int | None = None
    price_out: int | None = None
    free: bool = False
    max_tokens: int | None = None
    type: str | None = None
    quality: float | None = None
    speed: float | None = None
    best_for: str | None = None
    api_base: str | None = None
    api_key_env: str | None = None
    params: dict[str, Json] = {}  # noqa: RUF012
    retired: bool | None = None
    class_prices: dict[str, int | None] = {}  # noqa: RUF012 - never changed
    max_output: int | None = None
    reasons: bool | None = None
    abilities: tuple[str, ...] | None = None


def find(catalog: tuple[Model, ...], name: str) -> Model:
    """One model of the catalog. Raises UsageError with the nearest name."""
    for model in catalog:
        if model.name == name:
            return model
    from difflib import get_close_matches

    near = get_close_matches(name, [model.name for model in catalog], 1)
    raise UsageError(
        f"there is no model {name!r} in the catalog",
        f"did you mean {near[0]}?" if near else "`nexscout models list` shows them, `nexscout models add` adds one",
    )


def check_new(catalog: tuple[Model, ...], name: str) -> None:
    """Raises UsageError for a name that the catalog has already."""
    if any(model.name == name for model in catalog):
        raise UsageError(f"{name} is in the catalog already", f"`nexscout models set {name} …` changes it")


_BARE = ("openai", "anthropic")
"""Providers whose models a table of prices names without the provider, which a target has."""


def new_model(name: str, change: Change, lookup: Lookup) -> tuple[Model, list[str]]:
    """A model to add; what is not said comes from the table. Returns it with what should be said of it.

    Raises UsageError for a name or value that cannot be, and for a price that is unknown, unbounded, or 0 without ``free``.
    """
    endpoints.check_name(name)
    target = change.litellm_model or (
        f"openai/{name}" if change.api_base and endpoints.speaks_openai(change.api_base) else name
    )
    listed = lookup(target)
    if listed is not None and "/" not in target:
        target = listed.name if "/" in listed.name or listed.provider not in _BARE else f"{listed.provider}/{target}"
    if target.startswith(EMBEDDED_PREFIX):
        raise UsageError(
            "there is one embedded model, and no other can be added",
            f"`nexscout models show {EMBEDDED}` shows it",
        )
    price_in, price_out, most = _prices(target, change, listed)
    notes: list[str] = []
    kind = change.type or next((kind for kind, most in _UP_TO if price_out <= most), "xl")
    quality = QUALITY[kind] if change.quality is None else change.quality
    if change.type is None or change.quality is None:
        notes.append(
            f"{name} counts as {kind} with quality {quality:g}; `nexscout models set {name} --quality …` says otherwise"
        )
    if most is None and listed is None:
        raise UsageError(f"the context window of {target} is not known", "add --max-tokens N")
    if most is None:
        most = UNKNOWN_WINDOW
        notes.append(f"its context window is not known and taken to be {most:,} tokens; --max-tokens says otherwise")
    key = endpoints.key_variable(target) if change.api_key_env is None else change.api_key_env
    if change.api_key_env is None and key:
        notes.append(f"its key is read from {key}")
    model = Model(
        name,
        target,
        kind,
        price_in,
        price_out,
        most,
        quality,
        _SPEED if change.speed is None else change.speed,
        change.best_for or "",
        True,
        bool(change.retired),
        change.api_base or None,
        key or None,
        {k: v for k, v in change.params.items() if v is not None},
        _class_prices(listed.class_prices if listed and change.price_in is change.price_out is None else {}, change),
        change.max_output or (listed.max_output_tokens if listed else None),
        bool(listed and listed.reasons) if change.reasons is None else change.reasons,
        (listed.abilities if listed else None) if change.abilities is None else change.abilities,
    )
    return model, notes


def changed(before: Model, change: Change, lookup: Lookup) -> tuple[Model, list[str]]:
    """A model as it is after a change, with what should be said of it.

    A name that is pointed elsewhere is no longer retired. Prices stay as they are unless new ones are given. Raises UsageError.
    """
    after, notes = _pointed(before, change)
    given = {
        key: value
        for key in ("type", "price_in", "price_out", "max_tokens", "quality", "speed", "best_for")
        if (value := getattr(change, key)) is not None
    }
    after = after._replace(**given, params={k: v for k, v in (before.params | change.params).items() if v is not None})
    if change.retired is not None:
        after = after._replace(retired=change.retired)
    if after.litellm_model != before.litellm_model:
        listed = lookup(after.litellm_model)  # another model has other abilities, and another longest answer
        after = after._replace(
            abilities=listed.abilities if listed else None,
            reasons=bool(listed and listed.reasons),
            max_output=listed.max_output_tokens if listed else None,
        )
    if (after.litellm_model, after.api_base) != (before.litellm_model, before.api_base):
        after = after.forgetting_own()  # what another place takes is not known
    if change.abilities is not None:
        after = after._replace(abilities=change.abilities)
    if change.reasons is not None:
        after = after._replace(reasons=change.reasons)
    if change.max_output is not None:
        after = after._replace(max_output=change.max_output)
    after = after._replace(class_prices=_class_prices({} if change.free else before.class_prices, change))
    _check_free(after, before, change)
    return after, notes + _price_note(after, before, lookup)


def _class_prices(known: dict[str, int], change: Change) -> dict[str, int]:
    """The prices of special classes after a change."""
    return {name: price for name, price in (known | change.class_prices).items() if price is not None}


def check_chat(target: str, listed: Listed | None) -> None:
    """Raises UsageError for a target that the price table knows to be no chat model."""
    if listed is not None and listed.mode and listed.mode not in _CHAT:
        raise UsageError(f"{target} is not a chat model: it is for {listed.mode}", "name a chat model")


def _prices(target: str, change: Change, listed: Listed | None) -> tuple[int, int, int | None]:
    """Prices and window of a new model: as given, else the table's. Raises UsageError where neither bounds its calls."""
    given = (change.price_in, change.price_out)
    most = change.max_tokens or (window(listed) if listed else None)
    check_chat(target, listed)
    if None in given:
        if listed is None:
            raise UsageError(
                f"the price of {target} is not known",
                "add --input-price and --output-price, in dollars per 1,000 tokens "
                "(0 and --free for one that costs nothing)",
            )
        flat = listed.flat_input_tokens
        if listed.tiered and (flat is None or (most or 0) > flat):
            why = f"rises above {flat:,} input tokens" if flat else f"has parts that no bound holds: {_parts(listed)}"
            raise UsageError(
                f"the price of {target} {why}",
                f"add --max-tokens {flat} or less"
                if flat
                else "add --input-price and --output-price that bound it, in dollars per 1,000 tokens",
            )
    price_in = listed.price_in if change.price_in is None and listed else change.price_in
    price_out = listed.price_out if change.price_out is None and listed else change.price_out
    assert price_in is not None and price_out is not None
    if 0 in (price_in, price_out) and not change.free:
        raise UsageError(
            f"the price of {target} would be 0", "add --free if it costs nothing; else --input-price and --output-price"
        )
    return price_in, price_out, most


def _parts(listed: Listed) -> str:
    return ", ".join(listed.unbounded_by) or "they do not depend on tokens alone"


def _check_free(after: Model, before: Model, change: Change) -> None:
    """A price of 0 is an admin's word: --free, said once, for the target it was said of."""
    moved = after.litellm_model != before.litellm_model or after.api_base != before.api_base
    set_now = 0 in (change.price_in, change.price_out)
    if 0 in (after.price_in, after.price_out) and (moved or set_now) and not change.free:
        raise UsageError(
            f"the price of {after.name} would be 0",
            "add --free if it costs nothing; else --input-price and --output-price",
        )


def _pointed(model: Model, change: Change) -> tuple[Model, list[str]]:
    """The model with its target, address and key after a change, and notes on what else the change made different."""
    target, notes = change.litellm_model or model.litellm_model, list[str]()
    own = model.embedded and target == model.litellm_model
    if target.startswith(EMBEDDED_PREFIX) and not own:
        raise UsageError(
            "there is one embedded model, and no other can be made",
            f"`nexscout models show {EMBEDDED}` shows it",
        )
    base = model.api_base if change.api_base is None else change.api_base or None
    if own and (base or change.api_key_env):
        raise UsageError(
            f"{model.name} runs in this process: it has no address and no key",
            "add --litellm-model to point it elsewhere",
        )
    key = model.api_key_env if change.api_key_env is None else change.api_key_env or None
    rewritten = bool(change.api_base) and change.litellm_model is None and not endpoints.openai_target(target)
    if rewritten and endpoints.speaks_openai(change.api_base or ""):
        target = f"openai/{endpoints.bare(target)}"
        key = "OPENAI_API_KEY" if change.api_key_env is None else key
        notes.append(
            f"an address that ends in /v1 speaks OpenAI's protocol: {model.name} now calls {target} there, "
            f"{f'with the key from {key}' if key else 'without a key'}"
        )
    elif (
        change.litellm_model
        and change.api_key_env is None
        and endpoints.provider(target) != endpoints.provider(model.litellm_model)
    ):
        key = endpoints.key_variable(target) or None
        notes.append(f"its key is now read from {key}" if key else "it is now called without a key")
    moved = (target, base) != (model.litellm_model, model.api_base) and (change.litellm_model or change.api_base)
    return model._replace(
        litellm_model=target, api_base=base, api_key_env=key, retired=model.retired and not moved
    ), notes


def _price_note(after: Model, before: Model, lookup: Lookup) -> list[str]:
    """Whether a name that now calls something else should have another price."""
    if after.litellm_model == before.litellm_model or after.api_base:
        return []
    found = difference(after, lookup)
    if found.status == "differs":
        return ["its price here is not its provider's; `nexscout models sync` compares, `--apply` adopts"]
    return (
        []
        if found.status == "same"
        else [f"its provider's price is {found.status}: the one of the catalog is what counts"]
    )
