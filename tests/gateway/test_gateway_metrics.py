"""The metrics of a gateway that serves, as a scraper reads them."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_fakes import Deployment, deployment
from prometheus_client.parser import text_string_to_metric_families

from turnout.observe.metrics import Metrics
from turnout.observe.request_lines import RequestLines
from turnout.observe.trail import Trail
from turnout.providers.fake import Fault
from turnout.settings import StoreSettings
from turnout.settings.listening import Listen
from turnout.settings.observing import MetricsSettings
from turnout.store.record import Record

CANARY = "prompt-canary-5e11"
NAMES = {
    "turnout_requests_total", "turnout_request_duration_seconds_bucket",
    "turnout_overhead_seconds_bucket", "turnout_time_to_first_token_seconds_bucket",
    "turnout_tokens_total", "turnout_cost_usd_total", "turnout_decision_total",
    "turnout_upstream_inflight", "turnout_breaker_state", "turnout_log_dropped_total",
    "turnout_router_fallbacks_total", "turnout_certificates_revoked", "turnout_ledger_failures_total",
    "turnout_upstream_further_calls_total", "turnout_outcomes_total", "turnout_unpriced_answers_total",
    "turnout_clients_cut_off_total", "turnout_clients_left_total", "turnout_keys_failures_total",
    "turnout_express_requests_total",
    "process_resident_memory_bytes",
}  # fmt: skip


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Deployment]:
    with deployment(store=StoreSettings(path=tmp_path / "turnout.db")) as running:
        yield running


def post(url: str, path: str = "/v1/chat/completions", **body: Any) -> httpx2.Response:
    with httpx2.Client(timeout=10) as http:
        asked = {"messages": [{"role": "user", "content": CANARY}], **body}
        return http.post(f"{url}{path}", json=asked)


def scraped(url: str, accept: str = "*/*") -> str:
    with httpx2.Client(timeout=20) as http:
        reply = http.get(f"{url}/metrics", headers={"accept": accept})
        assert reply.status_code == 200
        return reply.text


def values(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(scraped(url))
        for sample in family.samples
    }


def value(url: str, name: str, **labels: str) -> float:
    return values(url).get((name, frozenset(labels.items())), 0.0)


def test_every_name_is_there_and_counts(fresh: Deployment) -> None:
    whole = post(fresh.url, model="cheap")
    post(fresh.url, model="auto", stream=True)
    found = values(fresh.url)
    assert {name for name, _ in found} >= NAMES
    used = whole.json()["usage"]

    def of(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    assert of("turnout_requests_total", route="direct", model="cheap", status="200") == 1
    assert of("turnout_requests_total", route="auto", model="cheap", status="200") == 1
    assert (
        of("turnout_tokens_total", direction="input", cached="false") == 2 * used["prompt_tokens"]
    )
    assert of("turnout_cost_usd_total", model="cheap") == pytest.approx(
        0.24e-6 * (2 * used["total_tokens"] + 0), rel=0.2
    )
    assert of("turnout_request_duration_seconds_count", model="cheap") == 2
    assert of("turnout_time_to_first_token_seconds_count", model="cheap") == 1
    assert of("turnout_overhead_seconds_count") >= 2
    assert of("turnout_upstream_inflight", provider="up", model="cheap-model") == 0
    assert of("turnout_breaker_state", provider="up", model="cheap-model") == 0
    assert of("turnout_outcomes_total", outcome="ok") == 2
    decided = [labels for name, labels in found if name == "turnout_decision_total"]
    assert {"length", "none"} == {dict(labels)["router"] for labels in decided}


def test_money_is_the_ledgers_to_the_last_digit(fresh: Deployment) -> None:
    bills = [post(fresh.url, model="strong").json()["usage"] for _ in range(3)]
    expected = sum(b["prompt_tokens"] * 10 + b["completion_tokens"] * 30 for b in bills) / 1e6
    assert value(fresh.url, "turnout_cost_usd_total", model="strong") == pytest.approx(
        expected, rel=1e-12
    )


def test_labels_never_hold_what_a_client_wrote(fresh: Deployment) -> None:
    for model in (f"no-such-{CANARY}", f"router-{CANARY}-0.5", "router-length-0.123456", ""):
        post(fresh.url, model=model)
    post(fresh.url, f"/v1/{CANARY}", model="auto")
    post(fresh.url, model="router-broken-0.5", user=CANARY)
    with httpx2.Client() as http:
        http.post(f"{fresh.url}/v1/chat/completions", content=CANARY)
        http.get(f"{fresh.url}/v1/models/{CANARY}")
    text = scraped(fresh.url)
    assert CANARY not in text
    assert "0.123456" not in text
    assert (
        value(fresh.url, "turnout_requests_total", route="other", model="none", status="404") == 4
    )
    assert (
        value(
            fresh.url, "turnout_requests_total", route="router-broken", model="strong", status="200"
        )
        == 1
    )
    assert value(fresh.url, "turnout_router_fallbacks_total") == 1


def test_overhead_is_what_is_added_to_the_upstreams_time(fresh: Deployment) -> None:
    fresh.upstream.script.append(Fault(delay_s=0.3))
    post(fresh.url, model="cheap")
    found = values(fresh.url)
    assert found["turnout_request_duration_seconds_sum", frozenset({("model", "cheap")})] >= 0.3
    assert found["turnout_overhead_seconds_sum", frozenset()] < 0.2


def test_failures_and_clients_that_leave_are_told_apart(fresh: Deployment) -> None:
    fresh.upstream.script.append(Fault(status=500, body=b"down"))
    post(fresh.url, model="cheap")
    fresh.upstream.script.append(Fault(hang=True))
    with httpx2.Client(timeout=0.3) as http, pytest.raises(httpx2.TimeoutException):
        http.post(
            f"{fresh.url}/v1/chat/completions",
            json={"model": "cheap", "messages": [{"role": "user", "content": "x"}]},
        )
    labels = {"route": "direct", "model": "cheap"}
    deadline = time.monotonic() + 10
    while not value(fresh.url, "turnout_requests_total", status="499", **labels):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert value(fresh.url, "turnout_requests_total", status="500", **labels) == 1
    assert value(fresh.url, "turnout_outcomes_total", outcome="failed") == 1
    assert value(fresh.url, "turnout_outcomes_total", outcome="left") == 1
    assert value(fresh.url, "turnout_tokens_total", direction="output", cached="false") == 0


def test_a_breaker_that_opened_is_seen(fresh: Deployment) -> None:
    health = fresh.app.opened().resilience.health["up/cheap-model"]
    health.state, health.out_until = "open", float("inf")
    assert value(fresh.url, "turnout_breaker_state", provider="up", model="cheap-model") == 2


def test_openmetrics_is_written_where_it_is_asked_for(fresh: Deployment) -> None:
    post(fresh.url, model="cheap")
    text = scraped(fresh.url, "application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    assert "turnout_requests_total{" in text


def test_promtool_finds_nothing_to_say(fresh: Deployment) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    post(fresh.url, model="cheap")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=scraped(fresh.url), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_metrics_may_be_off() -> None:
    with deployment(metrics=MetricsSettings(enabled=False)) as running:
        with httpx2.Client() as http:
            assert http.get(f"{running.url}/metrics").status_code == 404
        assert post(running.url, model="cheap").status_code == 200


def test_metrics_may_have_a_port_of_their_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = MetricsSettings(listen=Listen(port=port))
    with deployment(metrics=settings) as running:
        post(running.url, model="cheap")
        with httpx2.Client() as http:
            assert http.get(f"{running.url}/metrics").status_code == 404
            assert http.post(f"http://127.0.0.1:{port}/v1/chat/completions").status_code == 404
        assert "turnout_requests_total{" in scraped(f"http://127.0.0.1:{port}")


def test_counting_a_request_costs_little() -> None:
    """A bound against mistakes, far above what it takes (about 4 µs on a quiet machine)."""
    metrics, lines = Metrics(), RequestLines()
    record = Record(id="dec_1", at_ms=0, status="ok", provider="up", candidate="cheap", stream=True,
                    router="length", code="best_value", cost_picousd=5, input_tokens=9)  # fmt: skip

    async def count(n: int) -> None:
        for _ in range(n):
            trail = Trail()
            trail.decided("auto", "length", "cheap")
            metrics.began(record)
            metrics.ended(record)
            trail.begun, trail.status, trail.record = trail.arrived + 0.1, 200, record
            trail.end()
            metrics.over(trail)
            lines.over(trail)

    asyncio.run(count(1000))
    start = time.process_time()
    asyncio.run(count(10_000))
    assert (time.process_time() - start) / 10_000 < 50e-6
