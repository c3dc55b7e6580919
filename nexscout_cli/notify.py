"""Telling of an alert: a webhook, a command, a file. Each ends within its time, whatever is at the other end."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nexscout_cli import system
from nexscout_cli.engine.alerts import Notice, payload, signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.engine.store_ports import Alerts

SECONDS = 10.0
"""What one try may take."""
_OUT = 200
"""Characters of an error that are kept."""


def tell_due(alerts: Alerts, actor: str) -> Iterator[tuple[Notice, str | None]]:
    """Tell of every notice that is due, and note how that went; each notice with its error, None where it was heard.

    Raises NotPermitted, StoreError.
    """
    while (notice := alerts.claim(actor)) is not None:
        error = tell(notice)
        alerts.told(actor, notice, error)
        yield notice, error


def tell(notice: Notice) -> str | None:
    """Tell of a notice. None when that was done, else why not, without an address (it may hold a key)."""
    way, _, where = notice.notify.partition(":")
    body = json.dumps(payload(notice), ensure_ascii=False).encode()
    try:
        match way:
            case "file":
                return _append(Path(where), body)
            case "command":
                return _run(where, body)
        return _post(where, body, notice)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {getattr(error, 'strerror', None) or 'it failed'}"[:_OUT]


def _append(path: Path, body: bytes) -> None:
    fd = system.opened(path.expanduser(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, waits=False)
    try:
        os.write(fd, body + b"\n")
    finally:
        os.close(fd)


def _run(command: str, body: bytes) -> str | None:
    """Run a command, without a shell, with the notice on its stdin."""
    ended = subprocess.run(shlex.split(command), input=body, capture_output=True, timeout=SECONDS, check=False)
    return None if ended.returncode == 0 else f"the command ended with {ended.returncode}"


def _post(url: str, body: bytes, notice: Notice) -> str | None:
    import httpcore

    from nexscout_cli.providers.transport import Exchange, send
    from nexscout_cli.providers.wires.request import HttpRequest

    headers = [("x-nexscout-id", str(notice.id))]
    if notice.secret_env is not None:
        secret = os.environ.get(notice.secret_env, "")
        if not secret:
            return f"the variable {notice.secret_env} is not set, so it cannot be signed"
        headers.append(("x-nexscout-signature", signature(body, secret, int(time.time()))))
    try:
        with send(HttpRequest(url, tuple(headers), body), Exchange(SECONDS, SECONDS)) as (status, _, _):
            return None if 200 <= status < 300 else f"it answered {status}"
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        return f"{type(error).__name__}: not reached"
