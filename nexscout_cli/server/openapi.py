"""The description of the interface, by OpenAPI 3.1: what tools that read such descriptions need to call it."""

from __future__ import annotations

from typing import Any

from nexscout_cli import __version__

_TEXT = {"type": "string"}
_MESSAGE = {
    "type": "object",
    "properties": {"role": _TEXT, "content": {}},
    "required": ["role"],
}
_BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": _TEXT,
        "messages": {"type": "array", "items": _MESSAGE},
        "stream": {"type": "boolean"},
        "max_tokens": {"type": "integer", "minimum": 1},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    },
    "/v1/responses": {"model": _TEXT, "input": {}, "stream": {"type": "boolean"}},
    "/v1/messages": {
        "model": _TEXT,
        "messages": {"type": "array", "items": _MESSAGE},
        "max_tokens": {"type": "integer", "minimum": 1},
        "stream": {"type": "boolean"},
    },
    "/v1/messages/count_tokens": {"model": _TEXT, "messages": {"type": "array", "items": _MESSAGE}},
    "/v1/run": {"prompt": _TEXT, "options": {"type": "object"}},
    "/v1/quote": {"model": _TEXT, "messages": {"type": "array", "items": _MESSAGE}},
    "/v1/feedback": {"request_id": _TEXT, "verdict": {"enum": ["good", "bad"]}, "note": _TEXT},
}
_NEEDED = {
    "/v1/chat/completions": ["model", "messages"],
    "/v1/responses": ["model", "input"],
    "/v1/messages": ["model", "messages", "max_tokens"],
    "/v1/messages/count_tokens": ["model", "messages"],
    "/v1/run": ["prompt"],
    "/v1/quote": ["model", "messages"],
    "/v1/feedback": ["request_id", "verdict"],
}
_READS = {
    "/v1/models": "What this key may name, with prices.",
    "/v1/models/{name}": "One of them.",
    "/v1/responses/{name}": "A response that is kept.",
    "/v1/responses/{name}/input_items": "What it answered.",
    "/v1/requests": "The latest requests of the key's user.",
    "/v1/requests/{request_id}": "One request: what became of it, and why.",
    "/v1/report": "A report, as `nexscout report --format json` gives it.",
    "/healthz": "The process lives.",
    "/readyz": "The books can be read.",
    "/metrics": "Counts for Prometheus; for admins.",
    "/openapi.json": "This description.",
}
_WRITES = {
    "/v1/chat/completions": "OpenAI's chat completions.",
    "/v1/responses": "OpenAI's responses.",
    "/v1/messages": "Anthropic's messages.",
    "/v1/messages/count_tokens": "The tokens of the input of Anthropic's messages; nothing is sent.",
    "/v1/run": "A request in NexScout's own form.",
    "/v1/quote": "What an answer would cost; nothing is sent.",
    "/v1/feedback": "A verdict on an answer.",
}
_FAILURES = {
    "400": "The request cannot be read.",
    "401": "No valid key.",
    "402": "Energy or a budget does not cover it.",
    "403": "Not permitted.",
    "404": "There is no such thing.",
    "409": "The same request is in progress.",
    "413": "Too large.",
    "422": "Refused by the firewall.",
    "429": "Too many requests.",
    "502": "Every provider failed.",
    "503": "Not now.",
}


def document() -> dict[str, Any]:
    """The description."""
    paths: dict[str, Any] = {}
    for path, about in _READS.items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        parameters = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]
        paths[path] = {"get": _operation(about) | ({"parameters": parameters} if parameters else {})}
    paths["/v1/responses/{name}"]["delete"] = paths["/v1/responses/{name}"]["get"] | {
        "summary": "Remove a response that is kept; its money stays in the books."
    }
    for path, about in _WRITES.items():
        schema = {"type": "object", "properties": _BODIES[path], "required": _NEEDED[path]}
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths[path] = {"post": _operation(about) | {"requestBody": body}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "NexScout", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    }


def _operation(about: str) -> dict[str, Any]:
    answers = {status: {"description": text} for status, text in {"200": "Done.", **_FAILURES}.items()}
    return {"summary": about, "responses": answers}
