"""What LiteLLM is given to read where we have read the answer ourselves: the shortest one that it takes."""

import json
from typing import Any


def _answer(kind: str, said: str) -> bytes:
    choice: dict[str, Any] = {"index": 0, said: {"role": "assistant", "content": "-"}, "finish_reason": "stop"}
    return json.dumps({"id": "-", "object": kind, "created": 0, "model": "-", "choices": [choice]}).encode()


WHOLE = _answer("chat.completion", "message")
STREAM = b"data: " + _answer("chat.completion.chunk", "delta") + b"\n\ndata: [DONE]\n\n"
