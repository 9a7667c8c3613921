"""Two replicas over Postgres and Redis behind Envoy, as `deploy/` has them, while replicas go away."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from replicas_made import Site, deployed, until

from turnout.providers.fake import Fault

CLIENTS = 12
"""Requests under way at a time."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with deployed(tmp_path_factory.mktemp("deployed")) as running:
        yield running


@pytest.fixture(autouse=True)
def _whole(site: Site) -> None:
    until(lambda: site.healthy() == 2, "both replicas are there")
    site.upstream.seen.clear()


def body(i: int, *, stream: bool = False) -> dict[str, Any]:
    asked = [{"role": "user", "content": f"What is {i} + {i}?"}]
    return {"model": "auto", "messages": asked, "stream": stream}


def headers(site: Site, **more: str) -> dict[str, str]:
    return {
        "authorization": f"Bearer {site.key}",
        **{k.replace("_", "-"): v for k, v in more.items()},
    }


def ask(site: Site, **more: str) -> httpx2.Response:
    return httpx2.post(
        f"{site.url}/v1/chat/completions", json=body(1), headers=headers(site, **more), timeout=20
    )


def hops(site: Site) -> set[str]:
    """The processes whose calls the upstream has seen."""
    return {seen.headers["x-turnout-hop"] for seen in site.upstream.seen}


async def load(site: Site, count: int, at: int, happens: Callable[[], None]) -> Counter[str]:
    """What became of requests, half of them streams; after some of them, something happens."""
    left, came = iter(range(count)), Counter[str]()

    async def client(http: httpx2.AsyncClient) -> None:
        for i in left:
            if i == at:
                happens()
            given = headers(site, x_turnout_session=f"s{i}")
            try:
                reply = await http.post(
                    "/v1/chat/completions", json=body(i, stream=i % 2 == 0), headers=given
                )
            except httpx2.TransportError as error:
                came[type(error).__name__] += 1
                continue
            whole = reply.status_code != 200 or i % 2 or reply.text.endswith("data: [DONE]\n\n")
            came["200" if reply.status_code == 200 and whole else f"not {reply.status_code}"] += 1

    async with httpx2.AsyncClient(base_url=site.url, timeout=30) as http:
        await asyncio.gather(*(client(http) for _ in range(CLIENTS)))
    return came


def test_nothing_is_open_but_health(site: Site) -> None:
    with httpx2.Client(base_url=site.url, timeout=10) as http:
        assert http.get("/healthz").status_code == 200
        assert http.get("/readyz").status_code == 200
        assert http.get("/v1/models").status_code == 401
        assert http.post("/v1/chat/completions", json=body(1)).status_code == 401
        known = {"authorization": f"Bearer {site.key}"}
        assert http.get("/metrics", headers=known).status_code in (403, 404)


def test_a_session_stays_with_a_replica_and_sessions_spread(site: Site) -> None:
    for _ in range(6):
        assert ask(site, x_turnout_session="one").status_code == 200
    assert len(hops(site)) == 1
    for i in range(20):
        assert ask(site, x_turnout_session=f"other {i}").status_code == 200
    assert len(hops(site)) == 2


def test_a_client_cannot_ask_envoy_for_retries_or_timeouts(site: Site) -> None:
    site.upstream.script.append(Fault(delay_s=0.3))
    waited = ask(site, x_envoy_upstream_rq_timeout_ms="1")
    assert waited.status_code == 200
    before = len(site.upstream.seen)
    failing = Fault(status=418, body=b'{"error": {"message": "no"}}')
    site.upstream.script.extend([failing] * 5)
    refused = ask(site, x_envoy_retry_on="5xx,retriable-4xx,retriable-status-codes",
                  x_envoy_max_retries="3", x_envoy_retriable_status_codes="418")  # fmt: skip
    assert refused.status_code == 418
    assert len(site.upstream.seen) == before + 1
    site.upstream.script.clear()
    assert not [name for name in refused.headers if name.startswith("x-envoy")]


def settled(site: Site) -> int:
    """The records of answers once those of earlier tests are in: a replica folds them in each second."""
    found, before = site.rows("ok"), -1
    while found != before:
        time.sleep(2.5)
        found, before = site.rows("ok"), found
    return found


def test_a_killed_replica_costs_what_it_had_under_way_and_no_record(site: Site) -> None:
    first = site.replicas[0]
    ok_before = settled(site)
    came = asyncio.run(load(site, 400, 150, lambda: first.end(signal.SIGKILL)))
    assert came.total() == 400
    assert came["200"] >= 400 - CLIENTS, came
    assert ask(site).status_code == 200
    first.start()
    until(first.ready, "the replica is back", 60)
    until(lambda: site.healthy() == 2, "envoy takes it back")
    served = came["200"] + 1
    # It folds in what its predecessor left behind, so that no answer that a client has is missing.
    until(lambda: site.rows("ok") >= ok_before + served, "every answer has its record")
    assert site.rows("ok") + site.rows("unknown") <= ok_before + 401


def test_a_replica_that_is_stopped_costs_nothing(site: Site) -> None:
    second = site.replicas[1]
    ok_before = site.rows("ok")
    came = asyncio.run(load(site, 400, 100, lambda: second.end(signal.SIGTERM)))
    assert came == {"200": 400}
    assert second.process is not None
    assert second.process.wait(20) == 0
    until(lambda: site.rows("ok") == ok_before + 400, "every answer has its record")
    second.start()
    until(second.ready, "the replica is back", 60)
