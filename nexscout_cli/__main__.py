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
    import gc

    gc.set_threshold(50_000)  # a command loads many modules and makes few cycles
    import atexit

    from nexscout_cli.cli.app import main as run

    ended = [1]
    atexit.register(lambda: _leave(ended[0]))  # registered first: it is the last to be called
    try:
        ended[0] = run(sys.argv[1:])
        sys.exit(ended[0])
    finally:
        gc.freeze()  # else the interpreter's end walks over all of them, a fifth of a command's time


def _leave(status: int) -> None:
    """End at once where llama.cpp was loaded. A thread of its own may still be at work while C++ takes apart what it works
    with: on a busy machine that ended a command whose work was done with a segmentation fault.
    """
    if "xllamacpp" not in sys.modules:
        return
    import os

    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - contextlib costs as much as all the rest
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    os._exit(status)


if __name__ == "__main__":
    main()
