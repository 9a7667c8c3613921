"""CPU time of reading and translating, as ratios to `json.loads` + `json.dumps` of the same bytes.

    python benchmarks/wire.py [--rounds 300]

Ways are interleaved in one process and measured in CPU time of the thread, so that the machine's noise
falls on all alike; a figure is the median over rounds. `read` is what a request that passes through costs:
strict parsing, the query that is routed by, and the body with its model replaced. `watch` passes a stream
on and reads its usage. `translate` takes it to pieces and writes it in the other dialect, a chunk at a time.
orjson and msgspec are measured where they are installed; nothing here needs them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turnout.wire import chat, messages, responses
from turnout.wire.body import read_body
from turnout.wire.dialects import DIALECTS, Dialect
from turnout.wire.sse import EventReader, read_events
from turnout.wire.streams import StreamTranslator
from turnout.wire.streams.watch import StreamWatch
from turnout.wire.translate import Client, Target, translate_request

GOLDEN = Path(__file__).parents[1] / "tests" / "wire" / "golden"
READERS = {"chat": chat, "responses": responses, "messages": messages}


def short() -> dict[str, Any]:
    """A question of 20 tokens."""
    text = (
        "What is the capital of Switzerland, and since when has it been the seat of its government?"
    )
    return {
        "model": "auto",
        "messages": [{"role": "user", "content": text}],
        "max_completion_tokens": 200,
    }


def agent() -> dict[str, Any]:
    """A coding agent at its twentieth step: 20 tools, a long system text, results of tools."""
    word = "The function reads the file and returns its lines; see module_7.py line 42. "
    tools = [
        {
            "type": "function",
            "function": {
                "name": f"tool_{i}",
                "description": word * 4,
                "parameters": {
                    "type": "object",
                    "properties": {
                        f"p{j}": {"type": "string", "description": word} for j in range(4)
                    },
                },
            },
        }
        for i in range(20)
    ]
    said: list[dict[str, Any]] = [
        {"role": "system", "content": word * 60},
        {"role": "user", "content": word},
    ]
    for i in range(20):
        call = {
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": "tool_1", "arguments": '{"p1": "x"}'},
        }
        said.append({"role": "assistant", "content": None, "tool_calls": [call]})
        said.append({"role": "tool", "tool_call_id": f"call_{i}", "content": word * 12})
    return {"model": "auto", "messages": said, "tools": tools, "max_completion_tokens": 4000}


def text_stream(dialect: Dialect, n: int) -> bytes:
    """A stream of n text deltas in a dialect: the golden chat stream's first chunks, repeated."""
    events = read_events((GOLDEN / "chat.sse").read_bytes())
    first, delta, stop, usage = events[0], events[1], events[8], events[9]
    data = [first, *[delta] * n, stop, usage, "[DONE]"]
    stream = b"".join(b"data: " + e.encode() + b"\n\n" for e in data)
    if dialect == "chat":
        return stream
    made = StreamTranslator("chat", Client(dialect=dialect, now=1))
    return made.feed(stream) + made.end()


def pieces(stream: bytes) -> list[bytes]:
    """One event a piece, as they come over a network."""
    return [event + b"\n\n" for event in stream.split(b"\n\n") if event]


def compare(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median CPU microseconds of each way."""
    taken: dict[str, list[int]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.thread_time_ns()
            way()
            taken[name].append(time.thread_time_ns() - start)
    return {name: statistics.median(found) / 1e3 for name, found in taken.items()}


def show(title: str, found: dict[str, float], count: int = 1) -> None:
    """A line for each way: microseconds (of one of `count`), and the ratio to the first."""
    print(f"\n{title}")
    base = next(iter(found.values()))
    for name, us in found.items():
        print(f"  {name:<34}{us / count:9.2f} us{us / base:8.2f} x")


def fast_ways(raw: bytes) -> dict[str, Callable[[], Any]]:
    """The compiled JSON libraries, where they are installed."""
    found: dict[str, Callable[[], Any]] = {}
    for name, loads, dumps in (("orjson", "loads", "dumps"), ("msgspec.json", "decode", "encode")):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        load, dump = getattr(module, loads), getattr(module, dumps)
        found[f"{name} loads + dumps"] = lambda load=load, dump=dump: dump(load(raw))
        found[f"{name} loads alone"] = lambda load=load: load(raw)
    return found


def read(raw: bytes, dialect: Dialect) -> bytes:
    """What a request that passes through costs."""
    body = read_body(raw)
    READERS[dialect].read_query(body.fields)
    return body.with_fields({"model": "gpt-6-astra"})


def requests(rounds: int) -> None:
    """Reading and translating requests."""
    for title, made in (("20 tokens", short()), ("agent, 20 tools, 40 messages", agent())):
        for dialect in DIALECTS:
            target = Target(dialect=dialect, model="auto")
            raw = json.dumps(translate_request(made, "chat", target).body).encode()
            fields = json.loads(raw)
            ways: dict[str, Callable[[], Any]] = {
                "json loads + dumps": lambda raw=raw: json.dumps(json.loads(raw)),
                "json loads alone": lambda raw=raw: json.loads(raw),
                "read, to pass through": lambda raw=raw, dialect=dialect: read(raw, dialect),
                "  of it read_body": lambda raw=raw: read_body(raw),
            }
            for other in DIALECTS:
                if other != dialect:
                    into = Target(dialect=other, model="m")
                    ways[f"translate to {other}, with dumps"] = lambda f=fields, s=dialect, t=into: (
                        json.dumps(translate_request(f, s, t).body)
                    )
            if dialect == "chat":
                ways |= fast_ways(raw)
            show(f"request, {title}, {dialect}: {len(raw)} bytes", compare(ways, rounds))


def streams(rounds: int) -> None:
    """Passing on and translating streams, a chunk."""
    n = 50
    for source in DIALECTS:
        parts = pieces(text_stream(source, n))
        data = [e for e in read_events(b"".join(parts)) if e != "[DONE]"]

        ways: dict[str, Callable[[], Any]] = {
            "json loads + dumps": lambda data=data: [json.dumps(json.loads(e)) for e in data],
            "events alone": lambda parts=parts: feed(EventReader(), parts),
            "watch, to pass through": lambda parts=parts, a=source: feed(StreamWatch(a), parts),
        }
        for target in DIALECTS:
            if target != source:
                client = Client(dialect=target, now=1)
                ways[f"translate to {target}"] = lambda parts=parts, a=source, c=client: feed(
                    StreamTranslator(a, c), parts
                )
        show(f"stream, {source}, a chunk of {len(parts)}", compare(ways, rounds // 5), len(parts))


def feed(reader: Any, parts: list[bytes]) -> None:
    """Give a reader a stream in pieces."""
    for part in parts:
        found = reader.feed(part)
        if not isinstance(found, bytes):
            list(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    requests(rounds)
    streams(rounds)


if __name__ == "__main__":
    main()
