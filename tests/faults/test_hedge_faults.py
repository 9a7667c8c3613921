"""Row 26: a second call beside one that is slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fault_site import EVENTS, GOOD, RESILIENCE, Site, Upstream, kept, settings_of, site, until

from scripted import PAUSE, WAIT, ok
from turnout.errors import SettingsError
from turnout.store.record import Record

HEDGED = ", replicas: [{provider: two}], hedge: {after: 60, share: 1}"
SLOW = [WAIT, *GOOD]


@contextmanager
def hedged(
    folder: Path, *scripts: list[bytes], candidate: str = HEDGED, rest: str = "", **parts: Any
) -> Iterator[tuple[Site, list[Record]]]:
    """A site whose candidate `cheap` is hedged, and its records once it has stopped."""
    found: list[Record] = []
    file = folder / "turnout.db"
    rest = f"{RESILIENCE}store: {{path: {file}}}\n{rest}"
    with site(*scripts, candidate=candidate, rest=rest, **parts) as here:
        yield here, found
    found.extend(kept(file))


def split(found: list[Record]) -> tuple[Record, Record]:
    """The request's record and that of the call that was not used."""
    [request] = [r for r in found if r.kind == "request"]
    [other] = [r for r in found if r.kind == "hedge"]
    assert other.of == request.id
    assert other.key == request.key
    return request, other


@pytest.mark.parametrize("stream", [False, True])
def test_row_26_the_second_answers_and_the_slow_one_is_cut_off_and_booked(
    tmp_path: Path, stream: bool
) -> None:
    two = Upstream(usual=EVENTS if stream else GOOD)
    with hedged(tmp_path, [PAUSE], two=two) as (here, found):
        start = time.monotonic()
        reply = here.ask(stream=stream)
        assert time.monotonic() - start < 5
        assert reply.status_code == 200
        assert reply.headers["x-turnout-calls"] == "2"
        assert (len(here.one.requests), len(here.two.requests)) == (1, 1)
        until(lambda: here.one.closed == 1)
        metrics = here.http.get("/metrics").text
        assert here.app.opened().resilience.health["one/cheap"].in_flight == 0
    assert 'turnout_hedges_total{outcome="won"} 1' in metrics
    request, other = split(found)
    assert (request.status, request.calls, request.provider) == ("ok", 2, "two")
    assert (other.status, other.calls, other.provider) == ("left", 1, "one")
    assert other.cost_basis == "estimate"
    assert (other.cost_picousd or 0) > 0
    assert request.cost_basis == ("estimate" if stream else "usage")


@pytest.mark.parametrize("stream", [False, True])
def test_row_26_both_finish_and_both_are_booked(tmp_path: Path, stream: bool) -> None:
    script = [WAIT, *(EVENTS if stream else GOOD)]
    with (
        hedged(tmp_path, list(script), two=Upstream(list(script))) as (here, found),
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(here.ask, stream=stream)
        until(lambda: here.one.requests and here.two.requests)
        here.loop.call_soon_threadsafe(time.sleep, 0.5)  # it sees both answers in one turn
        time.sleep(0.1)
        here.one.release()
        here.two.release()
        reply = asked.result(10)
        assert (reply.status_code, reply.headers["x-turnout-calls"]) == (200, "2")
        until(lambda: sum(h.in_flight for h in here.app.opened().resilience.health.values()) == 0)
    request, other = split(found)
    assert (request.status, request.calls) == ("ok", 2)
    assert (request.provider, other.provider) == ("one", "two")
    if not stream:
        assert (other.status, other.cost_basis) == ("ok", "usage")
        assert request.cost_picousd == other.cost_picousd == 5 * 1_000_000
    else:
        assert other.cost_basis == "estimate"
        assert (other.cost_picousd or 0) > 0


def test_row_26_never_after_a_first_byte(tmp_path: Path) -> None:
    head, first, *rest = EVENTS
    with (
        hedged(tmp_path, [head, first, WAIT, *rest]) as (here, found),
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(here.ask, stream=True)
        until(lambda: here.one.requests)
        time.sleep(0.3)  # five times as long as a first byte has
        here.one.release()
        assert b"[DONE]" in asked.result(10).content
        assert not here.two.requests
    assert [r.calls for r in found] == [1]


def test_row_26_a_client_that_leaves_ends_and_books_both(tmp_path: Path) -> None:
    with hedged(tmp_path, [PAUSE], two=Upstream([PAUSE])) as (here, found):
        reply = here.ask(headers={"x-turnout-timeout-ms": "400"})
        assert reply.status_code == 504
        until(lambda: here.one.closed == here.two.closed == 1)
    request, other = split(found)
    assert (request.status, request.calls, other.status) == ("failed", 2, "left")
    assert (other.cost_picousd or 0) > 0


def test_row_26_seconds_are_within_the_retry_budget(tmp_path: Path) -> None:
    """Everything is slow: it is not made slower by more than a fifth."""
    hurry = ", replicas: [{provider: two}], hedge: {after: 1, share: 1}"

    class Slow(Upstream):
        async def before(self) -> None:
            await asyncio.sleep(0.02)

    with hedged(tmp_path, candidate=hurry, first=Slow(), two=Slow()) as (here, found):
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(here.ask) for _ in range(150)]
            assert {a.result(20).status_code for a in asked} == {200}
        calls = len(here.one.requests) + len(here.two.requests)
        assert 150 < calls <= 1.2 * 150
    hedges = [r for r in found if r.kind == "hedge"]
    assert len(found) - len(hedges) == 150
    # One that is cut off at once is booked though it did not arrive.
    assert calls - 150 <= len(hedges) <= calls - 150 + 10


@pytest.mark.parametrize(("budget", "calls"), [(0.006, 1), (0.02, 2)])
def test_row_26_budgets_hold_for_both_calls(tmp_path: Path, budget: float, calls: int) -> None:
    limits = f"limits: {{budgets_usd: {{day: {budget}}}}}\n"
    with (
        hedged(tmp_path, list(SLOW), rest=limits) as (here, found),
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(here.ask)
        until(lambda: here.one.requests)
        if calls == 1:
            time.sleep(0.3)
            here.one.release()
        assert asked.result(10).status_code == 200
        assert len(here.one.requests) + len(here.two.requests) == calls
        meters: Any = here.app.opened().access.counters
        [used] = [m.value for m in meters._meters.values()]
        assert not here.app.opened().access._holds
    assert used == sum(r.cost_picousd or 0 for r in found)
    assert len(found) == calls


def test_row_26_off_it_is_not_there() -> None:
    with site(candidate=", replicas: [{provider: two}]") as here:
        assert here.app.opened().hedging is None
    with pytest.raises(SettingsError, match="a hedge needs replicas"):
        settings_of("http://a.example", "http://b.example", candidate=", hedge: {after: p95}")


def test_row_26_p95_is_learned(tmp_path: Path) -> None:
    learned = ", replicas: [{provider: two}], hedge: {after: p95, share: 1}"
    with hedged(tmp_path, candidate=learned) as (here, found):
        for _ in range(25):
            assert here.ask().status_code == 200
        before = len(here.one.requests) + len(here.two.requests)
        slow = [WAIT, ok(b"{}")]
        here.one.scripts.append(slow)
        here.two.scripts.append(slow)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(here.ask)
            until(lambda: len(here.one.requests) + len(here.two.requests) == before + 2)
            here.one.release()
            here.two.release()
            assert asked.result(10).status_code == 200
    assert sum(r.kind == "hedge" for r in found) >= 1
