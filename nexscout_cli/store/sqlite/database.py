"""Opening the file: where it comes from, who may write when, and how durable a commit is."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from nexscout_cli import system, waiting
from nexscout_cli.errors import StoreError
from nexscout_cli.store.sqlite import journal
from nexscout_cli.store.sqlite.changes import Change, Commit
from nexscout_cli.store.sqlite.failures import RESTORE, Errors, unusable
from nexscout_cli.store.sqlite.gate import Gate
from nexscout_cli.store.sqlite.queue import QueueLock, lock_of

if TYPE_CHECKING:
    from pathlib import Path

    from nexscout_cli.store.sqlite.lessons import Lessons
    from nexscout_cli.store.sqlite.loop_writer import LoopWriter
    from nexscout_cli.store.sqlite.watch import Watch

SCHEMA_VERSION = 24
_MORE_PAGES = "PRAGMA cache_size = -8192"
"""KiB of pages that a process of many commits keeps: those that they write on again and again are more than SQLite's 2 MB."""
_OPEN = nullcontext()
Prepare = Callable[[sqlite3.Connection], None]
T = TypeVar("T")
_TOGETHER = 32
"""Changes that one commit takes at most: other processes wait for it."""
_NAP = 0.1
"""Seconds after which a thread whose change is not made yet looks for itself, whoever forgot to wake it."""


