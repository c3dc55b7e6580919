"""``nexscout simulate``: what a call would cost, and how it would be run. Nothing is sent, nothing is written."""

from __future__ import annotations

from typing import Annotated, Any

from nexscout_cli.cli import declared, output, request, request_options, talking, templating
from nexscout_cli.cli.request_options import Given, takes_options
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.plan_types import Compression
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.planning.texts import originals, user_text
from nexscout_cli.errors import NexScoutError, UsageError

app = declared.App()


@app.command(no_args_is_help=False)
@takes_options
def simulate(
    prompt: Annotated[
        str | None, declared.Argument(metavar="[FILE | PROMPT | - | @FILE]", help="What would be sent.")
    ] = None,
    given: Given = request_options.EVERY,
    compare: Annotated[bool, declared.Option("--compare", help="Every available model side by side.")] = False,
    explain: Annotated[bool, declared.Option("--explain", help="How the model was chosen, in plain words.")] = False,
    diff: Annotated[bool, declared.Option("--diff", help="What compression leaves out, sentence by sentence.")] = False,
    template: templating.Named = None,
    param: templating.Params = None,
    continue_: talking.Continue = False,
    conversation: talking.Named = None,
    as_json: request.AsJson = False,
) -> int:
    """Show what a call would cost, and how it would be run. Nothing is sent, nothing is written.

    \b
    nexscout simulate prompt.txt
    nexscout simulate "Write a haiku about rain" --compare
    nexscout simulate prompt.txt --policy learned --explain
    nexscout simulate "Who signed it?" --attach contract.txt --compress extract --diff
    git diff | nexscout simulate "Write a commit message" --json

    Exit 0 when the call may proceed; 3, 4 or 8 when it would be refused.
    """
    if diff and (compare or as_json):
        raise UsageError("--diff shows one plan to a person", "leave out --compare and --json")
    session = Session()
    text = request.prompt_for_simulate(prompt, session.settings["firewall.max_bytes"])
    if talking.says_nothing(text, continue_, conversation) and given.get("messages") is None and template is None:
        raise UsageError("there is no prompt", "nexscout simulate prompt.txt   (--help shows more)")
    kept = talking.earlier(session, given, continue_, conversation)
    asked = templating.build(session, text, given, template, param)
    asked = talking.next_turn(kept, request.by_default(session, asked, kept.options if kept else None))
    if session.remote:
        if compare or diff or explain:
            raise UsageError("--compare, --diff and --explain need the database itself", "leave them out")
        return _quoted(session.remote.simulate(asked), as_json)
    engine = session.engine(writes=False)
    if compare and explain:
        raise UsageError("--compare shows every model, --explain how one is chosen", "give one of them")
    if compare:
        return _compare(engine.compare(asked), as_json)
    try:
        plan = engine.simulate(asked)
    except NexScoutError as error:
        if not as_json:
            raise
        output.emit({"allow_proceed": False, "error": error.as_json(), "warnings": []})
        output.failure(error, as_json=False)
        return error.exit_status
    document = plan.as_json()
    if not as_json:
        output.out(sheet(plan))
    if explain:
        from nexscout_cli.cli import why

        decision = plan.decision.as_json()
        if as_json:
            document["explanation"] = why.document(decision)
        else:
            output.out("")
            why.show(decision)
    if diff:
        from nexscout_cli.cli.diff import show

        output.out("")
        show(user_text(asked, originals(asked)), plan.messages[1].content)
    if as_json:
        output.emit(document)
    if plan.error is not None:
        output.failure(NexScoutError(plan.error["message"], plan.error["suggestion"]), as_json=False)
    return plan.exit_status


def _quoted(document: dict[str, Any], as_json: bool) -> int:
    """Show a server's quote."""
    status = int(document.pop("exit_status", 0))
    shape, error = document["shape"], document["error"]
    rows = [
        ("model", f"{document['recommended_model']}   ({document['routing_reason']})"),
        ("tokens in", f"{document['predicted_input_tokens']:,}   (at most {document['max_input_tokens']:,})"),
        ("tokens out", f"{document['predicted_output_tokens']:,}   (at most {document['max_output_tokens']:,})"),
        ("cost", f"${document['predicted_cost_usd']:.6f}   (at most ${document['max_cost_usd']:.6f})"),
        ("energy", f"{document['predicted_energy']}   (at most {document['max_energy']})"),
        ("answer", f"{shape['verbosity']}, {shape['style']}; about {shape['words']:,} words at the most"),
        *(("warning", warning) for warning in document["warnings"]),
        ("verdict", "may proceed" if error is None else f"refused: {error['code']}"),
    ]
    if as_json:
        output.emit(document)
    else:
        output.out(_aligned(rows))
    if error is not None:
        output.failure(NexScoutError(error["message"], error["suggestion"]), as_json=False)
    return status


