"""Who holds an attempt: host, boot and PID namespace, process and its start, so that a reused process number is not mistaken
for a living owner, nor a process of another container for a dead one.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def me() -> str:
    """This process as an owner. Asked anew after a fork: a child is not its parent."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    return f"{os.uname().nodename}/{_boot()}:{_namespace()}/{pid}/{_start(pid)}"


def alive(owner: str) -> bool:
    """Whether an owner still lives. One that cannot be seen from here counts as alive: only its deadline can tell."""
    host, place, pid, start = owner.rsplit("/", 3)
    boot, _, namespace = place.partition(":")
    if host == os.uname().nodename and boot != _boot():
        return False
    if not _is_seen(host, namespace):
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return start == _start(int(pid))


def is_seen(owner: str) -> bool:
    """Whether it can be told from here that an owner lives: it is on this host and in this PID namespace."""
    host, place, _, _ = owner.rsplit("/", 3)
    return _is_seen(host, place.partition(":")[2])


def _is_seen(host: str, namespace: str) -> bool:
    # Owners that an earlier version wrote name no namespace.
    return host == os.uname().nodename and namespace in ("", _namespace())


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


def _start(pid: int) -> str:
    """The process's start in clock ticks after boot (proc(5), field 22 of stat); ``-`` where there is no /proc, or of a
    process that has died and was not waited for yet (state Z, field 3).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return "-"
    state, *fields = stat.rpartition(b")")[2].split()
    return "-" if state == b"Z" else fields[18].decode()
