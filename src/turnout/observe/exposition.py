"""The metrics as Prometheus reads them. `prometheus_client` writes the text; it is imported when scraped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from turnout.observe.metrics import Metrics, Reading
from turnout.observe.tally import Times

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import CollectorRegistry

PICO = 1e12


class Exposition:
    """Writes one process's metrics.

    Args:
        metrics: added to by the event loop while another thread reads: what changes size is copied
            first, in one step.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._registry: CollectorRegistry | None = None

    def write(self, accept: str = "") -> tuple[str, bytes]:
        """Content type and text, in OpenMetrics where a scraper asks for it.

        Args:
            accept: the scraper's `accept` header.
        """
        from prometheus_client import ProcessCollector
        from prometheus_client.exposition import choose_encoder
        from prometheus_client.registry import CollectorRegistry

        if self._registry is None:
            self._registry = CollectorRegistry()
            self._registry.register(_Families(self._metrics))
            ProcessCollector(registry=self._registry)
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


class _Families:
    """A collector, as `prometheus_client` has them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> list[Metric]:
        """Nothing beforehand: names are unique by construction."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family with its values now."""
        m = self._metrics
        requests = {(r, c, str(s)): n for (r, c, s), n in dict(m.requests).items()}
        yield _counter(
            "turnout_requests",
            "Requests by route, by the model that answered or was to, and by HTTP status.",
            ("route", "model", "status"),
            requests,
        )
        yield _histogram(
            "turnout_request_duration_seconds",
            "From a request's arrival to the end of its answer.",
            {model: times.duration for model, times in dict(m.times).items()},
        )
        yield _histogram(
            "turnout_time_to_first_token_seconds",
            "Of streams, from a request's arrival to the first content of its answer.",
            {model: times.first_token for model, times in dict(m.times).items()},
        )
        yield _histogram(
            "turnout_overhead_seconds",
            "What the gateway added until the answer began, without the client's and the upstreams' time.",
            {None: m.overhead},
        )
        yield _counter(
            "turnout_tokens",
            "Tokens by direction; cached are those read from a provider's cache.",
            ("direction", "cached"),
            {
                ("input", "false"): m.input_tokens,
                ("input", "true"): m.cached_tokens,
                ("output", "false"): m.output_tokens,
            },
        )
        yield _counter(
            "turnout_cost_usd",
            "What the answers cost, by model.",
            ("model",),
            {(model,): cost / PICO for model, cost in dict(m.cost_picousd).items()},
        )
        yield _counter(
            "turnout_unpriced_answers",
            "Answers whose cost is not known, because their model has no price.",
            (),
            {(): m.unpriced},
        )
        yield _counter(
            "turnout_decision",
            "Decisions by router, model and reason.",
            ("router", "model", "reason"),
            dict(m.decisions),
        )
        yield _counter(
            "turnout_outcomes",
            "How decided requests ended: ok, partial, failed, left.",
            ("outcome",),
            {(outcome,): n for outcome, n in dict(m.outcomes).items()},
        )
        yield from map(_reading, m.readings)


def _counter(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, times: Mapping[str | None, Times]) -> Metric:
    """By model, or without labels where the only key is None."""
    from prometheus_client.metrics_core import HistogramMetricFamily

    family = HistogramMetricFamily(name, text, labels=() if None in times else ("model",))
    for model, one in times.items():
        family.add_metric(() if model is None else (model,), one.cumulative(), one.sum_s)
    return family


def _reading(reading: Reading) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if reading.name.endswith("_total") else GaugeMetricFamily
    family = kind(reading.name, reading.help, labels=reading.labels)
    for key, value in sorted(reading.read()):
        family.add_metric(key, value)
    return family
