"""The options of a chat request that have a form of their own: tools, the choice of one, the answer's format, stop texts.

Sources: OpenAI API reference, "Create chat completion"; JSON Schema, draft 2020-12.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any

from nexscout_cli.errors import UsageError

Json = Any

MAX_TOOLS = 128
MAX_STOPS = 4
MAX_DEPTH = 100
"""How deep an answer's JSON may be nested."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHOICES = ("auto", "none", "required")
_TYPES = {"str": "string", "text": "string", "int": "integer", "float": "number", "bool": "boolean"}
_TYPES |= {name: name for name in ("string", "integer", "number", "boolean")}
_FIELD = re.compile(r"[^\W\d][\w.-]{0,63}")


def check_tools(value: Json, label: str) -> None:
    """Refuse what is not a list of functions, each with a name of its own and a schema. Raises UsageError."""
    example = '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]'
    if not isinstance(value, list) or not value or len(value) > MAX_TOOLS:
        raise UsageError(f"{label} is a list of 1 to {MAX_TOOLS} functions", f"for instance {example}")
    names = set()
    for number, tool in enumerate(value):
        at = f"{label}[{number}]"
        if not isinstance(tool, dict):
            raise UsageError(f"{at} is not an object", f"for instance {example}")
        kind, function = tool.get("type"), tool.get("function")
        if kind != "function" or not isinstance(function, dict) or tool.keys() - {"type", "function"}:
            if kind in (None, "function"):
                raise UsageError(f"{at} is not a function", f"for instance {example}")
            raise UsageError(
                f"{at}: only functions are taken as tools, not {kind!r:.40}", "tools that a provider runs may cost more"
            )
        name, about, schema = function.get("name"), function.get("description", ""), function.get("parameters", {})
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in names:
            raise UsageError(
                f"{at}.function.name cannot be {name!r:.40}", "a name of its own: letters, digits, - and _"
            )
        if not isinstance(about, str) or not isinstance(schema, dict):
            raise UsageError(f"{at}.function: description is text, parameters a JSON schema", f"for instance {example}")
        if unknown := sorted(function.keys() - {"name", "description", "parameters", "strict"}):
            renamed = "what Anthropic calls input_schema is parameters here"
            wrong = f"{at}.function.{unknown[0]:.40} is not known"
            raise UsageError(wrong, renamed if unknown[0] == "input_schema" else "leave it out")
        names.add(name)
    _check_json(value, label)


def check_tool_choice(value: Json, label: str) -> None:
    """Refuse what is neither auto, none, required nor the name of a function. Raises UsageError."""
    named = value.get("function") if isinstance(value, dict) and value.get("type") == "function" else None
    if value not in _CHOICES and not (isinstance(named, dict) and isinstance(named.get("name"), str)):
        example = '{"type": "function", "function": {"name": "weather"}}'
        raise UsageError(f"{label} cannot be {value!r:.60}", f"one of: {', '.join(_CHOICES)}, or {example}")


def check_format(value: Json, label: str) -> None:
    """Refuse what is neither text, json_object nor a json_schema that is one. Raises UsageError."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in ("text", "json_object") and value.keys() == {"type"}:
        return
    if kind != "json_schema" or value.keys() - {"type", "json_schema"}:
        raise UsageError(
            f"{label} cannot be {value!r:.60}", 'a JSON schema, or {"type": "json_object"}; --schema takes a file'
        )
    given = value["json_schema"] if isinstance(value.get("json_schema"), dict) else {}
    if not isinstance(given.get("name"), str) or not _NAME.fullmatch(given["name"]):
        raise UsageError(f"{label}.json_schema.name is missing, or no name", "letters, digits, - and _")
    if unknown := sorted(given.keys() - {"name", "description", "schema", "strict"}):
        raise UsageError(f"{label}.json_schema.{unknown[0]:.40} is not known", "leave it out")
    if not isinstance(given.get("schema"), dict):
        raise UsageError(f"{label}.json_schema.schema is not a JSON object", 'for instance {"type": "object"}')
    _check_json(given["schema"], label)
    _check_schema(given["schema"], label)


def check_stop(value: Json, label: str) -> None:
    """Refuse what is not a text, or up to four. Raises UsageError."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not 1 <= len(texts) <= MAX_STOPS:
        raise UsageError(f"{label} is a text, or a list of up to {MAX_STOPS}", 'for instance "END"')
    if not all(isinstance(text, str) and text for text in texts):
        raise UsageError(f"{label} has an entry that is no text, or empty", 'for instance ["END"]')
    _check_json(value, label)


CHECKS = {
    "tools": check_tools,
    "tool_choice": check_tool_choice,
    "response_format": check_format,
    "stop": check_stop,
}
"""The check of each option of kind ``chat``."""


