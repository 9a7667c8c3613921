"""Raw sockets: an upstream that keeps every byte, a canary that should never be called, a raw client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

ANSWER = (
    b'{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"ok"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,'
    b'"total_tokens":2}}'
)


def answer(body: bytes = ANSWER, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", *headers]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


@dataclass
class RawSite:
    """Answers each request with the same bytes, and keeps what it was sent, byte for byte."""

    url: str
    reply: bytes
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Heads and bodies, in the order of their arrival."""
    stray: list[bytes] = field(default_factory=list)
    """Bytes that were not a POST with a content-length: a smuggled request."""
    connections: int = 0


@contextmanager
def raw_site(reply: bytes | None = None) -> Iterator[RawSite]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site = RawSite(f"http://127.0.0.1:{listener.getsockname()[1]}", reply or answer())
        threading.Thread(target=_accept, args=(listener, site), daemon=True).start()
        yield site


def _accept(listener: socket.socket, site: RawSite) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        site.connections += 1
        threading.Thread(target=_serve, args=(connection, site), daemon=True).start()


def _serve(connection: socket.socket, site: RawSite) -> None:
    held = b""
    with connection:
        while True:
            try:
                data = connection.recv(65536)
            except OSError:
                return
            if not data:
                if held:
                    site.stray.append(held)
                return
            held += data
            while b"\r\n\r\n" in held:
                head, _, rest = held.partition(b"\r\n\r\n")
                size = _length(head)
                if size is None:
                    site.stray.append(held)
                    return
                if len(rest) < size:
                    break
                site.requests.append((head, rest[:size]))
                held = rest[size:]
                connection.sendall(site.reply)


def _length(head: bytes) -> int | None:
    lines = head.split(b"\r\n")
    found = [
        v for n, _, v in (line.partition(b":") for line in lines[1:]) if n == b"content-length"
    ]
    plain = lines[0].startswith(b"POST /") and lines[0].endswith(b" HTTP/1.1") and len(found) == 1
    return int(found[0]) if plain else None


def send_raw(url: str, data: bytes, *, wait_s: float = 3.0) -> bytes:
    """Send bytes, and give all that comes back until the other side closes or falls silent."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=wait_s) as client:
        client.sendall(data)
        client.settimeout(wait_s)
        got = b""
        while True:
            try:
                piece = client.recv(65536)
            except (TimeoutError, ConnectionError):
                return got
            if not piece:
                return got
            got += piece
