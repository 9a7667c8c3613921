"""One log line for each request: what it was, how it went, what it cost; nothing of what it said."""

from __future__ import annotations

import logging
from functools import partial

from turnout.observe.logs import Line
from turnout.observe.trail import QUIET_PATHS, Trail

log = logging.getLogger("turnout.requests")


class RequestLines:
    """Writes them, of quiet paths at debug level. See `turnout.observe.trail.Watcher`."""

    def over(self, trail: Trail) -> None:
        """A request is over."""
        level = logging.DEBUG if trail.path in QUIET_PATHS else logging.INFO
        if log.isEnabledFor(level):
            # As `log.info` does, without looking for the caller in the stack.
            line = Line("request", partial(fields_of, trail))
            log.handle(log.makeRecord(log.name, level, __file__, 0, line, (), None, "over"))


def fields_of(trail: Trail) -> dict[str, object]:
    """The fields of a line, of what the settings and the gateway name alone. Times in milliseconds."""
    found: dict[str, object] = {
        "path": trail.path,
        "status": trail.counted_status,
        "duration_ms": round(trail.duration_s * 1e3, 1),
    }
    if trail.trace is not None and trail.trace.trace_id:
        found["trace"] = trail.trace.trace_id
    record = trail.record
    if record is None:
        return found
    cost = record.cost_picousd
    return found | {
        "id": record.id,
        "key": record.key,
        "route": trail.route,
        "model": trail.model,
        "provider": record.provider,
        "reason": record.code,
        "outcome": record.status,
        "calls": record.calls,
        "stream": record.stream,
        "input_tokens": record.input_tokens,
        "cached_tokens": record.cache_read_tokens,
        "output_tokens": record.output_tokens,
        "cost_usd": None if cost is None else cost / 1e12,
        "first_byte_ms": round(trail.first_byte_s * 1e3, 1) if trail.begun else None,
        "overhead_ms": round(trail.overhead_s * 1e3, 3) if trail.begun else None,
    }
