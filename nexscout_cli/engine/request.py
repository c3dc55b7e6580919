"""What one user asks: the prompt, what goes with it, and how it is run."""

from __future__ import annotations

from typing import Any, NamedTuple

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
    key, fails.
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


class AIRequest(NamedTuple):
    """One thing a user asks. ``context`` is any JSON value; ``attachments`` are text files already read."""

    user_id: str
    feature: str
    prompt: str
    goal: str | None = None
    tone: str | None = None
    context: Json = None
    attachments: tuple[Attachment, ...] = ()
    options: Options = Options()
