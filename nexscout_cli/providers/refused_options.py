"""Options that a provider refuses by an error that names them: the call is made once more without, and they are remembered.

Sources of the words: the error messages of OpenAI ("Unsupported parameter: 'max_tokens' …", "Unsupported value"), Anthropic
("temperature: Extra inputs are not permitted"), Groq ("property 'seed' is unsupported"), Mistral ("extra_forbidden").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nexscout_cli.engine.failures import ProviderFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.engine.call import Call, Completion

MOST = 4
"""How many options are left out of one call, one after the other."""
_REFUSES = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|forbidden|not accept|deprecated"
    r"|cannot both|only the default",
    re.IGNORECASE,
)
_BOUNDS = ("max_tokens", "max_completion_tokens")
_LEFT_OUT = (
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "parallel_tool_calls",
    "stream_options",
    "user",
)
"""What a call can do without. What it was asked for (tools, a schema, a stop, several answers) is refused instead."""
_NAMES = re.compile(rf"(?<![A-Za-z_])(?:{'|'.join((*_BOUNDS, *_LEFT_OUT))})(?![A-Za-z_])")


def complete(call: Call, ask: Callable[[Call], Completion]) -> Completion:
    """Make a call, and again without what the provider refuses of its options. Raises ProviderFailure as ``ask`` does.

    A refused call is not billed. A bound that goes by another name is never left out, but sent under that name.
    """
    asked, refused = call.without_refused(), list[str]()
    while True:
        try:
            done = ask(asked)
        except ProviderFailure as failure:
            name = refused_option(failure, asked)
            if name is None or len(refused) == MOST:
                raise
            refused.append(name)
            model = asked.model._replace(refused_options=(*asked.model.refused_options, name))
            asked = asked._replace(model=model).without_refused()
        else:
            effort = () if call.effort is None else ("reasoning_effort",)
            known = [name for name in (*call.options, *effort) if name in call.model.refused_options]
            return done._replace(not_sent=(*done.not_sent, *known), refused=tuple(refused))


def refused_option(failure: ProviderFailure, call: Call) -> str | None:
    """The option that an error refuses, of those that can be left out and were sent; None where there is none."""
    if failure.status not in (400, 422) or not _REFUSES.search(failure.message):
        return None
    sent = {call.model.bound_name, "stream_options" if call.stream else "", *call.options}
    sent |= {"temperature"} if call.temperature is not None else set()
    sent |= {"reasoning_effort"} if call.effort is not None else set()
    for found in _NAMES.findall(failure.message):
        if found in sent and found not in call.model.refused_options:
            return str(found)
    return None
