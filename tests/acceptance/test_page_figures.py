"""What a page says beside the reports: latency, predictions and fallbacks, of requests that really ran."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from nexscout_cli import assemble
from nexscout_cli.engine.report_window import between
from tests.support.openai_server import OpenAIServer


def _asks(home: Any, server: OpenAIServer) -> None:
    """Three requests that are answered, and one whose model fails so that another answers."""
    home("user", "set-tier", "cyd", "elite")
    for n in range(3):
        home("run", "-u", "cyd", "-f", "ai_message", f"Write to customer {n}", "--json")
    server.fail = lambda body: (500, {}, "{}") if body["model"] == "gpt-4o" else None
    home("run", "-u", "cyd", "-f", "ai_pitchdeck", "Outline a pitch deck", "--json")


def test_latency_predictions_and_fallbacks_are_those_of_the_rows(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer() as server:
        home.serve(server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        _asks(home, server)
    took = sorted(
        home.sql("SELECT (julianday(settled_at) - julianday(created_at)) * 86400 FROM attempts WHERE state = 'posted'")
    )
    sums = home.sql("SELECT count(*), sum(predicted_tokens), sum(actual_tokens) FROM ai_cost_predictions")[0]
    store = assemble.open_store()
    now = store.reports.now(assemble.login_name())
    with store.reports.reading(assemble.login_name(), between(now, "1d", None, UTC)) as reader:
        latency, predicted, failed = reader.latency(), reader.predicted(), reader.failed_attempts()
    store.close()
    assert (latency["n"], sum(part.fallbacks for part in failed)) == (4, 1)
    assert abs(latency["p50"] - took[1] * 1000) < 1 and abs(latency["p95"] - took[3] * 1000) < 1
    assert (predicted["n"], predicted["predicted"], predicted["actual"]) == tuple(sums)
    assert predicted["p90"] >= predicted["predicted"]
