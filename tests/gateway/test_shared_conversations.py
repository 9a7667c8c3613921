"""Conversations that gateways share over Redis: the pin goes along, and a broken Redis costs only that."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from caching_upstream import BULK, EASY, HARD, Site, answer, called, code, served, sites, user

from counters_made import Times, redis_url
from fake_redis import FakeRedis, fake_redis
from turnout.access.redis_link import RedisLink
from turnout.conversations.table import Held, Table, Warm
from turnout.errors import MissingExtraError, SettingsError
from turnout.gateway.sessions.sharing import Sharing, sharing_of
from turnout.settings import Settings, parse_settings

pytest.importorskip("redis", reason="needs the extra redis")

LOST = "could not be read: decided without them"
TALK = [user(HARD + BULK), answer(), user(EASY)]
"""Begins with the strong model, and would go to the cheap one if it began here."""
DEAR = {"cheap": 9, "cheap_read": 2}
"""The cheap model is hardly cheaper: a conversation stays with the strong one."""


@pytest.fixture(params=["fake", "redis"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a Redis that is a fake, or a real one where there is one."""
    if request.param == "redis":
        yield redis_url()
        return
    with fake_redis() as fake:
        yield fake.url


@pytest.fixture
def fake() -> Iterator[FakeRedis]:
    with fake_redis() as made:
        yield made


@contextmanager
def shared(url: str, count: int = 2, wait_s: float = 1.0, **options: Any) -> Iterator[list[Site]]:
    """Gateways that share their conversations under a prefix of their own."""
    prefix = f"test-{secrets.token_hex(6)}"
    given = f"redis_url: '{url}', prefix: {prefix}, shared_wait_s: {wait_s}"
    with sites(count, conversations=given, **{**DEAR, **options}) as found:
        yield found


def sharing(site: Site) -> Sharing:
    found = site.app.opened().conversing.sharing
    assert found is not None
    return found


def written(site: Site) -> None:
    """Wait until all that was changed is in Redis."""
    found = sharing(site)
    for _ in range(2_000):
        if not found._changed and not found.link._waiting and found.link._idle.is_set():
            return
        time.sleep(0.001)
    raise AssertionError("it was not written")


def why(site: Site, reply: httpx2.Response) -> list[str]:
    """The notes of the decision alone for the same request."""
    body = json.loads(reply.request.content)
    found = site.post("/v1/route", body, dict(reply.request.headers))
    notes: list[str] = found.json()["notes"]
    return notes


def test_a_conversation_goes_on_at_another_gateway(url: str) -> None:
    with shared(url) as [here, there]:
        assert served(here.chat(TALK[0])) == "strong"
        written(here)
        reply = there.chat(*TALK)
        assert (served(reply), code(reply)) == ("strong", "kept_for_conversation")
        assert "cheap would cost" in reply.headers["x-turnout-reason"], "it knows what is cached"
        assert sharing(there).found["taken_over"] == 1
        alone = there.chat(*TALK, headers={"x-turnout-session": "another"})
        assert (served(alone), sharing(there).found["unknown"]) == ("cheap", 1)


def test_memory_that_another_gateway_has_overtaken_is_not_believed(url: str) -> None:
    session = {"x-turnout-session": "one"}
    with shared(url, cheap=1, cheap_read=0.1) as [here, there]:
        assert served(here.chat(user(EASY), headers=session)) == "cheap"
        written(here)
        assert code(there.chat(user(EASY), answer(), user(HARD), headers=session)) == (
            "switched_for_quality"
        )
        written(there)
        reply = here.chat(user(EASY), answer(), user(HARD), *called(), headers=session)
        assert (served(reply), code(reply)) == ("strong", "kept_for_conversation")
        written(here)
        held = there.app.opened().conversing.table
        reply = there.chat(user(EASY), answer(), user(HARD), *called(), *called(), headers=session)
        assert served(reply) == "strong"
        assert [h.requests for h in held._held.values()] == [4]
        before = sharing(there).found["own"]
        there.chat(user(EASY), answer(), user(HARD), *called(), *called(), headers=session)
        assert sharing(there).found["own"] == before + 1, "nobody else has served it since"


