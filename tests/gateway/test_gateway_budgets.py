"""Money and rates in a running gateway: reserved before, settled after, never over, in every dialect."""

from __future__ import annotations

import json
import random
import re
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from gateway_fakes import Deployment, deployment
from test_gateway_keys import ASK, BODIES, HTTP, TOKEN, key, keyed, post, until

from counters_made import redis_url, threaded_wire
from turnout.access.limits import Limit
from turnout.providers.fake import Fault
from turnout.settings import EmbeddingSettings, StoreSettings
from turnout.settings.access import CounterSettings, LimitSettings, ReserveSettings
from turnout.settings.embeddings import EmbeddingPriceSettings
from turnout.store.database import open_database
from turnout.store.record import Record
from turnout.store.records import RecordTable
from turnout.types import PICO

CHEAP = 240_000
"""Picodollars a token of `cheap`, in and out."""
FREE = "tk_no-limits-at-all-00000000"
LONG = [{"role": "user", "content": "long " * 40}]


def records(home: Path) -> list[Record]:
    table = RecordTable(open_database(home / "t.db"))
    found = table.latest(100_000)
    table.close()
    return found


def used(gateway: Deployment, name: str = "ci", window: Any = "day") -> int:
    """Spent and reserved of a key's budget."""
    access = gateway.app.opened().access
    limit = Limit(f"key:file_{name}", "usd", 0, window)
    meters: Any = access.counters
    return int(meters._meters[limit.id].value)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", list(BODIES))
def test_what_is_settled_is_what_the_record_says(tmp_path: Path, path: str, stream: bool) -> None:
    with keyed(key(budgets_usd={"day": 1}), store=StoreSettings(path=tmp_path / "t.db")) as gateway:
        assert post(gateway.url, path, stream=stream).status_code == 200
        spent = used(gateway)
    [record] = records(tmp_path)
    assert (record.key, record.status, record.cost_basis) == ("file_ci", "ok", "usage")
    assert spent == record.cost_picousd
    assert spent > 0


def test_failures_cost_nothing_and_leave_nothing_reserved() -> None:
    with keyed(key(budgets_usd={"day": 1}, concurrent=1)) as gateway:
        for fault in (Fault(status=500, body=b"down"), Fault(status=400, body=b"{}")):
            gateway.upstream.script.append(fault)
            assert post(gateway.url).status_code >= 400
            assert used(gateway) == 0
        gateway.upstream.script.append(Fault(cut_after=4))
        post(gateway.url, stream=True)
        assert used(gateway) > 0, "a stream that broke off is paid"
        assert post(gateway.url).status_code == 200, "and its place is free again"


def test_a_client_that_leaves_is_settled_at_what_was_expected() -> None:
    with keyed(key(budgets_usd={"day": 1}, concurrent=1)) as gateway:
        gateway.upstream.script.append(Fault(hang=True))
        with pytest.raises(httpx2.TimeoutException):
            httpx2.post(
                f"{gateway.url}/v1/chat/completions",
                json={**BODIES["/v1/chat/completions"], "max_tokens": 1_000},
                headers={"x-api-key": TOKEN},
                timeout=0.4,
            )
        for _ in range(500):
            if gateway.upstream.abandoned and not gateway.app.opened().access._holds:
                break
            time.sleep(0.01)
        assert 0 < used(gateway) < 1_000 * CHEAP
        assert post(gateway.url).status_code == 200


def test_budgets_move_traffic_to_cheaper_candidates_before_they_refuse() -> None:
    """`strong` reserves $0.0030 for output alone; `cheap` a hundredth of it."""
    with keyed(key(budgets_usd={"day": 0.0100})) as gateway:
        served = []
        for _ in range(40):
            found = post(gateway.url, model="router-length-0", messages=LONG, max_tokens=100)
            assert found.status_code == 200, found.text
            served.append(found.headers["x-turnout-model"])
        assert served[0] == "strong"
        assert served[-1] == "cheap"
        first = served.index("cheap")
        assert "strong" not in served[first:], "what is left does not grow within a day"
        headers = {"x-api-key": TOKEN}
        by_name = post(gateway.url, model="strong", messages=LONG, max_tokens=100)
        assert by_name.status_code == 429
        said = by_name.json()["error"]["message"]
        may_cost, left = (float(x) for x in re.findall(r"\$([\d.]+)(?:,| is left)", said))
        assert may_cost > left, "told is what the one that was asked for may cost"
        asked = {"model": "router-length-0", "messages": LONG, "max_tokens": 100}
        chosen = HTTP.post(f"{gateway.url}/v1/chat/completions", json=asked, headers=headers)
        assert chosen.headers["x-turnout-reason"].startswith("only_candidate")
        assert used(gateway) <= 0.01 * PICO


