"""Conversations that users keep: their turns as messages. What they cost is read from the books."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.conversations import Conversation, Turn
from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    import sqlite3

    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work

_COST = "coalesce((SELECT sum(cost_usd) FROM ai_model_usage u WHERE u.request_id = t.request_id), 0)"
_MODEL = (
    "coalesce((SELECT model_used FROM ai_model_usage u WHERE u.request_id = t.request_id "
    "AND outcome IN ('posted', 'hit') ORDER BY n DESC LIMIT 1), '')"
)
_ROWS = f"""SELECT c.*, (SELECT count(*) FROM conversation_turns t WHERE t.conversation = c.id) AS count,
  coalesce((SELECT sum({_COST}) FROM conversation_turns t WHERE t.conversation = c.id), 0) AS cost
  FROM conversations c WHERE user_id = ?"""
_SEVERAL = 4


class SqliteConversations:
    """Conversations that are kept."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def begin(self, actor: str, user_id: str, feature: str, options: dict[str, Any], turn: Turn) -> None:
        """Keep the first turn of a new conversation."""
        with self._store.write(actor) as t:
            t.require_user(user_id)
            t.execute(
                "INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?)",
                (turn.request_id, user_id, feature, _written(options), t.stamp, t.stamp),
            )
            _enter(t, turn.request_id, turn)

    def add(
        self, actor: str, conversation: Conversation, options: dict[str, Any], turn: Turn, *, next_only: bool = False
    ) -> bool:
        """Keep one more turn; False where the conversation was forgotten meanwhile: then nothing is kept.

        ``next_only``: nor where it has gone on since, another turn being there after those of ``conversation``.
        """
        with self._store.write(actor) as t:
            t.require_user(conversation.user_id)
            if next_only and not _is_whole(t, conversation):
                return False
            found = t.execute(
                "UPDATE conversations SET options = ?, used_at = ? WHERE id = ? AND user_id = ?",
                (_written(options), t.stamp, conversation.id, conversation.user_id),
            )
            if not found.rowcount:
                return False
            _enter(t, conversation.id, turn)
            return True

    def take_back(self, actor: str, conversation: Conversation) -> bool:
        """Remove the last turn of ``conversation``, and all of it with its only one; False where it has gone on since."""
        with self._store.write(actor) as t:
            t.require_user(conversation.user_id)
            if not _is_whole(t, conversation):
                return False
            last = conversation.turns[-1].request_id
            t.execute(
                "DELETE FROM conversation_turns WHERE conversation = ? AND request_id = ?", (conversation.id, last)
            )
            if len(conversation.turns) == 1:
                t.execute("DELETE FROM conversations WHERE id = ?", (conversation.id,))
        self._store.flush()
        return True

    def find(self, actor: str, user_id: str, name: str | None) -> Conversation:
        """The user's conversation whose name begins so; None: the one used last. Raises UsageError where there is none."""
        with self._store.read(actor) as t:
            t.require_user(user_id)
            row = _row(t, user_id, name)
            turns = t.execute(
                f"SELECT t.*, {_MODEL} AS model, {_COST} AS cost FROM conversation_turns t WHERE conversation = ? ORDER BY n",
                (row["id"],),
            )
            return _conversation(row)._replace(
                turns=tuple(
                    Turn(one["request_id"], json.loads(one["messages"]), one["model"], one["cost"], one["created_at"])
                    for one in turns
                )
            )

    def listing(self, actor: str, user_id: str, limit: int) -> list[Conversation]:
        """The user's conversations, the one used last first."""
        with self._store.read(actor) as t:
            t.require_user(user_id)
            found = []
            for row in t.execute(f"{_ROWS} ORDER BY used_at DESC, id DESC LIMIT ?", (user_id, limit)):
                first = t.execute(
                    "SELECT messages FROM conversation_turns WHERE conversation = ? ORDER BY n LIMIT 1", (row["id"],)
                ).fetchone()
                found.append(_conversation(row)._replace(begins=_begins(json.loads(first[0])) if first else ""))
            return found

    def forget(self, actor: str, user_id: str, name: str | None, *, dry_run: bool = False) -> int:
        """Remove one of the user's conversations, or all; returns how many that were (or would be)."""
        transaction = self._store.read if dry_run else self._store.write
        with transaction(actor) as t:
            t.require_user(user_id)
            if name is None:
                ids = [row[0] for row in t.execute("SELECT id FROM conversations WHERE user_id = ?", (user_id,))]
            else:
                ids = [_row(t, user_id, name)["id"]]
            if not dry_run:
                for table, column in (("conversation_turns", "conversation"), ("conversations", "id")):
                    t.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(one,) for one in ids])
        if ids and not dry_run:
            self._store.flush()  # else the text would stay in the write-ahead log until it is written over
        return len(ids)


def _is_whole(t: Transaction, conversation: Conversation) -> bool:
    """Whether no turn came after those that are known."""
    turns = t.execute("SELECT count(*) FROM conversation_turns WHERE conversation = ?", (conversation.id,))
    return bool(turns.fetchone()[0] == len(conversation.turns))


def _enter(t: Transaction, conversation: str, turn: Turn) -> None:
    t.execute(
        "INSERT INTO conversation_turns SELECT ?, coalesce(max(n), 0) + 1, ?, ?, ? FROM conversation_turns "
        "WHERE conversation = ?",
        (conversation, turn.request_id, _written(turn.messages), t.stamp, conversation),
    )


def _row(t: Transaction, user_id: str, name: str | None) -> sqlite3.Row:
    if name is None:
        rows = t.execute(f"{_ROWS} ORDER BY used_at DESC, id DESC LIMIT 1", (user_id,)).fetchall()
        if not rows:
            raise UsageError(f"no conversation of {user_id}'s is kept", "`nexscout run` begins one")
    else:
        rows = t.execute(
            f"{_ROWS} AND substr(id, 1, length(?)) = ? ORDER BY id LIMIT {_SEVERAL}", (user_id, name, name)
        ).fetchall()
        if not rows or not name:
            raise UsageError(
                f"there is no conversation {name!r:.60} of {user_id}'s", "`nexscout conversation list` shows them"
            )
        if len(rows) > 1:
            shown = ", ".join(row["id"] for row in rows[:3])
            raise UsageError(f"more than one conversation begins with {name!r}", f"for instance {shown}")
    found: sqlite3.Row = rows[0]
    return found


def _conversation(row: sqlite3.Row) -> Conversation:
    return Conversation(
        row["id"],
        row["user_id"],
        row["feature"],
        json.loads(row["options"]),
        row["used_at"],
        row["count"],
        row["cost"],
    )


def _begins(messages: list[dict[str, Any]]) -> str:
    """The text of the first user message."""
    for message in messages:
        if message["role"] == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return "\n".join(part["text"] for part in content if part["type"] == "text")
    return ""


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
