"""Looking after all books on a server: checking them, copying them, and what is worth telling of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict

from nexscout_cli.engine.book_types import Backup, Problem
from nexscout_cli.errors import StoreError, UsageError
from nexscout_cli.store.postgres.connections import SCHEMA_VERSION
from nexscout_cli.store.sqlite.keeping import Keeping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from nexscout_cli.engine.book_types import Archive, Seal
    from nexscout_cli.store.copying import Target, Tell
    from nexscout_cli.store.postgres.transactions import PostgresTransactions

_FACTS = """SELECT current_setting('server_version'), pg_database_size(current_database()), current_database(),
    current_setting('synchronous_commit'), current_setting('fsync')"""

_UNGUARDED = """SELECT 'the trigger ' || g.tgname || ' of ' || c.relname || ' is turned off'
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE s.nspname = 'nexscout' AND g.tgenabled <> 'O'
    UNION ALL
    SELECT 'row level security of ' || c.relname || ' is not forced' FROM pg_class c
    JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE s.nspname = 'nexscout' AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"""
"""What an owner may have turned off."""
_WIDENED = """SELECT coalesce(r.rolname, 'everybody') || ' may change ' || string_agg(DISTINCT c.relname, ', ' ORDER BY c.relname)
    FROM pg_class c, aclexplode(c.relacl) x LEFT JOIN pg_roles r ON r.oid = x.grantee
    WHERE c.relnamespace = 'nexscout'::regnamespace AND x.privilege_type <> 'SELECT' AND x.grantee <> c.relowner
    AND r.rolname IS DISTINCT FROM 'nexscout_service' GROUP BY r.rolname
    UNION ALL
    SELECT coalesce(r.rolname, 'everybody') || ' may call ' || string_agg(DISTINCT f.proname, ', ' ORDER BY f.proname)
    FROM pg_proc f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) x LEFT JOIN pg_roles r ON r.oid = x.grantee
    WHERE f.pronamespace = 'nexscout'::regnamespace AND f.proname <> 'me' AND x.grantee <> f.proowner
    AND r.rolname IS DISTINCT FROM 'nexscout_service' GROUP BY r.rolname"""
"""Rights that somebody gave besides those that migrations give: whoever may call a step may post an untrue charge."""
_ORPHANS = """SELECT 'entry ' || id || ' is of an attempt or an account that is not there' FROM ledger_entries e
    WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE id = e.account)
    OR attempt IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM attempts t WHERE t.id = e.attempt AND t.request_id = e.of_request)
    UNION ALL
    SELECT 'attempt ' || n || ' of ' || request_id || ' is of a request that is not there' FROM attempts t
    WHERE NOT EXISTS (SELECT 1 FROM requests WHERE request_id = t.request_id)
    UNION ALL
    SELECT 'claim ' || claim || ' is not the one of attempt ' || n || ' of ' || request_id FROM claims FULL JOIN (
      SELECT claim, request_id, n FROM attempts WHERE claim <> request_id || '/' || n) t USING (claim, request_id, n)
    WHERE claims IS NULL OR t IS NULL"""
"""What no constraint keeps: to look at each entry's two ends would double what a step takes."""
_RESTORE = "restore a backup, or copy what is right into new books: nexscout db copy"
_REVOKE = "REVOKE that in the schema nexscout; docs/postgres.md says which roles there are, and for whom"
_MIGRATE = "turn it on again as the database's owner (ALTER TABLE), and look at what was written meanwhile"


class PostgresMaintenance(Keeping):
    """Checking and copying all books. Admins only."""

    _store: PostgresTransactions

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
            found = [Problem("schema", str(row[0]), _MIGRATE) for row in t.execute(_UNGUARDED)]
            found += [Problem("rights", str(row[0]), _REVOKE) for row in t.execute(_WIDENED)]
            found += [Problem("references", str(row[0]), _RESTORE) for row in t.execute(_ORPHANS)]
            return [*found, *checking.of_books(t, now, kept)]

    def seal(self, actor: str) -> list[Seal]:
        """Seal the finished days that are not sealed yet, and return their seals; a second time there are none.

        Raises NotPermitted.
        """
        from nexscout_cli.store.sqlite import seals

        with self._store.write(actor) as t:  # when this has all books, nobody writes of a finished day any more
            t.require_admin("seal the books")
            today = t.day
        with self._store.read(actor) as t:
            made = [day for day in seals.due(t) if day.day < today]
        with self._store.write(actor) as t:
            t.require_admin("seal the books")
            return seals.keep(t, made)

    def backup(self, actor: str, target: Path | None, *, without_text: bool = False) -> Path:
        """All books as a file for ``pg_restore``, by ``pg_dump``; None: in the current folder, under a dated name.

        Only its owner can read it, and where it lies is remembered. Raises NotPermitted; UsageError where the file exists,
        or it should be without texts; StoreError where there is no ``pg_dump``, or it fails.
        """
        if without_text:
            raise UsageError(
                "a copy without texts is not supported over PostgreSQL: pg_dump copies whole rows",
                "nexscout db copy --to FILE; then NEXSCOUT_DB=FILE nexscout db backup --without-text",
            )
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
        from nexscout_cli.store.sqlite import backups

        with self._store.write(actor) as t:
            backups.remember(t, copy, has_text=True)
        return copy

    def prune(self, actor: str, keep: int, *, dry_run: bool = False) -> list[Path]:
        """Not here: backups lie on whichever machines made them. Raises UsageError."""
        raise UsageError(
            "removing old backups is not supported over PostgreSQL: they lie on whichever machines made them",
            "remove the files there",
        )

    def holding(self, actor: str, user_id: str) -> list[Backup]:
        """The backups that may hold texts of a user's: all that were made here, whose files cannot be looked into.

        Raises NotPermitted, UsageError.
        """
        with self._store.read(actor) as t:
            t.require_access(user_id)
            rows = t.execute(
                "SELECT path, made_at FROM backups WHERE has_text = 1 ORDER BY made_at DESC, path"
            ).fetchall()
        return [Backup(path, made, has_text=True, there=Path(path).is_file()) for path, made in rows]

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

    def archive(self, actor: str, before: str, folder: Path, tell: Callable[[str, str], None]) -> list[Archive]:
        """Move the rows of every whole month before a day (YYYY-MM-DD) into Parquet files; returns the months that went.

        ``tell`` hears of a month and what is done with it. Others write meanwhile. Raises
        NotPermitted, UsageError for what is not settled, StoreError.
        """
        from nexscout_cli.store.postgres.leaving import ByMonth
        from nexscout_cli.store.sqlite import archiving

        with self._store.read(actor) as t:
            t.require_admin("archive")
            if not t.execute("SELECT has_table_privilege('nexscout.ledger_entries', 'DELETE')").fetchone()[0]:
                raise StoreError(
                    "only the database's owner may archive: the application's login can remove nothing",
                    "run it with the owner's URL in NEXSCOUT_DB (docs/postgres.md)",
                    code="not_owner",
                )
        return self._move(
            archiving.Place(self._store, self._store.leave, folder, tell, ByMonth(self._store)), actor, before
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