@pytest.mark.parametrize("path", list(BODIES))
def test_a_budget_that_is_used_up_is_told_in_the_clients_dialect(path: str) -> None:
    with keyed(key(budgets_usd={"day": 1e-9})) as gateway:
        found = post(gateway.url, path)
        assert found.status_code == 429
        assert found.headers["x-should-retry"] == "false", "waiting does not make it fit"
        error = found.json()["error"]
        assert "of the budget of key ci ($0.000000001 a day)" in error["message"]
        if path == "/v1/messages":
            assert error["type"] == "rate_limit_error"
        else:
            assert (error["type"], error["code"]) == ("insufficient_quota",) * 2
        assert gateway.upstream.seen == []
        assert gateway.app.opened().access.refused == {"usd": 1}


def test_official_clients_see_a_spent_budget_as_theirs() -> None:
    with keyed(key(budgets_usd={"month": 1e-9})) as gateway:
        with (
            openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN) as client,
            pytest.raises(openai.RateLimitError) as caught,
        ):
            client.chat.completions.create(model="cheap", messages=ASK)
        assert caught.value.code == "insufficient_quota"
        with (
            anthropic.Anthropic(base_url=gateway.url, api_key=TOKEN) as theirs,
            pytest.raises(anthropic.RateLimitError),
        ):
            theirs.messages.create(model="cheap", messages=ASK, max_tokens=9)
        assert gateway.app.opened().access.refused == {"usd": 2}, "they did not try again"


def test_when_the_window_rolls_is_told() -> None:
    with keyed(key(budgets_usd={"hour": 0.0002})) as gateway:
        asked = {"max_tokens": 300}
        while (found := post(gateway.url, **asked)).status_code == 200:
            pass
        assert found.status_code == 429
        assert 1 <= int(found.headers["retry-after"]) <= 3_600
        assert "x-should-retry" not in found.headers


def test_rates_are_told_in_headers_and_refused_with_a_time() -> None:
    with keyed(key(requests_per_minute=2, tokens_per_minute=100_000)) as gateway:
        first = post(gateway.url)
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert first.headers["x-ratelimit-limit-tokens"] == "100000"
        assert int(first.headers["x-ratelimit-remaining-tokens"]) < 100_000
        assert first.headers["x-ratelimit-reset-requests"] == "1m0s"
        streamed = post(gateway.url, "/v1/messages", stream=True)
        assert streamed.headers["x-ratelimit-remaining-requests"] == "0"
        refused = post(gateway.url, "/v1/responses")
        assert refused.status_code == 429
        assert 50 <= int(refused.headers["retry-after"]) <= 61
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert len(gateway.upstream.seen) == 2


def test_requests_at_once_are_limited_and_come_back() -> None:
    with keyed(key(concurrent=3)) as gateway:
        gateway.upstream.script.extend(Fault(delay_s=0.5) for _ in range(3))
        with ThreadPoolExecutor(12) as pool:
            found = list(pool.map(lambda _: post(gateway.url).status_code, range(12)))
        assert found.count(200) >= 3
        assert set(found) == {200, 429}
        assert post(gateway.url).status_code == 200
        assert gateway.app.opened().access._holds == {}


