"""``nexscout open``: a link that signs in to the server's pages, once."""

from __future__ import annotations

import time
from typing import Annotated

from nexscout_cli import config
from nexscout_cli.cli import declared, output
from nexscout_cli.cli.session import Session

app = declared.App()


@app.command("open")
def open_(
    host: Annotated[
        str | None, declared.Option("--host", help="Where the server listens (default: serve.host).")
    ] = None,
    port: Annotated[
        int | None, declared.Option("--port", min=1, max=65_535, help="Its port (default: serve.port).")
    ] = None,
    as_json: Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")] = False,
) -> int:
    """Print a link that opens the pages of a running server, once and within two minutes, as yourself.

    \b
    nexscout serve
    nexscout open
    """
    from nexscout_cli.links import LINK_SECONDS, link_secret, make_link

    session = Session()
    settings = session.settings
    session.store.users.find(session.actor, session.actor)  # there is a database, and its folder
    token = make_link(session.actor, link_secret(config.secrets_dir()), time.time())
    where = host or settings["serve.host"]
    where = f"[{where}]" if ":" in where else where
    url = f"http://{where}:{settings['serve.port'] if port is None else port}/sign-in/link?token={token}"
    if as_json:
        output.emit({"url": url, "seconds": LINK_SECONDS})
    else:
        output.out(url)
    return 0
