"""A template on a command line: its parameters, and the request that it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nexscout_cli.cli import declared
from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from nexscout_cli.cli.request_options import Given
    from nexscout_cli.cli.session import Session
    from nexscout_cli.engine.request import AIRequest

Named = Annotated[
    str | None,
    declared.Option("-t", "--template", metavar="NAME", help="Use this template, or a TOML or YAML file with one."),
]
Params = Annotated[
    list[str] | None,
    declared.Option("-p", "--param", metavar="KEY=VALUE", help="A parameter of the template; may be repeated."),
]


def build(session: Session, text: str | None, given: Given, name: str | None, params: list[str] | None) -> AIRequest:
    """The request of a command line with a template, or without one. Raises UsageError."""
    from nexscout_cli.cli import request

    if name is None:
        if params:
            raise UsageError("--param belongs to a template", "add --template NAME")
        return request.build(session, text or "", given)
    from nexscout_cli import templates
    from nexscout_cli.engine import template

    found = templates.load(name)
    text = text if text and text.strip() else None  # an empty pipe is no input
    prompt, options = template.filled(found, text, pairs(params))
    given["feature"] = given["feature"] or found.feature
    return template.applied(options, request.build(session, prompt, given))


def pairs(said: list[str] | None, flag: str = "--param") -> dict[str, str]:
    """Names and values of KEY=VALUE parts. Raises UsageError."""
    found = {}
    for part in said or ():
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise UsageError(f"{flag} {part[:60]!r} is not KEY=VALUE", f"for instance {flag} words=50")
        found[name] = value
    return found