def test_a_restart_remembers_what_was_spent(tmp_path: Path) -> None:
    store = StoreSettings(path=tmp_path / "t.db")
    with keyed(key(budgets_usd={"day": 1, "total": 1}), store=store) as gateway:
        for _ in range(3):
            post(gateway.url)
        spent = used(gateway)
    table = RecordTable(open_database(tmp_path / "t.db"))
    died = Record(
        id="died", at_ms=time.time_ns() // 10**6, status="unknown", key="file_ci",
        cost_picousd=77, cost_basis="reserved",
    )  # fmt: skip
    table.put([died])
    table.close()
    with keyed(key(budgets_usd={"day": 1, "total": 1}), store=store) as gateway:
        post(gateway.url)
        assert used(gateway, window="total") == spent // 3 * 4 + 77
        if spent:  # a new day may have begun between
            assert used(gateway) in (spent // 3 * 4 + 77, spent // 3)


def test_what_is_under_way_is_kept_at_the_most_it_can_cost(tmp_path: Path) -> None:
    with keyed(key(budgets_usd={"day": 1}), store=StoreSettings(path=tmp_path / "t.db")) as gateway:
        gateway.upstream.script.append(Fault(delay_s=2.5))
        thread = threading.Thread(target=post, args=(gateway.url,), kwargs={"max_tokens": 100})
        thread.start()
        for _ in range(400):
            found = records(tmp_path) if (tmp_path / "t.db").exists() else []
            if found:
                break
            time.sleep(0.02)
        assert [(r.status, r.cost_basis) for r in found] == [("unknown", "reserved")]
        assert (found[0].cost_picousd or 0) >= 100 * CHEAP
        thread.join()
    assert [(r.status, r.cost_basis) for r in records(tmp_path)] == [("ok", "usage")]


def test_an_attack_spends_no_more_than_the_cap(tmp_path: Path) -> None:
    """Denial of wallet: many at once, huge limits, many copies, disconnects, every dialect."""
    cap, rng = 0.002, random.Random(7)
    limits = LimitSettings(budgets_usd={"total": cap})
    with keyed(
        key("a", "tk_attacker-one-000000000000"), key("b", "tk_attacker-two-000000000000"),
        limits=limits, store=StoreSettings(path=tmp_path / "t.db"),
    ) as gateway:  # fmt: skip
        attacks: list[tuple[str, str, dict[str, Any]]] = []
        for _ in range(240):
            path = rng.choice(list(BODIES))
            extra: dict[str, Any] = rng.choice([{}, {"max_tokens": 10**9}, {"stream": True}])
            if path == "/v1/chat/completions":
                extra = {**extra, **rng.choice([{}, {"n": 100}, {"max_completion_tokens": 200}])}
            model = rng.choice(["cheap", "strong", "auto", "router-length-0", "router-nan-0.5"])
            token = rng.choice(["tk_attacker-one-000000000000", "tk_attacker-two-000000000000"])
            attacks.append((path, token, {"model": model, **extra}))
        with ThreadPoolExecutor(24) as pool:
            found = list(pool.map(lambda a: post(gateway.url, a[0], a[1], **a[2]), attacks))
        assert {f.status_code for f in found} <= {200, 400, 429}
        assert any(f.status_code == 200 for f in found)
        assert any(f.status_code == 429 for f in found)
    kept = records(tmp_path)
    assert sum(r.status == "ok" for r in kept) == sum(f.status_code == 200 for f in found)
    assert 0 < sum(r.cost_picousd or 0 for r in kept) <= cap * PICO
    assert all(r.status != "unknown" for r in kept)


def test_a_decision_says_that_a_budget_put_a_candidate_out(tmp_path: Path) -> None:
    with keyed(key(budgets_usd={"day": 0.002}), store=StoreSettings(path=tmp_path / "t.db")) as up:
        post(up.url, model="router-length-0", messages=LONG, max_tokens=100)
    [record] = records(tmp_path)
    why = json.loads(record.decision)["excluded"]["strong"]
    assert why.startswith("it may cost up to $0.005")
    assert "the budget of key ci ($0.002 a day)" in why


def test_open_gateways_have_limits_of_all() -> None:
    with deployment(limits=LimitSettings(budgets_usd={"day": 1e-9})) as gateway:
        assert post(gateway.url, token=None).status_code == 429


def test_a_limit_is_sent_where_none_would_bound_the_cost() -> None:
    reserve = ReserveSettings(output_tokens=50, send_limit=True)
    with keyed(key(budgets_usd={"day": 1}), key("free", FREE), reserve=reserve) as gateway:
        for path, field in (
            ("/v1/chat/completions", "max_completion_tokens"),
            ("/v1/responses", "max_completion_tokens"),  # translated for a chat upstream
        ):
            assert post(gateway.url, path).status_code == 200
            assert gateway.upstream.seen[-1].json[field] == 50
        post(gateway.url, max_tokens=7)
        assert gateway.upstream.seen[-1].json["max_tokens"] == 7
        assert "max_completion_tokens" not in gateway.upstream.seen[-1].json
        post(gateway.url, token=FREE)
        assert "max_completion_tokens" not in gateway.upstream.seen[-1].json


def test_gateways_that_share_a_redis_share_budgets(tmp_path: Path) -> None:
    """Two gateways, one Redis, one ledger: what one has spent the other cannot; a restart forgets nothing."""
    counters = CounterSettings(redis_url=redis_url(), prefix=f"test-{secrets.token_hex(6)}")
    given = {
        "counters": counters.model_copy(update={"timeout_s": 10.0}),
        "store": StoreSettings(path=tmp_path / "t.db"),
        "limits": LimitSettings(budgets_usd={"total": 0.0005}),
    }
    tokens = 250  # of output, so that eight requests or so fit at once

    def ask(url: str) -> int:
        return post(url, max_tokens=tokens, n=1).status_code

    with keyed(key(), **given) as one, keyed(key(), **given) as two:
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(ask, [one.url, two.url] * 60))
        assert set(found) == {200, 429}
    kept = records(tmp_path)
    assert sum(r.cost_picousd or 0 for r in kept) <= 0.0005 * PICO
    with keyed(key(), **given) as again:
        while ask(again.url) == 200:
            pass
    assert sum(r.cost_picousd or 0 for r in records(tmp_path)) <= 0.0005 * PICO


