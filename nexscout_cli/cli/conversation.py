"""``nexscout conversation``: the conversations that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from nexscout_cli.cli import choices, declared, output, tables
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.money import usd
from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.conversations import Conversation, Turn

app = declared.App(no_args_is_help=True)

User = Annotated[str | None, declared.Option("-u", "--user", help="Whose conversations (admins; default: your own).")]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]
Name = Annotated[str | None, declared.Argument(metavar="ID", help="The conversation's name, or the beginning of it.")]
_MOST = 100_000
_BEGINS = 60


@app.callback()
def conversation() -> None:
    """Look at the conversations that are kept, and remove them. They are kept where conversations.keep is on.

    \b
    nexscout conversation list
    nexscout conversation show
    nexscout conversation forget ID
    nexscout run --continue "And tomorrow?"      goes on with the latest
    """


@app.command("list")
def list_(
    limit: Annotated[int, declared.Option("--limit", min=1, max=_MOST, help="How many at most.")] = 20,
    user: User = None,
    as_json: AsJson = False,
) -> int:
    """List the conversations, the one used last first.

    \b
    nexscout conversation list
    nexscout conversation list --limit 100 --json
    """
    session = Session()
    rows = session.store.conversations.listing(session.actor, session.subject(user), limit)
    if as_json:
        output.emit({"rows": [_facts(row) | {"begins": row.begins} for row in rows]})
        return 0
    tables.show(
        ("id", "last used", "feature", "turns", "cost", "begins"),
        [
            [r.id, r.at[:16].replace("T", " "), r.feature, r.length, f"${r.cost / 1e9:.6f}", _short(r.begins)]
            for r in rows
        ],
        right=(3, 4),
    )
    return 0


@app.command()
def show(name: Name = None, user: User = None, as_json: AsJson = False) -> int:
    """Show what was said in a conversation, and what it cost; without ID the latest.

    \b
    nexscout conversation show
    nexscout conversation show 19ab
    """
    session = Session()
    found = session.store.conversations.find(session.actor, session.subject(user), name)
    if as_json:
        turns = [turn._asdict() | {"cost_usd": usd(turn.cost)} for turn in found.turns]
        for turn in turns:
            del turn["cost"]
        output.emit(_facts(found) | {"options": found.options, "turns": turns})
        return 0
    if system := found.options.get("system"):
        output.out(f"system: {system}\n")
    for turn in found.turns:
        for message in turn.messages:
            output.out(f"{_speaker(message, turn)}: {_text(message)}\n")
    output.out(f"{found.id}: {found.length} turns, ${found.cost / 1e9:.6f}")
    return 0


@app.command()
def forget(
    name: Name = None,
    everything: Annotated[bool, declared.Option("--all", help="All of the user's conversations.")] = False,
    user: User = None,
    yes: Annotated[bool, declared.Option("--yes", "-y", help="Don't ask.")] = False,
    dry_run: Annotated[bool, declared.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> int:
    """Remove a conversation, or all of a user's. What they cost stays in the books.

    \b
    nexscout conversation forget 19ab
    nexscout conversation forget --all --dry-run
    nexscout conversation forget --all --yes
    """
    if (name is None) != everything:
        raise UsageError("say which conversation, or --all", "`nexscout conversation list` shows them")
    session = Session()
    book, who = session.store.conversations, session.subject(user)
    if everything and not dry_run and not choices.confirmed(f"Remove all conversations of {who}'s?", yes):
        output.note("nothing was removed")
        return 0
    if not dry_run:
        session.recover()
    gone = book.forget(session.actor, who, name, dry_run=dry_run)
    if as_json:
        output.emit({"removed": gone, "dry_run": dry_run})
    elif dry_run:
        output.out(f"{_conversations(gone)} would be removed")
    elif output.stderr_is_terminal():
        output.note(f"{_conversations(gone)} removed")
    return 0


def _facts(row: Conversation) -> dict[str, Any]:
    return {
        "id": row.id,
        "user_id": row.user_id,
        "feature": row.feature,
        "used_at": row.at,
        "turn_count": row.length,
        "cost_usd": usd(row.cost),
    }


def _speaker(message: dict[str, Any], turn: Turn) -> str:
    role = str(message["role"])
    return f"{role} ({turn.model}, ${turn.cost / 1e9:.6f})" if role == "assistant" and turn.model else role


def _text(message: dict[str, Any]) -> str:
    """What a message says: its text, pictures by their kind, tool calls as `run` prints them."""
    from nexscout_cli.engine.chat import Image, conversation

    if message["role"] == "tool":
        return str(message["content"])
    (said,) = conversation([message])
    lines = [f"[picture {one.url[:40]}]" if isinstance(one, Image) else one for one in said.pieces]
    return "\n".join([*lines, *(f"{call.name}({call.arguments})" for call in said.tool_calls)])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _BEGINS else line[: _BEGINS - 1] + "…"


def _conversations(count: int) -> str:
    return "1 conversation" if count == 1 else f"{count:,} conversations"