def schema_of(format: Json) -> dict[str, Json] | None:
    """The schema that an answer must have; any object for json_object, None where its form is free."""
    kind = format.get("type") if isinstance(format, dict) else None
    if kind == "json_schema":
        schema: dict[str, Json] = format["json_schema"]["schema"]
        return schema
    return {"type": "object"} if kind == "json_object" else None


def format_for(schema: dict[str, Json]) -> dict[str, Json]:
    """The ``response_format`` that asks for a schema; a whole one is taken as it is."""
    if schema.get("type") in ("json_schema", "json_object") and schema.keys() <= {"type", "json_schema"}:
        return schema
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def concise(text: str) -> dict[str, Json]:
    """The schema that a line such as ``name, age int, city: where they live`` stands for: the fields of one object.

    A field is a name, then its type (str, int, float, bool; text where none is named), then a colon and what it means. Lines
    or commas part the fields. This is the short form of Simon Willison's llm. Raises UsageError.
    """
    properties: dict[str, Json] = {}
    for field in re.split(r"\n" if "\n" in text.strip() else r",", text.strip()):
        named, _, about = field.strip().partition(":")
        words = named.split()
        if not words:
            continue
        kind = words[1] if len(words) > 1 else "str"
        if len(words) > 2 or kind not in _TYPES or not _FIELD.fullmatch(words[0]):
            raise UsageError(
                f"--schema: {field.strip()!r:.60} is no field",
                'for instance "name, age int, city: where they live"; types are str, int, float, bool',
            )
        if words[0] in properties:
            raise UsageError(f"--schema names the field {words[0]} twice", "leave it out once")
        properties[words[0]] = {"type": _TYPES[kind]} | ({"description": about.strip()} if about.strip() else {})
    if not properties:
        raise UsageError("--schema names no field", 'for instance "name, age int"')
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def value_of(answer: str) -> Json:
    """The JSON value of an answer. Raises ValueError, RecursionError for what is none, or could not be written again."""
    value = json.loads(answer, parse_constant=_finite, parse_float=_finite)
    level, depth = [value], 0
    while level := [one for whole in level for one in _within(whole)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    return value


def _finite(text: str) -> float:
    """A number, which Python's JSON also reads where it is none. Raises ValueError."""
    if not isfinite(value := float(text)):
        raise ValueError(f"{text[:40]} is not a JSON number, or is too large")
    return value


def _within(value: Json) -> Iterable[Json]:
    """What an object or a list holds."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def fault(answer: str, schema: dict[str, Json]) -> str | None:
    """What is wrong with an answer that must have a schema, in a line; None where nothing is."""
    try:
        value = value_of(answer)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {str(error)[:80]}"
    from jsonschema import validators  # type: ignore[import-untyped]
    from referencing import Registry

    try:
        kind = validators.validator_for(schema, validators.Draft202012Validator)
        checker = kind(schema, registry=Registry())  # an empty registry: a reference is never fetched from the network
        found = next(iter(checker.iter_errors(value)), None)
    except Exception as error:  # noqa: BLE001 - a reference that leads nowhere, a circle: the schema's fault, not the answer's
        return f"it cannot be checked: {str(error)[:120]}"
    if found is None:
        return None
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in found.absolute_path)
    return f"{place.lstrip('.') or 'the answer'}: {found.message[:160]}"


def _check_schema(schema: dict[str, Json], label: str) -> None:
    from jsonschema import SchemaError, validators

    example = 'for instance {"type": "object", "properties": {"name": {"type": "string"}}}'
    kind = validators.validator_for(schema, validators.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        raise UsageError(
            f"{label} is not a JSON schema: {getattr(error, 'message', 'it is nested too deep')[:120]}", example
        ) from error
    if not schema.keys() & kind.VALIDATORS.keys():
        raise UsageError(f"{label} asks for nothing: it has no word of JSON Schema", example)
    if (lost := _lost_reference(schema)) is not None:
        raise UsageError(f"{label} refers to {lost!r:.80}, which is not in it", "put what it refers to under $defs")


def _lost_reference(schema: dict[str, Json]) -> str | None:
    """A ``$ref`` that leads out of the schema, or nowhere in it: an answer could never be checked by it."""
    refs = [value["$ref"] for value in _objects(schema) if isinstance(value.get("$ref"), str)]
    if not refs:
        return None
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    root, ref = DRAFT202012.create_resource(schema), refs[0]
    try:
        address = root.id() or ""
        resolver = Registry().with_resource(address, root).crawl().resolver(address)
        for ref in refs:
            resolver.lookup(ref)
    except (Unresolvable, ValueError):  # ValueError: an address that is none
        return str(ref)
    return None


def _objects(value: Json) -> Iterator[dict[str, Json]]:
    """All objects in a JSON value."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
        left.extend(_within(one))


def _check_json(value: Json, label: str) -> None:
    """Refuse what JSON text in UTF-8 cannot hold. Raises UsageError."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{label} is not a JSON value: {str(error)[:80]}", "objects, lists, text, numbers") from error
