"""What a deployment shows of itself: logs and metrics."""

from __future__ import annotations

from typing import Literal, TypeAlias

from turnout.settings.base import Tree
from turnout.settings.listening import Listen

Level: TypeAlias = Literal["debug", "info", "warning", "error"]


class LogSettings(Tree):
    """What `turnout serve` logs to its standard error."""

    format: Literal["text", "json"] = "text"
    """`json` writes an object a line."""
    level: Level = "info"
    """From `info` on there is one line a request."""


class OtelSettings(Tree):
    """What OpenTelemetry is told (extra `otel`); where, the environment's `OTEL_*` variables say."""

    traces: bool = False
    """A span a request, and one for each call that it leads to; no texts."""
    metrics: bool = False
    """The metrics of GenAI clients: tokens and durations of calls."""


class MetricsSettings(Tree):
    """The metrics that Prometheus reads."""

    enabled: bool = True
    """Whether `GET /metrics` answers."""
    listen: Listen | None = None
    """An address of their own, where they are then alone; None: beside the API."""