def test_a_gateway_without_its_redis_refuses_what_is_limited_alone() -> None:
    keys = (key(budgets_usd={"day": 1}), key("free", FREE))
    with threaded_wire() as wire, keyed(*keys, counters=wire.settings()) as gateway:
        assert post(gateway.url).status_code == 200
        wire.cut()
        refused = post(gateway.url)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "access_unavailable"
        assert "retry-after" in refused.headers
        assert post(gateway.url, token=FREE).status_code == 200, "it has no limits"
        wire.mend()
        until(lambda: post(gateway.url).status_code == 200)


def embed(url: str, model: str = "vectors") -> httpx2.Response:
    body = {"model": model, "input": "one two three four five six seven eight"}
    headers = {"x-api-key": TOKEN}
    return httpx2.post(f"{url}/v1/embeddings", json=body, headers=headers, timeout=30)


def test_embeddings_are_reserved_settled_and_refused_like_all_else() -> None:
    priced = EmbeddingSettings(
        name="vectors",
        model="cheap-model",
        provider="up",
        price=EmbeddingPriceSettings(input_usd=1),
    )
    free = EmbeddingSettings(name="unpriced", model="strong-model", provider="up")
    with keyed(key(budgets_usd={"day": 0.0004}), embeddings=(priced, free)) as gateway:
        answers = [embed(gateway.url) for _ in range(60)]
        served = [a for a in answers if a.status_code == 200]
        assert len(served) > 1
        tokens = sum(a.json()["usage"]["prompt_tokens"] for a in served)
        assert used(gateway) == tokens * 1_000_000
        assert answers[-1].status_code == 429
        assert used(gateway) <= 0.0004 * PICO
        refused = embed(gateway.url, "unpriced")
        assert refused.status_code >= 400
        assert "no price is known" in refused.text


def test_a_key_may_be_kept_from_embeddings() -> None:
    model = EmbeddingSettings(name="vectors", model="cheap-model", provider="up")
    with keyed(key(allow=["cheap"]), embeddings=(model,)) as gateway:
        assert embed(gateway.url).status_code == 403
        assert post(gateway.url, model="cheap").status_code == 200
