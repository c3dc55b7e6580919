"""How the providers did: calls, failures by kind, what went on elsewhere, how long answers took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nexscout_cli.engine.catalog import endpoints
from nexscout_cli.engine.failures import LABELS
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.report_values import Failed
from nexscout_cli.engine.reports.figures import Row, ratio

if TYPE_CHECKING:
    from nexscout_cli.engine.report_port import ReportReader

PROVIDERS = (
    "provider",
    "model_used",
    "calls",
    "errors",
    "error_rate",
    *LABELS,
    "retries",
    "fallbacks",
    "latency_p50_ms",
    "latency_p95_ms",
)


def places(models: Iterable[Model]) -> dict[str, str]:
    """The provider of each model."""
    return {model.name: endpoints.owner(model.litellm_model) for model in models}


def providers(reader: ReportReader, where: Mapping[str, str]) -> Row:
    """By provider and model, most failures first. A call is a posted attempt; an error one that gave no answer.

    ``where`` names each model's provider. Latencies are milliseconds from the hold to the post, None without a call.
    ``deployments``: the same for each place of the models that have several, with its share of the model's calls.
    """
    calls = {row["model_used"]: row["calls"] for row in reader.sums("model_used") if row["calls"]}
    failed, slow = reader.failed_attempts(), reader.latencies()
    by_model: dict[str, list[Failed]] = {}
    for part in failed:
        by_model.setdefault(part.model, []).append(part)
    rows = [
        {
            "provider": where.get(model),
            "model_used": model,
            **_counted(calls.get(model, 0), by_model.get(model, [])),
            **_latency(slow.get(model)),
        }
        for model in sorted(calls.keys() | by_model.keys())
    ]
    rows.sort(key=lambda row: (-row["errors"], -row["calls"], row["model_used"]))
    return {
        "rows": rows,
        "totals": _counted(sum(calls.values()), failed) | _overall(reader),
        "refused_keys": _refused_keys(failed, where),
        "deployments": _deployments(reader),
    }


def _deployments(reader: ReportReader) -> list[Row]:
    found = reader.deployed_calls()
    of_model: Counter[str] = Counter()
    for one in found:
        of_model[one.model] += one.calls
    return [
        {
            "model_used": one.model,
            "deployment": one.deployment,
            "calls": one.calls,
            "share": ratio(one.calls, of_model[one.model]),
            "errors": one.errors,
            "error_rate": ratio(one.errors, one.calls + one.errors),
            "cost_usd": usd(one.cost),
            "latency_p50_ms": one.p50,
            "latency_p95_ms": one.p95,
        }
        for one in found
    ]


def in_short(reader: ReportReader, calls: int, where: Mapping[str, str]) -> Row:
    """The totals of :func:`providers` for the overview, labels without a failure left out."""
    failed = reader.failed_attempts()
    counted = _counted(calls, failed) | _overall(reader)
    kinds = {label: counted.pop(label) for label in LABELS}
    return counted | {
        "kinds": {label: n for label, n in kinds.items() if n},
        "refused_keys": _refused_keys(failed, where),
    }


def _counted(calls: int, failed: list[Failed]) -> Row:
    kinds: Counter[str] = Counter()
    for part in failed:
        kinds[part.label if part.label in LABELS else "other"] += part.n
    errors = kinds.total()
    return {
        "calls": calls,
        "errors": errors,
        "error_rate": ratio(errors, calls + errors),
        **{label: kinds[label] for label in LABELS},
        "retries": sum(part.retries for part in failed),
        "fallbacks": sum(part.fallbacks for part in failed),
    }


def _overall(reader: ReportReader) -> Row:
    known = reader.latency()
    return _latency((known["p50"], known["p95"]))


def _latency(both: tuple[int | None, int | None] | None) -> Row:
    p50, p95 = both or (None, None)
    return {"latency_p50_ms": p50, "latency_p95_ms": p95}


def _refused_keys(failed: Iterable[Failed], where: Mapping[str, str]) -> list[Row]:
    """The days on which a provider refused its key, in order."""
    days: Counter[tuple[str, str]] = Counter()
    for part in failed:
        if part.label == "refused_key":
            days[part.day, where.get(part.model, part.model)] += part.n
    return [{"day": day, "provider": provider, "errors": n} for (day, provider), n in sorted(days.items())]
