"""Options by the names that people write: their own, their flags', or a similar one."""

from __future__ import annotations

from nexscout_cli.engine.options import OPTIONS, default_of

_ELSEWHERE = {
    "model": "force_model",
    "user": "end_user",
    "reasoning_effort": "effort",
    "max_completion_tokens": "max_tokens",
    "functions": "tools",
    "function_call": "tool_choice",
}
"""What chat completions call some options."""


def named(name: str) -> str | None:
    """The option that a column or a field is named after: by its own name, or by its flag without the dashes.

    A flag that takes a switch back (``--no-cache``) names no column: what "yes" would mean there is not plain.
    """
    if name in OPTIONS:
        return name
    return next((o.name for o in OPTIONS.values() if f"--{name}" in o.flags and default_of(o) is not True), None)


def nearest(name: str) -> str | None:
    """The option that somebody who wrote ``name`` probably meant: by a flag's name, or a similar one."""
    by_flag = {flag.lstrip("-"): option.name for option in OPTIONS.values() for flag in option.flags}
    wanted = name.strip().lower().lstrip("-")
    if found := by_flag.get(wanted.replace("_", "-")) or _ELSEWHERE.get(wanted.replace("-", "_")):
        return found
    from difflib import get_close_matches

    near = get_close_matches(wanted.replace("-", "_"), OPTIONS, 1)
    return near[0] if near else None
