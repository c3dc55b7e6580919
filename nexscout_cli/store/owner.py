"""Who holds an attempt: host, boot and PID namespace, process and its start, so that a reused process number is not mistaken
for a living owner, nor a process of another container for a dead one.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from nexscout_cli import system


def me() -> str:
    """This process as an owner. Asked anew after a fork: a child is not its parent."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    return f"{system.host()}/{_boot()}:{_namespace()}/{pid}/{system.started(pid)}"


def alive(owner: str) -> bool:
    """Whether an owner still lives. One that cannot be seen from here counts as alive: only its deadline can tell."""
    host, place, pid, start = owner.rsplit("/", 3)
    boot, _, namespace = place.partition(":")
    if host == system.host() and boot != _boot():
        return False
    if not _is_seen(host, namespace):
        return True
    return system.lives(int(pid)) and start == system.started(int(pid))


def is_seen(owner: str) -> bool:
    """Whether it can be told from here that an owner lives: it is on this host and in this PID namespace."""
    host, place, _, _ = owner.rsplit("/", 3)
    return _is_seen(host, place.partition(":")[2])


def _is_seen(host: str, namespace: str) -> bool:
    # Owners that an earlier version wrote name no namespace.
    return host == system.host() and namespace in ("", _namespace())


@cache
def _namespace() -> str:
    """The number of this process's PID namespace; empty where there is no /proc."""
    try:
        return Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return ""


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"
