"""Addresses of a name, looked up off the event loop and kept for a while."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

log = logging.getLogger("turnout.providers")

KEPT_S = 30.0
"""How long addresses are used before the name is looked up again."""

Lookup: TypeAlias = Callable[..., list[Any]]


class Resolver:
    """The addresses of one host.

    A lookup can hang for many seconds and cannot be stopped. So it has a thread of its own, one at a time,
    for all who wait for it: the threads that the event loop lends to other work stay free, and the end
    of the process does not wait. Where a lookup fails, the addresses known before go on being used.

    Args:
        host: a name, or an address.
        port: for what is looked up.
        lookup: `socket.getaddrinfo`, or a stand-in.
    """

    def __init__(self, host: str, port: int, lookup: Lookup | None = None) -> None:
        self._host, self._port, self._lookup = host, port, lookup
        self._known: list[str] = []
        self._until = 0.0
        self._asking: asyncio.Future[list[str]] | None = None

    async def addresses(self) -> list[str]:
        """IP addresses, in the order in which to try them.

        Raises:
            OSError: the name is not known.
        """
        loop = asyncio.get_running_loop()
        if self._known and loop.time() < self._until:
            return self._known
        if self._asking is None or self._asking.done():
            self._asking = loop.create_future()
            name = f"turnout-dns-{self._host}"
            work = threading.Thread(
                target=self._look, args=(loop, self._asking), name=name, daemon=True
            )
            work.start()
        try:
            found = await asyncio.shield(self._asking)
        except OSError:
            if not self._known:
                raise
            log.warning("the name %s was not found; its last addresses are used", self._host)
            found = self._known
        self._known, self._until = found, loop.time() + KEPT_S
        return found

    def put_last(self, address: str) -> None:
        """That address did not answer: try the others first from now on."""
        if address in self._known:
            self._known = [a for a in self._known if a != address] + [address]

    def _look(self, loop: asyncio.AbstractEventLoop, asked: asyncio.Future[list[str]]) -> None:
        lookup = self._lookup or socket.getaddrinfo
        found: list[str] | OSError
        try:
            rows = lookup(self._host, self._port, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(row[4][0]) for row in rows))
        except OSError as error:
            found = error
        except UnicodeError:  # a name that no server could know
            found = OSError("no such host")
        try:
            loop.call_soon_threadsafe(_tell, asked, found)
        except RuntimeError:
            log.debug("a lookup of %s came after the end", self._host)


def _tell(asked: asyncio.Future[list[str]], found: list[str] | OSError) -> None:
    if asked.done():
        return
    if isinstance(found, OSError):
        asked.set_exception(found)
        asked.exception()  # whoever asked may have given up: that is no error of ours
    else:
        asked.set_result(found)
