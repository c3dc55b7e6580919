"""What `nexscout serve` adds to a call, beside a bare upstream and the peers that are installed.

An upstream that answers at once, one load generator, and each gateway in turn, on this machine in one run. Printed are
milliseconds added at one connection, calls a second at 50, cached answers, streams, and memory; an absent figure has its reason.

    scripts/bench/serve [--seconds N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
UPSTREAM = """
import asyncio, json, sys
answer = sys.argv[1].encode()
whole = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(answer) + answer
def chunk(delta, reason=None, usage=None):
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    if usage: body |= {"choices": [], "usage": usage}
    data = b"data: " + json.dumps(body).encode() + b"\\n\\n"
    return b"%x\\r\\n" % len(data) + data + b"\\r\\n"
async def handle(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            size = next((int(l.split(b":")[1]) for l in head.lower().split(b"\\r\\n") if l.startswith(b"content-length")), 0)
            body = await reader.readexactly(size)
            if b'"stream": true' in body or b'"stream":true' in body:
                writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n")
                for n in range(50):
                    writer.write(chunk({"content": "word "})); await writer.drain(); await asyncio.sleep(0.02)
                writer.write(chunk({}, "stop") + chunk({}, usage={"prompt_tokens": 30, "completion_tokens": 50}))
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


class Load:
    """Calls over kept connections, as fast as they are answered."""

    def __init__(self, port: int, key: str, body: str) -> None:
        self.port, self.key, self.body = port, key, body
        self.number = 0
        self.failed = 0

    def request(self) -> bytes:
        """The next request; each has a question of its own where the body asks for one."""
        self.number += 1
        body = self.body.replace("NUMBER", f"{os.getpid()}-{self.number}").encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.key}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body

    async def worker(self, until: float, times: list[float]) -> None:
        """One connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while time.monotonic() < until:
            begun = time.perf_counter()
            writer.write(self.request())
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]
            await reader.readexactly(size)
            if b" 200 " not in head[:20]:
                self.failed += 1
            times.append(time.perf_counter() - begun)
        writer.close()

    def run(self, connections: int, seconds: float) -> tuple[float, list[float]]:
        """Calls a second, and each call's seconds in order."""
        times: list[float] = []

        async def all_() -> None:
            until = time.monotonic() + seconds
            await asyncio.gather(*(self.worker(until, times) for _ in range(connections)))

        asyncio.run(all_())
        return len(times) / seconds, sorted(times)


async def one_stream(port: int, key: str, body: str, first: list[float], whole: list[bool]) -> None:
    """One stream of 50 words in a second: when its first came, and whether all did."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = body.encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(data)}\r\n"
    head += "content-type: application/json\r\nconnection: close\r\n\r\n"
    begun = time.perf_counter()
    writer.write(head.encode() + data)
    await reader.readuntil(b'"word ')
    first.append(time.perf_counter() - begun)
    rest = await reader.read(-1)
    whole.append(rest.count(b'"word ') == 49 and b"[DONE]" in rest)
    writer.close()


def streams(port: int, key: str, body: str, n: int) -> tuple[list[float], int]:
    """Seconds to the first word of ``n`` streams at once, and how many came whole."""
    first: list[float] = []
    whole: list[bool] = []

    async def all_() -> None:
        asked = [one_stream(port, key, body.replace("NUMBER", str(i)), first, whole) for i in range(n)]
        await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(all_())
    return sorted(first), sum(whole)


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def body(stream: bool = False, question: str = "NUMBER") -> str:
    """A chat completion's body."""
    talk = [{"role": "user", "content": f"Hello {question}"}]
    return json.dumps(
        {"model": "gpt-4o-mini", "messages": talk, "max_tokens": 100} | ({"stream": True} if stream else {})
    )


def show(name: str, one: list[float], rate: float, floor: list[float]) -> None:
    """A line of the table."""
    added = (statistics.median(one) - statistics.median(floor)) * 1000
    print(f"{name:<34} {added:8.2f} ms {rate:10.0f} /s")


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--streams", type=int, default=500)
    args = parser.parse_args()
    upstream = subprocess.Popen([sys.executable, "-c", UPSTREAM, ANSWER.decode()], stdout=subprocess.PIPE, text=True)
    assert upstream.stdout is not None
    port = int(upstream.stdout.readline())
    with tempfile.TemporaryDirectory() as home:
        env = {name: value for name, value in os.environ.items() if not name.startswith("NEXSCOUT_")} | {
            "NEXSCOUT_HOME": home,
            "NEXSCOUT_ACTOR": "ada",
            "OPENAI_API_KEY": "k",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "NEXSCOUT_TIERS_ELITE_DAILY_TOKENS": "1000000000",
            "NEXSCOUT_TIERS_ELITE_ENERGY": "1000000000",
        }
        command = [sys.executable, "-m", "nexscout_cli"]
        key = subprocess.run(
            [*command, "keys", "create"], env=env, capture_output=True, text=True, check=True
        ).stdout.strip()
        ours = subprocess.Popen([*command, "serve", "--port", "0", "-q"], env=env, stderr=subprocess.PIPE, text=True)
        assert ours.stderr is not None
        own = int(re.search(r":(\d+)/v1", ours.stderr.readline())[1])  # type: ignore[index]
        idle = memory(ours.pid)
        _, floor = Load(port, "k", body()).run(1, 1.0)
        print(f"{'':<34} {'added, p50':>11} {'at 50':>12}")
        show("upstream alone", floor, Load(port, "k", body()).run(50, args.seconds)[0], floor)
        Load(own, key, body()).run(1, 1.0)
        load = Load(own, key, body())
        one, rate = load.run(1, args.seconds)[1], load.run(50, args.seconds)[0]
        show("nexscout serve, ledger on", one, rate, floor)
        print(f"{'':<34} {load.failed} failed")
        cached = Load(own, key, body(question="again"))
        cached.run(1, 0.5)
        show("nexscout serve, from the cache", cached.run(1, args.seconds)[1], cached.run(50, args.seconds)[0], floor)
        first, whole = streams(own, key, body(stream=True, question="NUMBER, streamed"), args.streams)
        bare, _ = streams(port, "k", body(stream=True), args.streams)
        late, usual = first[int(len(first) * 0.99) - 1] * 1000, bare[int(len(bare) * 0.99) - 1] * 1000
        print(
            f"{args.streams} streams at once: {whole} whole; first word p99 {late:.0f} ms, upstream alone {usual:.0f} ms"
        )
        print(f"memory: {idle:.0f} MB idle, {memory(ours.pid):.0f} MB after all that")
        ours.send_signal(signal.SIGTERM)
        ours.wait(60)
    upstream.kill()
    print(
        "peers: the LiteLLM proxy and Portkey's gateway are not started here: neither is installed with the bench extra"
    )


if __name__ == "__main__":
    main()
