"""CPU of one exchange by HTTP client, interleaved in one process, beside a scripted upstream.

    python benchmarks/http_clients.py [--calls 960] [--connections 32]

aiohttp is measured where it is installed. Ratios in one run count.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import httpx2

from turnout.providers.http.connection import Waits
from turnout.providers.http.pool import Origin

ANSWER = b'{"choices":[{"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}]}'
BODY = (
    b'{"model": "x", "messages": [{"role": "user", "content": "What is the capital of France?"}]}'
)
HEADERS = {"content-type": "application/json", "authorization": "Bearer k", "accept": "*/*"}
PATH = "/v1/chat/completions"
ROUNDS = 7

UPSTREAM = f"""
import asyncio, httptools
REPLY = b"HTTP/1.1 200 OK\\r\\ncontent-length: {len(ANSWER)}\\r\\n\\r\\n" + {ANSWER!r}
class Upstream(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.parser = transport, httptools.HttpRequestParser(self)
    def data_received(self, data):
        self.parser.feed_data(data)
    def on_message_complete(self):
        self.transport.write(REPLY)
async def main():
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

Call = Callable[[], Awaitable[None]]


async def clients(url: str, stack: AsyncExitStack) -> dict[str, Call]:
    origin, waits = Origin(url), Waits()
    stack.callback(origin.close)

    async def ours() -> None:
        reply = await origin.post(PATH, HEADERS, BODY, waits)
        while await reply.chunk() is not None:
            pass

    limits = httpx2.Limits(max_connections=1000)
    http = await stack.enter_async_context(httpx2.AsyncClient(limits=limits))

    async def with_httpx2() -> None:
        request = http.build_request("POST", url + PATH, headers=HEADERS, content=BODY)
        reply = await http.send(request, stream=True)
        async for _ in reply.aiter_raw():
            pass
        await reply.aclose()

    found: dict[str, Call] = {"ours": ours, "httpx2": with_httpx2}
    if importlib.util.find_spec("aiohttp"):
        import aiohttp

        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def with_aiohttp() -> None:
            async with session.post(url + PATH, headers=HEADERS, data=BODY) as reply:
                await reply.read()

        found["aiohttp"] = with_aiohttp
    return found


async def cpu_us(call: Call, calls: int, connections: int) -> float:
    async def some() -> None:
        for _ in range(calls // connections):
            await call()

    start = time.process_time()
    await asyncio.gather(*(some() for _ in range(connections)))
    return (time.process_time() - start) / calls * 1e6


async def measure(url: str, calls: int, connections: int) -> None:
    async with AsyncExitStack() as stack:
        ways = await clients(url, stack)
        seen: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(ROUNDS):
            for name, call in ways.items():
                spent = await cpu_us(call, calls, connections)
                if round_:  # the first warms up
                    seen[name].append(spent)
    base = statistics.median(seen["ours"])
    print(f"{'client':10}{'CPU us a call':>14}{'times ours':>12}")
    for name, values in seen.items():
        middle = statistics.median(values)
        print(f"{name:10}{middle:14.0f}{middle / base:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU of one exchange by HTTP client.")
    parser.add_argument("--calls", type=int, default=960)
    parser.add_argument("--connections", type=int, default=32)
    args = parser.parse_args()
    with subprocess.Popen([sys.executable, "-c", UPSTREAM], stdout=subprocess.PIPE) as upstream:
        assert upstream.stdout is not None
        url = f"http://127.0.0.1:{int(upstream.stdout.readline())}"
        try:
            asyncio.run(measure(url, args.calls, args.connections))
        finally:
            upstream.kill()


if __name__ == "__main__":
    main()
