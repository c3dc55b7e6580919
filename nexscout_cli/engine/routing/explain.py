"""How a model was chosen, in plain words: from a decision as it was kept, and from what the books say came of it."""

from __future__ import annotations

from nexscout_cli.engine.request import Json

ROWS = {
    "panic": "panic mode: the cheapest model above the quality floor",
    "forced": "the request names the model, or the mode, itself",
    "manual_expert": "mode expert",
    "manual_pro": "mode pro",
    "manual_fast": "mode fast",
    "complex_generation": "a pitch deck or coaching",
    "deep_analysis": "a deep scan of many tokens",
    "emotional_complexity": "an objection, or a text with strong feelings",
    "simple_chat": "a short chat message",
    "complex_chat": "a long chat message",
    "simple_short_prompt": "a short prompt without strong feelings",
    "balanced": "no other row matches",
}
"""The rows of rules, by what they stand for."""
VERDICTS = {
    "chosen": "chosen",
    "second": "asked where the first answer is doubtful",
    "opinion": "asked for a second opinion where the first answer is doubtful",
    "dearer": "reaches it too, at no lower cost",
    "below": "below the required quality",
    "dominated": "left out",
    "window": "its context window is too small",
    "unavailable": "cannot be called",
    "not_allowed": "not allowed",
}
_OUTCOMES = {
    "posted": "answered",
    "voided": "gave no answer, and is not owed",
    "unknown": "its outcome is unknown",
    "sent": "in flight",
    "submitted": "in a batch of its provider's",
    "held": "about to be sent",
}


def requirement(made: Json) -> list[str]:
    """Why that quality was required, sentence by sentence; ``made`` is a decision as JSON keeps it."""
    row = f"{made['rule']} ({ROWS.get(made['rule'], 'a row of rules')})"
    if made["reason"] == "forced" and len(made["candidates"]) == 1:
        return [f"The request names its model itself: {made['candidates'][0]['model']}. Nothing else was considered."]
    if "difficulty" not in made:
        mode = (
            "" if made["policy"] == "rules" else f" Policy {made['policy']} has no say where a mode or panic governs."
        )
        return [f"By the rules: row {row} asks for quality {made['rule_quality']:g}.{mode}", *_best(made)]
    hard = made["difficulty"] >= made["limit"]
    estimate, limit = _apart(made["difficulty"], made["limit"])
    lines = [
        f"Policy {made['policy']}: the prompt's difficulty is estimated at {estimate} (bucket {made['bucket']} of "
        f"0–4); from {limit} on it counts as hard, so it is {'hard' if hard else 'easy'}.",
        f"That limit is to keep {made['target']:.0%} of the strong model's advantage; as measured it keeps "
        f"{made['kept']:.0%} and sends {made['strong_share']:.0%} of prompts to the strong model.",
    ]
    lines += _unfamiliar(made.get("familiar", 1.0))
    if "factor" in made:
        lines.append(
            f"The two models in question were measured: on prompts of this kind the better one gains {made['factor']:g} times "
            "as much as usual."
        )
    if made.get("weighed"):
        lines.append(
            "What weighed most: " + ", ".join(f"{name} ({weight:+.3f})" for name, weight in made["weighed"]) + "."
        )
    if made["reason"] == made["rule"]:
        lines.append(f"Row {row} asks for quality {made['rule_quality']:g} at least, whatever the difficulty.")
    else:
        lines.append(f"So quality {made['quality']:g} is required ({made['reason']}).")
    if "strong" in made:
        unless = f", unless {made['other']} gives the same answer" if "other" in made else ""
        lines.append(
            f"The answer is checked: from a doubt of {made['doubt']:.2f} on {made['strong']} is asked{unless}."
        )
    return [*lines, *_best(made)]


def _unfamiliar(familiar: float) -> list[str]:
    if familiar == 0:
        return ["The prompt is unlike anything that was measured: its size and structure alone decided."]
    if familiar < 1:
        return [
            f"The prompt is somewhat unlike what was measured: its size and structure counted for {1 - familiar:.0%} of "
            "the estimate."
        ]
    return []


def extraction(made: Json) -> list[str]:
    """What kinds of text were made shorter; nothing where none was."""
    kinds = made.get("extracted")
    return [f"What was sent is an extract of what was given: {', '.join(kinds)}."] if kinds else []


def _apart(value: float, limit: float) -> tuple[str, str]:
    """Both to two places, or to the four that are kept where two would make them the same."""
    places = 2 if f"{value:.2f}" != f"{limit:.2f}" else 4
    return f"{value:.{places}f}", f"{limit:.{places}f}"


def _best(made: Json) -> list[str]:
    if made["reason"] != "best_available":
        return []
    return [f"No model that can be called reaches {made['quality']:g}, so the best there is was taken."]


def candidate(one: Json) -> str:
    """What became of a candidate, in words."""
    detail = f": {one['detail']}" if one.get("detail") else ""
    return VERDICTS[one["verdict"]] + detail


def course(found: Json) -> list[str]:
    """What came of a request, sentence by sentence; ``found`` has its request, decision and attempts."""
    request, verdicts = found["request"], _verdicts(found["feedback"])
    if request["outcome"] == "cached":
        return [
            f"An answer that {request['model_used']} gave before was taken from the cache; no model was chosen anew.",
            *verdicts,
        ]
    if request["outcome"] == "refused":
        return [f"It was refused ({request['reason']}), and nothing was sent."]
    lines = [_attempt(one) for one in found["attempts"]]
    if not any(one["delivered"] for one in found["attempts"]):
        lines.append(f"No answer was delivered: {request['outcome']}.")
    return [*lines, *verdicts]


def _verdicts(verdict: Json) -> list[str]:
    if verdict is None:
        return []
    word, note = "good" if verdict["good"] else "bad", f": {verdict['note']}" if verdict["note"] else ""
    return [f"{verdict['actor']} said on {verdict['created_at'][:10]} that the answer was {word}{note}."]


def _attempt(one: Json) -> str:
    why = {"fallback": "after the one before had failed", "last_resort": "as the last resort"}.get(
        one["routing_reason"]
    )
    text = f"Attempt {one['n']}, {one['model']} ({why or one['routing_reason']}): {_OUTCOMES[one['state']]}"
    if one["reason"]:
        text += f" ({one['reason']})"
    if one["cost_usd"] is not None:
        text += f" for ${one['cost_usd']:f}"
    if doubt := one["doubt"]:
        if "audit" in doubt:
            same = {
                True: "it gives the same answer",
                False: "it gives another answer",
                None: "the two cannot be compared",
            }
            return f"{text}; an audit of {doubt['audit']}: {same[doubt['agrees']]}{_delivered(one)}."
        if "unfit" in doubt:
            return f"{text}; it was not as its schema says{_delivered(one)}."
        if "checked" in doubt:
            return f"{text}; it was checked by the strong model{_delivered(one)}."
        if "agrees" in doubt:
            text += "; it gives the same answer" if doubt["agrees"] else "; it gives another answer"
        score, limit = _apart(doubt["score"], doubt["limit"])
        text += f"; doubt {score} against a limit of {limit}"
        if doubt["reasons"] and doubt["score"] >= doubt["limit"]:
            text += f" ({'; '.join(doubt['reasons'])})"
    return f"{text}{_delivered(one)}."


def _delivered(one: Json) -> str:
    if one["state"] != "posted":
        return ""
    return "; delivered" if one["delivered"] else "; not delivered"
