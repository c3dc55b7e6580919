"""A model that a request names, and the catalog does not have: for this request alone, where a price bounds its calls."""

from __future__ import annotations

from nexscout_cli.engine.catalog import rules
from nexscout_cli.engine.catalog.comparison import Lookup
from nexscout_cli.engine.model import Model
from nexscout_cli.errors import UsageError


def unlisted(name: str, lookup: Lookup) -> Model | None:
    """The model as ``models add NAME`` would make it; None where the table of prices does not have it.

    Raises UsageError where nothing bounds what its calls cost, as ``models add`` does.
    """
    if lookup(name) is None:
        return None
    try:
        return rules.new_model(name, rules.Change(), lookup)[0]
    except UsageError as error:
        raise UsageError(
            f"there is no model {name!r} in the catalog, and as it is it cannot be used: {error.message}",
            f"`nexscout models add {name}`: {error.suggestion}",
            code="model_not_found",
        ) from error