def test_a_response_is_gone_on_with_at_another_gateway(url: str) -> None:
    with shared(url, api="responses", other_api="responses", cheap_provider="other") as [
        here,
        there,
    ]:
        first = here.post("/v1/responses", {"model": "auto", "input": HARD}).json()
        written(here)
        body = {"model": "auto", "input": EASY, "previous_response_id": first["id"]}
        second = there.post("/v1/responses", body)
        assert served(second) == "strong"
        written(there)
        body = {"model": "auto", "input": "ok", "previous_response_id": second.json()["id"]}
        third = here.post("/v1/responses", body)
        assert (served(third), code(third)) == ("strong", "kept_for_conversation")
        assert not here.other.seen
        mine, theirs = (set(site.app.opened().conversing.table._held) for site in (here, there))
        assert mine == theirs, "it is one conversation"


def test_a_cache_key_names_a_conversation_at_every_gateway(url: str) -> None:
    with shared(url) as [here, there]:
        here.chat(TALK[0], prompt_cache_key="app-7")
        written(here)
        assert served(there.chat(*TALK, prompt_cache_key="app-7")) == "strong"
        assert served(there.chat(*TALK, prompt_cache_key="app-8")) == "cheap"


def test_conversations_of_two_keys_are_never_one(url: str) -> None:
    tokens = {name: f"tk_{name}-000000000000000000" for name in ("ann", "bob")}
    hashed = {n: hashlib.sha256(token.encode()).hexdigest() for n, token in tokens.items()}
    keys = "keys:\n" + "".join(f"  - {{name: {n}, sha256: {h}}}\n" for n, h in hashed.items())
    ann, bob = ({"authorization": f"Bearer {t}", "x-turnout-session": "1"} for t in tokens.values())
    with shared(url, more=keys) as [here, there]:
        here.chat(TALK[0], headers=ann)
        written(here)
        assert served(there.chat(*TALK, headers=bob)) == "cheap"
        assert served(there.chat(*TALK, headers=ann)) == "strong"


def test_a_response_of_another_key_says_nothing_of_its_conversation(url: str) -> None:
    tokens = {name: f"tk_{name}-000000000000000000" for name in ("ann", "bob")}
    hashed = {n: hashlib.sha256(token.encode()).hexdigest() for n, token in tokens.items()}
    keys = "keys:\n" + "".join(f"  - {{name: {n}, sha256: {h}}}\n" for n, h in hashed.items())
    ann, bob = ({"authorization": f"Bearer {t}"} for t in tokens.values())
    options = {"api": "responses", "other_api": "responses", "cheap_provider": "other"}
    with shared(url, more=keys, **options) as [here, there]:
        first = here.post("/v1/responses", {"model": "auto", "input": HARD}, ann).json()
        written(here)
        body = {"model": "auto", "input": EASY, "previous_response_id": first["id"]}
        for site in (here, there):  # in memory too
            assert served(site.post("/v1/responses", body, bob)) == "cheap"
            assert served(site.post("/v1/responses", body, ann)) == "strong"


def test_nothing_that_was_said_is_in_redis(fake: FakeRedis) -> None:
    said = {"x-turnout-session": "session-canary", "authorization": "Bearer key-canary"}
    with shared(fake.url) as [here, there]:
        for site in (here, there):
            site.chat(user("prompt-canary " + HARD), answer("answer-canary"), user(EASY),
                      headers=said, prompt_cache_key="cache-canary")  # fmt: skip
            written(site)
        assert fake.values
        kept = json.dumps(fake.values)
        assert "canary" not in kept
        assert "queue" not in kept
        assert "sess_" in kept


def test_a_redis_that_dies_costs_nothing_but_what_others_know(
    fake: FakeRedis, caplog: pytest.LogCaptureFixture
) -> None:
    with shared(fake.url, wait_s=0.2) as [here, there]:
        here.chat(TALK[0])
        written(here)
        fake.stop()
        own = here.chat(*TALK)
        assert (served(own), code(own)) == ("strong", "kept_for_conversation"), "memory is in front"
        begun = time.monotonic()
        other = there.chat(*TALK, headers={"x-turnout-session": "new"})
        assert (served(other), time.monotonic() - begun < 5) == ("cheap", True)
        assert LOST in " ".join(why(there, other))
        assert sharing(there).found["down"] >= 1
        page = httpx2.get(f"{there.url}/metrics").text
        assert 'turnout_shared_conversations_read_total{found="down"}' in page
        for _ in range(100):
            if sharing(here).unwritten:
                break
            time.sleep(0.01)
        assert sharing(here).unwritten >= 1
        fake.start()
        for _ in range(300):
            here.chat(*TALK)
            written(here)
            if fake.values:
                break
            time.sleep(0.01)
        assert fake.values, "what comes with the next answers is written again"
        sharing(there)._asks_from = 0.0
        for _ in range(300):
            if not sharing(there).link.down:
                break
            time.sleep(0.01)
        reply = there.chat(*TALK)
        assert (served(reply), code(reply)) == ("strong", "kept_for_conversation")
    told = [r.getMessage() for r in caplog.records if "shared conversations" in r.getMessage()]
    assert any("cannot be reached" in line for line in told)
    assert any("answer again" in line for line in told)
    assert len(told) < 12, "told when it changes, not for each request"


