"""Spans and metrics as a collector receives them, over OTLP and real sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from gateway_fakes import Deployment, deployment
from otlp_site import CLIENT, SERVER, Collector, attributes, collector, until

from turnout.providers.fake import Fault
from turnout.settings import EmbeddingSettings
from turnout.settings.observing import OtelSettings

CANARY = "prompt-canary-0a7c"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def quick_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")


@pytest.fixture
def traced(
    monkeypatch: pytest.MonkeyPatch, quick_export: None
) -> Iterator[tuple[Deployment, Collector]]:
    with collector() as site:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", site.url)
        with deployment(otel=OtelSettings(traces=True, metrics=True)) as running:
            yield running, site


def post(
    running: Deployment, headers: dict[str, str] | None = None, **body: Any
) -> httpx2.Response:
    asked = {"model": "cheap", "messages": [{"role": "user", "content": CANARY}], **body}
    with httpx2.Client(timeout=10) as http:
        return http.post(f"{running.url}/v1/chat/completions", json=asked, headers=headers)


def test_a_request_and_its_call_are_two_spans_of_one_trace(
    traced: tuple[Deployment, Collector],
) -> None:
    running, site = traced
    reply = post(running, {"traceparent": PARENT}, max_tokens=17, temperature=0.5)
    until(lambda: len(site.spans) == 2)
    (server,), (client,) = site.of_kind(SERVER), site.of_kind(CLIENT)
    assert (server.name, client.name) == ("POST /v1/chat/completions", "chat cheap-model")
    assert server.trace_id == client.trace_id == bytes.fromhex(PARENT.split("-")[1])
    assert server.parent_span_id == bytes.fromhex(PARENT.split("-")[2])
    assert client.parent_span_id == server.span_id
    sent = running.upstream.seen[-1].headers["traceparent"]
    assert sent == f"00-{client.trace_id.hex()}-{client.span_id.hex()}-01"
    used, found = reply.json()["usage"], attributes(client)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "cheap-model",
        "gen_ai.response.model": "cheap-model",
        "gen_ai.request.max_tokens": 17,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.usage.input_tokens": used["prompt_tokens"],
        "gen_ai.usage.output_tokens": used["completion_tokens"],
        "turnout.provider": "up",
        "turnout.candidate": "cheap",
    }
    assert {name: found[name] for name in expected} == expected
    assert "gen_ai.system" not in found
    about = attributes(server)
    assert about["http.response.status_code"] == 200
    assert about["http.route"] == "/v1/chat/completions"
    assert about["turnout.decision.id"] == reply.headers["x-turnout-decision-id"]
    assert about["turnout.route"] == "direct"
    assert about["turnout.cost_usd"] == pytest.approx(used["total_tokens"] * 0.24e-6)
    assert site.resources[0]["service.name"] == "turnout"


def test_a_stream_has_its_first_chunk_and_its_usage(traced: tuple[Deployment, Collector]) -> None:
    running, site = traced
    post(running, stream=True)
    until(lambda: len(site.spans) == 2)
    found = attributes(site.of_kind(CLIENT)[0])
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.usage.output_tokens"] > 0
    assert found["gen_ai.response.time_to_first_chunk"] >= 0


def test_cached_and_reasoning_tokens_have_attributes_of_their_own(
    traced: tuple[Deployment, Collector],
) -> None:
    running, site = traced
    body = (
        b'{"choices":[],"model":"m","usage":{"prompt_tokens":100,"completion_tokens":9,'
        b'"prompt_tokens_details":{"cached_tokens":60},'
        b'"completion_tokens_details":{"reasoning_tokens":4}}}'
    )
    running.upstream.script.append(Fault(body=body, headers={"content-type": "application/json"}))
    post(running)
    until(lambda: len(site.spans) == 2)
    found = attributes(site.of_kind(CLIENT)[0])
    assert found["gen_ai.usage.input_tokens"] == 100
    assert found["gen_ai.usage.cache_read.input_tokens"] == 60
    assert found["gen_ai.usage.reasoning.output_tokens"] == 4


def test_embeddings_have_a_span_of_their_call(
    monkeypatch: pytest.MonkeyPatch, quick_export: None
) -> None:
    model = EmbeddingSettings(name="embed", model="cheap-model", provider="up")
    with collector() as site:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", site.url)
        with (
            deployment(
                otel=OtelSettings(traces=True, metrics=True), embeddings=(model,)
            ) as running,
            httpx2.Client(base_url=running.url, timeout=10) as http,
        ):
            body = {"model": "embed", "input": CANARY, "dimensions": 4}
            reply = http.post("/v1/embeddings", json=body, headers={"traceparent": PARENT})
            assert reply.status_code == 200
            until(lambda: len(site.spans) == 2)
            (server,), (client,) = site.of_kind(SERVER), site.of_kind(CLIENT)
            assert client.name == "embeddings cheap-model"
            assert client.parent_span_id == server.span_id
            sent = running.upstream.seen[-1].headers["traceparent"]
            assert sent == f"00-{client.trace_id.hex()}-{client.span_id.hex()}-01"
            found = attributes(client)
            assert found["gen_ai.operation.name"] == "embeddings"
            assert found["gen_ai.embeddings.dimension.count"] == 4
            assert found["gen_ai.usage.input_tokens"] == reply.json()["usage"]["prompt_tokens"]
            until(lambda: site.points.get("gen_ai.client.operation.duration"))
            running.upstream.script.append(Fault(status=500, body=CANARY.encode()))
            site.spans.clear()
            assert http.post("/v1/embeddings", json=body).status_code == 500
            until(lambda: len(site.spans) == 2)
            assert attributes(site.of_kind(CLIENT)[0])["error.type"] == "500"
    assert all(CANARY.encode() not in raw for raw in site.raw)


def test_each_try_has_a_span_and_failures_say_what_kind(
    traced: tuple[Deployment, Collector],
) -> None:
    running, site = traced
    running.upstream.script.append(Fault(status=500, body=CANARY.encode()))
    post(running)
    until(lambda: len(site.spans) == 2)
    for span in site.spans:
        assert span.status.code == 2
        assert attributes(span)["error.type"] == "500"
        assert span.status.message == ""
    site.spans.clear()
    assert post(running, messages="nonsense").status_code == 400
    until(lambda: site.spans)
    (span,) = site.spans
    assert attributes(span)["http.response.status_code"] == 400
    assert span.status.code != 2  # of a server's span, a client's mistake is no error


def test_a_client_that_leaves_ends_its_spans(traced: tuple[Deployment, Collector]) -> None:
    running, site = traced
    running.upstream.script.append(Fault(hang=True))
    with httpx2.Client(timeout=0.3) as http, pytest.raises(httpx2.TimeoutException):
        http.post(
            f"{running.url}/v1/chat/completions",
            json={"model": "cheap", "messages": [{"role": "user", "content": "x"}]},
        )
    until(lambda: len(site.spans) == 2)
    assert {attributes(span)["error.type"] for span in site.spans} <= {"left", "499"}


def test_the_metrics_of_genai_clients_are_sent(traced: tuple[Deployment, Collector]) -> None:
    running, site = traced
    used = post(running).json()["usage"]
    until(
        lambda: (
            {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"} <= site.points.keys()
        )
    )
    sums = {
        attributes(point)["gen_ai.token.type"]: point.sum
        for point in site.points["gen_ai.client.token.usage"]
    }
    assert sums == {"input": used["prompt_tokens"], "output": used["completion_tokens"]}


def test_probes_are_not_traced_and_nothing_that_was_said_is(
    traced: tuple[Deployment, Collector],
) -> None:
    running, site = traced
    with httpx2.Client(timeout=10) as http:
        for path in ("/healthz", "/readyz", "/metrics"):
            http.get(f"{running.url}{path}")
        http.get(f"{running.url}/v1/{CANARY}?q={CANARY}", headers={"baggage": f"a={CANARY}"})
        http.get(f"{running.url}/v1/models/{CANARY}")
    tools = [{"type": "function", "function": {"name": CANARY, "parameters": {}}}]
    post(running, {"tracestate": "ok=1", "traceparent": CANARY}, tools=tools, user=CANARY)
    post(running, model=CANARY)
    running.upstream.script.append(Fault(status=500, body=CANARY.encode()))
    post(running, seed=CANARY, max_tokens=CANARY)
    until(lambda: len(site.spans) >= 6)
    assert {s.name for s in site.spans} <= {"GET", "GET /v1/models/{id}", "POST /v1/chat/completions",
                                            "chat cheap-model"}  # fmt: skip
    assert all(CANARY.encode() not in raw for raw in site.raw)


@pytest.mark.parametrize("fails", ["gone", "error", "slow"])
def test_a_collector_that_fails_delays_and_fails_no_request(
    monkeypatch: pytest.MonkeyPatch, quick_export: None, fails: str
) -> None:
    with collector(503 if fails == "error" else 200, 3.0 if fails == "slow" else 0.0) as site:
        url = "http://127.0.0.1:9" if fails == "gone" else site.url
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        with deployment(otel=OtelSettings(traces=True)) as running:
            start = time.monotonic()
            for _ in range(5):
                assert post(running).status_code == 200
            assert time.monotonic() - start < 2.5


def test_the_environment_can_turn_it_off(
    monkeypatch: pytest.MonkeyPatch, quick_export: None
) -> None:
    with collector() as site:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", site.url)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
        with deployment(otel=OtelSettings(traces=True)) as running:
            assert post(running).status_code == 200
        assert site.spans == []
