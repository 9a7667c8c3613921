"""Streams that go wrong, are odd, or are left in the middle: as without the express way."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
from express_site import (
    CONFIG,
    RESILIENCE,
    Site,
    body,
    express_site,
    rows_by_id,
    with_and_without,
)

from scripted import CLOSE, PAUSE, RESET, ok
from turnout.gateway.http.protocol import GuardedProtocol

JSON = b"content-type: application/json"
CHUNKED = b"transfer-encoding: chunked"
EVENTS = b"content-type: text/event-stream"
END = b"0\r\n\r\n"


def head(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *lines)) + b"\r\n\r\n"


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def delta(finish: str | None = None, model: str = "cheap", **said: Any) -> bytes:
    return event(model=model, choices=[{"index": 0, "delta": said, "finish_reason": finish}])


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


HEAD = head(EVENTS, CHUNKED)
ROLE = delta(role="assistant", content="")
HI, MORE, STOP = delta(content="Hi"), delta(content=" there, “you”"), delta("stop")
USAGE = event(model="cheap", choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2})
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
ERROR = event(error={"message": "no", "type": "server_error", "code": "x"})
ALL = (ROLE, HI, MORE, STOP, USAGE, DONE)
REPLY = {
    "model": "cheap",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


def chunks(*events: bytes, start: bytes = HEAD, end: Sequence[bytes] = (END,)) -> list[bytes]:
    return [start, *map(chunk, events), *end]


class Odd(NamedTuple):
    """An upstream's answer, and the way that it goes."""

    pieces: list[bytes]
    handed: bool = False
    """The application ends it, as it is no plain stream, or is over, by the time that its content begins."""
    asked: bool = True
    """A stream was asked for."""


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


