"""Who holds an attempt: host, boot, process and its start, so that a reused process number is not mistaken for a living owner."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def me() -> str:
    """This process as an owner. Asked anew after a fork: a child is not its parent."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    return f"{os.uname().nodename}/{_boot()}/{pid}/{_start(pid)}"


def alive(owner: str) -> bool:
    """Whether an owner still lives. One on another host counts as alive: only its deadline can tell."""
    host, boot, pid, start = owner.rsplit("/", 3)
    if host != os.uname().nodename:
        return True
    if boot != _boot():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return start == _start(int(pid))


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
