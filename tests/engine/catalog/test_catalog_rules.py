"""What may stand in the catalog: new models, changes, and prices beside those of a table. No store and no table is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pytest

from nexscout_cli.engine.catalog import keeping, rules
from nexscout_cli.engine.catalog.comparison import difference, notes, window
from nexscout_cli.engine.catalog.rules import Change
from nexscout_cli.engine.catalog.seed import seeded
from nexscout_cli.engine.model import Model
from nexscout_cli.errors import UsageError

CATALOG = tuple(seeded())
MINI = next(m for m in CATALOG if m.name == "gpt-4o-mini")
HAIKU = next(m for m in CATALOG if m.name == "claude-3-haiku")
EMBEDDED = next(m for m in CATALOG if m.embedded)
SERVER = "http://127.0.0.1:8080/v1"


class Entry(NamedTuple):
    """What a table says of a model."""

    name: str = "openai/new"
    provider: str = "openai"
    mode: str = "chat"
    price_in: int = 100
    price_out: int = 400
    max_input_tokens: int | None = 32_000
    max_output_tokens: int | None = None
    tiered: bool = False
    flat_input_tokens: int | None = None
    class_prices: dict[str, int] = {}  # noqa: RUF012 - never changed
    unbounded_by: tuple[str, ...] = ()
    reasons: bool = False
    abilities: tuple[str, ...] | None = None


def table(**changes: Any) -> Callable[[str], Entry | None]:
    """A table in which every name is listed so."""
    return lambda name: Entry(name=name)._replace(**changes)


def nothing(name: str) -> None:
    """A table in which no name is."""


def test_what_is_not_said_of_a_new_model_comes_from_the_table() -> None:
    model, told = rules.new_model("new", Change("openai/new"), table())
    assert (model.litellm_model, model.price_in, model.price_out, model.max_tokens) == ("openai/new", 100, 400, 32_000)
    assert (model.enabled, model.retired, model.api_key_env) == (True, False, "OPENAI_API_KEY")
    assert [line for line in told if "quality" in line] and [line for line in told if "OPENAI_API_KEY" in line]


def test_what_is_said_counts_and_then_nothing_is_told() -> None:
    change = Change("openai/new", 1, 2, max_tokens=10, type="xl", quality=0.4, speed=0.3, api_key_env="K", retired=True)
    model, told = rules.new_model("new", change, table())
    assert (model.price_in, model.price_out, model.max_tokens, model.type) == (1, 2, 10, "xl")
    assert (model.quality, model.speed, model.api_key_env, model.retired) == (0.4, 0.3, "K", True)
    assert told == []


@pytest.mark.parametrize(
    ("price_out", "kind"),
    [(1_500_000, "small"), (1_500_001, "medium"), (6_000_000, "medium"), (20_000_000, "large"), (20_000_001, "xl")],
)
def test_the_type_of_a_new_model_follows_its_price_and_its_quality_the_type(price_out: int, kind: str) -> None:
    model, _ = rules.new_model("new", Change("openai/new"), table(price_out=price_out))
    assert (model.type, model.quality) == (kind, rules.QUALITY[kind])


def test_a_name_that_the_table_has_without_its_provider_gets_it_so_that_our_own_wire_serves_it() -> None:
    assert rules.new_model("new", Change(), table(name="new"))[0].litellm_model == "openai/new"
    assert rules.new_model("new", Change(), table(name="new", provider="bedrock"))[0].litellm_model == "new"


@pytest.mark.parametrize(
    ("change", "listed", "says"),
    [
        (Change("openai/new"), nothing, "price of openai/new is not known"),
        (Change("openai/new", 1), nothing, "price of openai/new is not known"),
        (Change("openai/new", 1, 1), nothing, "context window"),
        (Change("openai/new"), table(mode="embedding"), "not a chat model: it is for embedding"),
        (Change("openai/new"), table(tiered=True), "has parts that no bound holds"),
        (Change("openai/new", max_tokens=200), table(tiered=True, flat_input_tokens=100), "rises above 100"),
        (Change("openai/new"), table(price_in=0), "would be 0"),
        (Change("openai/new", 0, 1, max_tokens=9), nothing, "would be 0"),
        (Change("embedded/other"), nothing, "one embedded model"),
    ],
)
def test_a_model_whose_cost_nothing_bounds_is_refused(change: Change, listed: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        rules.new_model("new", change, listed)
    assert caught.value.suggestion


def test_a_price_that_rises_later_is_good_up_to_there() -> None:
    rising = table(tiered=True, flat_input_tokens=100)
    assert rules.new_model("new", Change("openai/new"), rising)[0].max_tokens == 100
    assert window(Entry(max_input_tokens=50, tiered=True, flat_input_tokens=100)) == 50
    assert window(Entry(max_input_tokens=None)) is None


def test_a_price_of_0_is_an_admins_word_and_holds_for_what_it_was_said_of() -> None:
    free, _ = rules.new_model("new", Change("openai/new", 0, 0, free=True, max_tokens=9), nothing)
    assert rules.changed(free, Change(quality=0.5), nothing)[0].quality == 0.5
    for change in (Change("openai/other"), Change(price_in=0), Change(api_base=SERVER)):
        with pytest.raises(UsageError, match="would be 0"):
            rules.changed(free, change, nothing)
    assert rules.changed(MINI, Change(price_in=0, free=True), nothing)[0].price_in == 0


def test_a_name_pointed_at_a_server_speaks_openai_there_and_is_no_longer_retired() -> None:
    model, told = rules.changed(HAIKU, Change(api_base=SERVER), nothing)
    assert (model.litellm_model, model.api_base) == ("openai/claude-3-haiku-20240307", SERVER)
    assert (model.api_key_env, model.retired) == ("OPENAI_API_KEY", False)
    assert len(told) == 1 and "OPENAI_API_KEY" in told[0]


def test_another_target_takes_its_providers_key_and_its_price_is_looked_at() -> None:
    model, told = rules.changed(MINI, Change("anthropic/claude-new"), table())
    assert (model.api_key_env, model.price_in) == ("ANTHROPIC_API_KEY", MINI.price_in)
    assert "ANTHROPIC_API_KEY" in told[0] and "models sync" in told[1]
    assert "price is unknown" in rules.changed(MINI, Change("anthropic/claude-new"), nothing)[1][1]


def test_a_param_that_is_none_is_removed() -> None:
    model = MINI._replace(params={"seed": 7, "top_p": 1})
    assert rules.changed(model, Change(params={"seed": None, "x": 1}), nothing)[0].params == {"top_p": 1, "x": 1}


@pytest.mark.parametrize("change", [Change(api_base=SERVER), Change(api_key_env="KEY")], ids=["address", "key"])
def test_the_embedded_model_has_no_address_and_no_key(change: Change) -> None:
    with pytest.raises(UsageError, match="runs in this process"):
        rules.changed(EMBEDDED, change, nothing)
    with pytest.raises(UsageError, match="one embedded model"):
        rules.changed(MINI, Change(EMBEDDED.litellm_model), nothing)


AS_IT_IS = table(
    price_in=MINI.price_in,
    price_out=MINI.price_out,
    max_input_tokens=MINI.max_tokens,
    class_prices=MINI.class_prices,
    max_output_tokens=MINI.max_output,
)


@pytest.mark.parametrize(
    ("model", "listed", "status", "note"),
    [
        (MINI, AS_IT_IS, "same", []),
        (MINI, lambda name: AS_IT_IS(name)._replace(class_prices=MINI.class_prices | {"search": 1}), "same", []),
        (MINI, lambda name: AS_IT_IS(name)._replace(class_prices={"cached": 70_000}), "differs", []),
        (MINI, table(), "differs", ["price differs from its provider's"]),
        (MINI, table(price_in=MINI.price_in, price_out=MINI.price_out), "differs", []),
        (MINI, nothing, "unknown", ["not in LiteLLM's table"]),
        (MINI, table(tiered=True), "unbounded", ["its provider's price is not bounded"]),
        (MINI._replace(api_base=SERVER), table(), "own_server", ["own server"]),
        (EMBEDDED, table(), "embedded", []),
    ],
    ids=["same", "same but for a fee", "class", "price", "window", "unknown", "unbounded", "server", "embedded"],
)
def test_a_price_beside_its_providers(model: Model, listed: Any, status: str, note: list[str]) -> None:
    assert difference(model, listed).status == status
    assert notes(model, listed) == note


def test_a_providers_price_of_0_is_never_adopted() -> None:
    assert difference(MINI, table(price_in=0)).adopted() is None
    adopted = difference(MINI, table()).adopted()
    assert adopted is not None and (adopted.price_in, adopted.price_out, adopted.max_tokens) == (100, 400, 32_000)


def test_a_name_is_found_or_the_nearest_is_named() -> None:
    assert rules.find(CATALOG, "gpt-4o-mini") == MINI
    with pytest.raises(UsageError) as near:
        rules.find(CATALOG, "gpt-4oo")
    assert near.value.suggestion == "did you mean gpt-4o?"
    with pytest.raises(UsageError) as far:
        rules.find(CATALOG, "zzz")
    assert "models list" in far.value.suggestion


class Shelf:
    """A catalog in memory, and what was written of it."""

    def __init__(self) -> None:
        self.kept = {model.name: model for model in CATALOG}
        self.written: list[str] = []

    def models(self, actor: str) -> tuple[Model, ...]:
        return tuple(self.kept.values())

    def add(self, actor: str, models: Iterable[Model]) -> list[str]:
        new = [model for model in models if model.name not in self.kept]
        return [model.name for model in self.change(actor, lambda _: new)]

    def change(self, actor: str, make: Callable[[tuple[Model, ...]], Sequence[Model]]) -> Sequence[Model]:
        changed = make(self.models(actor))
        self.written += [model.name for model in changed]
        self.kept |= {model.name: model for model in changed}
        return changed


def test_a_name_that_is_there_is_not_added_and_one_that_is_not_there_is_not_changed() -> None:
    shelf = Shelf()
    with pytest.raises(UsageError, match="already"):
        keeping.add(shelf, "ada", "gpt-4o", Change("openai/new"), table())
    with pytest.raises(UsageError, match="no model"):
        keeping.change(shelf, "ada", "new", Change(quality=0.5), table())
    assert shelf.written == []


def test_what_changes_nothing_writes_nothing() -> None:
    shelf = Shelf()
    assert keeping.change(shelf, "ada", "gpt-4o", Change(quality=shelf.kept["gpt-4o"].quality), table()) == (
        shelf.kept["gpt-4o"],
        [],
    )
    assert shelf.written == []
    keeping.change(shelf, "ada", "gpt-4o", Change(quality=0.5), table())
    assert shelf.written == ["gpt-4o"] and shelf.kept["gpt-4o"].quality == 0.5


def test_sync_adopts_what_differs_and_says_so() -> None:
    shelf = Shelf()
    assert not any(one.applied for one in keeping.sync(shelf, "ada", table(), apply=False)) and shelf.written == []
    found = keeping.sync(shelf, "ada", table(), apply=True)
    assert {one.model.name for one in found if one.applied} == set(shelf.written) == set(shelf.kept) - {EMBEDDED.name}
    assert shelf.kept["gpt-4o"].price_in == 100


def test_seed_writes_what_is_missing() -> None:
    shelf = Shelf()
    del shelf.kept["gpt-4o"]
    assert keeping.seed(shelf, "ada", [MINI._replace(name="new")], dry_run=True) == ["gpt-4o", "new"]
    assert shelf.written == []
    assert keeping.seed(shelf, "ada", [MINI._replace(name="new")]) == ["gpt-4o", "new"] == shelf.written
