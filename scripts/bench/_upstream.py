"""A provider on loopback that answers at once, and streams 50 words in a second."""

from __future__ import annotations

import json
import subprocess
import sys

ANSWER = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34},
    }
).encode()
WORDS = 50
"""Words of a stream, 50 a second."""
UPSTREAM = """
import asyncio, json, sys, time
answer = sys.argv[1].encode()
whole = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(answer) + answer
words = int(sys.argv[2])
def chunk(delta, reason=None, usage=None):
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    if usage: body |= {"choices": [], "usage": usage}
    data = b"data: " + json.dumps(body).encode() + b"\\n\\n"
    return b"%x\\r\\n" % len(data) + data + b"\\r\\n"
word = chunk({"content": "word "})
last = chunk({}, "stop") + chunk({}, usage={"prompt_tokens": 30, "completion_tokens": words})
async def handle(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            size = next((int(l.split(b":")[1]) for l in head.lower().split(b"\\r\\n") if l.startswith(b"content-length")), 0)
            body = await reader.readexactly(size)
            if b'"stream": true' in body or b'"stream":true' in body:
                writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n")
                due = time.monotonic()
                for n in range(words):
                    writer.write(word); due += 0.02; await asyncio.sleep(due - time.monotonic())
                writer.write(last)
                writer.write(b"e\\r\\ndata: [DONE]\\n\\n\\r\\n0\\r\\n\\r\\n")
                if b"connection: close" in head: break
            else:
                writer.write(whole)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError): pass
    finally: writer.close()
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def start_upstream() -> tuple[subprocess.Popen[str], int]:
    """The provider as a process, and its port."""
    run = [sys.executable, "-c", UPSTREAM, ANSWER.decode(), str(WORDS)]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())
