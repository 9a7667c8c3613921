"""What the ledger says of requests that went well, broke off, failed, or were left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_fakes import Deployment, deployment

from turnout.providers.fake import Fault
from turnout.settings import StoreSettings
from turnout.store.database import open_database
from turnout.store.record import Record
from turnout.store.records import RecordTable

SECRET = "prompt-canary-91c2"
ASK: Any = [{"role": "user", "content": SECRET}]


@contextmanager
def recorded(home: Path, **changes: Any) -> Iterator[tuple[Deployment, list[Record]]]:
    """A gateway with a ledger, and the records once it has stopped."""
    found: list[Record] = []
    home.mkdir(exist_ok=True)
    with deployment(store=StoreSettings(path=home / "turnout.db"), **changes) as running:
        yield running, found
    records = RecordTable(open_database(home / "turnout.db"))
    found.extend(reversed(records.latest(100)))
    records.close()


def post(url: str, timeout: float = 10, **body: Any) -> httpx2.Response:
    with httpx2.Client(timeout=timeout) as http:
        return http.post(f"{url}/v1/chat/completions", json={"messages": ASK, **body})


def test_answers_whole_and_streamed_are_booked_alike(tmp_path: Path) -> None:
    with recorded(tmp_path) as (gateway, found):
        whole = post(gateway.url, model="cheap")
        post(gateway.url, model="cheap", stream=True)
    assert [r.status for r in found] == ["ok", "ok"]
    assert [r.stream for r in found] == [False, True]
    used = whole.json()["usage"]
    for record in found:
        assert (record.candidate, record.upstream_model) == ("cheap", "cheap-model")
        assert record.input_tokens == used["prompt_tokens"]
        assert record.output_tokens == used["completion_tokens"]
        assert record.cost_picousd == used["total_tokens"] * 240_000
        assert record.cost_basis == "usage"
        assert record.calls == 1
        assert json.loads(record.decision)["model"] == "cheap"
    assert found[0].id == whole.headers["x-turnout-decision-id"]


def test_cached_tokens_and_the_providers_own_cost_are_believed(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "cost": 0.00123}
    body = json.dumps({"choices": [], "model": "m", "usage": usage}).encode()
    with recorded(tmp_path) as (gateway, found):
        gateway.upstream.script.append(
            Fault(body=body, headers={"content-type": "application/json"})
        )
        post(gateway.url, model="cheap")
    assert (found[0].cost_picousd, found[0].cost_basis) == (1_230_000_000, "provider")


def test_an_answer_without_usage_is_estimated_and_says_so(tmp_path: Path) -> None:
    with recorded(tmp_path) as (gateway, found):
        gateway.upstream.script.append(Fault(body=b'{"choices": []}'))
        post(gateway.url, model="cheap")
    assert found[0].cost_basis == "estimate"
    assert found[0].input_tokens > 0


def test_a_stream_that_breaks_off_is_partial_and_costs(tmp_path: Path) -> None:
    with recorded(tmp_path) as (gateway, found):
        gateway.upstream.script.append(Fault(cut_after=4))
        post(gateway.url, model="cheap", stream=True)
    assert found[0].status == "partial"
    assert found[0].cost_basis == "estimate"
    assert (found[0].cost_picousd or 0) > 0


def test_failures_are_kept_without_a_cost(tmp_path: Path) -> None:
    with recorded(tmp_path) as (gateway, found):
        gateway.upstream.script.append(Fault(status=500, body=b"down"))
        post(gateway.url, model="cheap")
    assert (found[0].status, found[0].http_status, found[0].cost_picousd) == ("failed", 500, None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_is_kept_too(tmp_path: Path, stream: bool) -> None:
    with recorded(tmp_path) as (gateway, found):
        gateway.upstream.script.append(Fault(hang_after=4) if stream else Fault(hang=True))
        with pytest.raises(httpx2.TimeoutException):
            post(gateway.url, 0.3, model="cheap", stream=stream)
        for _ in range(200):
            if gateway.upstream.abandoned:
                break
            time.sleep(0.01)
    assert found[0].status == "left"


def test_no_prompt_and_no_answer_is_kept(tmp_path: Path) -> None:
    with recorded(tmp_path) as (gateway, _):
        post(gateway.url, model="auto")
        post(gateway.url, model="router-broken-0.5")
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert SECRET.encode() not in kept


def test_without_a_store_nothing_is_written(gateway: Deployment, tmp_path: Path) -> None:
    post(gateway.url, model="cheap")
    assert gateway.app.opened().recorder.ledger is None
    assert list(tmp_path.iterdir()) == []
