"""Spans of answers, as a collector gets them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.server.conftest import Scout

trace_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="traces are not installed: nexscout[otel]"
)


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """A collector's address, and the spans that it has got."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            told = trace_service.ExportTraceServiceRequest.FromString(body)
            spans.extend(span for r in told.resource_spans for s in r.scope_spans for span in s.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()


def test_each_answer_is_a_span_of_its_callers_trace_without_any_text(
    alone: Scout, collector: tuple[str, list[Any]]
) -> None:
    url, spans = collector
    alone.serve(OTEL_EXPORTER_OTLP_ENDPOINT=url)
    key = alone.key()
    parent = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    answer = alone.chat("A secret question", key, "gpt-4o-mini", parent, max_tokens=30)
    alone.chat("A secret question", key, "gpt-4o-mini", max_tokens=30, stream=True)
    alone.provider.fail = 500
    alone.chat("A secret failure", key, "gpt-4o-mini", max_tokens=30)
    alone.stop()
    assert [span.name for span in spans] == ["chat gpt-4o-mini"] * 3
    told = [{each.key: each.value for each in span.attributes} for span in spans]
    assert spans[0].trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert told[0]["gen_ai.response.id"].string_value == answer.headers["x-nexscout-request-id"]
    assert told[0]["gen_ai.usage.output_tokens"].int_value == answer.json["usage"]["completion_tokens"]
    assert told[1]["nexscout.cache"].string_value == "exact"
    assert told[2]["error.type"].string_value == "providers_failed" and spans[2].status.code == 2
    assert "secret" not in str(spans) and key not in str(spans)
