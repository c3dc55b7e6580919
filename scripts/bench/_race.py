"""The race on one budget: many callers at once, some of them killed, and what the provider and the books say afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _common import FORK, MODEL, PLENTY, Seen, Server, in_child, open_engine, request, say, store_of

CROWD = 50
BOUND = 200  # tokens of an answer; the provider uses them all
DELAY = 0.03
KILLED_WITHIN = 0.4  # seconds after all began
PROCESSES, CALLS, KILLS, AFFORDED = 4, 6, 2, 10  # of one seed
PEER_SEEDS = 5  # its figures are the same in each


def prompt(tag: str) -> str:
    """Prompts of one length in tokens: who calls stands in the idempotency key and, for the provider, in words."""
    return f"Write a line about order {tag}"


def quote(folder: Path, url: str) -> tuple[int, Any]:
    """The most one call can cost, in nano-dollars, and the model."""
    with open_engine(folder / "quote.db", url, **PLENTY) as engine:
        plan = engine.simulate(request(prompt("000-000"), max_tokens=BOUND))
        return plan.max_cost, plan.model


def caps(budget: int) -> dict[str, Any]:
    return PLENTY | {"caps__usd__user_day": budget / 1e9}


def our_call(engine: Any, tag: str) -> bool:
    return bool(engine.run(request(prompt(tag), max_tokens=BOUND, idempotency_key=tag)).success)


def our_threads(path: Path, url: str, budget: int) -> None:
    with open_engine(path, url, **caps(budget)) as engine:
        gate = threading.Barrier(CROWD)

        def one(n: int) -> None:
            gate.wait()
            our_call(engine, f"{n:03}-000")

        run_threads(one)


def run_threads(one: Any) -> None:
    threads = [threading.Thread(target=one, args=(n,)) for n in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def our_process(path: Path, url: str, budget: int, number: int, calls: int, gate: Any) -> None:
    with open_engine(path, url, **caps(budget)) as engine:
        gate.wait(60)
        for call in range(calls):
            our_call(engine, f"{number:03}-{call:03}")


def peer_call(manager: Any, url: str, tag: str) -> None:
    """As LiteLLM's documentation shows it: check, call, update."""
    import litellm

    messages = [{"role": "user", "content": prompt(tag)}]
    if manager.projected_cost(model=MODEL, messages=messages, user="ada") > manager.get_total_budget("ada"):
        return
    target = {"model": f"openai/{MODEL}", "api_base": url, "api_key": "none"}
    response = litellm.completion(**target, messages=messages, max_tokens=BOUND, num_retries=0, max_retries=0)
    manager.update_cost(completion_obj=response, user="ada")


def peer_manager(budget: int) -> Any:
    from litellm import BudgetManager

    manager = BudgetManager(project_name="storm", client_type="local")
    manager.create_budget(total_budget=budget / 1e9, user="ada")
    return manager


def peer_threads(folder: Path, url: str, budget: int) -> None:
    os.chdir(folder)
    manager = peer_manager(budget)
    gate = threading.Barrier(CROWD)

    def one(n: int) -> None:
        gate.wait()
        peer_call(manager, url, f"{n:03}-000")

    run_threads(one)
    manager.save_data()


def peer_process(folder: Path, url: str, budget: int, number: int, calls: int, gate: Any) -> None:
    os.chdir(folder)
    manager = peer_manager(budget)
    gate.wait(60)
    for call in range(calls):
        peer_call(manager, url, f"{number:03}-{call:03}")
    for thread in threading.enumerate():  # it saves in threads of its own
        if thread is not threading.current_thread():
            thread.join(5)


def crowd(
    target: Any, where: Path, url: str, budget: int, processes: int, calls: int, kills: random.Random | None
) -> int:
    """Processes that call at once; ``kills`` picks who is killed when. Returns how many were killed."""
    gate = FORK.Barrier(processes + 1)
    running = [FORK.Process(target=target, args=(where, url, budget, n, calls, gate)) for n in range(processes)]
    for process in running:
        process.start()
    gate.wait(60)
    killed = 0
    if kills is not None:
        begun = time.monotonic()
        moments = sorted(kills.uniform(0, KILLED_WITHIN) for _ in range(KILLS))
        for moment, victim in zip(moments, kills.sample(running, KILLS), strict=True):
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            assert victim.pid is not None
            if victim.is_alive():
                os.kill(victim.pid, signal.SIGKILL)
                killed += 1
    for process in running:
        process.join()
    time.sleep(DELAY)  # what killed processes sent is still being received
    return killed


class Tally(Counter[str]):
    """reached, beyond (calls the budget did not cover), overspent (nano-dollars), forgotten, doubled, killed, faults."""


