"""The slow way of scripts/_setup.sh: makes or repairs .venv, installs the package into it, fetches the model.

Nothing but the standard library of Python 3.11 may be imported here. Everything it says goes to stderr.
One set-up runs at a time, under a lock that ends with the processes that hold it. The stamp is removed first and
written last, and a virtual environment without one is made anew: an interrupted set-up leaves nothing half-installed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MODELS = VENV / "share" / "nexscout-models"
CONSTRAINTS = ROOT / "constraints.txt"
EXTRAS = {
    "run": "[serve,postgres,keyring,otel]",
    "dev": "[serve,postgres,keyring,otel,archive,dev]",
    "bench": "[serve,postgres,keyring,otel,archive,dev,bench]",
}  # each has all that the ones before it need
STAMPS = {kind: VENV / f"setup-{kind}" for kind in EXTRAS}
held: list[int] = []  # the lock, which pip holds too: should we be killed, it stays until pip has ended
FAILED = 6  # as everywhere in nexscout: something that it stands on cannot be used


class SetupError(Exception):
    """What went wrong and what to do, in a line or two."""


def say(text: str) -> None:
    print(f"nexscout: {text}", file=sys.stderr, flush=True)


def run(*command: str | Path, env: dict[str, str] | None = None) -> int:
    """Run a program with its output on our stderr (where pip and pull draw their bars when it is a terminal)."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=env, pass_fds=held, check=False)
    return done.returncode


def environment() -> dict[str, str]:
    """Return our environment without what would send pip to another place than the virtual environment."""
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"):
        env.pop(name, None)
    return env | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def key() -> str:
    """Return what the stamp must hold: the same words as in _setup.sh."""
    files = [str(path) for path in (ROOT / "pyproject.toml", CONSTRAINTS, VENV / "pyvenv.cfg")]
    return subprocess.run(["cksum", *files], stdout=subprocess.PIPE, text=True, check=True).stdout.rstrip("\n")


def works() -> bool:
    """Tell whether .venv was once complete, in this very place, and its Python still runs."""
    stamps = [stamp.read_text() for stamp in STAMPS.values() if stamp.is_file()]
    if not any(f" {ROOT / 'pyproject.toml'}\n" in stamp for stamp in stamps):
        return False
    try:
        return subprocess.run([PYTHON, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def clear() -> None:
    """Remove .venv but for the models, which are costly to fetch and checked by their sum."""
    for path in list(VENV.iterdir()) if VENV.is_dir() else []:
        if path != MODELS.parent:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def install(kind: str) -> None:
    """Make or repair .venv and install the checkout into it, editable."""
    if not works():
        clear()
        say(f"setting up {VENV} (first start only)")
        if run(sys.executable, "-m", "venv", VENV) != 0:
            raise SetupError(f"could not make a virtual environment in {VENV} (see above).")
    else:
        say("the project's requirements have changed: installing them")
    wanted = key()
    for stamp in STAMPS.values():
        stamp.unlink(missing_ok=True)
    env = environment()
    pip = (PYTHON, "-m", "pip", "install", "--constraint", CONSTRAINTS)
    # A pip of today writes start scripts that do without `import re`. If it cannot be had, the one there will do.
    run(*pip, "--quiet", "--retries", "1", "--upgrade", "pip", env=env)
    if run(*pip, "--editable", f"{ROOT}{EXTRAS[kind]}", env=env) != 0:
        raise SetupError(
            "the installation failed (see above). Without a network, point pip at a folder of wheels\n"
            "(PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER). Then start again."
        )
    for name in list(EXTRAS)[: list(EXTRAS).index(kind) + 1]:
        STAMPS[name].write_text(wanted + "\n")


def pull() -> None:
    """Fetch the embedded model. Without it remote models still work, so a failure is told and not fatal."""
    MODELS.mkdir(parents=True, exist_ok=True)
    failed = MODELS / "failed"
    failed.unlink(missing_ok=True)
    say("fetching the embedded model (98 MB, once)")
    env = {name: value for name, value in environment().items() if not name.startswith("NEXSCOUT_")}
    with tempfile.TemporaryDirectory(prefix="nexscout-setup-") as home:  # the user's own data folder is not touched
        env |= {"NEXSCOUT_HOME": home, "NEXSCOUT_EMBEDDED_MODEL": os.environ["NEXSCOUT_EMBEDDED_MODEL"]}
        if run(VENV / "bin" / "nexscout", "models", "pull", env=env) != 0:
            failed.touch()
            say("the embedded model could not be fetched (see above); models with an API key work without it.")
            say("To try again: scripts/nexscout models pull")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=STAMPS)
    parser.add_argument("--no-model", action="store_true")
    parser.add_argument("--own-model", action="store_true", help="the model's path is the project's, not the user's")
    args = parser.parse_args()
    with (ROOT / ".venv.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        held.append(lock.fileno())
        stamp = STAMPS[args.kind]
        ready = (VENV / "bin" / "nexscout").is_file() and stamp.is_file() and works()
        if not (ready and stamp.read_text().rstrip("\n") == key()):
            install(args.kind)
        if args.own_model and not args.no_model and not Path(os.environ["NEXSCOUT_EMBEDDED_MODEL"]).is_file():
            pull()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SetupError as error:
        say(str(error))
        sys.exit(FAILED)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"the set-up failed: {error}")
        sys.exit(FAILED)
    except KeyboardInterrupt:
        say("the set-up was interrupted; start again to go on")
        sys.exit(130)
