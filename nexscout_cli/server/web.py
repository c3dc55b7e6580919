"""What all pages of the server have in common: how one is answered, what guards it, how a form is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse, Response

from nexscout_cli.errors import UsageError
from nexscout_cli.server import errors
from nexscout_cli.server.limits import read_body
from nexscout_cli.server.sessions import Session, same

if TYPE_CHECKING:
    from starlette.requests import Request

SAFE = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
_MOST_FORM, _MOST_FIELDS = 10_000, 20


def page(template: str, values: dict[str, Any], status: int = 200, *, scripted: bool = False) -> Response:
    """A page from a template. One that is ``scripted`` may load the server's own script file and ask the server."""
    from nexscout_cli.pages.page import policy

    content = fragment(template, values | {"scripted": scripted})
    guarded = f"{policy(scripted)}; form-action 'self'; frame-ancestors 'none'"
    return Response(content, status, {**SAFE, "content-security-policy": guarded}, media_type="text/html")


def prepare() -> None:
    """Load what pages are made with, so that the first one need not wait for it."""
    from nexscout_cli.pages import facts, page  # noqa: F401

    page.environment().get_template("site_report.html")


def fragment(template: str, values: dict[str, Any]) -> str:
    """The text that a template makes, every value of it escaped."""
    from nexscout_cli.pages.page import environment

    return environment().get_template(template).render(values)


def script(name: str) -> Response:
    """A script of ours, as a file."""
    from nexscout_cli.pages.page import script as text_of

    return Response(text_of(name), headers=SAFE, media_type="text/javascript")


def go(where: str) -> Response:
    """Send the browser to another page."""
    return RedirectResponse(where, 303, SAFE)


async def form(request: Request, limit: int = _MOST_FORM) -> dict[str, str]:
    """The fields of a form of at most ``limit`` bytes, each once. Raises UsageError, HttpError 413."""
    raw = await read_body(request, limit)
    try:
        fields = parse_qs(raw.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise UsageError("the form cannot be read", "load the page again") from error
    return {name: values[-1] for name, values in fields.items()}


async def own_form(request: Request, session: Session, limit: int = _MOST_FORM) -> dict[str, str]:
    """The fields of a form that stood on a page of this session. Raises HttpError 403 for any other."""
    fields = await form(request, limit)
    if not same(fields.get("form"), session.form):
        raise errors.HttpError(403, "this form is not of this page", "load the page again", code="not_permitted")
    return fields
