"""Reading for many coroutines at a time: what they ask for goes in one transaction, and what several ask for is read once.

A server's requests each begin with the same few reads, which take more of its time than what they write. What is asked for while
others read waits for them and goes with the next ones: nobody is told of a state that is older than the question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from nexscout_cli import waiting
from nexscout_cli.errors import NexScoutError
from nexscout_cli.store.postgres.light import Unfit

if TYPE_CHECKING:
    from collections.abc import Hashable

    from nexscout_cli.store.postgres.transactions import PostgresTransactions
    from nexscout_cli.store.sqlite.transaction import Transaction

T = TypeVar("T")
ReadAll = Callable[["Transaction", list[Any]], list[Any]]
AT_A_TIME = 1
"""Transactions that read at a time."""
MOST = 32
"""Questions of one transaction."""


class _Question:
    """What is to be read, by whom it is asked, and what comes of it."""

    __slots__ = ("actor", "answer", "answered", "askers", "key", "lead", "read", "read_all")

    def __init__(self, actor: str, key: Any, read: Callable[[Transaction], Any], read_all: ReadAll | None) -> None:
        self.actor, self.key, self.read, self.read_all = actor, key, read, read_all
        self.askers: list[waiting.Wake] = []
        self.answer: Any = None
        self.answered = False
        self.lead: list[_Question] = []
        """What the first asker is to read, this one among it."""


class Reads:
    """Reads of one set of books. Only what coroutines ask for is gathered; a thread reads by itself."""

    def __init__(self, store: PostgresTransactions) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, _Question] = {}
        self._under_way = 0

    def get(self, actor: str, key: Hashable, read: Callable[[Transaction], T], *, read_all: ReadAll | None = None) -> T:
        """What ``read`` returns of one consistent state, for an actor; the same of two that have one ``key``.

        ``read_all`` reads for many keys at once, in their order.
        """
        loop = waiting.here()
        if loop is None:
            with self._store.read(actor) as t:
                return read(t)
        with self._lock:
            question = self._waiting.get((actor, key))
            if question is None:
                question = self._waiting[actor, key] = _Question(actor, key, read, read_all)
            wake = waiting.Wake()
            question.askers.append(wake)
            leader = self._next()
        if leader is not None:
            leader.askers[0].set()
        wake.wait()
        if question.lead and question.askers[0] is wake:
            some, question.lead = question.lead, []
            self._lead(some)
        if not question.answered:  # what went wrong may have been another's
            return loop.in_thread(lambda: self._alone(actor, read))
        if isinstance(question.answer, NexScoutError):
            raise question.answer
        answer: T = question.answer
        return answer

    def _alone(self, actor: str, read: Callable[[Transaction], T]) -> T:
        with self._store.read(actor) as t:
            return read(t)

    def _next(self) -> _Question | None:
        """Who leads the questions that may be read now, all of one actor's."""
        if not self._waiting or self._under_way >= AT_A_TIME:
            return None
        actor = next(iter(self._waiting.values())).actor
        keys = [key for key, one in self._waiting.items() if one.actor == actor][:MOST]
        questions = [self._waiting.pop(key) for key in keys]
        questions[0].lead = questions
        self._under_way += 1
        return questions[0]

    def _lead(self, questions: list[_Question]) -> None:
        """Read; then wake who asked, and somebody who reads what was asked meanwhile."""
        try:
            with self._store.read_lightly(questions[0].actor) as t:
                together: dict[ReadAll, list[_Question]] = {}
                for one in questions:
                    if one.read_all is not None:
                        together.setdefault(one.read_all, []).append(one)
                for read_all, some in together.items():
                    if len(some) > 1:
                        _answer_all(t, read_all, some)
                for one in questions:
                    if not one.answered:
                        _answer(t, one)
        except (NexScoutError, Unfit):
            """Each who has no answer asks by itself, and is told what is wrong with the database."""
        finally:
            with self._lock:
                self._under_way -= 1
                leader = self._next()
            for at, one in enumerate(questions):
                for wake in one.askers[0 if at else 1 :]:
                    wake.set()
            if leader is not None:
                leader.askers[0].set()


def _answer_all(t: Transaction, read_all: ReadAll, questions: list[_Question]) -> None:
    """Answer several at once; none where something is wrong with one of them."""
    try:
        answers = read_all(t, [one.key for one in questions])
    except NexScoutError:
        return
    for one, answer in zip(questions, answers, strict=True):
        one.answer, one.answered = answer, True


def _answer(t: Transaction, question: _Question) -> None:
    try:
        question.answer = question.read(t)
    except NexScoutError as error:  # that one's own
        question.answer = error
    question.answered = True
