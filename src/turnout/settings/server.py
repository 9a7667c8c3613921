"""What one process takes at a time, and how long it waits for its clients."""

from __future__ import annotations

from pydantic import Field

from turnout.settings.base import Tree


class ServerSettings(Tree):
    """Limits of one process. Requests beyond them are refused at once, with `retry-after`."""

    max_in_flight: int = Field(default=1024, ge=1)
    """Requests that are served at a time, streams to their end."""
    max_queue: int = Field(default=256, ge=0)
    """Requests that wait for one of these to be over."""
    queue_timeout_s: float = Field(default=1.0, gt=0)
    """How long they wait; a client that says how long it waits itself is not kept for longer."""
    decision_timeout_s: float = Field(default=5.0, gt=0)
    """For a router's decision; then the default candidate serves. One that usually takes less than
    2 ms is made at once."""
    max_connections: int | None = Field(default=None, ge=1)
    """Connections of clients; None: half of the file descriptors that the process may have open, as
    each request needs one to its client and one to its upstream."""
    max_header_bytes: int = Field(default=65_536, ge=1024)
    """Of a request's line and headers; more is a 431."""
    max_headers: int = Field(default=128, ge=16)
    """Of a request; more is a 431."""
    header_timeout_s: float = Field(default=10.0, gt=0)
    """For a request's line and headers, from its first byte; and for that first byte."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """For a request's body, while the gateway reads it."""
    write_timeout_s: float = Field(default=30.0, gt=0)
    """For a client to take what waits for it (64 KiB), before it is cut off."""
    drain_s: float = Field(default=30.0, ge=0)
    """For running answers to end after a signal to stop."""
    notice_s: float = Field(default=1.0, ge=0)
    """After SIGTERM, how long `/readyz` says 503 while requests are still taken, so that a load
    balancer sees it before a connection is refused."""