def compare(seen: list[Seen], model: Any, budget: int) -> Tally:
    """What reached the provider, how much of it the budget did not cover, and by how much it was passed."""
    total = beyond = 0
    for one in seen:
        total += model.cost(one.input_tokens, one.output_tokens)
        beyond += total > budget
    return Tally(reached=len(seen), beyond=beyond, overspent=max(0, total - budget))


def our_books(path: Path, url: str, budget: int) -> list[tuple[str, str]]:
    """(tag, state) of every attempt after recovery, and what ``db check`` finds as states of no tag."""
    with open_engine(path, url, **caps(budget)) as engine:
        store = store_of(engine)
        with store.db.read() as c:
            rows = c.execute("SELECT r.key, a.state FROM attempts a JOIN requests r USING (request_id)").fetchall()
            used = c.execute(
                "SELECT held + spent FROM accounts WHERE owner = 'ada' AND kind = 'usd' AND length(period) = 10"
            ).fetchone()
        faults = [("", str(problem)) for problem in store.maintenance.check("ada")]
        if used and used[0] > budget:
            faults.append(("", f"the books hold {used[0]} of a budget of {budget}"))
        return [(row[0], row[1]) for row in rows] + faults


def our_tally(path: Path, url: str, seen: list[Seen], model: Any, budget: int) -> Tally:
    tally = compare(seen, model, budget)
    reached = Counter(one.prompt.rpartition(" ")[2] for one in seen)
    charged, posted = Counter[str](), Counter[str]()
    for tag, state in in_child(our_books, path, url, budget):
        if not tag:
            say(f"db check: {state}")
        tally["faults"] += not tag
        charged[tag] += state in ("posted", "unknown")
        posted[tag] += state == "posted"
    for tag in reached | charged:
        tally["forgotten"] += max(0, reached[tag] - charged[tag])
        tally["doubled"] += max(0, posted[tag] - reached[tag])
    return tally


def peer_tally(folder: Path, seen: list[Seen], model: Any, budget: int, one: float) -> Tally:
    """The peer keeps one sum; calls that reached the provider and are not in it are forgotten."""
    tally = compare(seen, model, budget)
    try:
        books = json.loads((folder / "user_cost.json").read_text())["ada"].get("current_cost", 0.0)
    except (OSError, ValueError, KeyError):
        books = 0.0
    entered = round(books * 1e9 / one)
    tally["forgotten"] = max(0, len(seen) - entered)
    tally["doubled"] = max(0, entered - len(seen))
    return tally


def race(server: Server, folder: Path, seeds: int) -> list[tuple[str, int, Tally]]:
    """All contests: (what, rounds, tally)."""
    url = server.url
    one, model = in_child(quote, folder, url)
    server.seen()
    results: list[tuple[str, int, Tally]] = []

    def place(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    say(f"{CROWD} threads and {CROWD} processes on a budget of one call")
    in_child(our_threads, place("ot") / "n.db", url, one)
    results.append((f"nexscout, {CROWD} threads", 1, our_tally(folder / "ot" / "n.db", url, server.seen(), model, one)))
    in_child(peer_threads, place("pt"), url, one)
    results.append((f"BudgetManager, {CROWD} threads", 1, peer_tally(folder / "pt", server.seen(), model, one, one)))
    crowd(our_process, place("op") / "n.db", url, one, CROWD, 1, None)
    tally = our_tally(folder / "op" / "n.db", url, server.seen(), model, one)
    results.append((f"nexscout, {CROWD} processes", 1, tally))
    crowd(peer_process, place("pp"), url, one, CROWD, 1, None)
    results.append((f"BudgetManager, {CROWD} processes", 1, peer_tally(folder / "pp", server.seen(), model, one, one)))

    budget, ours, theirs = AFFORDED * one, Tally(), Tally()
    for seed in range(seeds):
        say(f"seed {seed + 1} of {seeds}")
        where = place(f"ours-{seed}") / "n.db"
        ours["killed"] += crowd(our_process, where, url, budget, PROCESSES, CALLS, random.Random(seed))
        ours.update(our_tally(where, url, server.seen(), model, budget))
        if seed < PEER_SEEDS:
            where = place(f"theirs-{seed}")
            theirs["killed"] += crowd(peer_process, where, url, budget, PROCESSES, CALLS, random.Random(seed))
            theirs.update(peer_tally(where, server.seen(), model, budget, one))
    what = f"{PROCESSES} × {CALLS} calls, {AFFORDED} afforded"
    return [*results, (f"nexscout, {what}", seeds, ours), (f"BudgetManager, {what}", min(seeds, PEER_SEEDS), theirs)]
