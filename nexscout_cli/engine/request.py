"""What one user asks: the prompt, what goes with it, and how it is run."""

from __future__ import annotations

from typing import Any, NamedTuple

from nexscout_cli.engine.chat import Image, Message, as_messages, as_pictures, asked
from nexscout_cli.errors import UsageError

Json = Any


class Attachment(NamedTuple):
    """A text file, already read; ``name`` is shown to the model."""

    name: str
    text: str


class Options(NamedTuple):
    """How one request is run. Each field has an entry in the table of :mod:`nexscout_cli.engine.options`.

    ``max_cost`` is in nano-dollars; ``max_tokens`` bounds the answer; ``temperature`` lies in 0–2; ``mode``, ``policy`` and
    ``compress`` are words of :mod:`nexscout_cli.terms`; ``keep`` is the share (0.1–0.9) of a text that extraction keeps;
    ``effort`` is how much a model thinks; ``allow_fallback`` lets another model answer where a forced one, or a provider's
    key, fails. From ``tools`` on they are those of chat completions, and have its meaning.
    """

    allow_cache: bool = True
    force_model: str | None = None
    mode: str | None = None
    skip_energy_charge: bool = False
    max_tokens: int | None = None
    max_cost: int | None = None
    system: str | None = None
    temperature: float | None = None
    idempotency_key: str | None = None
    policy: str | None = None
    compress: str | None = None
    keep: float | None = None
    allow_fallback: bool = False
    effort: str | None = None
    tools: Json = None
    tool_choice: Json = None
    parallel_tool_calls: bool | None = None
    response_format: Json = None
    stop: Json = None
    top_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    end_user: str | None = None
    service_tier: str | None = None
    shape: bool = True

    @property
    def wants_json(self) -> bool:
        """Whether the answer must be JSON, by a schema or any."""
        kind = self.response_format.get("type") if isinstance(self.response_format, dict) else None
        return kind in ("json_schema", "json_object")


class Caller(NamedTuple):
    """By what a request came: the server's key, its tags, the run of an agent with its purse in nano-dollars."""

    key: str | None = None
    tags: tuple[str, ...] = ()
    run: str | None = None
    run_cost: int | None = None


class AIRequest(NamedTuple):
    """One thing a user asks. ``context`` is any JSON value; ``attachments`` are text files already read.

    ``prompt`` is the last user message; ``images`` belong to it. ``messages`` are what was said before it, or, where the
    prompt is empty, the whole conversation; they, and pictures, may be what JSON has for them.
    """

    user_id: str
    feature: str
    prompt: str = ""
    goal: str | None = None
    tone: str | None = None
    context: Json = None
    attachments: tuple[Attachment, ...] = ()
    options: Options = Options()
    messages: tuple[Message, ...] = ()
    images: tuple[Image, ...] = ()
    caller: Caller = Caller()

    @property
    def is_plain(self) -> bool:
        """Whether it asks for nothing but a text, by one message of text."""
        options = self.options
        special = options.tools, options.response_format, options.n, options.logprobs, options.service_tier
        return not (self.messages or self.images) and not any(value is not None for value in special)

    @property
    def wants_text(self) -> bool:
        """Whether the answer is one free text: no tool call, no JSON, not several answers. Others are not doubted."""
        return self.options.tools is None and not self.options.wants_json and self.options.n in (None, 1)

    @property
    def question(self) -> str:
        """What the user asks: the prompt, or the last user message of the conversation."""
        return self.prompt or asked(self.messages)

    @property
    def settled(self) -> AIRequest:
        """The same request in its one form: a plain user message at the end of the conversation is the prompt.

        Messages and pictures as JSON has them are read; those that cannot be stay as they are, for the check to refuse.
        """
        try:
            request = self._replace(messages=as_messages(self.messages), images=as_pictures(self.images))
        except UsageError:
            return self
        if request.prompt or not request.messages:
            return request
        last = request.messages[-1]
        if last.role != "user" or not last.plain or not last.content.strip():
            return request
        return request._replace(prompt=last.content, messages=request.messages[:-1])
