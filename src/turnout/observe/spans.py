"""Spans and metrics of GenAI calls for OpenTelemetry (extra `otel`), without what was said.

Names follow open-telemetry/semantic-conventions-genai; what routing adds is under `turnout.`. The standard
variables say where spans go (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME` …).
Exporting is a thread's work, over a bounded queue: it neither delays a request nor fails one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from turnout.errors import MissingExtraError
from turnout.observe.trail import QUIET_PATHS, Attempted, Trail

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

SCOPE = "turnout"
SHUTDOWN_S = 5.0
"""Longest that the end of the process waits for spans to leave."""
_DURATIONS_S = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
)
_TOKENS = (
    1,
    4,
    16,
    64,
    256,
    1024,
    4096,
    16384,
    65536,
    262144,
    1048576,
    4194304,
    16777216,
    67108864,
)
_WELL_KNOWN = frozenset({
    "anthropic", "aws.bedrock", "azure.ai.inference", "azure.ai.openai", "cohere", "deepseek", "gcp.gemini",
    "gcp.gen_ai", "gcp.vertex_ai", "groq", "ibm.watsonx.ai", "mistral_ai", "openai", "perplexity", "x_ai",
})  # fmt: skip
_NUMBERS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "dimensions": "gen_ai.embeddings.dimension.count",
}
"""Numbers of a request that are attributes; nothing that is a text is one."""


class Telemetry:
    """Opens spans for requests and for the calls that they lead to.

    Args:
        traces: whether spans are made.
        metrics: whether the metrics of GenAI clients are.
        processor: where spans go; default: OTLP over HTTP, as the environment says.
        reader: where metrics go; default: the same.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """

    def __init__(
        self,
        *,
        traces: bool,
        metrics: bool,
        processor: SpanProcessor | None = None,
        reader: MetricReader | None = None,
    ) -> None:
        try:
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            self._propagator = TraceContextTextMapPropagator()
            self._tracers = _tracers(processor) if traces else None
            self._meters = _meters(reader) if metrics else None
        except ImportError as error:
            raise MissingExtraError("otel in the settings", "otel") from error
        self._tracer = self._tracers.get_tracer(SCOPE) if self._tracers else None
        self._tokens: Histogram | None = None
        self._durations: Histogram | None = None
        if self._meters is not None:
            meter = self._meters.get_meter(SCOPE)
            self._tokens = meter.create_histogram(
                "gen_ai.client.token.usage",
                unit="{token}",
                description="Tokens of a call, by type.",
                explicit_bucket_boundaries_advisory=_TOKENS,
            )
            self._durations = meter.create_histogram(
                "gen_ai.client.operation.duration",
                unit="s",
                description="Duration of a call.",
                explicit_bucket_boundaries_advisory=_DURATIONS_S,
            )

    def arrived(self, trail: Trail, method: str, headers: Mapping[str, str]) -> None:
        """A request has come: its span begins, below the client's where it names one (W3C)."""
        trail.trace = RequestTrace(self, method, headers)

    def over(self, trail: Trail) -> None:
        """See `turnout.observe.trail.Watcher`."""
        if isinstance(trail.trace, RequestTrace):
            trail.trace.end(trail)

    def count(
        self, made: Attempted, attributes: Mapping[str, AttributeValue], trail: Trail
    ) -> None:
        """The metrics of one call."""
        if self._durations is not None:
            self._durations.record((made.ended_ns - made.began_ns) / 1e9, attributes)
        record = trail.record
        if self._tokens is None or record is None or not made.answered:
            return
        sent = record.input_tokens + record.cache_read_tokens + record.cache_write_tokens
        self._tokens.record(sent, {**attributes, "gen_ai.token.type": "input"})
        self._tokens.record(record.output_tokens, {**attributes, "gen_ai.token.type": "output"})

    def close(self) -> None:
        """Send what waits, for a bounded time."""

        def shut() -> None:
            for provider in (self._tracers, self._meters):
                if provider is not None:
                    with suppress(Exception):  # it is the end; the SDK logs what went wrong
                        provider.shutdown()

        thread = threading.Thread(target=shut, name="turnout-otel-end", daemon=True)
        thread.start()
        thread.join(SHUTDOWN_S)


