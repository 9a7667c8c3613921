"""The exact cache, over real sockets."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_fakes import Deployment, deployment

from turnout.gateway.kept.caching import ExactCache
from turnout.gateway.kept.keeping import Kept
from turnout.providers.fake import Fault
from turnout.settings import (
    MINIMAL,
    CacheSettings,
    SemanticCacheSettings,
    StoreSettings,
    parse_settings,
)
from turnout.store.database import open_database
from turnout.store.records import RecordTable

PATHS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Name a colour"}]}),
    ("/v1/responses", {"input": "Name a colour"}),
    (
        "/v1/messages",
        {"max_tokens": 50, "messages": [{"role": "user", "content": "Name a colour"}]},
    ),
]
CHAT = PATHS[0][0]
BODY = {"model": "auto", "temperature": 0, **PATHS[0][1]}


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[Deployment]:
    store = StoreSettings(path=tmp_path / "t.db")
    with deployment(cache=CacheSettings(ttl_s=600), store=store) as made:
        yield made


@pytest.fixture
def http(cached: Deployment) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=cached.url, timeout=10) as made:
        yield made


def calls(cached: Deployment) -> int:
    return len(cached.upstream.seen)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), PATHS)
def test_the_same_request_gets_the_same_answer(
    http: httpx2.Client, cached: Deployment, path: str, body: dict[str, Any], stream: bool
) -> None:
    asked = {"model": "auto", **body, "temperature": 0, "stream": stream}
    first = http.post(path, json=asked)
    again = http.post(path, content=json.dumps(dict(reversed(asked.items())), indent=2))
    assert first.status_code == again.status_code == 200
    assert "x-turnout-cache" not in first.headers
    assert again.headers["x-turnout-cache"] == "hit"
    assert int(again.headers["age"]) >= 0
    assert again.headers["x-turnout-model"] == "cheap"
    assert again.headers["x-turnout-cost-usd"] == "0"
    assert again.headers["x-turnout-decision-id"] != first.headers["x-turnout-decision-id"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.content == first.content
    assert calls(cached) == 1


def test_a_hit_costs_nothing_and_says_what_it_saved(
    http: httpx2.Client, cached: Deployment, tmp_path: Path
) -> None:
    ids = [http.post(CHAT, json=BODY).headers["x-turnout-decision-id"] for _ in range(2)]
    assert http.get("/readyz").json()["cache"]["hits"] == 1
    database = open_database(tmp_path / "t.db")
    table = RecordTable(database)
    first = again = None
    for _ in range(1_000):
        first, again = table.get(ids[0]), table.get(ids[1])
        if first is not None and again is not None and again.status == "ok":
            break
        time.sleep(0.01)  # they are folded in within a second or so
    database.close()
    assert first is not None
    assert again is not None
    assert (again.status, again.calls, again.cost_picousd) == ("ok", 0, 0)
    assert (again.cost_basis, again.input_tokens, again.output_tokens) == ("cache", 0, 0)
    assert again.saved_picousd == first.cost_picousd
    assert (first.cost_picousd or 0) > 0
    assert first.saved_picousd is None


def test_two_clients_share_nothing(http: httpx2.Client, cached: Deployment) -> None:
    for header in ("authorization", "x-api-key"):
        for key in ("Bearer one", "Bearer two"):
            before = calls(cached)
            reply = http.post(CHAT, json=BODY, headers={header: key})
            assert "x-turnout-cache" not in reply.headers
            assert calls(cached) == before + 1
            again = http.post(CHAT, json=BODY, headers={header: key})
            assert again.headers["x-turnout-cache"] == "hit"


OTHER: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"temperature": 0.5}, {}),
    ({"temperature": None}, {}),
    ({}, {"cache-control": "no-store"}),
    ({}, {"x-turnout-cache": "off"}),
    ({"turnout": {"explain": True}}, {}),
    ({"web_search_options": {"x": 1}}, {}),
    ({"tools": [{"type": "web_search"}]}, {}),
]


@pytest.mark.parametrize(("body", "headers"), OTHER)
def test_what_is_not_cached(
    http: httpx2.Client, cached: Deployment, body: dict[str, Any], headers: dict[str, str]
) -> None:
    for _ in range(2):
        reply = http.post(CHAT, json={**BODY, **body}, headers=headers)
        assert reply.status_code == 200
        assert "x-turnout-cache" not in reply.headers
    assert calls(cached) == 2


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"seed": 1}, {}),
        ({"messages": [{"role": "user", "content": "name a colour"}]}, {}),
        ({"turnout": {"pin": "strong"}}, {}),
        ({"stream": True}, {}),
        ({}, {"openai-beta": "x"}),
    ],
)
def test_what_is_another_request(
    http: httpx2.Client, cached: Deployment, body: dict[str, Any], headers: dict[str, str]
) -> None:
    http.post(CHAT, json=BODY)
    reply = http.post(CHAT, json={**BODY, **body}, headers=headers)
    assert "x-turnout-cache" not in reply.headers
    assert calls(cached) == 2


def test_no_cache_asks_anew_and_keeps_the_answer(http: httpx2.Client, cached: Deployment) -> None:
    http.post(CHAT, json=BODY)
    reply = http.post(CHAT, json=BODY, headers={"cache-control": "no-cache"})
    assert "x-turnout-cache" not in reply.headers
    assert calls(cached) == 2
    assert http.post(CHAT, json=BODY).headers["x-turnout-cache"] == "hit"


def test_a_client_may_ask_to_be_cached(http: httpx2.Client, cached: Deployment) -> None:
    body = {"model": "auto", **PATHS[0][1]}
    for _ in range(2):
        reply = http.post(CHAT, json=body, headers={"x-turnout-cache": "on"})
    assert reply.headers["x-turnout-cache"] == "hit"
    refused = http.post(CHAT, json=body, headers={"x-turnout-cache": "yes"})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "x-turnout-cache"


@pytest.mark.parametrize(
    "fault", [Fault(status=500, body=b"{}"), Fault(cut_after=2), Fault(error_after=2)]
)
def test_what_went_wrong_is_not_kept(http: httpx2.Client, cached: Deployment, fault: Fault) -> None:
    cached.upstream.script.append(fault)
    http.post(CHAT, json={**BODY, "stream": True})
    well = http.post(CHAT, json={**BODY, "stream": True})
    assert "x-turnout-cache" not in well.headers
    assert b"[DONE]" in well.content
    assert http.post(CHAT, json={**BODY, "stream": True}).content == well.content


def keep(cache: ExactCache, name: str, size: int) -> bytes:
    kept = Kept(candidate="c", content_type="x", content=b"a" * size, cost_picousd=1)
    cache.kept.keep(name.encode(), kept)
    return name.encode()


def test_its_size_and_age_are_bounded() -> None:
    clock = [0.0]
    given = CacheSettings(ttl_s=10, max_bytes=1 << 20, longest_bytes=400_000)
    cache = ExactCache(given, clock=lambda: clock[0])
    one, two = keep(cache, "one", 400_000), keep(cache, "two", 400_000)
    assert cache.find(one) is not None  # used last
    keep(cache, "three", 300_000)
    assert cache.find(two) is None
    assert cache.find(one) is not None
    assert cache.find(keep(cache, "long", 400_001)) is None
    assert cache.state()["bytes"] <= 1 << 20
    for i in range(5_000):
        keep(cache, f"small {i}", 10)
    assert cache.state()["bytes"] <= 1 << 20
    assert cache.state()["answers"] < 1_100
    last = keep(cache, "last", 10)
    clock[0] = 9.9
    assert cache.find(last) is not None
    clock[0] = 10.0
    assert cache.find(last) is None


def test_the_guides_example_is_a_setting() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "caching.md").read_text()
    example, by_meaning = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    settings = parse_settings(MINIMAL + example, {"OPENAI_API_KEY": "x"})
    assert settings.cache == CacheSettings(ttl_s=3600)
    settings = parse_settings(MINIMAL + by_meaning, {"OPENAI_API_KEY": "x"})
    assert settings.cache == CacheSettings(ttl_s=3600, semantic=SemanticCacheSettings())
