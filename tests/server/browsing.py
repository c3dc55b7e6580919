"""A browser without script or picture: it keeps cookies, follows nothing, and fills in forms."""

from __future__ import annotations

import html
import http.client
import re
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit


class Got(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str


class Browser:
    """Keeps cookies, follows nothing."""

    def __init__(self, url: str) -> None:
        self.at = urlsplit(url).netloc
        self.cookies: dict[str, str] = {}

    def __call__(self, path: str, form: dict[str, str] | None = None) -> Got:
        connection = http.client.HTTPConnection(self.at, timeout=60)
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is None:
            connection.request("GET", path, headers=headers)
        else:
            headers["content-type"] = "application/x-www-form-urlencoded"
            connection.request("POST", path, urlencode(form), headers)
        answer = connection.getresponse()
        for cookie in answer.headers.get_all("set-cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return Got(answer.status, answer.headers, answer.read().decode())

    def sign_in(self, key: str) -> Got:
        return self("/sign-in", {"form": token(self("/sign-in").text), "key": key})


def token(page: str, name: str = "form") -> str:
    """What a page's forms carry under that name."""
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def hidden(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form of that action."""
    start = page.index(f'action="{action}"')
    part = page[start : page.index("</form>", start)]
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', part)
    return {name: html.unescape(value) for name, value in found}
