"""A gateway with an express way, or without, in front of an upstream that follows a script."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from fault_site import JSON_FORM, Upstream, engine_of, in_thread, kept, until
from gateway_fakes import running

from scripted import ok
from turnout.engine import Engine
from turnout.gateway.app import Gateway, create_app
from turnout.gateway.server import GatewayServer
from turnout.settings import Settings, parse_settings
from turnout.settings.server import ServerSettings

T = TypeVar("T")

TOKEN = "tk_express-canary-5f1c88d0a4"
CONFIG = """
providers:
  one: {{base_url: "{one}/v1", connect_timeout_s: 1, timeout_s: {timeout_s}, idle_timeout_s: {timeout_s}}}
candidates:
  - {{name: strong, provider: one, price: {{input_usd: 10, output_usd: 30}}}}
  - {{name: cheap, provider: one, price: {{input_usd: 1, output_usd: 1}}, max_output_tokens: 512}}
routers: {{length: {{}}}}
auto: router-length-0.5
{rest}
"""
RESILIENCE = "resilience: {spares: 0, retries: 0, breaker_failures: 100000, breaker_share: 1}\n"
QUICK = ServerSettings(drain_s=1, notice_s=0)
OWN = ("date", "x-request-id", "x-turnout-decision-id")
"""Headers that no two answers share."""
_ID = re.compile(rb"\b(dec|req)_[0-9a-zA-Z]+")
_TIMES = ("_seconds_bucket", "_seconds_sum", "_created")
_NOT_COMPARED = ("process_", "python_", "turnout_express_")


def keys(grant: str) -> str:
    """One key with these limits, as YAML."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    return f"keys: [{{name: ci, sha256: {digest}, role: admin{grant}}}]\n"


def body(text: str, model: str = "cheap", before: Sequence[Any] = (), **more: Any) -> bytes:
    """A chat request of one message of the user, with those before it."""
    sent = {"model": model, "messages": [*before, {"role": "user", "content": text}], **more}
    return json.dumps(sent, ensure_ascii=False).encode()


def stream(model: str, said: str) -> list[bytes]:
    """The same as a stream of three events."""
    delta = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": said}}]}
    usage = {"choices": [], "usage": {"prompt_tokens": len(said), "completion_tokens": 2}}
    events = [json.dumps({"model": model, **e}).encode() for e in (delta, usage)]
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    pieces = [b"data: " + event + b"\n\n" for event in (*events, b"[DONE]")]
    return [head, *(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces), b"0\r\n\r\n"]