def waits(site: Site, count: int) -> list[float]:
    """How long so many requests take, in order of length."""
    found = []
    for _ in range(count):
        begun = time.monotonic()
        assert site.chat(*TALK).status_code == 200
        found.append(time.monotonic() - begun)
    return sorted(found)


def test_a_redis_that_hangs_makes_no_request_wait_for_it(fake: FakeRedis) -> None:
    with shared(fake.url, wait_s=0.3) as [here, there]:
        here.chat(TALK[0])
        written(here)
        fake.hang.set()
        assert waits(there, 12)[8] < 0.3, "after the first ones nobody waits"
        found = sharing(there).found
        assert found["late"] + found["down"] == 12
        assert served(here.chat(*TALK)) == "strong", "memory is in front"
        fake.hang.clear()


def test_a_redis_that_is_too_slow_makes_few_requests_wait(
    fake: FakeRedis, caplog: pytest.LogCaptureFixture
) -> None:
    with shared(fake.url, wait_s=0.01) as [here, there]:
        here.chat(TALK[0])
        written(here)
        fake.delay_s = 0.03  # and yet in time for the connection
        waits(there, 12)
        found = sharing(there).found
        assert found["late"] >= 3
        assert found["late"] + found["down"] == 12
        assert found["down"] >= 5
        fake.delay_s = 0.0
        for _ in range(30):  # a second, and a few tries more where this machine is busy
            time.sleep(0.1)
            there.chat(*TALK)
            if found["own"] + found["taken_over"]:
                break
        assert found["own"] + found["taken_over"] >= 1
    lines = [record.getMessage() for record in caplog.records]
    assert sum("take longer than 10 ms" in line for line in lines) == 1
    assert sum("come in time again" in line for line in lines) == 1


def test_a_gateway_starts_and_serves_without_its_redis() -> None:
    with fake_redis() as gone:
        gone.stop()
        with shared(gone.url, count=1) as [here]:
            assert served(here.chat(TALK[0])) == "strong"
            assert code(here.chat(*TALK)) == "kept_for_conversation"


@pytest.mark.parametrize(
    "value", ["", "x", "me1 {}", "me1 {", 'me1 {"form": 1}', "me1 [1]", "me1 " + "[" * 99_999]
)
def test_what_is_no_conversation_is_passed_over(fake: FakeRedis, value: str) -> None:
    with shared(fake.url) as [here, there]:
        here.chat(TALK[0])
        written(here)
        [name] = fake.values
        fake.values[name] = (value, time.monotonic() + 60)
        assert served(there.chat(*TALK)) == "cheap"
        assert sharing(there).found["unreadable" if " " in value or value else "unknown"] == 1


def test_settings_reload_and_the_conversations_stay(fake: FakeRedis) -> None:
    with shared(fake.url) as [here, there]:
        here.chat(TALK[0])
        written(here)
        before = sharing(there)
        old = there.app.deployed()
        changed = old.settings.model_copy(update={"allow_passthrough": False})
        change = there.app.reload(changed, engine=old.serving.engine)
        asyncio.run_coroutine_threadsafe(change, _loop_of(before)).result(10)
        assert sharing(there) is before
        assert served(there.chat(*TALK)) == "strong"


def _loop_of(found: Sharing) -> asyncio.AbstractEventLoop:
    loop = found.link._wake._loop  # type: ignore[attr-defined]
    assert loop is not None
    return loop  # type: ignore[no-any-return]


# ------------------------------------------------------------------------------ without a gateway


def held(**changes: Any) -> Held:
    given = {"candidate": "strong", "target": "up/strong", "provider": "up", "model": "auto"}
    return Held(**{"at": 0.0, "requests": 3, **given, **changes})


async def together(url: str, work: Any, **options: Any) -> None:
    """Run some work over two ends that share conversations under a clock of each."""
    prefix = f"test-{secrets.token_hex(6)}"
    ends = []
    for _ in range(2):
        times = Times()
        made = Sharing(
            link=RedisLink(url=url, timeout_s=20), keep_s=3600, wait_s=20, prefix=prefix,
            clock=lambda times=times: times.clock_s, **options,
        )  # fmt: skip
        table = Table(most=100, keep_s=3600)
        made.serve(table)
        ends.append((made, table, times))
    async with ends[0][0].running(), ends[1][0].running():
        await work(*ends)


