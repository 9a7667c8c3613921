"""Those who were turned away, who left, and who were cut off: counted where it happens."""

from __future__ import annotations

from collections import Counter

from turnout.errors import LimitError, OverloadedError, TurnoutError
from turnout.gateway.http.protocol import Guard
from turnout.observe.trail import Trail
from turnout.wire.errors import error_body, error_status

_LIMITS = {
    "requests": "requests_per_minute",
    "tokens": "tokens_per_minute",
    "concurrent": "concurrent",
    "usd": "budget",
}
"""Kind of a limit → what the settings call it."""
_STATUS = {"headers_too_large": 431, "invalid_http": 400, "too_many_connections": 503}
"""What is refused before the application hears of it."""
CUTS = ("slow_head", "slow_body", "slow_reader")


class Door:
    """What one gateway counts of clients that it does not serve to the end. Reasons are fixed words."""

    def __init__(self) -> None:
        self.refusals: Counter[tuple[int, str]] = Counter()
        """(status, reason) → requests answered with an error of the gateway's own."""
        self.left: Counter[str] = Counter()
        """Clients that left before an answer began: `request`, it was not decided; `wait`, it was."""
        self.guard: Guard | None = None
        """Of the server's connections, where it is this package's."""

    def refused(self, status: int, reason: str) -> None:
        """A request was refused."""
        self.refusals[status, reason] += 1

    def failed(self, error: TurnoutError) -> None:
        """A request ended in an error of the gateway's own."""
        self.refused(error_status(error), _reason(error))

    def gone(self, trail: Trail) -> None:
        """A client left before its answer began."""
        self.left["request" if trail.record is None else "wait"] += 1

    def all_refusals(self) -> dict[tuple[int, str], int]:
        """`refusals`, and what the server refused before the application heard of it."""
        found = dict(self.refusals)
        counts = {} if self.guard is None else dict(self.guard.counts)
        for reason, status in _STATUS.items():
            if counts.get(reason):
                found[status, reason] = counts[reason]
        return found

    def cut_off(self) -> dict[str, int]:
        """Clients that took too long, by what they were to bring; all are 0 without a guard."""
        counts = {} if self.guard is None else dict(self.guard.counts)
        return {reason: counts.get(reason, 0) for reason in CUTS}


def _reason(error: TurnoutError) -> str:
    if isinstance(error, LimitError) and error.limit:
        return _LIMITS[error.limit]
    if isinstance(error, OverloadedError) and error.why:
        return error.why
    return str(error_body(error)["error"]["code"])