WIRE = b"".join(chunks(*ALL))
ODD = {
    "plain": Odd(chunks(*ALL)),
    "closed behind the head": Odd([HEAD, CLOSE], handed=True),
    "closed before content": Odd(chunks(ROLE, end=[CLOSE]), handed=True),
    "closed after content": Odd(chunks(ROLE, HI, MORE, end=[CLOSE])),
    "reset after content": Odd(chunks(ROLE, HI, MORE, end=[RESET])),
    "closed in one piece with content": Odd([b"".join(chunks(ROLE, HI, end=[])), CLOSE]),
    "closed in a chunk": Odd([HEAD, chunk(HI), chunk(MORE)[:-9], CLOSE]),
    "closed behind [DONE]": Odd(chunks(*ALL, end=[CLOSE])),
    "half an event, then closed": Odd(chunks(HI, MORE[:30], end=[CLOSE])),
    "half an event, then the end": Odd(chunks(HI, MORE[:30])),
    "half an event before content": Odd(chunks(HI[:30]), handed=True),
    "events in halves": Odd(chunks(HI[:30], HI[30:] + MORE[:9], MORE[9:-1], b"\n" + STOP, DONE)),
    "an error before content": Odd(chunks(ERROR), handed=True),
    "an error behind a role": Odd(chunks(ROLE, ERROR, DONE), handed=True),
    "an error, and no end": Odd(chunks(PING, ERROR, end=[PAUSE]), handed=True),
    "an error after content": Odd(chunks(HI, ERROR)),
    "an error after content, and [DONE]": Odd(chunks(HI, ERROR, DONE)),
    "an error after content, then closed": Odd(chunks(HI, ERROR, end=[CLOSE])),
    "no content": Odd(chunks(ROLE, STOP, USAGE, DONE), handed=True),
    "no events": Odd(chunks(), handed=True),
    "no [DONE]": Odd(chunks(HI, MORE, STOP, USAGE)),
    "no [DONE] and no reason": Odd(chunks(HI, MORE)),
    "no usage": Odd(chunks(HI, MORE, STOP, DONE)),
    "usage that is not believed": Odd(chunks(HI, STOP, USAGE.replace(b"2", b"-2"), DONE)),
    "usage in each event": Odd(chunks(HI[:-3] + b',"usage":{"prompt_tokens":9}}\n\n', STOP, DONE)),
    "usage first": Odd(chunks(USAGE, HI, STOP, DONE)),
    "a price of its own": Odd(chunks(HI, STOP, USAGE.replace(b'{"pr', b'{"cost":0.5,"pr'), DONE)),
    "300 KB without content": Odd(chunks(*[ROLE * 90] * 30, HI, STOP, DONE), handed=True),
    "60 KB of comments": Odd(chunks(PING * 7500, HI, STOP, DONE)),
    "comments": Odd(chunks(PING, PING + ROLE, PING, HI, PING, STOP, DONE)),
    "gzip": Odd([ok(gzip.compress(b"".join(ALL)), EVENTS, b"content-encoding: gzip")], handed=True),
    "a whole answer to who asked for a stream": Odd([ok(json.dumps(REPLY).encode(), JSON)], handed=True),
    "a stream to who did not ask for one": Odd(chunks(*ALL), handed=True, asked=False),
    "an error instead": Odd([head(JSON, b"content-length: 2", status=b"429 x") + b"{}"], handed=True),
    "503 with events": Odd(chunks(*ALL, start=head(EVENTS, CHUNKED, status=b"503 x")), handed=True),
    "201 with events": Odd(chunks(*ALL, start=head(EVENTS, CHUNKED, status=b"201 x")), handed=True),
    "chunks of one byte": Odd([HEAD, b"".join(map(chunk, cut(b"".join(ALL), 1))), END]),
    "content in pieces of one byte": Odd([HEAD, chunk(ROLE), *map(chunk, cut(HI, 1)), chunk(DONE), END]),
    "pieces of 7 bytes": Odd(cut(WIRE, 7)),
    "one read": Odd([WIRE], handed=True),
    "one read but for the end": Odd([WIRE[: -len(END)], END]),
    "lines end in \\r\\n": Odd(chunks(*(e.replace(b"\n", b"\r\n") for e in ALL))),
    "no blank behind data:": Odd(chunks(*(e.replace(b"data: ", b"data:") for e in ALL))),
    "no blank in its json": Odd(chunks(*(e.replace(b'": ', b'":').replace(b", ", b",") for e in ALL))),
    "a length": Odd([ok(b"".join(ALL), EVENTS)], handed=True),
    "a length, in pieces": Odd([head(EVENTS, b"content-length: 600") + ROLE + HI, MORE, CLOSE]),
    "no length": Odd([head(EVENTS), *ALL, CLOSE]),
    "trailers": Odd(chunks(*ALL, end=[b"0\r\nx-turnout-model: z\r\n\r\n"])),
    "bytes behind": Odd(chunks(*ALL, end=[END + b"more"])),
    "a chunk that is none": Odd(chunks(HI, MORE, end=[b"zz\r\n", CLOSE])),
    "events behind [DONE]": Odd(chunks(HI, DONE, MORE, DONE)),
    "a form with more": Odd(chunks(*ALL, start=head(b"content-type: Text/Event-Stream; a=b", CHUNKED))),
    "html": Odd(chunks(*ALL, start=head(b"content-type: text/html", CHUNKED)), handed=True),
    "tool calls": Odd(chunks(ROLE, delta(tool_calls=[{"index": 0, "function": {"name": "f"}}]), DONE)),
    "thoughts": Odd(chunks(ROLE, delta(reasoning="Well"), HI, STOP, DONE)),
    "null": Odd(chunks(delta(content=None), STOP, DONE), handed=True),
    "another model": Odd(chunks(delta(content="Hi", model="other"), STOP, DONE)),
    "no utf-8": Odd(chunks(HI.replace(b"Hi", b"\xff"), STOP, DONE)),
    "no json": Odd(chunks(b"data: {not\n\n", HI, b"data: {not\n\n", STOP, DONE)),
    "200 KB": Odd(chunks(HI, *[delta(content="x" * 20_000)] * 10, STOP, DONE)),
    "one event of 200 KB": Odd(chunks(HI, delta(content="x" * 200_000), STOP, DONE)),
    "headers for the client": Odd(chunks(*ALL, start=head(
        EVENTS, CHUNKED, b"x-ratelimit-limit-requests: 9", b"x-request-id: up", b"set-cookie: a=b",
        b"x-turnout-model: no", b"openai-processing-ms: 5"))),
    "103 before": Odd([b"HTTP/1.1 103 x\r\nlink: y\r\n\r\n", *chunks(*ALL)]),
}  # fmt: skip
SILENT = {
    "silence behind the head": Odd([HEAD, PAUSE], handed=True),
    "silence before content": Odd(chunks(ROLE, end=[PAUSE]), handed=True),
    "silence after content": Odd(chunks(HI, MORE, end=[PAUSE])),
    "silence in an event": Odd(chunks(HI, MORE[:20], end=[PAUSE])),
    "silence behind [DONE]": Odd(chunks(*ALL, end=[PAUSE])),
}

SOME = {
    name: ODD[name]
    for name in ODD
    if any(
        part in name for part in ("plain", "[DONE]", "usage", "read", "whole", "closed", "model")
    )
}
"""Of them those in which it matters what is asked for."""