def test_ages_hold_between_clocks_that_have_nothing_in_common(url: str) -> None:
    async def work(here: Any, there: Any) -> None:
        (mine, _, times), (theirs, table, others) = here, there
        others.move(1e6)
        one = held(at=times.clock_s - 90)
        one.warm["strong"] = Warm(tokens=1234.0, at=times.clock_s - 30)
        mine.write("sess_1", one)
        await mine.flush()
        assert await theirs.read("sess_1", table) == ("sess_1", "")
        found = table.find("sess_1", others.clock_s)
        assert others.clock_s - found.at == pytest.approx(90, abs=2)
        assert others.clock_s - found.warm["strong"].at == pytest.approx(30, abs=2)
        assert found.warm["strong"].tokens == 1234.0
        assert found.requests == 3

    asyncio.run(together(url, work))


def test_a_conversation_that_goes_on_elsewhere_is_not_over(url: str) -> None:
    async def work(here: Any, there: Any) -> None:
        (mine, table, times), _ = here, there
        for name in ("sess_on", "sess_over"):
            table.keep(name, held(at=times.clock_s))
        mine.write("sess_on", held(at=times.clock_s))
        await mine.flush()
        before = table.remaining.expected(3)
        times.move(3601)
        assert table.find("sess_on", times.clock_s) is None
        assert table.remaining.expected(3) == before, "nothing is known yet"
        times.move(10)
        for _ in range(300):
            if not mine._over:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert sum(table.remaining._ended) == 1, "one of them is over"

    asyncio.run(together(url, work))


def test_what_this_gateway_could_not_write_is_still_newer_than_what_stands_there(url: str) -> None:
    async def work(here: Any, there: Any) -> None:
        (mine, table, _), (theirs, _, _) = here, there
        theirs.write("sess_1", held(at=5_000.0, requests=1))
        await theirs.flush()
        await mine.read("sess_1", table)
        table._held["sess_1"].requests = 2  # and Redis was not told
        await mine.read("sess_1", table)
        assert (table._held["sess_1"].requests, mine.found["own"]) == (2, 1)

    asyncio.run(together(url, work))


# ---------------------------------------------------------------------------------------- settings

BASE = """
providers: {up: {base_url: "http://127.0.0.1:9/v1"}}
candidates: [{name: a}]
"""


def given(text: str, environ: dict[str, str] | None = None) -> Settings:
    return parse_settings(BASE + text, environ or {})


def test_the_redis_of_counters_is_that_of_conversations_unless_they_say_otherwise() -> None:
    counters = "counters: {redis_url: 'redis://127.0.0.1:1/0', prefix: ours}\n"
    found = sharing_of(given(counters))
    assert found is not None
    assert (found.link.url, found.prefix) == ("redis://127.0.0.1:1/0", "ours")
    assert sharing_of(given(counters + "conversations: {shared: false}")) is None
    own = "conversations: {redis_url_env: R, prefix: talks}"
    found = sharing_of(given(counters + own, {"R": "redis://127.0.0.1:2/0"}))
    assert found is not None
    assert (found.link.url, found.prefix) == ("redis://127.0.0.1:2/0", "talks")
    assert sharing_of(given("")) is None


@pytest.mark.parametrize(
    ("text", "environ", "field"),
    [
        ("{redis_url_env: R}", {}, "conversations.redis_url_env"),
        ("{redis_url_env: R}", {"R": "http://x"}, "conversations.redis_url_env"),
        ("{redis_url: 'http://secret-canary'}", {}, "conversations.redis_url"),
        ("{redis_url: 'redis://x', redis_url_env: R}", {"R": "redis://x"}, "conversations"),
        ("{prefix: 'a b'}", {}, "conversations.prefix"),
    ],
)
def test_bad_settings_are_named(text: str, environ: dict[str, str], field: str) -> None:
    with pytest.raises(SettingsError) as caught:
        given(f"conversations: {text}", environ)
    assert field in str(caught.value)
    assert "canary" not in str(caught.value)


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    found = sharing_of(given("conversations: {redis_url: 'redis://127.0.0.1:1/0'}"))
    assert found is not None

    async def start() -> None:
        async with found.running():
            raise AssertionError("it started")

    with pytest.raises(MissingExtraError, match=r"turnout\[redis\]"):
        asyncio.run(start())
