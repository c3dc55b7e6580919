"""Whoever answers calls: our own wires, LiteLLM for other providers, and one small model that runs in this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from nexscout_cli import waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nexscout_cli.engine.call import Call, Completion, OnText
    from nexscout_cli.engine.catalog.comparison import Listed
    from nexscout_cli.engine.jobs.remote import Remote
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.ports import Provider


class Providers:
    """Sends each call where its ``litellm_model`` says; neither side is imported before it is needed.

    ``data_dir`` is the folder under which the embedded model's file lives.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = threading.Lock()
        self._remote: Provider | None = None
        self._embedded: Provider | None = None

    def available(self, model: Model) -> str | None:
        """None when the model can be called now, else one short line that says what is missing."""
        if model.embedded:
            return self._local().available(model)
        from nexscout_cli.providers import requirements

        lacks = requirements.missing(model)
        return lacks[0] if lacks else None

    def listed(self, target: str) -> Listed | None:
        """What LiteLLM's table says of a target; None for one that is not in it. Raises StoreError where there is no table."""
        from nexscout_cli.providers import prices

        return prices.lookup(target)

    def remote(self, model: Model) -> Remote | None:
        """The batch interface that serves a model; None where there is none."""
        from nexscout_cli.providers import batches

        return batches.remote(model)

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        """Make the call; raises ProviderFailure, and CallInterrupted for a signal."""
        try:
            complete = self._of(call)
        except KeyboardInterrupt:
            from nexscout_cli.engine.failures import CallInterrupted, ProviderFailure

            raise CallInterrupted(ProviderFailure("unreached", "interrupted; not sent")) from None
        from nexscout_cli.providers import refused_options

        return refused_options.complete(call, lambda asked: complete(asked, on_text))

    def _of(self, call: Call) -> Callable[[Call, OnText | None], Completion]:
        """Who makes a call: the model in this process, one of our own wires, or LiteLLM."""
        if call.model.embedded:
            return _in_thread(self._local().complete)
        from nexscout_cli.providers.wires.targets import target_of

        target = target_of(call.model)
        if target is None:
            return _in_thread(self._far().complete)
        from nexscout_cli.providers.wires import provider

        def complete(call: Call, on_text: OnText | None) -> Completion:
            return provider.complete(call, target, on_text)

        if waiting.here() is None:
            return complete
        from nexscout_cli.providers.transport import is_by_proxy

        return _in_thread(complete) if is_by_proxy(target.url) else complete

    def _local(self) -> Provider:
        with self._lock:
            if self._embedded is None:
                from nexscout_cli.providers.embedded.model_file import model_path
                from nexscout_cli.providers.embedded.provider import EmbeddedProvider

                self._embedded = EmbeddedProvider(model_path(self._data_dir))
            return self._embedded

    def _far(self) -> Provider:
        with self._lock:
            if self._remote is None:
                from nexscout_cli.providers.litellm.provider import LiteLLMProvider

                self._remote = LiteLLMProvider()
            return self._remote


def _in_thread(complete: Callable[[Call, OnText | None], Completion]) -> Callable[[Call, OnText | None], Completion]:
    """What blocks, in a thread where a coroutine asks for it."""
    loop = waiting.here()
    if loop is None:
        return complete
    return lambda call, on_text: loop.in_thread(lambda: complete(call, on_text))
