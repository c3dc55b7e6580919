"""The one list of what may be set on a model and goes with each of its calls. What is not in it is refused, never dropped.

Nothing that could raise what a call costs or how often it is counted is in it: those are options of a request, which are
priced, or they are not to be had.
"""

from __future__ import annotations

from difflib import get_close_matches

from nexscout_cli.errors import UsageError

OURS = ("instruction",)
"""What we use ourselves: a text before the prompt."""
SAMPLING = (
    *("top_p", "top_k", "min_p", "typical_p", "top_a", "seed", "stop", "stop_sequences", "topP", "topK"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias", "verbosity", "reasoning_effort"),
    *("mirostat", "mirostat_eta", "mirostat_tau", "repeat_last_n", "repeat_penalty", "tfs_z", "length_penalty"),
)
"""How words are chosen. A request's own option of the same name goes before it."""
PLACES = (
    *("api_version", "organization", "project", "aws_region_name", "aws_bedrock_runtime_endpoint", "aws_profile_name"),
    *("aws_role_name", "aws_session_name", "vertex_project", "vertex_location", "region_name", "azure_ad_scope"),
    *("tenant_id", "client_id", "space_id", "project_id", "deployment_id", "custom_llm_provider"),
)
"""Where a provider is to answer."""
SERVERS = (
    "num_ctx",
    "num_gpu",
    "num_thread",
    "keep_alive",
    "user",
    "metadata",
    "safety_settings",
    "chat_template_kwargs",
)
"""What local servers and a few providers take beside."""
KNOWN = (*OURS, *SAMPLING, *PLACES, *SERVERS)

_ELSEWHERE = {
    "temperature": "--temperature says it for a request",
    "n": "--answers asks for several answers, and each is priced",
    "best_of": "answers that are not given are paid too, and no bound holds them",
    "service_tier": "--service-tier says it for a request, and is priced",
    "tools": "--tools gives a request tools",
    "tool_choice": "--tool-choice says it for a request",
    "response_format": "--schema asks for JSON",
    "max_tokens": "a request's bound is --max-tokens; a model's longest answer is --max-output",
    "max_completion_tokens": "a request's bound is --max-tokens; a model's longest answer is --max-output",
    "max_output_tokens": "a model's longest answer is --max-output",
    "num_predict": "a request's bound is --max-tokens",
    "extra_body": "name its parameters one by one: what could raise the cost is looked at",
    "extra_headers": "headers may hold keys, which are never stored",
    "web_search_options": "searches are charged apart, and no bound holds them",
    "fallbacks": "`fallback.models` says when another model may answer",
    "stream": "--stream and --no-stream say it for a request",
    "messages": "the request has them",
    "model": "--litellm-model says it",
    "api_base": "--api-base says it",
    "base_url": "--api-base says it",
    "timeout": "`providers.timeout` says it",
    "num_retries": "`providers.retries` says it",
    "mock_response": "an answer that nobody gave is not booked",
}


def check(name: str) -> None:
    """Raises UsageError, which says what does it instead, for a parameter that may not be set on a model."""
    if name in KNOWN:
        return
    refused = f"--param may not set {name:.60}"
    if name in _ELSEWHERE:
        raise UsageError(refused, _ELSEWHERE[name])
    if any(word in name.lower() for word in ("key", "token", "secret", "password")):
        raise UsageError(refused, "addresses, keys and bounds have options of their own")
    near = get_close_matches(name, KNOWN, 1)
    raise UsageError(
        f"--param {name:.60} is not known",
        f"did you mean {near[0]}?" if near else "docs/configuration.md lists what may be set on a model",
    )
