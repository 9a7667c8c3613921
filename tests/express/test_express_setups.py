"""Setups: the router that comes with Turnout, candidates at two endpoints, telemetry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from express_site import (
    CONFIG,
    RESILIENCE,
    Site,
    body,
    express_site,
    rows,
    settings_of,
    with_and_without,
)
from fault_site import until

from turnout import open_router
from turnout.engine import Engine
from turnout.gateway.setup.building import build_pool

SAID = [
    "Hi", "What is 2 + 2?", "Say hello to my mother in French, please.", "Thanks!",
    "Prove that there are infinitely many primes congruent to 3 modulo 4.",
    "Write a thread-safe LRU cache in C++20 with a time to live for each entry, and tests of it.",
    "Translate: the cat sat on the mat.", "word " * 300,
]  # fmt: skip


def plays(here: Site, model: str, streamed: bool) -> list[Any]:
    found: list[Any] = []
    with here.client() as client:
        for said in SAID:
            found.append(client.ask(body(said, model, stream=streamed)).plain())
            until(here.is_idle)
    found.append(here.metrics())
    found.append([r.partition(b"\r\n\r\n")[2] for r in here.up.requests])
    health = here.app.opened().resilience.health
    found.append({key: (h.state, h.failures, h.in_flight) for key, h in health.items()})
    return found


def equal(work: Any) -> Any:
    """How many went the express way, and the rows of the one with it, which are those of the other."""
    (taken, one), (none, other) = with_and_without(work)
    assert none == 0
    for mine, its in zip(one, other, strict=True):
        assert mine == its
    return taken, one[-1]


BLEND = CONFIG.replace("name: strong,", "name: gpt-4o,").replace(
    "name: cheap,", "name: gpt-4o-mini,"
)
BLEND = BLEND.replace("routers: {{length: {{}}}}", "routers: {{blend: {{}}}}")
BLEND = BLEND.replace("router-length-0.5", "router-blend-0.3")


@pytest.mark.parametrize("streamed", [False, True])
def test_the_router_that_comes_with_turnout_decides_the_same(
    tmp_path: Path, streamed: bool
) -> None:
    settings = settings_of("http://127.0.0.1:9", RESILIENCE, config=BLEND)

    def work(express: bool) -> tuple[int, list[Any]]:
        file = tmp_path / f"{express}.db"
        engine = Engine(build_pool(settings), {"blend": open_router("blend")}, spares=0)
        with express_site(file, express=express, engine=engine, config=BLEND) as here:
            found, taken = plays(here, "auto", streamed), here.taken
        return taken, [*found, rows(file)]

    taken, kept = equal(work)
    assert taken >= len(SAID) - 2  # a text for which the router takes longer is for the application
    assert {row["router"] for row in kept} == {"blend"}
    assert {row["candidate"] for row in kept} == {"gpt-4o", "gpt-4o-mini"}


TWO = CONFIG.replace(
    "candidates:",
    '  down: {{base_url: "http://127.0.0.1:9/v1", connect_timeout_s: 1}}\ncandidates:',
).replace(
    "name: cheap, provider: one,", "name: cheap, provider: down, replicas: [{{provider: one}}],"
)
OPENS = "resilience: {spares: 0, retries: 1, breaker_failures: 1, breaker_open_s: 60}\n"


@pytest.mark.parametrize("model", ["cheap", "auto"])
@pytest.mark.parametrize("streamed", [False, True])
def test_of_two_endpoints_the_one_that_is_up_is_called(
    tmp_path: Path, model: str, streamed: bool
) -> None:
    def work(express: bool) -> tuple[int, list[Any]]:
        file = tmp_path / f"{express}.db"
        with express_site(file, express=express, rest=OPENS, config=TWO) as here:
            found, taken = plays(here, model, streamed), here.taken
            states = {key: h.state for key, h in here.app.opened().resilience.health.items()}
            assert sorted(states.values()).count("open") == 1, states
        return taken, [*found, rows(file)]

    taken, kept = equal(work)
    assert taken >= len(SAID) - 2
    assert {row["status"] for row in kept} == {"ok"}


@pytest.mark.parametrize("otel", ["traces: true", "metrics: true", "traces: true, metrics: true"])
def test_with_telemetry_nothing_goes_the_express_way(
    monkeypatch: pytest.MonkeyPatch, otel: str
) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
    from otlp_site import collector

    with collector() as site:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", site.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        with express_site(rest=RESILIENCE + f"otel: {{{otel}}}\n") as here, here.client() as client:
            for streamed in (False, True):
                client.warm(body("Hello", stream=streamed), 4)
                client.warm(body("Hello", "auto", stream=streamed), 4)
            here.settle()
            assert here.taken == 0
            if "traces" in otel:
                until(lambda: len(site.spans) == 32)  # of each request, and of its call
