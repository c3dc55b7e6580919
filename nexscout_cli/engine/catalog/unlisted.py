"""A model that a request names, and the catalog does not have: for this request alone, where a price bounds its calls."""

from __future__ import annotations

from collections.abc import Iterable

from nexscout_cli.engine.catalog import rules
from nexscout_cli.engine.catalog.comparison import Lookup
from nexscout_cli.engine.model import Model
from nexscout_cli.errors import UsageError


def unlisted(name: str, lookup: Lookup, catalog: Iterable[Model]) -> Model | None:
    """The model as ``models add NAME`` would make it; None where the table of prices does not have it.

    Where all of its provider's models in the catalog are at one address, it is asked there too. Raises UsageError where nothing
    bounds what its calls cost, as ``models add`` does.
    """
    if lookup(name) is None:
        return None
    try:
        return _where_the_others_are(rules.new_model(name, rules.Change(), lookup)[0], catalog)
    except UsageError as error:
        raise UsageError(
            f"there is no model {name!r} in the catalog, and as it is it cannot be used: {error.message}",
            f"`nexscout models add {name}`: {error.suggestion}",
            code="model_not_found",
        ) from error


def _where_the_others_are(model: Model, catalog: Iterable[Model]) -> Model:
    provider = model.litellm_model.partition("/")[0]
    others = [one for one in catalog if one.litellm_model.partition("/")[0] == provider]
    bases, keys = {one.api_base for one in others}, {one.api_key_env for one in others}
    if len(bases) != 1 or bases == {None}:
        return model
    return model._replace(api_base=bases.pop(), api_key_env=keys.pop() if len(keys) == 1 else model.api_key_env)