def _aligned(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name:<13}{value}" for name, value in rows)


def sheet(plan: Plan) -> str:
    """A plan as a person reads it."""
    forecast, shape, compression = plan.forecast, plan.shape, plan.compression
    surge = f", surge {plan.surge_milli / 1000:g}×" if plan.surge_milli > 1000 else ""
    rows = [
        (
            "model",
            f"{plan.model.name}   ({plan.routing_reason}; quality {plan.model.quality:g}, required {plan.required_quality:g})",
        ),
        *_target(plan),
        ("tokens in", f"{forecast.input_tokens:,}   (at most {forecast.max_input_tokens:,})"),
        *(
            [("thinking", f"{forecast.thinking:,}   (room for {forecast.thinking_room:,})")]
            if forecast.thinking_room
            else []
        ),
        (
            "tokens out",
            f"{forecast.output_tokens:,}   (P90 {forecast.p90_output_tokens:,}; at most {forecast.max_output_tokens:,})",
        ),
        (
            "cost" if plan.cascade is None else "cost in all",
            f"${plan.predicted_cost / 1e9:.6f}   (P90 ${plan.p90_cost / 1e9:.6f}; at most ${plan.max_cost / 1e9:.6f})",
        ),
        (
            "energy",
            f"{plan.predicted_energy}   (P90 {plan.p90_energy}; at most {plan.max_energy}{surge})",
        ),
        ("answer", f"{shape.verbosity}, {shape.style}; about {shape.words:,} words at the most"),
        ("compression", _compression(compression)),
        ("emotion", f"{plan.emotional_complexity:.2f}"),
        *(("warning", warning) for warning in plan.warnings),
        ("verdict", "may proceed" if plan.error is None else f"refused: {plan.error['code']}"),
    ]
    return _aligned(rows)


def _target(plan: Plan) -> list[tuple[str, str]]:
    """What the quality target is measured to come to, and the second step of a cascade."""
    made, rows = plan.decision, []
    if plan.cascade is not None:
        rows += [
            (
                "then",
                f"{step.model.name} where {'doubt remains' if chance < plan.cascade.chance else 'the answer is doubtful'}   "
                f"(about {chance:.0%}; ${step.own_cost / 1e9:.6f}, at most ${step.own_max_cost / 1e9:.6f})",
            )
            for chance, step in plan.later
        ]
    if plan.expected is not None:
        rows.append(
            (
                "expected",
                f"{made.kept:.0%} of the strong model's advantage kept, {made.strong_share:.0%} of prompts sent to it "
                f"(target {made.target:g})",
            )
        )
    return rows


def _compression(done: Compression) -> str:
    """Tokens before and after, by which steps, and what was left alone because it is billed at less as it is."""
    text = "none"
    if done.applied:
        steps = ", ".join(f"{step} −{tokens:,}" for step, tokens in done.saved_by)
        share = 1 - done.tokens_after / done.tokens_before
        kinds = ", ".join(kind for kind in done.found if kind != "prose")
        mode = f"{done.mode} ({kinds})" if kinds else done.mode
        text = f"{mode}: {done.tokens_before:,} → {done.tokens_after:,} tokens (−{share:.0%}; {steps})"
    if done.left_alone:
        text += f"; {done.left_alone:,} tokens recur at the head and are left alone"
    return text


def _compare(plans: list[Plan], as_json: bool) -> int:
    if as_json:
        output.emit({"rows": [plan.as_json() for plan in plans]})
    else:
        from nexscout_cli.cli import tables

        def row(plan: Plan) -> list[Any]:
            return [
                plan.model.name,
                plan.model.type,
                f"{plan.model.quality:g}",
                f"{plan.forecast.input_tokens:,}",
                f"{plan.forecast.output_tokens:,}",
                f"{plan.predicted_cost / 1e9:.6f}",
                f"{plan.p90_cost / 1e9:.6f}",
                f"{plan.max_cost / 1e9:.6f}",
                plan.predicted_energy,
                plan.max_energy,
                "yes" if plan.error is None else plan.error["code"],
            ]

        tables.show(
            [
                "model",
                "type",
                "quality",
                "in",
                "out",
                "cost $",
                "P90 $",
                "at most $",
                "energy",
                "at most",
                "may proceed",
            ],
            [row(plan) for plan in plans],
            right=range(2, 10),
        )
    if not plans:
        output.note("no model is available; `nexscout doctor` says what to type")
    allowed = [plan for plan in plans if plan.error is None]
    return 0 if allowed or not plans else plans[0].exit_status