class Kind(NamedTuple):
    """How streams are asked for."""

    fields: dict[str, Any] = {}  # noqa: RUF012 - it is not changed
    model: str = "cheap"
    rest: str = ""
    cases: dict[str, Odd] = ODD
    timeout_s: float = 5.0


ARMS = CONFIG.replace(
    "routers:", "  - {{name: arm, model: cheap, provider: one, effort: high, arm_output_tokens: 99,"
    " price: {{input_usd: 2, output_usd: 2}}}}\nrouters:"
)  # fmt: skip
KINDS = {
    "usage is not asked for": Kind(),
    "usage is asked for": Kind({"stream_options": {"include_usage": True}}, cases=SOME),
    "routed": Kind({"stream_options": {"include_usage": False}}, "auto"),
    "names as requested": Kind(model="router-length-0.7", rest="response_model: requested\n"),
    "an arm": Kind(model="arm", cases=SOME),
    "silent": Kind(cases=SILENT, timeout_s=0.4),
    "silent, routed": Kind(model="auto", cases=SILENT, timeout_s=0.4),
}


@dataclass
class Played:
    """What came of one answer of the upstream."""

    answers: list[Any]
    """To the client: of this answer, and of a plain one behind it."""
    taken: int
    handed: int
    counted: dict[str, float]
    """In metrics."""
    upstream: list[bytes]
    """Bodies of what was asked."""
    ids: list[str]
    rows: list[Any] = field(default_factory=list)
    """Of the ledger."""


Both: TypeAlias = tuple[dict[str, Played], dict[str, Played]]


def play(here: Site, kind: Kind, odd: Odd, handed: Counter[int]) -> Played:
    """One of them, behind plain ones by which it is known."""
    content = body("Hello", kind.model, stream=odd.asked, **(kind.fields if odd.asked else {}))
    up, guard = here.up, id(here.server.guard)
    with here.client() as client:
        client.warm(content)
        here.settle()
        before, since, at = here.metrics(), (here.taken, handed[guard]), len(up.requests)
        up.scripts.append(odd.pieces)
        first = client.ask(content)
        taken, given = here.taken - since[0], handed[guard] - since[1]
        second = client.ask(content)
    here.settle()
    after = here.metrics()
    return Played(
        answers=[first.plain(), second.plain()],
        taken=taken,
        handed=given,
        counted={k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)},
        upstream=[r.partition(b"\r\n\r\n")[2] for r in up.requests[at:]],
        ids=[a.header("x-turnout-decision-id") or "" for a in (first, second)],
    )


def both(kind: Kind, folder: Path) -> Both:
    """All of a kind, with the express way and without."""
    handed: Counter[int] = Counter()
    there = GuardedProtocol.hand_over

    def counted(self: GuardedProtocol, begun: object) -> None:
        handed[id(self.guard)] += 1
        there(self, begun)

    def work(express: bool) -> dict[str, Played]:
        file, rest = folder / f"{express}.db", RESILIENCE + kind.rest
        with express_site(
            file, express=express, rest=rest, timeout_s=kind.timeout_s, config=ARMS
        ) as here:
            found = {name: play(here, kind, odd, handed) for name, odd in kind.cases.items()}
        kept = rows_by_id(file)
        for one in found.values():
            one.rows = [kept[name] for name in one.ids]
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GuardedProtocol, "hand_over", counted)
        one, other = with_and_without(work)
    return one, other


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    """What came of all of a kind; each is played once."""
    return cache(lambda kind: both(KINDS[kind], tmp_path_factory.mktemp("streams")))


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in KINDS for n in KINDS[k].cases])
def test_a_stream_comes_to_the_same(played: Callable[[str], Both], kind: str, name: str) -> None:
    one, other = (found[name] for found in played(kind))
    assert one.answers == other.answers
    assert one.rows == other.rows
    assert one.counted == other.counted
    assert one.upstream == other.upstream
    assert (one.taken, other.taken, other.handed) == (1, 0, 0)
    assert one.handed or not KINDS[kind].cases[name].handed


@pytest.mark.parametrize("kind", KINDS)
def test_most_streams_are_passed_on_where_they_arrive(
    played: Callable[[str], Both], kind: str
) -> None:
    """What arrives all at once, on a machine that is busy, is over before it has begun."""
    handed = [one.handed for name, one in played(kind)[0].items()
              if not KINDS[kind].cases[name].handed]  # fmt: skip
    assert sum(handed) <= len(handed) / 3