class Echo(Upstream):
    """Answers with what follows from the request alone."""

    delay_s = 0.0

    async def before(self) -> None:
        """See `Scripted.before`."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)

    def script(self) -> list[bytes]:
        """See `Scripted.script`."""
        if self.scripts:
            return self.scripts.pop(0)
        given = json.loads(self.requests[-1].partition(b"\r\n\r\n")[2])
        said = json.dumps(given, sort_keys=True)
        if given.get("stream"):
            return stream(given["model"], said)
        answer = {
            "id": "x", "object": "chat.completion", "created": 1, "model": given["model"],
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": said}}],
            "usage": {"prompt_tokens": len(said), "completion_tokens": 2,
                      "total_tokens": len(said) + 2},
        }  # fmt: skip
        return [ok(json.dumps(answer).encode(), JSON_FORM, b"openai-version: 2020-10-01")]


@dataclass(frozen=True)
class Answered:
    """What a client got."""

    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes

    def header(self, name: str) -> str | None:
        """One of them; None: it is not there."""
        return dict(self.headers).get(name)

    def plain(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """What two answers to one request share."""
        masked = [(n, "" if n in OWN else v) for n, v in self.headers]
        return self.status, masked, _ID.sub(rb"\1", self.content)


class Client:
    """One connection, whose requests have heads that differ in the length alone."""

    def __init__(self, url: str, *lines: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines, self._left = lines, b""

    def head(self, size: int) -> bytes:
        """Of a request."""
        lines = ("POST /v1/chat/completions HTTP/1.1", "host: x", *self._lines)
        more = (f"content-length: {size}", "content-type: application/json")
        return "\r\n".join((*lines, *more)).encode() + b"\r\n\r\n"

    def send(self, content: bytes) -> None:
        """One request, in one piece."""
        self.socket.sendall(self.head(len(content)) + content)

    def ask(self, content: bytes) -> Answered:
        """One request, and what came of it."""
        self.send(content)
        return self.read()

    def warm(self, content: bytes, times: int = 2) -> None:
        """So many requests by which those like them become known."""
        for _ in range(times):
            assert self.ask(content).status == 200

    def read(self) -> Answered:
        """The next answer."""
        data = self._left
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            assert more, f"closed after {data[:200]!r}"
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = tuple((n.lower(), v) for n, _, v in (line.partition(": ") for line in lines))
        size = dict(headers).get("content-length")
        came = bytearray(rest)
        while len(came) < int(size) if size is not None else not came.endswith(b"0\r\n\r\n"):
            more = self.socket.recv(65536)
            assert more, "closed in the middle of an answer"
            came += more
        rest = bytes(came)
        end = len(rest) if size is None else int(size)
        self._left = rest[end:]
        content = rest[:end] if size is not None else b"".join(unchunked(rest))
        return Answered(int(first.split()[1]), headers, content)

    def until(self, what: bytes) -> None:
        """Wait for this in what comes; `read` reads it all the same."""
        while what not in self._left:
            more = self.socket.recv(65536)
            assert more, "closed before it came"
            self._left += more

    def is_closed(self) -> bool:
        """Whether the other side has closed, or does now."""
        try:
            return self.socket.recv(65536) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        """Leave."""
        self.socket.close()


def unchunked(data: bytes) -> Iterator[bytes]:
    """What is in chunks: the same bytes may come in others."""
    while data:
        size, _, data = data.partition(b"\r\n")
        yield data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]


@dataclass
class Site:
    """A gateway, and its upstream."""

    url: str
    app: Gateway
    server: GatewayServer
    up: Upstream
    file: Path | None

    @property
    def taken(self) -> int:
        """Requests that went the express way."""
        return self.app.entrance.taken

    @contextmanager
    def client(self, *lines: str) -> Iterator[Client]:
        """A connection while the block runs."""
        with closing(Client(self.url, *lines)) as made:
            yield made

    def metrics(self, *lines: str) -> dict[str, float]:
        """What is counted, without times."""
        with closing(Client(self.url)) as client:
            head = "\r\n".join(("GET /metrics HTTP/1.1", "host: x", *lines))
            client.socket.sendall(head.encode() + b"\r\n\r\n")
            answer = client.read()
        assert answer.status == 200, answer
        rows = [r.rpartition(" ") for r in answer.content.decode().splitlines() if r[:1] != "#"]
        return {
            name: float(value)
            for name, _, value in rows
            if not name.startswith(_NOT_COMPARED) and not any(t in name for t in _TIMES)
        }

    def counters(self) -> dict[str, int]:
        """What limits have counted."""
        meters: Any = self.app.opened().access.counters
        now = meters._now_s(), meters._clock()
        return {name: meter.used(*now) for name, meter in sorted(meters._meters.items())}

    def is_idle(self) -> bool:
        """Whether nothing is held for any request."""
        serving = self.app.opened()
        health = serving.resilience.health.values()
        providers: Any = serving.providers.values()
        return not (
            self.app.admission.in_flight
            or self.app.deployed()._users
            or sum(h.in_flight for h in health)
            or serving.access._holds
            or any(p._origin._busy for p in providers)
        )

    def settle(self) -> None:
        """Wait until nothing is under way."""
        until(self.is_idle)


def rows_by_id(file: Path) -> dict[str, dict[str, Any]]:
    """The records of a gateway that has stopped, without ids and times."""
    found = {}
    for record in kept(file):
        decision = json.loads(record.decision)
        assert decision.pop("id") == record.id
        decision.pop("elapsed_us", None)
        plain = replace(record, id="", at_ms=0, duration_ms=0, first_byte_ms=None, decision="")
        row = {name: getattr(plain, name) for name in plain.__dataclass_fields__}
        timed = record.first_byte_ms is not None
        found[record.id] = row | {"decision": decision, "timed": timed}
    return found


def rows(file: Path) -> list[dict[str, Any]]:
    """The same in an order of their own: many have one time."""
    return sorted(rows_by_id(file).values(), key=lambda row: json.dumps(row, sort_keys=True))


@contextmanager
def express_site(
    file: Path | None = None,
    *scripts: list[bytes],
    express: bool = True,
    rest: str = RESILIENCE,
    limits: ServerSettings = QUICK,
    timeout_s: float = 5,
    up: Upstream | None = None,
    engine: Engine | None = None,
    config: str = CONFIG,
) -> Iterator[Site]:
    """Run one.

    Args:
        file: where records are kept; None keeps none.
        scripts: of the upstream, before it answers as `Echo`.
        express: whether there is an express way.
        rest: more settings.
        limits: of the server.
        timeout_s: of the upstream's silence.
        up: another upstream.
        engine: another engine.
        config: the settings, as a form.
    """
    upstream = up or Echo(*scripts)
    store = "" if file is None else f"store: {{path: {file}}}\n"
    with in_thread(upstream):
        settings = settings_of(upstream.url, rest + store, timeout_s, config)
        app = create_app(settings, engine=engine or engine_of(settings))
        app.entrance._traced |= not express
        server = GatewayServer(app, limits)
        with running(server) as url:
            app.opened().deciding.slice_s = 1.0  # a router that seems slow is asked beside the loop
            yield Site(url, app, server, upstream, file)


def settings_of(url: str, rest: str, timeout_s: float = 5, config: str = CONFIG) -> Settings:
    """The settings of a site."""
    return parse_settings(config.format(one=url, rest=rest, timeout_s=timeout_s), {})


def with_and_without(work: Callable[[bool], T]) -> list[T]:
    """What it gives for a gateway with an express way, and for one without, run side by side."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, (True, False)))
