"""What a target needs beside its key before it can be called: a package, or a variable that says where its server is.

Sources: LiteLLM's pages on each provider. Imports nothing that it looks for.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nexscout_cli import provider_keys
from nexscout_cli.errors import ConfigError

if TYPE_CHECKING:
    from nexscout_cli.engine.model import Model

_PACKAGES = {
    "bedrock": ("boto3", "boto3"),
    "bedrock_mantle": ("boto3", "boto3"),
    "sagemaker": ("boto3", "boto3"),
    "sagemaker_chat": ("boto3", "boto3"),
    "vertex_ai": ("google.auth", "google-auth"),
    "vertex_ai_beta": ("google.auth", "google-auth"),
    "oci": ("oci", "oci"),
    "petals": ("petals", "petals"),
}
"""By provider: the module that LiteLLM imports to call it, and the package that has it."""
_ADDRESSES = {
    "azure": ("AZURE_API_BASE",),
    "azure_ai": ("AZURE_AI_API_BASE",),
    "azure_text": ("AZURE_API_BASE",),
    "databricks": ("DATABRICKS_API_BASE", "DATABRICKS_HOST"),
    "hosted_vllm": ("HOSTED_VLLM_API_BASE",),
    "lm_studio": ("LM_STUDIO_API_BASE",),
    "litellm_proxy": ("LITELLM_PROXY_API_BASE",),
    "openai_like": ("OPENAI_LIKE_API_BASE",),
    "snowflake": ("SNOWFLAKE_API_BASE", "SNOWFLAKE_ACCOUNT_ID"),
    "watsonx": ("WATSONX_API_BASE", "WATSONX_URL", "WX_URL", "WML_URL"),
    "watsonx_text": ("WATSONX_API_BASE", "WATSONX_URL", "WX_URL", "WML_URL"),
}
"""By provider without an address of its own: the variables of which one must name it, where ``--api-base`` does not."""
_VARIABLES = {"cloudflare": ("CLOUDFLARE_ACCOUNT_ID",), "predibase": ("PREDIBASE_TENANT_ID",)}
"""By provider: the variables of which one must be set."""


def missing(model: Model) -> tuple[str, str] | None:
    """What a remote model cannot be called without, in a few words, and what to type about it; None where nothing is missing."""
    provider = model.litellm_model.partition("/")[0]
    if provider in _PACKAGES:
        module, package = _PACKAGES[provider]
        if not _is_installed(module):
            return f"the package {package} is not installed", f"pip install {package}"
    addresses = () if model.api_base else _ADDRESSES.get(provider, ())
    for names in (addresses, _VARIABLES.get(provider, ())):
        if names and not any(_is_set(name) for name in names):
            also = f", or nexscout models set {model.name} --api-base ADDRESS" if names is addresses else ""
            return f"{names[0]} is not set", f"export {names[0]}=VALUE{also}"
    try:
        if model.api_key_env is not None and provider_keys.source(model.api_key_env) is None:
            return f"{model.api_key_env} is not set", f"export {model.api_key_env}=KEY"
    except ConfigError as error:
        return error.message, error.suggestion
    return None


def _is_set(name: str) -> bool:
    return bool(os.environ.get(name, "").strip())


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
