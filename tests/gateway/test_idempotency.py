"""Requests that come twice under one `Idempotency-Key`, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from gateway_fakes import Deployment, deployment, make_engine, make_settings, serving
from pydantic import SecretStr

from counters_made import redis_url
from turnout.access.redis_link import RedisLink
from turnout.errors import AccessDownError
from turnout.gateway.app import create_app
from turnout.gateway.kept.idempotency.claims import Claims, MemoryClaims
from turnout.gateway.kept.idempotency.shared import RedisClaims
from turnout.gateway.kept.keeping import Kept, KeptAnswers
from turnout.providers.fake import Fault, create_fake_app
from turnout.settings import (
    MINIMAL,
    CacheSettings,
    EmbeddingSettings,
    IdempotencySettings,
    StoreSettings,
    parse_settings,
)
from turnout.settings.access import CounterSettings, KeySettings
from turnout.store.database import open_database
from turnout.store.record import Record
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
BODY = {"model": "auto", **PATHS[0][1]}
HELD_S = 0.4
"""How long an upstream is held where a second request is to find the first one under way."""


def keyed(key: str = "k1", **headers: str) -> dict[str, str]:
    return {"idempotency-key": key, **headers}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Deployment]:
    with deployment(store=StoreSettings(path=tmp_path / "t.db")) as made:
        yield made


@pytest.fixture
def http(home: Deployment) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=home.url, timeout=20) as made:
        yield made


def records(folder: Path) -> list[Record]:
    table = RecordTable(open_database(folder / "t.db"))
    found = table.latest(1_000)
    table.close()
    return found


def until(true: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), PATHS)
def test_the_same_request_is_called_and_recorded_once(
    tmp_path: Path, path: str, body: dict[str, Any], stream: bool
) -> None:
    asked = {"model": "auto", **body, "stream": stream}
    with (
        deployment(store=StoreSettings(path=tmp_path / "t.db")) as home,
        httpx2.Client(base_url=home.url, timeout=20) as http,
    ):
        first = http.post(path, json=asked, headers=keyed())
        again = http.post(path, json=dict(reversed(asked.items())), headers=keyed())
        assert first.status_code == again.status_code == 200
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == first.content
        for same in ("content-type", "x-turnout-decision-id", "x-turnout-model"):
            assert again.headers[same] == first.headers[same]
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
        assert len(home.upstream.seen) == 1
        assert "idempotency-key" not in home.upstream.seen[0].headers
        metrics = http.get("/metrics").text
    [record] = records(tmp_path)
    assert (record.status, record.calls) == ("ok", 1)
    assert record.id == first.headers["x-turnout-decision-id"]
    assert 'turnout_idempotent_requests_total{outcome="replayed"} 1' in metrics


@pytest.mark.parametrize("stream", [False, True])
def test_those_that_come_meanwhile_wait(
    http: httpx2.Client, home: Deployment, stream: bool
) -> None:
    home.upstream.script.append(Fault(delay_s=HELD_S))
    with ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(http.post, CHAT, json={**BODY, "stream": stream}, headers=keyed())
            for _ in range(8)
        ]
        replies = [a.result() for a in asked]
    assert {r.status_code for r in replies} == {200}
    assert len({r.content for r in replies}) == 1
    assert len(home.upstream.seen) == 1
    assert sum("idempotent-replayed" in r.headers for r in replies) == 7


@pytest.mark.parametrize(("path", "body"), PATHS)
def test_a_key_with_another_body_is_refused(
    http: httpx2.Client, home: Deployment, path: str, body: dict[str, Any]
) -> None:
    http.post(path, json={"model": "auto", **body}, headers=keyed())
    for other, headers in (
        ({"model": "strong", **body}, {}),
        ({"model": "auto", **body, "temperature": 1}, {}),
        ({"model": "auto", **body}, {"x-turnout-threshold": "0.9"}),
    ):
        refused = http.post(path, json=other, headers=keyed(**headers))
        assert refused.status_code == 422
        error = refused.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert "idempotency-key" in error["message"]
        assert "k1" not in error["message"]
        assert refused.json().get("type") == ("error" if path.endswith("messages") else None)
        assert refused.headers["x-turnout-reason"] == "idempotency_key_reused"
    assert len(home.upstream.seen) == 1


def test_it_is_refused_while_the_first_one_runs_too(http: httpx2.Client, home: Deployment) -> None:
    home.upstream.script.append(Fault(delay_s=HELD_S))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(http.post, CHAT, json=BODY, headers=keyed())
        until(lambda: home.upstream.seen)
        assert http.post(CHAT, json={**BODY, "n": 1}, headers=keyed()).status_code == 422
        assert first.result().status_code == 200


@pytest.mark.parametrize(("path", "body"), PATHS)
def test_the_wait_is_bounded(path: str, body: dict[str, Any]) -> None:
    asked = {"model": "auto", **body}
    with (
        deployment(idempotency=IdempotencySettings(wait_s=0.1)) as home,
        httpx2.Client(base_url=home.url, timeout=20) as http,
        ThreadPoolExecutor(1) as threads,
    ):
        home.upstream.script.append(Fault(delay_s=2 * HELD_S))
        first = threads.submit(http.post, path, json=asked, headers=keyed())
        until(lambda: home.upstream.seen)
        late = http.post(path, json=asked, headers=keyed())
        assert late.status_code == 409
        assert late.headers["retry-after"] == "1"
        if path.endswith("messages"):
            assert late.json()["error"]["type"] == "conflict_error"
        else:
            assert late.json()["error"]["code"] == "idempotency_key_in_use"
        hurried = http.post(path, json=asked, headers=keyed(**{"x-turnout-timeout-ms": "50"}))
        assert hurried.status_code == 504
        assert first.result().status_code == 200
        assert http.post(path, json=asked, headers=keyed()).headers["idempotent-replayed"] == "true"
        assert len(home.upstream.seen) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, body=b"{}"),
        Fault(status=400, body=b"{}"),
        Fault(cut_after=2),
        Fault(error_after=2),
    ],
)
def test_what_failed_is_not_kept(http: httpx2.Client, home: Deployment, fault: Fault) -> None:
    home.upstream.script.append(fault)
    body = {**BODY, "stream": True}
    http.post(CHAT, json=body, headers=keyed())
    well = http.post(CHAT, json=body, headers=keyed())
    assert "idempotent-replayed" not in well.headers
    assert b"[DONE]" in well.content
    again = http.post(CHAT, json=body, headers=keyed())
    assert (again.headers["idempotent-replayed"], again.content) == ("true", well.content)


def test_where_the_first_one_fails_one_of_those_that_wait_is_next(
    http: httpx2.Client, home: Deployment
) -> None:
    home.upstream.script.append(Fault(status=500, body=b"{}", delay_s=HELD_S))
    with ThreadPoolExecutor(5) as threads:
        asked = [threads.submit(http.post, CHAT, json=BODY, headers=keyed()) for _ in range(5)]
        statuses = sorted(a.result().status_code for a in asked)
    assert statuses == [200, 200, 200, 200, 500]
    assert len(home.upstream.seen) == 2


def test_callers_have_keys_of_their_own(http: httpx2.Client, home: Deployment) -> None:
    for i, who in enumerate(("Bearer one", "Bearer two")):
        reply = http.post(CHAT, json=BODY, headers=keyed(authorization=who))
        assert "idempotent-replayed" not in reply.headers
        other = http.post(CHAT, json={**BODY, "n": 1}, headers=keyed(authorization=who))
        assert other.status_code == 422
        assert len(home.upstream.seen) == i + 1


def test_a_key_of_the_gateway_is_one_caller_however_it_is_sent() -> None:
    tokens = {name: f"tk_{name}-key-for-tests-0000000" for name in ("one", "two")}
    keys = tuple(KeySettings(name=n, sha256=_sha256(token)) for n, token in tokens.items())
    with (
        deployment(keys=keys) as home,
        httpx2.Client(base_url=home.url, timeout=20) as http,
    ):
        bearer = {n: {"authorization": f"Bearer {t}"} for n, t in tokens.items()}
        http.post(CHAT, json=BODY, headers=keyed(**bearer["one"]))
        again = http.post(CHAT, json=BODY, headers=keyed(**{"x-api-key": tokens["one"]}))
        assert again.headers["idempotent-replayed"] == "true"
        other = http.post(CHAT, json=BODY, headers=keyed(**bearer["two"]))
        assert "idempotent-replayed" not in other.headers
        assert http.post(CHAT, json=BODY, headers=keyed()).status_code == 401
        assert len(home.upstream.seen) == 2


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_left_gets_the_answer_when_it_comes_again(
    tmp_path: Path, stream: bool
) -> None:
    """The very case that keys are for: the call is not made, and not paid, twice."""
    body = {**BODY, "stream": stream}
    with deployment(store=StoreSettings(path=tmp_path / "t.db")) as home:
        home.upstream.script.append(Fault(delay_s=HELD_S))
        with (
            httpx2.Client(base_url=home.url, timeout=HELD_S / 2) as hasty,
            pytest.raises(httpx2.TimeoutException),
        ):
            hasty.post(CHAT, json=body, headers=keyed())
        with httpx2.Client(base_url=home.url, timeout=20) as http:
            again = http.post(CHAT, json=body, headers=keyed())
        assert again.headers["idempotent-replayed"] == "true"
        assert (b"[DONE]" in again.content) is stream
        assert len(home.upstream.seen) == 1
        assert home.upstream.abandoned == 0
    [record] = records(tmp_path)
    assert (record.status, record.calls) == ("ok", 1)
    assert (record.cost_picousd or 0) > 0


def test_what_the_cache_gave_is_given_again_without_another_record(tmp_path: Path) -> None:
    body = {**BODY, "temperature": 0}
    with (
        deployment(
            store=StoreSettings(path=tmp_path / "t.db"), cache=CacheSettings(ttl_s=60)
        ) as home,
        httpx2.Client(base_url=home.url, timeout=20) as http,
    ):
        plain = http.post(CHAT, json=body)
        hits = [http.post(CHAT, json=body, headers=keyed()) for _ in range(3)]
        assert [h.content for h in hits] == [plain.content] * 3
        assert [h.headers.get("idempotent-replayed") for h in hits] == [None, "true", "true"]
        assert len(home.upstream.seen) == 1
    assert len(records(tmp_path)) == 2


def test_embeddings_too() -> None:
    models = (EmbeddingSettings(name="e", provider="up", model="cheap-model"),)
    with (
        deployment(embeddings=models) as home,
        httpx2.Client(base_url=home.url, timeout=20) as http,
    ):
        body = {"model": "e", "input": "Hello"}
        first, again = (http.post("/v1/embeddings", json=body, headers=keyed()) for _ in range(2))
        assert first.status_code == 200, first.text
        assert again.content == first.content
        assert again.headers["idempotent-replayed"] == "true"
        assert len(home.upstream.seen) == 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(http: httpx2.Client, home: Deployment, key: str) -> None:
    refused = http.post(CHAT, json=BODY, headers=keyed(key))
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "idempotency-key"
    assert not home.upstream.seen


def test_asking_for_the_decision_holds_no_key(http: httpx2.Client, home: Deployment) -> None:
    asked = {**BODY, "turnout": {"decision_only": True}}
    assert http.post(CHAT, json=asked, headers=keyed()).status_code == 200
    assert "idempotent-replayed" not in http.post(CHAT, json=BODY, headers=keyed()).headers
    assert len(home.upstream.seen) == 1


def test_turned_off_it_is_the_upstreams_business() -> None:
    with (
        deployment(idempotency=IdempotencySettings(enabled=False)) as home,
        httpx2.Client(base_url=home.url, timeout=20) as http,
    ):
        for _ in range(2):
            assert http.post(CHAT, json=BODY, headers=keyed()).status_code == 200
        assert [s.headers["idempotency-key"] for s in home.upstream.seen] == ["k1", "k1"]


def test_openais_client_gets_its_answer_after_a_lost_one(home: Deployment) -> None:
    home.upstream.script.append(Fault(delay_s=HELD_S))
    with openai.OpenAI(
        base_url=f"{home.url}/v1", api_key="x", timeout=HELD_S / 2, max_retries=3
    ) as client:
        reply = client.chat.completions.with_raw_response.create(
            model="auto",
            messages=[{"role": "user", "content": "Name a colour"}],
            extra_headers=keyed("from-the-sdk"),
        )
    assert reply.headers["idempotent-replayed"] == "true"
    assert len(home.upstream.seen) == 1


# Where holds and answers are.


def kept(size: int = 10, fingerprint: str = "f") -> Kept:
    return Kept(
        candidate="c",
        content_type="application/json",
        content=bytes(range(256)) * (size // 256 + 1),
        cost_picousd=5,
        headers={"x-turnout-model": "c"},
        fingerprint=fingerprint,
    )


@contextmanager
def claims_of(kind: str, work: Callable[[Claims, Claims], Any]) -> Iterator[Any]:
    """Run some work on the claims of two processes: of one where they are in memory."""

    async def run() -> Any:
        if kind == "memory":
            answers = KeptAnswers(ttl_s=60, max_bytes=1 << 20, longest_bytes=1 << 20)
            claims = MemoryClaims(answers)
            return await work(claims, claims)
        prefix = f"test-{secrets.token_hex(6)}"
        links = [RedisLink(url=redis_url(), timeout_s=20) for _ in range(2)]
        async with links[0].running(), links[1].running():
            one, two = (RedisClaims(link=x, prefix=prefix, ttl_s=60, lease_s=0.3) for x in links)
            return await work(one, two)

    yield asyncio.run(run())


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_one_of_many_takes_a_key(kind: str) -> None:
    async def work(one: Claims, two: Claims) -> None:
        asked = [(one, two)[i % 2].take("n", "f", str(i)) for i in range(50)]
        taken = await asyncio.gather(*asked)
        assert sorted(map(str, taken)) == ["mine", *["running"] * 49]
        mine = str(taken.index("mine"))
        assert await two.take("n", "g", "x") == "other"
        await (one, two)[int(mine) % 2].close("n", "not-mine", None)
        assert await one.take("n", "f", "y") == "running"
        await (one, two)[int(mine) % 2].close("n", mine, kept())
        for claims in (one, two):
            found = await claims.take("n", "f", "z")
            assert isinstance(found, Kept)
            assert (found.content, found.headers, found.cost_picousd) == (
                kept().content, {"x-turnout-model": "c"}, 5,
            )  # fmt: skip
        assert await one.take("n", "g", "z") == "other"

    with claims_of(kind, work):
        pass


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_a_key_that_was_given_back_is_free(kind: str) -> None:
    async def work(one: Claims, two: Claims) -> None:
        assert await one.take("n", "f", "a") == "mine"
        waiting = asyncio.ensure_future(two.changed("n", 10, 0))
        await asyncio.sleep(0.01)
        await one.close("n", "a", None)
        await asyncio.wait_for(waiting, 5)
        for _ in range(200):
            if await two.take("n", "g", "b") == "mine":
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("it was not given back")
        await two.close("n", "b", None)

    with claims_of(kind, work):
        pass


def test_a_hold_lasts_as_long_as_its_process() -> None:
    async def work(one: Claims, two: Claims) -> None:
        assert await one.take("n", "f", "a") == "mine"
        await asyncio.sleep(1.0)  # three leases
        assert await two.take("n", "f", "b") == "running"
        assert isinstance(one, RedisClaims)
        one._renewing.pop("a").cancel()  # it is gone
        end = time.monotonic() + 5
        while await two.take("n", "f", "b") != "mine":
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        await one.close("n", "a", kept())  # it comes back, too late
        assert await one.take("n", "f", "c") == "running"
        await two.close("n", "b", None)

    with claims_of("redis", work):
        pass


def test_memory_is_bounded_in_bytes_and_time() -> None:
    clock = [0.0]

    async def run() -> None:
        answers = KeptAnswers(
            ttl_s=10, max_bytes=1 << 20, longest_bytes=400_000, clock=lambda: clock[0]
        )
        claims = MemoryClaims(answers)
        for i in range(200):
            assert await claims.take(str(i), "f", "t") == "mine"
            await claims.close(str(i), "t", kept(100_000))
        assert answers.bytes <= 1 << 20
        assert not claims._running
        assert isinstance(await claims.take("199", "f", "t"), Kept)
        assert await claims.take("0", "f", "t") == "mine", "the oldest made room"
        clock[0] = 10.0
        assert await claims.take("199", "f", "t") == "mine"

    asyncio.run(run())


def counters(url: str, prefix: str, when_down: Any = "refuse") -> CounterSettings:
    return CounterSettings(
        redis_url=SecretStr(url), prefix=prefix, timeout_s=5, when_down=when_down
    )


def test_two_gateways_share_their_answers(tmp_path: Path) -> None:
    """Replicas behind a load balancer: the second request comes to another one."""
    shared = counters(redis_url(), f"test-{secrets.token_hex(6)}")
    upstream = create_fake_app(["strong-model", "cheap-model"])
    with ExitStack() as stack:
        to = stack.enter_context(serving(upstream))
        urls = []
        for name in ("a", "b"):
            folder = tmp_path / name
            folder.mkdir()
            settings = make_settings(to, counters=shared, store=StoreSettings(path=folder / "t.db"))
            app = create_app(settings, engine=make_engine(settings))
            urls.append(stack.enter_context(serving(app)))
        http = stack.enter_context(httpx2.Client(timeout=20))
        threads = stack.enter_context(ThreadPoolExecutor(8))
        for stream in (False, True):
            key, before = f"k-{stream}", len(upstream.seen)
            upstream.script.append(Fault(delay_s=HELD_S))
            body = {**BODY, "stream": stream}
            asked = [
                threads.submit(http.post, urls[i % 2] + CHAT, json=body, headers=keyed(key))
                for i in range(8)
            ]
            replies = [a.result() for a in asked]
            assert {r.status_code for r in replies} == {200}
            assert len({r.content for r in replies}) == 1
            assert len(upstream.seen) == before + 1
            other = {**body, "n": 1}
            for url in urls:
                assert http.post(url + CHAT, json=other, headers=keyed(key)).status_code == 422
    assert len(records(tmp_path / "a")) + len(records(tmp_path / "b")) == 2


@pytest.mark.parametrize("when_down", ["refuse", "local"])
def test_while_redis_is_away(when_down: str) -> None:
    pytest.importorskip("redis", reason="needs the extra redis")
    nowhere = counters("redis://127.0.0.1:9/0", "test", when_down)
    with (
        deployment(counters=nowhere) as home,
        httpx2.Client(base_url=home.url, timeout=20) as http,
    ):
        replies = [http.post(CHAT, json=BODY, headers=keyed()) for _ in range(2)]
        if when_down == "refuse":
            assert [r.status_code for r in replies] == [503, 503]
            assert replies[0].headers["retry-after"] == "1"
        else:
            assert [r.status_code for r in replies] == [200, 200]
            assert replies[1].headers["idempotent-replayed"] == "true"
        assert http.post(CHAT, json=BODY).status_code == 200, "without a key it is no matter"


def test_an_answer_in_redis_that_cannot_be_read_is_an_error() -> None:
    async def run() -> None:
        prefix = f"test-{secrets.token_hex(6)}"
        link = RedisLink(url=redis_url(), timeout_s=20)
        claims = RedisClaims(link=link, prefix=prefix, ttl_s=60)
        async with link.running():
            name = f"{{{prefix}}}:once:n"
            fields = {"f": "f", "t": "t", "a": "{nonsense", "at": "1"}
            await link.redis.hset(name, mapping=fields)  # type: ignore[misc]
            with pytest.raises(AccessDownError):
                await claims.take("n", "f", "x")
            await link.redis.delete(name)

    asyncio.run(run())


def test_the_guides_example_is_the_default() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "idempotency.md").read_text()
    (example,) = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    settings = parse_settings(MINIMAL + example, {"OPENAI_API_KEY": "x"})
    assert settings.idempotency == IdempotencySettings()
