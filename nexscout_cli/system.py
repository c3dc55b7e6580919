"""What NexScout needs of the operating system. Imports nothing of ours, so that it can be asked before anything else."""

from __future__ import annotations

WHY_NOT = (
    "nexscout does not run on this system: it needs Linux or macOS, whose file locks guard the books "
    "(on Windows: run it inside WSL 2, or use `nexscout serve` on another machine as an OpenAI-compatible endpoint)"
)


def fits() -> bool:
    """Whether the locks and accounts of POSIX are here. Windows has neither."""
    try:
        import fcntl  # noqa: F401
        import pwd  # noqa: F401
    except ImportError:
        return False
    return True
