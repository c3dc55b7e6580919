"""Responses that are kept: read once more, and removed. Source: OpenAI API reference, "Get", "Delete", "List input items"."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.call import Choice
from nexscout_cli.engine.chat import ToolCall
from nexscout_cli.engine.response import AIResponse, Metadata
from nexscout_cli.engine.talk import CUT
from nexscout_cli.server.errors import HttpError
from nexscout_cli.server.response_state import name_of, up_to
from nexscout_cli.server.responses import ResponseTeller

if TYPE_CHECKING:
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.conversations import Conversation
    from nexscout_cli.engine.store_ports import Store
    from nexscout_cli.server.protocol import Document


def shown(store: Store, key: ApiKey, name: str) -> Document:
    """A kept response, as it was answered. Raises HttpError 404 where the key's user has none of that name."""
    kept = up_to(store.conversations, key, name)
    turn = kept.turns[-1]
    said = turn.messages[-1]
    calls = tuple(ToolCall.from_json(call) for call in said.get("tool_calls") or ())
    why = "length" if said.get(CUT) else "tool_calls" if calls else "stop"
    about = store.log.show(key.user_id, turn.request_id)
    request, classes = about["request"], Counter[str]()
    for row in about["usage"]:
        classes.update(row["token_classes"])
    known = Metadata(
        turn.request_id,
        turn.model,
        tokens_used=request["total_tokens"],
        input_tokens=request["input_tokens"],
        output_tokens=request["output_tokens"],
        energy_cost=request["energy"],
        cost_usd=Decimal(turn.cost).scaleb(-9),
        token_classes=dict(classes),
        finish_reason=why,
    )
    previous = name_of(kept, -2) if len(kept.turns) > 1 else None
    created = int(datetime.fromisoformat(turn.at).timestamp())
    beside = {"store": True, "previous_response_id": previous}
    teller = ResponseTeller(name_of(kept, -1), turn.request_id, turn.model, created, beside)
    answer = AIResponse(True, said["content"], None, known, choices=(Choice(said["content"] or "", why, calls),))
    return {**teller.whole(answer), "nexscout": {"request_id": turn.request_id, "cost_usd": known.cost_usd}}


def input_items(store: Store, key: ApiKey, name: str) -> Document:
    """What a kept response answered, as a list of items, the latest first. Raises HttpError 404."""
    kept = up_to(store.conversations, key, name)
    said = [message for turn in kept.turns for message in turn.messages][:-1]
    items = [item for number, message in enumerate(said) for item in _items(f"{kept.id}_{number}", message)][::-1]
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": None, "last_id": None}
    return {"object": "list", "data": items, **ends, "has_more": False}


def removed(store: Store, key: ApiKey, name: str) -> Document:
    """Remove a kept response; its money stays in the books. Raises HttpError: 404, or 409 where a later one goes on with it."""
    kept = up_to(store.conversations, key, name)
    if not store.conversations.take_back(key.user_id, kept):
        raise HttpError(409, "a later response goes on with it", f"delete {_latest(store, kept)} first", code="gone_on")
    return {"id": name_of(kept, -1), "object": "response", "deleted": True}


def _latest(store: Store, kept: Conversation) -> str:
    return name_of(store.conversations.find(kept.user_id, kept.user_id, kept.id), -1)


def _items(name: str, message: dict[str, Any]) -> list[Document]:
    """A kept message as items of a response's input."""
    role, content = message["role"], message["content"]
    if role == "tool":
        output = {"call_id": message["tool_call_id"], "output": content, "status": "completed"}
        return [{"type": "function_call_output", "id": f"fco_{name}", **output}]
    kind = "output_text" if role == "assistant" else "input_text"
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    told = [_part(part, kind) for part in parts]
    items: list[Document] = []
    if told:
        items.append({"type": "message", "id": f"msg_{name}", "role": role, "status": "completed", "content": told})
    for number, call in enumerate(message.get("tool_calls") or ()):
        function = {"call_id": call["id"], **call["function"], "status": "completed"}
        items.append({"type": "function_call", "id": f"fc_{name}_{number}", **function})
    return items


def _part(part: dict[str, Any], kind: str) -> Document:
    if part["type"] == "image_url":
        address = part["image_url"]
        return {"type": "input_image", "image_url": address["url"], "detail": address.get("detail", "auto")}
    return {"type": kind, "text": part["text"]} | ({"annotations": []} if kind == "output_text" else {})
