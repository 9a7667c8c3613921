"""Mixed traffic with faults for half an hour: does memory grow, do descriptors leak, is a row lost?

    python benchmarks/soak.py [--minutes 30] [--clients 8]

`turnout serve` runs in a process of its own before an upstream that fails, stalls, resets and breaks
streams off by a fixed seed; some clients leave early. Prints the slope of the resident set after a
quarter of the time, open descriptors then and at the end, and requests beside rows. Exits with 1 beyond
1 MiB a minute, where descriptors grew by more than 16, or where a row is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx2
import numpy as np

EVENT = b'data: {"model":"m","choices":[{"delta":{"content":"word "}}]}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
ANSWER = (
    b'{"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant",'
    b'"content":"Hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
CONFIG = """
listen: {{port: 0}}
providers: {{up: {{base_url: "{url}/v1", idle_timeout_s: 1, first_byte_timeout_s: 1, timeout_s: 5}}}}
candidates:
  - {{name: gpt-4.1, provider: up}}
  - {{name: gpt-4.1-mini, provider: up}}
store: {{path: soak.db}}
"""


async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, by the dice: nine of ten calls go well."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(size)
            dice = DICE.random()
            if dice < 0.03:
                writer.write(b"HTTP/1.1 503 X\r\ncontent-length: 4\r\n\r\nbusy")
            elif dice < 0.05:
                writer.transport.abort()
                return
            elif dice < 0.06:
                await asyncio.sleep(1.5)
                return
            elif b'"stream": true' in body or b'"stream":true' in body:
                writer.write(STREAM + EVENT * 10)
                await writer.drain()
                await asyncio.sleep(0.01)
                if dice < 0.1:
                    writer.transport.abort()
                    return
                writer.write(EVENT * 10 + b"data: [DONE]\n\n")
                return
            else:
                form = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                writer.write(form % len(ANSWER) + ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def client(url: str, end: float, ids: set[str], seen: Counter[str]) -> None:
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        while time.monotonic() < end:
            size = DICE.choice((20, 200, 5000))
            text = " ".join(str(DICE.random()) for _ in range(size // 20))
            body = {
                "model": DICE.choice(("auto", "gpt-4.1-mini")),
                "messages": [{"role": "user", "content": text}],
                "stream": DICE.random() < 0.5,
            }
            leaves = 0.005 if DICE.random() < 0.03 else 20
            try:
                async with asyncio.timeout(leaves):
                    path = DICE.choice(
                        ("/v1/chat/completions", "/v1/chat/completions", "/v1/messages")
                    )
                    reply = await http.post(path, json={**body, "max_tokens": 50})
                seen[str(reply.status_code)] += 1
                if found := reply.headers.get("x-turnout-decision-id"):
                    ids.add(found)
            except (TimeoutError, httpx2.TransportError) as error:
                seen[type(error).__name__] += 1
            await asyncio.sleep(0.01)


def rss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


async def soak(minutes: float, clients: int, folder: Path) -> int:
    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    config = folder / "turnout.yaml"
    config.write_text(CONFIG.format(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    command = [sys.executable, "-m", "turnout", "serve", "--config", str(config)]
    with (folder / "log").open("w") as log:
        gateway = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    assert gateway.stdout is not None
    url = gateway.stdout.readline().split()[2].removesuffix("/v1")
    start, ids, seen = time.monotonic(), set[str](), Counter[str]()
    end = start + 60 * minutes
    work = [asyncio.create_task(client(url, end, ids, seen)) for _ in range(clients)]
    samples: list[tuple[float, float]] = []
    files: list[int] = []
    try:
        while not all(task.done() for task in work):
            await asyncio.sleep(1)
            if time.monotonic() - start > 15 * minutes:  # a quarter, in seconds
                samples.append(((time.monotonic() - start) / 60, rss_mib(gateway.pid)))
                files.append(len(list(Path(f"/proc/{gateway.pid}/fd").iterdir())))
        await asyncio.gather(*work)
    finally:
        gateway.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(gateway.wait, 60)
    with sqlite3.connect(folder / "soak.db") as db:
        rows = {row[0] for row in db.execute("SELECT id FROM records")}
        unknown = db.execute("SELECT count(*) FROM records WHERE status = 'unknown'").fetchone()[0]
    slope = float(np.polyfit(*zip(*samples, strict=True), 1)[0])
    lost, grown = len(ids - rows), max(files[-5:]) - max(files[:5])
    print(f"{sum(seen.values())} requests in {minutes:g} minutes: {dict(seen)}")
    print(
        f"resident set: {samples[0][1]:.0f} to {samples[-1][1]:.0f} MiB, {slope:+.2f} MiB a minute"
    )
    print(f"descriptors: {max(files[:5])} to {max(files[-5:])}")
    print(f"rows: {len(rows)}, lost {lost}, unknown {unknown}; exit {code}")
    return int(slope > 1 or grown > 16 or lost > 0 or unknown > 0 or code != 0)


DICE = random.Random(7)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        sys.exit(asyncio.run(soak(given.minutes, given.clients, Path(home))))