class RequestTrace:
    """The spans of one request."""

    __slots__ = ("_attempt", "_context", "_method", "_span", "_telemetry")

    def __init__(self, telemetry: Telemetry, method: str, headers: Mapping[str, str]) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context

        self._telemetry, self._method = telemetry, method
        self._attempt: Span | None = None
        self._span: Span | None = None
        # Of the client's headers the two of W3C alone: baggage would carry its text along.
        known = {n: headers[n] for n in ("traceparent", "tracestate") if n in headers}
        self._context = telemetry._propagator.extract(known)
        if telemetry._tracer is not None:
            self._span = telemetry._tracer.start_span(
                method, context=self._context, kind=SpanKind.SERVER
            )
            self._context = set_span_in_context(self._span, self._context)

    @property
    def trace_id(self) -> str:
        """In hexadecimal; empty where there is no span."""
        return "" if self._span is None else f"{self._span.get_span_context().trace_id:032x}"

    def began(self, made: Attempted) -> dict[str, str]:
        """A call goes out: its span begins. Gives the headers that tell the upstream of it."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        telemetry = self._telemetry
        if telemetry._tracer is None:
            return {}
        self._attempt = telemetry._tracer.start_span(
            f"{made.operation} {made.model}",
            context=self._context,
            kind=SpanKind.CLIENT,
            start_time=made.began_ns,
            attributes={**_asked(made), **_numbers(made)},
        )
        carrier: dict[str, str] = {}
        telemetry._propagator.inject(carrier, set_span_in_context(self._attempt, self._context))
        return carrier

    def failed(self, made: Attempted, trail: Trail) -> None:
        """A call has failed, or was given up."""
        attributes = {**_asked(made), "error.type": made.error}
        self._telemetry.count(made, attributes, trail)
        span, self._attempt = self._attempt, None
        if span is not None:
            _set_failed(span, made.error)
            span.end(made.ended_ns)

    def end(self, trail: Trail) -> None:
        """The request is over."""
        made, record = trail.attempt, trail.record
        if made is not None and not made.ended_ns:
            made.ended_ns = time.time_ns()
            self._answered(made, trail)
        span = self._span
        if span is None or trail.path in QUIET_PATHS:  # one that does not end is not sent
            return
        route = trail.path and f"/v1{trail.path}"
        span.update_name(f"{self._method} {route}".rstrip())
        status = trail.counted_status
        span.set_attributes(
            {
                "http.request.method": self._method,
                "http.response.status_code": status,
                "turnout.route": trail.route,
                "turnout.model": trail.model,
                **({"http.route": route} if route else {}),
                **({} if record is None else _routed(trail)),
            }
        )
        if status >= 500 or (record is not None and record.status in ("failed", "partial", "left")):
            _set_failed(span, str(status) if status >= 400 else record.status if record else "")
        span.end()

    def _answered(self, made: Attempted, trail: Trail) -> None:
        """The call that gave the answer, whole or as far as it came."""
        record = trail.record
        asked = _asked(made)
        if record is not None and record.upstream_model:
            asked["gen_ai.response.model"] = record.upstream_model
        broke = record is None or record.status != "ok"
        if broke:
            asked["error.type"] = record.status if record else "left"
        self._telemetry.count(made, asked, trail)
        span, self._attempt = self._attempt, None
        if span is None:
            return
        if record is not None and made.answered:
            span.set_attributes({**asked, **_used(trail)})
        if broke:
            _set_failed(span, str(asked["error.type"]))
        span.end(made.ended_ns)


def _set_failed(span: Span, kind: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", kind)


def _asked(made: Attempted) -> dict[str, AttributeValue]:
    """What is known of a call before it is answered: names of the settings."""
    by_dialect = "anthropic" if made.dialect == "messages" else "openai"
    return {
        "gen_ai.operation.name": made.operation,
        "gen_ai.provider.name": made.provider if made.provider in _WELL_KNOWN else by_dialect,
        "gen_ai.request.model": made.model,
    }


def _numbers(made: Attempted) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        name: value
        for field, name in _NUMBERS.items()
        if isinstance(value := made.fields.get(field), int | float) and not isinstance(value, bool)
    }
    if made.fields.get("stream") is True:
        found["gen_ai.request.stream"] = True
    return found | {"turnout.provider": made.provider, "turnout.candidate": made.candidate}


def _used(trail: Trail) -> dict[str, AttributeValue]:
    record = trail.record
    if record is None:
        return {}
    read, written = record.cache_read_tokens, record.cache_write_tokens
    found: dict[str, AttributeValue] = {
        "gen_ai.usage.input_tokens": record.input_tokens + read + written,
        "gen_ai.usage.output_tokens": record.output_tokens,
    }
    if read:
        found["gen_ai.usage.cache_read.input_tokens"] = read
    if written:
        found["gen_ai.usage.cache_creation.input_tokens"] = written
    if record.reasoning_tokens:
        found["gen_ai.usage.reasoning.output_tokens"] = record.reasoning_tokens
    if record.stream:
        found["gen_ai.response.time_to_first_chunk"] = record.first_byte_ms / 1e3
    return found


def _routed(trail: Trail) -> dict[str, AttributeValue]:
    """What routing found, of names and numbers alone."""
    record = trail.record
    if record is None:
        return {}
    found: dict[str, AttributeValue] = {
        "turnout.decision.id": record.id,
        "turnout.router": record.router,
        "turnout.reason": record.code,
        "turnout.outcome": record.status,
        "turnout.calls": record.calls,
        "turnout.overhead_ms": round(trail.overhead_s * 1e3, 3),
    }
    if record.cost_picousd is not None:
        found["turnout.cost_usd"] = record.cost_picousd / 1e12
        found["turnout.cost_basis"] = record.cost_basis
    if record.key:
        found["turnout.key"] = record.key
    return found


def _resource() -> Any:
    import os

    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    given = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create({} if given else {SERVICE_NAME: "turnout"})


def _tracers(processor: SpanProcessor | None) -> TracerProvider:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if processor is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        processor = BatchSpanProcessor(OTLPSpanExporter())
    made = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    made.add_span_processor(processor)
    return made


def _meters(reader: MetricReader | None) -> MeterProvider:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    if reader is None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return MeterProvider([reader], resource=_resource(), shutdown_on_exit=False)
