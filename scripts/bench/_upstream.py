"""A provider on loopback that answers at once, and streams words, 50 in a second.

Who asks it to "say 300 words" gets as many. It is written for little time of its own, as it shares the machine with what is
measured: one timer writes to all streams whose next word is due, within a millisecond.
"""

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
"""Words of a stream, unless another number is asked for, 50 a second."""
UPSTREAM = """
import asyncio, json, re, sys, time
answer = sys.argv[1].encode()
whole = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(answer) + answer
usual = int(sys.argv[2])
def chunk(delta, reason=None, usage=None):
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    if usage: body |= {"choices": [], "usage": usage}
    data = b"data: " + json.dumps(body).encode() + b"\\n\\n"
    return b"%x\\r\\n" % len(data) + data + b"\\r\\n"
word = chunk({"content": "word "})
def last(words):
    told = chunk({}, "stop") + chunk({}, usage={"prompt_tokens": 30, "completion_tokens": words})
    return told + b"e\\r\\ndata: [DONE]\\n\\n\\r\\n0\\r\\n\\r\\n"
head = b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n"
due = [set() for _ in range(20)]
class Talk(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.got, self.left, self.slot = transport, b"", 0, None
    def connection_lost(self, error):
        if self.slot is not None: self.slot.discard(self)
    def data_received(self, data):
        self.got += data
        while not self.left and (end := self.got.find(b"\\r\\n\\r\\n") + 4) >= 4:
            about = self.got[:end].lower()
            at = about.find(b"content-length:")
            size = int(about[at + 15 : about.index(b"\\r", at)]) if at > 0 else 0
            if len(self.got) < end + size: return
            body, self.got = self.got[end : end + size], self.got[end + size :]
            if b'"stream": true' not in body and b'"stream":true' not in body:
                self.transport.write(whole)
                continue
            self.closes = b"connection: close" in about
            self.transport.write(head + word)
            asked = re.search(rb"say (\\d+) words", body)
            self.words = int(asked[1]) if asked else usual
            self.left = self.words - 1
            self.slot = due[(now() - 1) % 20]
            self.slot.add(self)
    def next(self):
        if self.left:
            self.left -= 1
            self.transport.write(word)
            return
        self.slot.discard(self)
        self.transport.write(last(self.words))
        if self.closes: self.transport.close()
        elif self.got: self.data_received(b"")
def now(): return int(time.monotonic() * 1000)
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Talk, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    done = now()
    def tick():
        nonlocal done
        until = now()
        while done < until:
            done += 1
            for talk in list(due[done % 20]): talk.next()
        loop.call_later(0.001, tick)
    tick()
    await server.serve_forever()
try:
    import uvloop
    uvloop.run(main())
except ImportError:
    asyncio.run(main())
"""


def start_upstream() -> tuple[subprocess.Popen[str], int]:
    """The provider as a process, and its port."""
    run = [sys.executable, "-c", UPSTREAM, ANSWER.decode(), str(WORDS)]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())
