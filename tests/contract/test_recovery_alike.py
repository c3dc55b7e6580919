"""What becomes of attempts that nobody looks after is written by different code in each store: the rows must be the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.errors import NexScoutError
from nexscout_cli.store import owner
from tests.contract.conftest import KINDS, Kind, Shop
from tests.support.steps import Steps

_TABLES = ("requests", "attempts", "entries", "usage", "predictions", "accounts")


class Story:
    """What happens at a shop, told by the names of its requests."""

    def __init__(self, kind: Kind, place: Path) -> None:
        place.mkdir()
        self.shop = Shop(kind, place)
        self.ada = self.shop.actor("ada")
        self.ada.store.users.set_tier("ada", "bob", "free")
        self.bob = self.shop.actor("bob")
        self.said: list[Any] = []

    def sent(self, name: str, by: Steps | None = None, **options: Any) -> Attempt:
        ada = by or self.ada
        return ada.sent(ada.plan(**options), name)

    def lost(self, name: str, by: Steps | None = None, **options: Any) -> Attempt:
        ada = by or self.ada
        attempt = self.sent(name, ada, **options)
        ada.mark_unknown(attempt)
        return attempt

    def died(self, *attempts: Attempt) -> None:
        """Whoever held them is no more."""
        host, boot, pid, start = owner.me().rsplit("/", 3)
        dead = f"{host}/{boot}/{pid}/{int(start) - 1}"
        for attempt in attempts:
            self.shop.books.change(f"UPDATE attempts SET owner = '{dead}' WHERE id = {attempt.id}")

    def resolve(self, name: str, cost: int | None, by: str = "ada", **options: Any) -> None:
        steps = self.bob if by == "bob" else self.ada
        try:
            self.said.append(steps.store.recovery.resolve(by, name, cost, **options))
        except NexScoutError as error:
            self.said.append((type(error).__name__, error.code, error.message, error.suggestion))

    def tell(self) -> None:
        for name in ("request-1a", "request-1b", "request-2", "request-3"):
            self.ada.fail(self.lost(name, idempotency_key=f"key of {name}"))
        answered = self.lost("request-4")
        self.ada.post(self.ada.sent(self.ada.plan(), "request-4"))
        both = self.lost("request-5", self.bob), self.lost("request-5", self.bob)
        self.bob.fail(both[1])
        goes_on = self.lost("request-6")
        self.resolve("nothing-such", 1)
        self.resolve("request-", 1)
        self.resolve("reque", 1)
        self.resolve("request-2", 10**9)
        self.resolve("request-2", 1, by="bob")
        self.resolve("request-1", None)
        self.resolve("request-1a", None)
        self.resolve("request-1a", None)
        self.resolve("request-2", 10**9, beyond_hold=True)
        self.resolve("request-3", 0)
        self.resolve("request-4", 777)
        self.resolve("request-5", 900)
        self.resolve("request-6", 30)
        self.resolve("", None)
        self.resolve("request-2\x00", None)
        assert answered.n == goes_on.n == 1

        self.ada.fail(self.lost("aged-1", idempotency_key="aged"))
        self.lost("aged-2", self.bob)
        held = self.ada.hold(self.ada.plan(), "dead-1")
        sent = self.sent("dead-2", self.bob)
        free = self.sent("dead-3", model="smollm2-135m")
        between = self.sent("dead-4")
        self.ada.void(between)
        after = self.lost("dead-5")
        second = self.ada.hold(self.ada.plan(), "dead-6")
        self.ada.void(second)
        second = self.sent("dead-6")
        kept = self.sent("kept-1", idempotency_key="posted")
        self.ada.post(kept)
        self.died(held, sent, free, between, after, second)
        for hours in (0, 0, 23, 2, 26):
            self.shop.clock.move(hours=hours)
            self.said.append(self.ada.store.recovery.recover("ada"))

    def rows(self) -> dict[str, Any]:
        books = self.shop.books
        found = {table: list(getattr(books, table)()) for table in _TABLES}
        for name in ("entries", "accounts"):  # those of one transition have no order
            for row in found[name]:
                del row["id"]
            found[name].sort(key=lambda row: sorted(str(item) for item in row.items()))
        return found | {"problems": self.ada.check()}


def test_both_stores_write_the_same_rows_and_say_the_same_of_what_nobody_looks_after(tmp_path: Path) -> None:
    told = []
    for kind in KINDS:
        story = Story(kind, tmp_path / kind.name)
        story.tell()
        told.append((story.said, story.rows()))
        story.shop.close()
    (said, rows), (said_there, rows_there) = told
    assert said_there == said
    for name, found in rows.items():
        assert rows_there[name] == found, name
    assert rows["problems"] == []
