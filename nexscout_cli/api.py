"""The public functions for programs, over an engine on the installation's own store and settings."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from nexscout_cli import assemble, config
from nexscout_cli.config import Settings
from nexscout_cli.engine import batch
from nexscout_cli.engine.book_types import Feedback
from nexscout_cli.engine.learning.profile import ProfileState
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.purse import current, here
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.store_ports import Store
from nexscout_cli.errors import NexScoutError, UsageError
from nexscout_cli.terms import POLICIES

T = TypeVar("T")

__all__ = [
    "Engine",
    "check_cost_firewall",
    "choose_model",
    "get_efficiency_profile",
    "open_engine",
    "openai_client",
    "record_feedback",
    "run_ai_batch",
    "run_ai_batch_async",
    "run_ai_optimized",
    "run_ai_optimized_async",
    "set_preferred_mode",
    "set_routing_policy",
    "simulate_cost",
]


def open_engine(path: Path | None = None, settings: Settings | None = None, actor: str | None = None) -> Engine:
    """An engine over the database at ``path`` (default: the installation's). Raises StoreError."""
    actor = actor or assemble.login_name()
    return assemble.build_engine(*_many_commits(settings or config.load(), actor, path), actor)


def _many_commits(settings: Settings, actor: str, path: Path | None = None) -> tuple[Store, Settings]:
    """The open store, and its settings, of a program that goes on to make many calls. Raises StoreError."""
    store, bounded = assemble.opened(settings, actor, path)
    store.for_many_commits()
    return store, bounded


def openai_client(user_id: str | None = None, engine: Engine | None = None) -> Any:
    """A stock ``openai`` client whose calls the engine in this process answers: no server, no key, the same books.

    ``user_id``: whose requests they are (default: the actor's). Needs the packages ``openai`` and ``nexscout[serve]``; raises
    UsageError where they are missing.
    """
    try:
        from nexscout_cli.server.in_process import client
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed", "pip install openai 'nexscout[serve]'") from error
    return client(engine or _engine(), user_id)


@cache
def _opened_by(pid: int) -> tuple[Store, Settings]:
    """A process's own store: a child that is forked has none of its parent's, whose locks and connections it must not use."""
    return _many_commits(config.load(), assemble.login_name())


def _opened() -> tuple[Store, Settings]:
    return _opened_by(os.getpid())


def _store() -> Store:
    return _opened()[0]


@cache
def _engine_of(pid: int) -> Engine:
    return assemble.build_engine(*_opened_by(pid), assemble.login_name())


def _engine() -> Engine:
    return _engine_of(os.getpid())


def run_ai_optimized(request: AIRequest, engine: Engine | None = None) -> AIResponse:
    """Answer a request at the lowest cost that will do, or say why not: ``success`` tells which. Never raises for a refusal."""
    return (engine or _engine()).run(request)


async def run_ai_optimized_async(request: AIRequest, engine: Engine | None = None) -> AIResponse:
    """:func:`run_ai_optimized` without blocking the event loop; up to ``MAX_AT_ONCE`` at a time in this process."""
    used = engine or _engine()
    return await _apart(lambda: run_ai_optimized(request, used), coroutines=used.lets_others_go_on)


def run_ai_batch(requests: Sequence[AIRequest], concurrency: int = 5, engine: Engine | None = None) -> list[AIResponse]:
    """Answer many requests, ``concurrency`` at a time, in their order; identical ones share one call."""
    purse = current()  # the threads that answer know no context of the caller's
    drawn = requests if purse is None else [purse.over(request) for request in requests]
    responses = batch.run(engine or _engine(), drawn, concurrency)
    if purse is not None and here.get() is purse:
        for request, response in zip(drawn, responses, strict=True):
            purse.hear(request, response)
    return responses


async def run_ai_batch_async(
    requests: Sequence[AIRequest], concurrency: int = 5, engine: Engine | None = None
) -> list[AIResponse]:
    """:func:`run_ai_batch` without blocking the event loop."""
    return await _apart(lambda: run_ai_batch(requests, concurrency, engine))


MAX_AT_ONCE = 256
"""Calls of the asynchronous functions that run at once; others wait for their turn."""


@cache
def _threads_of(pid: int) -> ThreadPoolExecutor:
    # Not the loop's own pool: that one has a few threads per core, and a call spends its time waiting.
    return ThreadPoolExecutor(MAX_AT_ONCE, "nexscout")


@cache
def _coroutines_of(pid: int) -> Executor:
    from nexscout_cli.coroutines import CoroutineExecutor

    executor = CoroutineExecutor(MAX_AT_ONCE)
    atexit.register(lambda: executor.shutdown() if os.getpid() == pid else None)
    return executor


async def _apart(work: Callable[[], T], *, coroutines: bool = False) -> T:
    """Do something that waits, beside the calling loop: in a thread, or as one of many coroutines of another loop."""
    context, executor = copy_context(), _coroutines_of if coroutines else _threads_of
    return await asyncio.get_running_loop().run_in_executor(executor(os.getpid()), lambda: context.run(work))


def simulate_cost(request: AIRequest, engine: Engine | None = None) -> Plan:
    """What a request would cost and how it would be run; nothing is written. Raises NexScoutError where no plan can be made."""
    return (engine or _engine()).simulate(request)


def check_cost_firewall(request: AIRequest, engine: Engine | None = None) -> tuple[bool, str | None, str | None]:
    """Whether a request may proceed; if not, the reason and a suggestion."""
    try:
        error = simulate_cost(request, engine).error
    except NexScoutError as refusal:
        error = refusal.as_json()
    return (True, None, None) if error is None else (False, error["message"], error["suggestion"])


def choose_model(request: AIRequest, engine: Engine | None = None) -> tuple[Model, str]:
    """The model a request would go to, and the routing reason."""
    plan = simulate_cost(request, engine)
    return plan.model, plan.routing_reason


def set_preferred_mode(user_id: str, mode: str, store: Store | None = None, actor: str | None = None) -> None:
    """Set the mode that governs a user's requests. Raises NotPermitted where the tier does not have it."""
    (store or _store()).profiles.set_mode(actor or assemble.login_name(), user_id, mode)


def set_routing_policy(user_id: str, policy: str | None, store: Store | None = None, actor: str | None = None) -> None:
    """Set how models are chosen for a user: rules, learned or cascade; None: as for the installation. Raises UsageError."""
    if policy is not None and policy not in POLICIES:
        raise UsageError(f"there is no routing policy {policy!r}", f"policies: {', '.join(POLICIES)}")
    (store or _store()).profiles.set_policy(actor or assemble.login_name(), user_id, policy)


def record_feedback(
    request_id: str, verdict: str, note: str | None = None, store: Store | None = None, actor: str | None = None
) -> Feedback:
    """Say whether a request's answer was ``good`` or ``bad``; a second verdict replaces the first. Raises UsageError."""
    return (store or _store()).feedback.record(actor or assemble.login_name(), request_id, verdict, note)


def get_efficiency_profile(user_id: str, store: Store | None = None, actor: str | None = None) -> ProfileState:
    """What was learned of a user, verdicts included. Raises NotPermitted for other people's."""
    store, actor = store or _store(), actor or assemble.login_name()
    return store.profiles.learned(actor, user_id).with_verdicts(store.feedback.by_model(actor, user_id))
