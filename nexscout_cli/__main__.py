"""The command's entry: ``--version`` at once, everything else through the command line proper."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command and exit with its status."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        import os

        from nexscout_cli import __version__

        try:  # noqa: SIM105 - contextlib costs as much as all the rest
            os.write(1, f"nexscout {__version__}\n".encode())
        except OSError:  # a stream that is closed or full: there is nobody to tell
            pass
        return
    from nexscout_cli import system

    if not system.fits():
        sys.exit(system.WHY_NOT)
    import gc

    gc.set_threshold(50_000)  # a command loads many modules and makes few cycles
    from nexscout_cli.cli.app import main as run

    try:
        sys.exit(run(sys.argv[1:]))
    finally:
        gc.freeze()  # else the interpreter's end walks over all of them, a fifth of a command's time


if __name__ == "__main__":
    main()