class Database:
    """One SQLite file. Reads see one consistent state; writes queue, and commit durably or not at all. Thread-safe.

    Three locks, always taken in this order, so that a writer who waits for the queue keeps nobody from reading:
    ``_writers`` (this process's turn), the queue of all processes, ``_main`` (the connection that writes). A read takes
    the main connection only where it is free, else one of its own.
    """

    def __init__(self, path: Path, timeout: float = 30.0) -> None:
        self.path = path
        self.timeout = timeout
        self.queue = QueueLock(lock_of(path), timeout)
        self._writers = threading.RLock()
        self._main = threading.RLock()
        self.gate = Gate(timeout)
        self._lent = False
        self.watch: Watch | None = None  # for a process of many commits
        self.lessons: Lessons | None = None  # of the commit that is being made
        self.errors = Errors(path)
        self._connection: sqlite3.Connection | None = None
        self._readers: deque[sqlite3.Connection] = deque()
        self._changes: deque[Change[Any]] = deque()
        self._loop_writers: WeakKeyDictionary[waiting.Loop, LoopWriter] = WeakKeyDictionary()

    def open(self, prepare: Prepare) -> None:
        """Open the file; make it with ``prepare`` when there is none, migrate it when it is older.

        Raises StoreError for a file that is empty, damaged, newer than this program, or cannot be read or written.
        """
        try:
            if not self.path.exists():
                self._create(prepare)
            self._check_not_empty()
            self._connection = connect(self.path, self.timeout)
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path} was written by a newer nexscout (schema {version}, this one knows {SCHEMA_VERSION})",
                    "upgrade nexscout",
                    code="newer_schema",
                )
            if version < 1:
                raise StoreError(
                    f"{self.path} is another program's database", "point NEXSCOUT_DB elsewhere", code="corrupt"
                )
            if version < SCHEMA_VERSION:
                self._migrate()
            self._journal(self._connection)
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error
        except OSError as error:
            raise StoreError(
                f"cannot use {self.path}: {error.strerror}", "check the folder's permissions and space"
            ) from error

    def _check_not_empty(self) -> None:
        """SQLite would take an empty file for a new database. Its size alone is looked at: to open and close the file here
        would drop the locks that this process has on it through its other connections.
        """
        if self.path.stat().st_size == 0:
            raise StoreError(f"{self.path} is empty", RESTORE, code="corrupt")

    def _create(self, prepare: Prepare) -> None:
        """Make the file under another name and move it into place: a run that is killed halfway leaves no half database."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.queue.held():
            if self.path.exists():
                return
            from nexscout_cli.store.sqlite import schema

            temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
            for left in self.path.parent.glob(f"{self.path.name}.*.new*"):  # by a creator that was killed
                left.unlink(missing_ok=True)
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            connection = connect(temporary, self.timeout)
            try:
                schema.migrate(connection)
                with Commit(connection):
                    prepare(connection)
            finally:
                connection.close()
            temporary.replace(self.path)
            system.sync_folder(self.path.parent)

    def _migrate(self) -> None:
        from nexscout_cli.store.sqlite import schema

        assert self._connection is not None
        with self.queue.held():
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version < SCHEMA_VERSION:
                schema.backup(self._connection, self.backup_path())
                schema.migrate(self._connection)

    def backup(self, target: Path, change: Callable[[Path], None] | None = None) -> None:
        """Copy the database to a new file that only its owner can read. Raises StoreError, FileExistsError.

        ``change`` is made to the copy before it counts as one.
        """
        from nexscout_cli.store.sqlite import schema

        with self.connected() as connection:
            try:
                schema.backup(connection, target, change)
            except sqlite3.Error as error:
                raise unusable(target, error) from error

    def journal(self) -> str:
        """The journal mode that is in force: wal or delete."""
        with self.connected() as connection, self.errors:
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    def backup_path(self) -> Path:
        """A name beside the database for a copy of it that is not taken yet."""
        stem = f"{self.path.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        taken = 0
        while (path := self.path.with_name(f"{stem}{f'.{taken}' if taken else ''}.bak")).exists():
            taken += 1
        return path

    def _journal(self, connection: sqlite3.Connection, *, logs: bool = False) -> None:
        """See :mod:`journal`. In either mode a commit survives a power cut."""
        self.gate.shuts = journal.settle(connection, self.path, self.queue, logs=logs) != "wal"

    def log_ahead(self) -> None:
        """Have a write-ahead log from now on, where the file may have one."""
        with self.errors, self._writers, self._main:
            self._journal(self.connection, logs=True)
            self.connection.execute(_MORE_PAGES)
            if self.watch is None and not self.gate.shuts:
                from nexscout_cli.store.sqlite.watch import Watch

                self.watch = Watch(self.connection, [f"{self.path}-wal"])

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection."""
        assert self._connection is not None, "the database is not open"
        return self._connection

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._writers, self._main:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            while self._readers:
                self._readers.pop().close()
            self.queue.close()

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with: the main one where nobody uses it, else one of its own."""
        if not self._lent and self._main.acquire(blocking=False):
            try:
                yield self.connection
            finally:
                self._main.release()
            return
        try:
            connection = self._readers.pop()
        except IndexError:
            with self.errors:
                connection = connect(self.path, self.timeout)
                connection.execute("PRAGMA query_only = ON")
        try:
            yield connection
        finally:
            if self._connection is None:  # closed meanwhile
                connection.close()
            else:
                self._readers.append(connection)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent state of the database. Waits for no writer's turn."""
        with self.gate.reading() if self.gate.shuts else _OPEN, self.connected() as connection, self.errors:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the writers' queue; committed at the end, rolled back on any exception."""
        assert waiting.here() is None, "a coroutine writes by `together`"
        with (
            self.errors,
            self._turn(),
            self.queue.held(),
            self._main,
            Commit(self.connection, self.gate, self.watch) as connection,
        ):
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """This process's turn to write; then whoever waits longest is woken."""
        with self._writers:
            yield
        self._wake_next()

    def _wake_next(self) -> None:
        with suppress(IndexError):
            self._changes[0].wake()

    def together(self, make: Callable[[sqlite3.Connection], T]) -> T:
        """Commit what ``make`` writes and return its value; all or nothing, as with :meth:`write`.

        What other threads of this process want to write meanwhile goes into the same commit: whose turn it is makes their
        changes with its own, one after the other. An exception takes back the change that it came from, and no other.
        """
        if (loop := waiting.here()) is not None:
            return self.loop_writer(loop).make(loop, make)
        change, woken = Change(make), threading.Event()
        change.wake = woken.set
        try:
            self._changes.append(change)
            while not change.ended:
                if self._writers.acquire(blocking=False):
                    try:
                        if not change.ended:
                            self._commit_waiting()
                    finally:
                        self._writers.release()
                        self._wake_next()
                else:  # who has the turn makes this change, or wakes this thread afterwards
                    woken.wait(_NAP)
                    woken.clear()
        except BaseException:
            change.over = True
            raise
        if change.error is not None:
            raise change.error
        return change.value

    def soon(self, make: Callable[[sqlite3.Connection], object]) -> None:
        """Commit what ``make`` writes; on a loop that writes behind, some milliseconds later, with what others write then."""
        if (loop := waiting.here()) is not None and loop.writes_behind:
            self.loop_writer(loop).soon(loop, make)
        else:
            self.together(make)

    def loop_writer(self, loop: waiting.Loop) -> LoopWriter:
        """Commits what the coroutines of a loop write."""
        writer = self._loop_writers.get(loop)
        if writer is None:
            from nexscout_cli.store.sqlite.loop_writer import LoopWriter

            writer = self._loop_writers[loop] = LoopWriter(self)
        return writer

    def lend(self) -> bool:
        """Take this process's turn and the connection that writes, for an event loop; False where somebody has them."""
        if not self._writers.acquire(blocking=False):
            return False
        if not self._main.acquire(blocking=False):
            self._writers.release()
            return False
        self._lent = True
        return True

    def take_back(self) -> None:
        """End what :meth:`lend` began, in the same thread."""
        self._lent = False
        self._main.release()
        self._writers.release()
        self._wake_next()

    def _commit_waiting(self) -> None:
        try:
            self._commit()
        finally:
            while self._changes and self._changes[0].ended:
                self._changes.popleft().wake()

    def commit_alone(self, change: Change[Any]) -> None:
        """Make a change in a transaction of its own; its error is kept with it."""
        self._commit([change])

    def _commit(self, changes: list[Change[Any]] | None = None) -> None:
        """Make the changes that wait, in one transaction; where that fails, each in one of its own.

        Whose they are is looked at when the queue's turn has come: what arrived during the wait goes along.
        """
        waiting = changes or list(self._changes)[:_TOGETHER]
        try:
            with self.errors, self.queue.held(), self._main:
                waiting = changes or list(self._changes)[:_TOGETHER]
                work = Commit(self.connection, self.gate, self.watch)
                with work as connection:
                    for change in waiting:
                        if not change.ended:  # its caller may have gone while this one waited
                            change.make(work, connection, alone=len(waiting) == 1)
        except Exception as error:  # noqa: BLE001 - whose change it was raises it
            if len(waiting) > 1 and getattr(error, "code", "") != "busy":
                for change in waiting:
                    if not change.ended:
                        self._commit([change])
            else:
                for change in waiting:
                    change.error, change.over = error, True

    def flush_log(self) -> None:
        """Move what the write-ahead log holds into the file and empty it; nothing to do with a rollback journal."""
        with self.errors, self._writers, self.queue.held(), self._main:
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect(path: Path, timeout: float) -> sqlite3.Connection:
    """A connection without Python's implicit transactions, with foreign keys on; rows are read by name."""
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    # Of a new file: a paid call writes on some 30 pages, and a little on each.
    connection.execute("PRAGMA page_size = 2048")
    connection.execute("PRAGMA secure_delete = ON")  # what is removed is overwritten, in free pages too
    return connection


def schema_version(path: Path) -> int | None:
    """The schema a file has, nothing opened for writing; None where there is no file, 0 for one that cannot be read."""
    if not path.exists():
        return None
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error:
        return 0
    finally:
        connection.close()
