"""OpenAI's chat completions, which most providers and local servers speak.

Source: OpenAI API reference, "Create chat completion" and "Streaming"; for others, their own pages on compatibility.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from nexscout_cli import jsontext
from nexscout_cli.engine.call import Call
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.request import Json
from nexscout_cli.providers.wires.more import place_of, unsigned
from nexscout_cli.providers.wires.reader import Damaged, Reader, a_text, an_object, fail, objects
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.providers.wires.targets import Target


def request(call: Call, target: Target, key: str | None) -> HttpRequest:
    """The call as this wire sends it."""
    body: dict[str, Any] = {
        "model": target.model,
        "messages": [_message(message) for message in call.messages],
        call.model.bound_name: call.max_tokens,
    }
    if call.temperature is not None and call.model.takes_temperature(call.temperature, thinking=False):
        body["temperature"] = call.temperature
    if call.effort is not None:
        body["reasoning_effort"] = _effort(call.effort, target.model)
    if call.stream:
        body["stream"] = True
        # Mistral reports usage unasked, and refuses what it does not know.
        if target.provider != "mistral" and "stream_options" not in call.model.refused_options:
            body["stream_options"] = {"include_usage": True}
    if target.provider == "openrouter":
        body["usage"] = {"include": True}
    body |= {_NAMES.get((target.provider, name), name): value for name, value in call.options.items()}
    if target.provider == "mistral" and body.get("tool_choice") == "required":
        body["tool_choice"] = "any"
    headers = () if key is None else ((target.key_header, f"{target.key_prefix}{key}"),)
    return HttpRequest(target.url, headers, jsontext.usual(target.params | body).encode())


def _message(message: Message) -> dict[str, Any]:
    if not (message.tool_calls or message.tool_call_id):
        return message.as_json()
    calls = tuple(call._replace(id=unsigned(call.id)) for call in message.tool_calls)
    answers = message.tool_call_id and unsigned(message.tool_call_id)
    return message._replace(tool_calls=calls, tool_call_id=answers).as_json()


def _effort(effort: str, model: str) -> str:
    """The effort in the words that a model knows: the first GPT-5 says minimal for none, the o series has low at least."""
    if effort != "none":
        return effort
    if re.match(r"gpt-5(?:-|$)", model):
        return "minimal"
    return "low" if re.match(r"o\d", model) else effort


_NAMES = {("mistral", "seed"): "random_seed"}
"""Options that a provider calls by another name."""


def not_sent(call: Call, target: Target) -> tuple[str, ...]:
    """The options that this wire does not send: none, the provider says what it does not take."""
    return ()


_SAID = re.compile(rb'"content": ?"')
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]+')
"""Bytes of a JSON text that mean themselves."""
_ONLY_TEXT = ({"content"}, {"content", "role"})


class ChatReader(Reader):
    """Reads a chat completion, whole or as events.

    Most events of a stream are the same but for their text. Where one brought nothing but text, ``_around`` is what stands
    before and after it: of the next ones that have the same there, the text alone is read, of all that came together at once.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._around: tuple[bytes, bytes] | None = None

    def _run(self, data: bytes) -> str | None:
        if self._around is None:
            return None
        before, after = b"data: " + self._around[0], self._around[1] + b"\n\n"
        inner = _between(data, before, after)
        return None if inner is None else self._plain(inner.split(after + before))

    def _same(self, data: bytes) -> str | None:
        inner = None if self._around is None else _between(data, *self._around)
        return None if inner is None else self._plain([inner])

    def _plain(self, texts: list[bytes]) -> str | None:
        """The texts as one, where none has anything of JSON's own in it, a quote for one; else None."""
        if self._half or _PLAIN.fullmatch(apart := b" ".join(texts)) is None:
            return None
        try:
            piece = apart.decode()  # apart, as no character is cut by the end of an event
        except UnicodeDecodeError:
            return None
        if len(texts) > 1:
            piece = b"".join(texts).decode()
        self._text.write(piece)
        return piece

    def _parsed(self, data: bytes) -> dict[str, Any]:
        document = super()._parsed(data)
        self._around = _around(data, document) if self.streamed else None
        return document

    def _whole(self, document: dict[str, Any]) -> str:
        self._said(document)
        choices = document.get("choices")
        if not isinstance(choices, list):
            _not_an_answer(document)
        text = ""
        for at, choice in enumerate(objects(choices)):
            number = place_of(choice.get("index"), at) if at else 0
            said = self._choice(number, choice, an_object(choice.get("message")))
            text = text if number else said
        return text

    def _event(self, document: dict[str, Any]) -> str | None:
        self._said(document)
        piece: str | None = None
        for choice in objects(document.get("choices")):
            number = place_of(choice.get("index"), 0)
            delta = an_object(choice.get("delta")) or an_object(choice.get("message"))
            said = self._choice(number, choice, delta)
            thinks = delta.get("reasoning_content") or delta.get("reasoning") or isinstance(delta.get("content"), list)
            alive = number or thinks or delta.get("tool_calls")
            if number == 0 and said:
                piece = said
            elif piece is None and alive:
                piece = ""
        return piece

    def _choice(self, number: int, choice: dict[str, Any], said: dict[str, Any]) -> str:
        """What one answer, or a piece of it, says: the text, while the rest is gathered."""
        for at, call in enumerate(objects(said.get("tool_calls"))):
            function = an_object(call.get("function"))
            place = place_of(call.get("index"), at)
            self.more.call(number, place, call.get("id"), function.get("name"), function.get("arguments"))
        self.more.logprobs(number, choice.get("logprobs"))
        text = _text(said.get("content")) or a_text(said.get("refusal"))
        if number == 0:
            self._finish(choice)
        else:
            self.more.text(number, text)
            if isinstance(choice.get("finish_reason"), str):
                self.more.finish(number, choice["finish_reason"])
        return text

    def _said(self, document: dict[str, Any]) -> None:
        name, model, usage = document.get("id"), document.get("model"), document.get("usage")
        tier = document.get("service_tier")
        if usage is not None or tier is not None or name != self.id or model != self.model:  # events repeat themselves
            self._note(id=name, model=model, usage=usage, tier=tier)
        if document.get("error"):
            fail(document["error"], document.get("code"))

    def _finish(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.ended = True
            self.finish_reason = reason
            if reason == "error":
                fail(choice.get("error") or "the provider ended the answer with an error")


def _between(data: bytes, before: bytes, after: bytes) -> bytes | None:
    """What stands between them, where both are there."""
    end = len(data) - len(after)
    if end < len(before) or not (data.startswith(before) and data.endswith(after)):
        return None
    return data[len(before) : end]


def _around(data: bytes, document: dict[str, Any]) -> tuple[bytes, bytes] | None:
    """What stands before and after the text of an event that brings nothing but text; else None."""
    choices = document.get("choices")
    if document.get("usage") or document.get("error") or not isinstance(choices, list) or len(choices) != 1:
        return None
    choice = an_object(choices[0])
    delta = an_object(choice.get("delta"))
    if choice.get("index") != 0 or choice.get("finish_reason") or choice.get("logprobs"):
        return None
    if delta.keys() not in _ONLY_TEXT or not isinstance(delta["content"], str) or data.count(b'"content"') != 1:
        return None
    said = _SAID.search(data)
    text = said and _PLAIN.match(data, said.end())
    if (
        said is None
        or text is None
        or data[text.end() : text.end() + 1] != b'"'
        or text[0].decode() != delta["content"]
    ):
        return None
    return data[: said.end()], data[text.end() :]


def _text(content: Json) -> str:
    """The text of a content: a string, or parts, of which thinking is not shown (Mistral's models that think)."""
    if not isinstance(content, list):
        return a_text(content)
    return "".join(a_text(part.get("text")) for part in objects(content) if part.get("type") == "text")


def _not_an_answer(document: dict[str, Any]) -> NoReturn:
    """A body without choices is an error in some other form, or nothing at all."""
    if document.get("message") or document.get("detail"):
        fail(document)
    raise Damaged("the answer is damaged")
