"""Providers' batch interfaces on loopback, with the states that they document: OpenAI's, Anthropic's, Gemini's."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
Usage = tuple[int, int]


def priced(key: str) -> tuple[str, ...]:
    """What `models add` is told of a model whose key is in that variable."""
    told = {
        "input-price": "0.001",
        "output-price": "0.005",
        "max-tokens": "200000",
        "quality": "0.8",
        "api-key-env": key,
    }
    return tuple(word for name, value in told.items() for word in (f"--{name}", value))


class Batch:
    """A batch as its provider has it. ``state`` moves by :meth:`BatchServer.move`."""

    def __init__(self, kind: str, name: str, rows: list[Body], about: Body) -> None:
        self.kind, self.name, self.rows, self.about = kind, name, rows, about
        self.state = "validating" if kind == "openai" else "in_progress"
        self.made = time.time()
        self.lines: list[Body] = []
        self.errors: list[Body] = []


class BatchServer:
    """A context manager. ``states``: what each look at a batch moves it to, the last one stays.

    ``usage``: input and output tokens of a row, from what it asks. ``fate``: what becomes of a row, by its number: answered,
    failed, expired, cancelled, missing. ``before`` and ``done`` hear of every request (``"POST /v1/batches"``), before anything
    is done and before it is answered; where the first says true, nothing is done. ``lose_output``: the answers' file is gone.
    """

    def __init__(self) -> None:
        self.states: list[str] = ["validating", "in_progress", "finalizing", "completed"]
        self.usage: Callable[[Body], Usage] = lambda body: (40, 8)
        self.fate: Callable[[int], str] = lambda number: "answered"
        self.before: Callable[[str], bool] = lambda step: False
        self.done: Callable[[str], object] = lambda step: None
        self.lose_output = False
        self.batches: dict[str, Batch] = {}
        self.files: dict[str, bytes] = {}
        self.steps: list[str] = []
        self.answered_at_once: list[Body] = []
        self.hangs_up = False
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    def __enter__(self) -> BatchServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def root(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def other_batch(self, kind: str, count: int) -> None:
        """A batch that somebody else has made with the same key, which has ended."""
        rows = [{"custom_id": f"other-{n}", "params": {"model": "m"}} for n in range(count)]
        batch = self._make(kind, rows, {})
        batch.state = "ended"
        batch.lines = [self._line(kind, row, "answered")[0] for row in rows]

    def do(self, method: str, path: str, query: str, body: bytes, kind: str) -> tuple[int, Any]:
        """Answer one request."""
        with self._lock:
            if path.startswith(("/v1/files", "/v1/batches")):
                return self._openai(method, path.removeprefix("/v1"), body, kind)
            if path.startswith("/v1/messages/batches"):
                return self._anthropic(method, path.removeprefix("/v1/messages/batches"), body)
            if path.startswith("/v1beta"):
                return self._gemini(method, path.removeprefix("/v1beta"), body)
            if path == "/v1/chat/completions":
                asked = json.loads(body)
                self.answered_at_once.append(asked)
                if self.hangs_up:
                    raise ConnectionResetError
                return 200, self._completion(asked)
            return 404, {"error": {"message": f"no such path {path}"}}

    # OpenAI

    def _openai(self, method: str, path: str, body: bytes, kind: str) -> tuple[int, Any]:
        if (method, path) == ("POST", "/files"):
            mark = re.search(r"boundary=(\S+)", kind)
            assert mark is not None
            parts = body.split(f"--{mark[1]}".encode())
            assert b'name="purpose"' in parts[1] and parts[1].endswith(b"batch\r\n")
            name = f"file-{len(self.files)}"
            self.files[name] = parts[2].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            return 200, {"id": name, "object": "file", "purpose": "batch"}
        if (method, path) == ("POST", "/batches"):
            asked = json.loads(body)
            assert asked["endpoint"] == "/v1/chat/completions" and asked["completion_window"] == "24h"
            rows = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines() if line]
            assert len({row["body"]["model"] for row in rows}) == 1
            return 200, self._shown(self._make("openai", rows, asked))
        if (method, path) == ("GET", "/batches"):
            found = [self._shown(one) for one in self.batches.values()]
            return 200, {"data": found[::-1], "has_more": False}
        if found := re.fullmatch(r"/files/([\w-]+)/content", path):
            if self.lose_output or found[1] not in self.files:
                return 404, {"error": {"message": "No such File object"}}
            return 200, self.files[found[1]]
        if found := re.fullmatch(r"/batches/([\w-]+)(/cancel)?", path):
            batch = self.batches.get(found[1])
            if batch is None:
                return 404, {"error": {"message": "No batch found"}}
            self.states = ["cancelling", "cancelled"] if found[2] else self.states
            self._move(batch)
            return 200, self._shown(batch)
        return 404, {"error": {"message": "unknown"}}

    def _make(self, kind: str, rows: list[Body], about: Body) -> Batch:
        name = {"gemini": "batches/b"}.get(kind, f"{kind}_") + str(len(self.batches))
        self.batches[name] = Batch(kind, name, rows, about)
        return self.batches[name]

    def _move(self, batch: Batch) -> None:
        if batch.lines or batch.errors or batch.state == "failed":
            return
        batch.state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if batch.state not in ("completed", "expired", "cancelled", "ended"):
            return
        for number, row in enumerate(batch.rows):
            fate = self.fate(number)
            if fate != "missing":
                line, good = self._line(batch.kind, row, fate)
                (batch.lines if good else batch.errors).append(line)
        if batch.kind == "openai":
            for end, lines in (("out", batch.lines), ("err", batch.errors)):
                self.files[f"{batch.name}-{end}"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def _line(self, kind: str, row: Body, fate: str) -> tuple[Body, bool]:
        if kind == "openai":
            line: Body = {"id": "batch_req_1", "custom_id": row["custom_id"], "response": None, "error": None}
            if fate == "answered":
                line["response"] = {"status_code": 200, "request_id": "r", "body": self._completion(row["body"])}
            elif fate == "failed":
                line["response"] = {"status_code": 400, "body": {"error": {"message": "content was refused"}}}
            else:
                line["error"] = {"code": f"batch_{fate}", "message": f"This request was {fate}."}
            return line, fate == "answered"
        if kind == "gemini":
            if fate == "answered":
                usage = self.usage(row["request"])
                answer = {
                    "candidates": [{"content": {"parts": [{"text": "Hello."}]}, "finishReason": "STOP"}],
                    "usageMetadata": {"promptTokenCount": usage[0], "candidatesTokenCount": usage[1]},
                }
                return {"metadata": row["metadata"], "response": answer}, True
            return {"metadata": row["metadata"], "error": {"code": 3, "message": "refused"}}, False
        word = {"answered": "succeeded", "failed": "errored", "cancelled": "canceled", "expired": "expired"}[fate]
        result: Body = {"type": word}
        if fate == "answered":
            given, taken = self.usage(row["params"])
            result["message"] = {
                "id": "msg_1",
                "model": row["params"]["model"],
                "content": [{"type": "text", "text": "Hello."}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": given, "output_tokens": taken, "service_tier": "batch"},
            }
        elif fate == "failed":
            result["error"] = {"type": "error", "error": {"type": "invalid_request_error", "message": "was refused"}}
        return {"custom_id": row["custom_id"], "result": result}, fate == "answered"

    def _completion(self, body: Body) -> Body:
        given, taken = self.usage(body)
        return {
            "id": "chatcmpl-1",
            "model": body["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": given, "completion_tokens": taken, "total_tokens": given + taken},
        }

    def _shown(self, batch: Batch) -> Body:
        over = batch.state in ("completed", "expired", "cancelled")
        return {
            "id": batch.name,
            "status": batch.state,
            "metadata": batch.about.get("metadata"),
            "created_at": int(batch.made),
            "request_counts": {"total": len(batch.rows), "completed": len(batch.lines), "failed": len(batch.errors)},
            "output_file_id": f"{batch.name}-out" if over and batch.lines else None,
            "error_file_id": f"{batch.name}-err" if over and batch.errors else None,
            "errors": {"data": [{"message": "the file is not valid"}]} if batch.state == "failed" else None,
        }

    # Anthropic

    def _anthropic(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if method == "POST" and not path:
            return 200, self._message_batch(self._make("anthropic", json.loads(body)["requests"], {}))
        if method == "GET" and not path:
            for one in self.batches.values():
                self._move(one)
            found = [self._message_batch(one) for one in self.batches.values()]
            return 200, {"data": found[::-1], "has_more": False}
        name, _, end = path.removeprefix("/").partition("/")
        batch = self.batches.get(name)
        if batch is None:
            return 404, {"error": {"message": "not found"}}
        if end == "results":
            if self.lose_output:
                return 404, {"error": {"message": "results are gone"}}
            return 200, b"".join(json.dumps(line).encode() + b"\n" for line in (*batch.lines, *batch.errors))
        self.states = ["canceling", "ended"] if end == "cancel" else self.states
        self._move(batch)
        return 200, self._message_batch(batch)

    def _message_batch(self, batch: Batch) -> Body:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        if batch.state == "ended":
            for line in (*batch.lines, *batch.errors):
                counts[line["result"]["type"]] += 1
        else:
            counts["processing"] = len(batch.rows)
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(batch.made))
        return {"id": batch.name, "processing_status": batch.state, "created_at": made, "request_counts": counts}

    # Gemini

    def _gemini(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path.endswith(":batchGenerateContent"):
            asked = json.loads(body)["batch"]
            rows = asked["inputConfig"]["requests"]["requests"]
            return 200, self._operation(self._make("gemini", rows, {"displayName": asked["displayName"]}))
        if path == "/batches":
            found = [self._operation(one) for one in self.batches.values()]
            return 200, {"operations": found}
        batch = self.batches.get(path.removeprefix("/").removesuffix(":cancel"))
        if batch is None:
            return 404, {"error": {"message": "not found"}}
        self.states = ["cancelled"] if path.endswith(":cancel") else self.states
        self._move(batch)
        return 200, self._operation(batch)

    def _operation(self, batch: Batch) -> Body:
        word = {"completed": "SUCCEEDED", "in_progress": "RUNNING", "validating": "PENDING"}.get(
            batch.state, batch.state
        )
        shown: Body = {
            "name": batch.name,
            "metadata": {"state": f"BATCH_STATE_{word.upper()}", "displayName": batch.about["displayName"]},
        }
        if batch.lines or batch.errors:
            shown |= {
                "done": True,
                "response": {"inlinedResponses": {"inlinedResponses": [*batch.lines, *batch.errors]}},
            }
        return shown


def _handler(server: BatchServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            return

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path, _, query = self.path.partition("?")
            step = f"{self.command} {re.sub(r'(file-|openai_|anthropic_|batches/b)[0-9]+(-out|-err)?', 'X', path)}"
            server.steps.append(step)
            if server.before(step):
                return
            status, answer = server.do(self.command, path, query, body, self.headers.get("content-type", ""))
            server.done(step)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()
            except OSError:  # whoever asked is gone
                return

        do_GET = do_POST = _serve

    return Handler
