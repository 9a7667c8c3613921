"""Where requests come in: those that are like others before them go the express way.

What such a request says beside its text is known. It is sent upstream where it arrives, and answered where
its answer arrives, with no task of the event loop for it, no dict of its headers and no tree of its body.
Whatever is not plain goes to the application: a request before anything was done for it, an answer
with all that was (`Begun`). Records, budgets, metrics and headers are the same either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from turnout.gateway.express.heads import Head, around_length, head_of
from turnout.gateway.express.lane import Lane
from turnout.gateway.express.taken import Client, House, Taken
from turnout.gateway.http.admission import Admission
from turnout.gateway.http.door import Door
from turnout.gateway.http.ways import Served
from turnout.gateway.serving import Serving
from turnout.observe.trail import Trail

MOST_HEADS = 512


class Deployed(AbstractContextManager[Serving], Protocol):
    """What serves now; it is held open by a `with` block."""

    @property
    def serving(self) -> Serving:
        """Serves requests."""
        ...

    @property
    def lane(self) -> Lane | None:
        """Serves those that are like others; None: it serves none so."""
        ...


class Entrance:
    """Takes requests from connections.

    Args:
        live: what serves now; None where nothing does.
        admission: places for requests.
        door: counts clients that leave.
        over: told of each request that is over.
        traced: whether each call is traced; then requests do not come this way.
    """

    def __init__(
        self,
        live: Callable[[], Deployed | None],
        admission: Admission,
        door: Door,
        over: Callable[[Trail], None],
        *,
        traced: bool = False,
    ) -> None:
        self._live, self._traced = live, traced
        self._house = House(admission, door, over)
        self._heads: dict[tuple[bytes, bytes], Head] = {}
        self.taken = 0
        """Requests that came this way."""

    def head_of(
        self,
        data: bytes,
        method: bytes,
        url: bytes,
        version: str,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> Head | None:
        """What the next requests may begin with, where they are like this one. See `head_of`."""
        if self._traced:
            return None
        found = head_of(data, method, url, version, headers)
        if found is None:
            return None
        if len(self._heads) >= MOST_HEADS:
            self._heads.clear()
        return self._heads.setdefault(found.key, found)

    def known(self, data: bytes) -> Head | None:
        """The head by which `data` begins, where it has come before, on whatever connection."""
        key = around_length(data)
        return None if key is None else self._heads.get(key)

    def begin(self, client: Client, head: Head, body: bytes, since: float) -> Served | None:
        """See `turnout.gateway.http.ways.Express`; None: nothing was done for it."""
        live = self._live()
        if live is None or live.lane is None:
            return None
        trail = Trail()
        if since:
            trail.arrived, trail.waited_s = since, trail.arrived - since
        found = live.lane.look(head, body)
        if found is None or not self._house.admission.enter():
            return None
        shape, said, tokens, query = found
        held = live.__enter__()
        served = None
        try:
            taken = Taken(shape, said, tokens, query, client, trail, self._house, held, live)
            served = live.lane.begin(taken)
        finally:
            if served is None:
                live.__exit__(None, None, None)
                self._house.admission.step_back()
        self.taken += served is not None
        return served
