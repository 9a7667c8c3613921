"""A Redis on a loopback port that knows the scripts of shared conversations, and how to fail.

It speaks the protocol, so that the client, its time limits and its reconnecting are the real ones. What
its scripts do is written here a second time; the same tests run over a real Redis where there is one.
"""

from __future__ import annotations

import hashlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from turnout.gateway.sessions import sharing


class FakeRedis:
    """Values with a time to live; `hang` and `delay_s` are how its answers come."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[str, float]] = {}
        self.hang = threading.Event()
        self.delay_s = 0.0
        self.port = 0
        self._scripts = {
            hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(): run
            for text, run in (
                (sharing._READ, self._read),
                (sharing._WRITE, self._write),
                (sharing._THERE, self._there),
            )
        }
        self._server: socketserver.ThreadingTCPServer | None = None
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Listen, on the port of before if there was one; nothing is remembered."""
        self.values.clear()
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        fake = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                fake._serve(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Die: nothing listens, and what was open is cut."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for open_one in list(self._open):
            with suppress(OSError):
                open_one.shutdown(socket.SHUT_RDWR)

    def get(self, name: str) -> str | None:
        value, until = self.values.get(name, ("", 0.0))
        return value if time.monotonic() < until else None

    def _serve(self, handler: socketserver.StreamRequestHandler) -> None:
        self._open.add(handler.connection)
        try:
            while line := handler.rfile.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int(handler.rfile.readline()[1:])
                    words.append(handler.rfile.read(size + 2)[:-2].decode())
                while self.hang.is_set():
                    time.sleep(0.005)
                time.sleep(self.delay_s)
                handler.wfile.write(_encoded(self._answer(words)))
        except OSError:
            pass
        finally:
            self._open.discard(handler.connection)

    def _answer(self, words: list[str]) -> Any:
        command = words[0].upper()
        if command == "EVALSHA":
            keys = int(words[2])
            return self._scripts[words[1]](words[3 : 3 + keys], words[3 + keys :])
        if command == "SCRIPT":
            return hashlib.sha1(words[2].encode(), usedforsecurity=False).hexdigest()
        if command == "HELLO":
            return {"server": "redis", "version": "8.0.0", "proto": 3, "id": 1, "mode": "standalone",
                    "role": "master", "modules": []}  # fmt: skip
        return "OK"

    def _read(self, keys: list[str], values: list[str]) -> list[Any]:
        session, found = values[0], self.get(keys[0])
        if found is not None and found.startswith("sess_"):
            session, found = found, self.get(values[1] + found)
        if found is None:
            return [session, "", 0]
        left_s = self.values[values[1] + session][1] - time.monotonic()
        return [session, found, round(left_s * 1e3)]

    def _write(self, keys: list[str], values: list[str]) -> int:
        self.values[keys[0]] = (values[0], time.monotonic() + int(values[1]) / 1e3)
        return 1

    def _there(self, keys: list[str], values: list[str]) -> int:
        return int(self.get(keys[0]) is not None)


def _encoded(value: Any) -> bytes:
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(_encoded(v) for v in value)
    if isinstance(value, dict):
        pairs = (_encoded(part) for pair in value.items() for part in pair)
        return b"%%%d\r\n" % len(value) + b"".join(pairs)
    data = value.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


@contextmanager
def fake_redis() -> Iterator[FakeRedis]:
    fake = FakeRedis()
    fake.start()
    try:
        yield fake
    finally:
        fake.hang.clear()
        fake.stop()
