"""How an exchange with an upstream fails, before it has a name for users (`UpstreamError`)."""

from __future__ import annotations

from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["connect", "first_byte", "idle"]


class HttpError(Exception):
    """An exchange did not come to its end. Messages never hold what was sent or received."""


class ConnectError(HttpError):
    """No connection could be had: refused, no such host, no route."""


class ExhaustedError(HttpError):
    """No connection could be had because this process may open no more files."""


class TlsError(HttpError):
    """The upstream could not prove who it is, or speaks no TLS."""


class SilentError(HttpError):
    """Nothing came for longer than is waited."""

    def __init__(self, phase: Phase, seconds: float) -> None:
        self.phase, self.seconds = phase, seconds
        super().__init__(f"nothing for {seconds:g} s ({phase.replace('_', ' ')})")


class BrokenError(HttpError):
    """The connection ended before the answer did."""


class ProtocolError(HttpError):
    """What came is not HTTP as this side speaks it."""
