"""Looking after all books on a server: checking them, copying them, and what is worth telling of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict

from nexscout_cli.errors import StoreError, UsageError
from nexscout_cli.store.postgres.connections import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from nexscout_cli.engine.book_types import Problem, Seal
    from nexscout_cli.store.copying import Target, Tell
    from nexscout_cli.store.postgres.transactions import PostgresTransactions

_FACTS = """SELECT current_setting('server_version'), pg_database_size(current_database()), current_database(),
    current_setting('synchronous_commit'), current_setting('fsync')"""


class PostgresMaintenance:
    """Checking and copying all books. Admins only."""

    def __init__(self, store: PostgresTransactions) -> None:
        self._store = store

    def check(self, actor: str, kept: Sequence[Seal] = ()) -> list[Problem]:
        """Everything that is wrong with the books, from one state of them; the server sees to its files itself.

        ``kept``: seals that were kept elsewhere, to compare with. Raises NotPermitted, StoreError.
        """
        from nexscout_cli.store.sqlite import checking

        now = self._store.clock.now()
        with self._store.read(actor) as t:
            t.require_admin("check the whole database")
            return checking.of_books(t, now, kept)

    def backup(self, actor: str, target: Path | None) -> Path:
        """All books as a file for ``pg_restore``, by ``pg_dump``; None: in the current folder, under a dated name.

        Only its owner can read it. Raises NotPermitted; UsageError where the file exists; StoreError where there is no
        ``pg_dump``, or it fails.
        """
        with self._store.read(actor) as t:
            t.require_admin("copy the whole database")
        program = shutil.which("pg_dump")
        if program is None:
            raise StoreError(
                "pg_dump is not here, and it is what makes copies of a PostgreSQL database",
                "install PostgreSQL's client programs, or copy to a file: nexscout db copy --to FILE",
                code="no_pg_dump",
            )
        copy = target or Path(f"nexscout.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.dump")
        try:
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError as error:
            raise UsageError(f"{copy} exists already; it is not overwritten", "give another name") from error
        except OSError as error:
            raise StoreError(
                f"cannot write {copy}: {error.strerror}", "check the folder's permissions and space"
            ) from error
        self._dump(program, copy)
        return copy

    def _dump(self, program: str, copy: Path) -> None:
        """Run pg_dump; address and password are handed over in its environment, which other users can't read."""
        done = subprocess.run(
            [program, "--format=custom", "--schema=nexscout", "--enable-row-security", f"--file={copy}"],
            env=os.environ | _environment(self._store.db.url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            copy.unlink(missing_ok=True)
            said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise StoreError(
                f"pg_dump failed: {said}",
                "be the owner, with the server's version of pg_dump or a newer one; `nexscout db copy --to FILE` needs none",
                code="backup_failed",
            )

    def copy_to(self, target: AbstractContextManager[Target], tell: Tell) -> dict[str, int]:
        """Copy all books as they are now; returns how many rows of each table."""
        from nexscout_cli.store import copying
        from nexscout_cli.store.postgres import copies

        return copying.copy(copies.reading(self._store.db), target, tell)

    def about(self) -> dict[str, str]:
        """engine, version, schema, path (the database's name), size (bytes), and durability."""
        with self._store.read("") as t:
            version, size, name, commit, fsync = t.execute(_FACTS).fetchone()
        return {
            "engine": "postgresql",
            "version": version,
            "schema": str(SCHEMA_VERSION),
            "path": name,
            "size": str(size),
            "durability": f"synchronous_commit {commit}, fsync {fsync}",
        }


_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


def _environment(url: str) -> dict[str, str]:
    about = conninfo_to_dict(url)
    return {variable: str(about[name]) for name, variable in _VARIABLES.items() if about.get(name)}
