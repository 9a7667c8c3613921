"""What the gateway shows of itself: metrics and log lines of every request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from turnout.gateway.calls.recording import Observer
from turnout.gateway.http.asgi import Call, Receive, Scope, Send
from turnout.gateway.http.door import Door
from turnout.gateway.http.side_port import served_beside
from turnout.gateway.serving import Serving
from turnout.gateway.watching.door_readings import readings_of_clients
from turnout.gateway.watching.readings import readings_of
from turnout.observe.exposition import Exposition
from turnout.observe.metrics import Metrics
from turnout.observe.request_lines import RequestLines
from turnout.observe.spans import Telemetry
from turnout.observe.trail import Trail, Watcher
from turnout.settings import Settings


class Observing:
    """Those who watch requests, as the settings ask for them.

    Args:
        settings: `log` and `metrics` of them.
        serving: what serves now; None where nothing does.
        door: counts clients that are not served to the end.
        express: requests so far that went the express way.
    """

    def __init__(
        self,
        settings: Settings,
        serving: Callable[[], Serving | None],
        door: Door,
        express: Callable[[], int],
    ) -> None:
        self._settings = settings.metrics
        self.watchers: list[Watcher] = [RequestLines()]
        self.observers: list[Observer] = []
        self.metrics: Metrics | None = None
        if self._settings.enabled:
            self.metrics = Metrics(readings=readings_of(serving))
            self.metrics.readings += readings_of_clients(door, lambda: self.metrics, express)
            self.watchers.append(self.metrics)
            self.observers.append(self.metrics)
            self._exposition = Exposition(self.metrics)
        self._telemetry = _telemetry(settings)
        if self._telemetry is not None:
            self.watchers.append(self._telemetry)

    @property
    def traces(self) -> bool:
        """Whether the calls of each request are traced."""
        return self._telemetry is not None

    def arrived(self, call: Call) -> None:
        """A request has come."""
        if self._telemetry is not None:
            self._telemetry.arrived(call.trail, call.method, call.headers)

    def over(self, trail: Trail) -> None:
        """A request is over."""
        trail.end()
        for watcher in self.watchers:
            watcher.over(trail)

    async def answer(self, call: Call) -> None:
        """`GET /metrics`: written in another thread, because hundreds of lines take milliseconds."""
        accept = call.headers.get("accept", "")
        content_type, text = await asyncio.to_thread(self._exposition.write, accept)
        await call.answer(200, {"content-type": content_type}, text)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What runs beside the API while it serves: the metrics' own port, where they have one."""
        listen = self._settings.listen
        async with AsyncExitStack() as stack:
            if self._telemetry is not None:
                stack.push_async_callback(asyncio.to_thread, self._telemetry.close)
            if self._settings.enabled and listen is not None:
                beside = served_beside(self._alone, listen.host, listen.port)
                await stack.enter_async_context(beside)
            yield

    async def _alone(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An application of one page."""
        if scope["type"] != "http":
            raise RuntimeError(f"no such protocol here: {scope['type']}")
        call = Call(scope, receive, send)
        if call.path == "/metrics" and call.method in ("GET", "HEAD"):
            await self.answer(call)
        else:
            await call.answer(
                404, {"content-type": "text/plain"}, b"GET /metrics is all there is\n"
            )


def _telemetry(settings: Settings) -> Telemetry | None:
    """What OpenTelemetry is told, or None.

    Raises:
        MissingExtraError: it is not installed.
    """
    given = settings.otel
    if not given.traces and not given.metrics:
        return None
    return Telemetry(traces=given.traces, metrics=given.metrics)
