"""The semantic cache, over real sockets: it proves itself, serves, stops, and mixes up nobody."""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from semantic_site import TOPICS, WAYS, SemanticSite, semantic_site

from turnout.encoders.named import NamedEncoders
from turnout.encoders.opening import open_encoder
from turnout.errors import RouterError, SettingsError
from turnout.gateway.beside import Beside
from turnout.gateway.kept.keeping import KeptAnswers
from turnout.gateway.kept.semantic.asked import Meant
from turnout.gateway.kept.semantic.cache import SemanticCache
from turnout.gateway.kept.semantic.comparing import same_answer
from turnout.gateway.kept.semantic.encoding import Encoding
from turnout.gateway.setup.cache_building import open_caches
from turnout.settings import MINIMAL, CacheSettings, SemanticCacheSettings, parse_settings
from turnout.store.database import open_database
from turnout.store.records import RecordTable
from turnout.types import Floats

ASKED = "hello, how can i pay my bill?"
"""Not among the ways that are taught."""


@pytest.fixture(scope="module")
def taught() -> Iterator[SemanticSite]:
    """One that serves; tests only read from it, or ask for what is another client's."""
    with semantic_site() as site:
        site.teach()
        yield site


def how(reply: Any) -> str:
    return str(reply.headers.get("x-turnout-cache", ""))


def said(reply: Any) -> str:
    return str(reply.json()["choices"][0]["message"]["content"])


def test_nothing_is_served_before_it_is_proven() -> None:
    with semantic_site() as site:
        before = 0
        for way in WAYS:
            for topic in TOPICS:
                reply = site.ask(way.format(topic))
                state = site.cache.state()
                if how(reply) == "semantic":
                    assert before >= 20  # 0.2 is shown by 20 and more without an error
                    return
                before = state["verified"]
                assert state["hits"] == 0
    pytest.fail("it never served")


def test_a_question_of_the_same_meaning_gets_the_answer(taught: SemanticSite) -> None:
    calls = len(taught.up.seen)
    replies = [
        taught.ask(f"{ASKED}{'!' * i}") for i in range(6)
    ]  # a share is compared all the same
    hits = [r for r in replies if how(r) == "semantic"]
    assert len(hits) >= 3
    assert len(taught.up.seen) == calls + len(replies) - len(hits)
    hit = hits[0]
    assert said(hit) == "pay my bill"
    assert 0.5 < float(hit.headers["x-turnout-cache-similarity"]) < 1
    assert hit.headers["x-turnout-cache-of"].startswith("dec_")
    assert hit.headers["x-turnout-cache-of"] != hit.headers["x-turnout-decision-id"]
    assert hit.headers["x-turnout-cost-usd"] == "0"
    assert int(hit.headers["age"]) >= 0


def test_the_very_same_request_is_an_exact_hit(taught: SemanticSite) -> None:
    question = "where did the old mill on the river burn"
    assert how(taught.ask(question)) == ""
    assert how(taught.ask(question)) == "hit"


@pytest.mark.parametrize(
    "other",
    ["how can i not pay my bill", "how can i pay my bill 2", "how can Bob pay my bill",
     "when can i pay my bill", "how can i pay my bill with `x`"],
)  # fmt: skip
def test_another_detail_is_another_question(taught: SemanticSite, other: str) -> None:
    assert how(taught.ask(other)) == ""


OTHER_REQUESTS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"authorization": "Bearer other"}),
    ({}, {"x-api-key": "other"}),
    ({}, {"x-turnout-user": "other"}),
    ({}, {"x-turnout-cache": "off"}),
    ({}, {"x-turnout-cache": "exact"}),
    ({}, {"cache-control": "no-store"}),
    ({}, {"cache-control": "no-cache"}),
    ({"user": "other"}, {}),
    ({"seed": 1}, {}),
    ({"max_tokens": 5}, {}),
    ({"stream": True}, {}),
    ({"temperature": 0.5}, {}),
    ({"temperature": 0.9}, {"x-turnout-cache": "on"}),
    ({"turnout": {"pin": "strong"}}, {}),
    ({"response_format": {"type": "json_object"}}, {}),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, {}),
]


@pytest.mark.parametrize(("body", "headers"), OTHER_REQUESTS)
def test_what_is_not_the_same_but_for_the_question(
    taught: SemanticSite, body: dict[str, Any], headers: dict[str, str]
) -> None:
    for i in range(3):  # a question that is drawn to be compared would not be a hit either
        assert (
            how(taught.ask(f"hi there, how can i pay my bill{'.' * i}", headers, **body))
            != "semantic"
        )


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "system", "content": "Be brief"}, {"role": "user", "content": ASKED}],
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"},
         {"role": "user", "content": ASKED}],
        [{"role": "user", "content": [{"type": "text", "text": ASKED},
                                      {"type": "image_url", "image_url": {"url": "data:,"}}]}],
        [{"role": "user", "content": ASKED}, {"role": "assistant", "content": "Well,"}],
        [{"role": "user", "content": f"{ASKED} {'please ' * 100}"}],
    ],
)  # fmt: skip
def test_what_stands_before_the_question_has_to_be_the_same(
    taught: SemanticSite, turns: list[dict[str, Any]]
) -> None:
    for i in range(3):
        last = {**turns[-1], "name": f"n{i}"}
        assert how(taught.ask("", messages=[*turns[:-1], last])) != "semantic"


def test_parts_and_plain_text_are_the_same_question(taught: SemanticSite) -> None:
    asked = [
        taught.ask(
            "", messages=[{"role": "user", "content": [{"type": "text", "text": ASKED + "." * i}]}]
        )
        for i in range(5)
    ]
    assert "semantic" in map(how, asked)


@pytest.mark.parametrize(
    ("api", "stream"), [("chat", True), ("responses", False), ("messages", False)]
)
def test_every_dialect_and_streams(api: str, stream: bool) -> None:
    with semantic_site(api=api) as site:
        more = {"stream": True} if stream else {}
        site.teach(**more)
        hits = [r for i in range(6) if how(r := site.ask(ASKED + "!" * i, **more)) == "semantic"]
        assert hits
        assert (
            hits[0]
            .headers["content-type"]
            .startswith("text/event-stream" if stream else "application/json")
        )
        if stream:
            assert hits[0].content.endswith(b"data: [DONE]\n\n")
        else:
            assert b"pay my bill" in hits[0].content


def test_what_one_client_teaches_serves_no_other(taught: SemanticSite) -> None:
    for i in range(3):
        for way in WAYS[:2]:
            asked = way.format(TOPICS[i])
            reply = taught.ask(asked, {"authorization": "Bearer newcomer"})
            assert how(reply) == ""
    assert taught.cache.state()["clients"]["proving"] >= 1


def test_it_stops_when_its_answers_are_wrong(caplog: pytest.LogCaptureFixture) -> None:
    with semantic_site("max_error_rate: 0.2, verify_share: 0.5") as site:
        site.teach()
        assert site.cache.state()["clients"]["serving"] == 1
        numbers = iter(range(10_000))
        site.up.say = lambda _: f"answer {next(numbers)}"
        marks = 0
        while site.cache.state()["clients"]["stopped"] == 0:
            marks += 1
            assert marks < 40, "it goes on serving"
            for topic in TOPICS:
                site.ask(f"hello, how do i {topic}{'!' * marks}")
        state = site.cache.state()
        assert state["wrong"] > 0
        assert "stops serving" in caplog.text
        assert "bill" not in caplog.text
        assert all(how(site.ask(f"hey, how do i {t}?")) == "" for t in TOPICS)
        metrics = site.http.get(f"{site.url}/metrics").text
        assert 'turnout_semantic_cache_clients{state="stopped"} 1' in metrics
        assert "turnout_semantic_cache_stops_total 1" in metrics


def test_what_was_measured_is_in_metrics_and_readiness(taught: SemanticSite) -> None:
    text = taught.http.get(f"{taught.url}/metrics").text
    found = dict(re.findall(r"^(turnout_(?:semantic_)?cache_\S+) (\S+)$", text, re.MULTILINE))
    state = taught.http.get(f"{taught.url}/readyz").json()["semantic_cache"]
    assert (
        float(found['turnout_cache_requests_total{kind="semantic",outcome="hit"}']) == state["hits"]
    )
    assert float(found['turnout_cache_requests_total{kind="exact",outcome="hit"}']) >= 1
    assert float(found['turnout_semantic_cache_compared_total{result="same"}']) > 20
    assert float(found["turnout_semantic_cache_error_rate_upper"]) <= 1
    assert state["error_rate"] < state["error_rate_upper"] <= 1
    assert 'turnout_semantic_cache_passed_over_total{detail="numbers"}' in found


def test_a_hit_costs_nothing_and_its_record_says_so(tmp_path: Path) -> None:
    with semantic_site(store=tmp_path / "t.db") as site:
        site.teach()
        hits = [r for i in range(6) if how(r := site.ask(ASKED + "!" * i)) == "semantic"]
        database = open_database(tmp_path / "t.db")
        table, record = RecordTable(database), None
        until = time.monotonic() + 20
        while record is None or record.status != "ok":
            assert time.monotonic() < until
            time.sleep(0.02)
            record = table.get(hits[0].headers["x-turnout-decision-id"])
        database.close()
    assert (record.calls, record.cost_picousd, record.cost_basis) == (0, 0, "cache")
    assert (record.input_tokens, record.output_tokens) == (0, 0)
    assert record.flags == "by_meaning"
    assert (record.saved_picousd or 0) > 0
    assert hits[0].headers["x-turnout-cache-of"] in record.decision
    assert "bill" not in record.decision


def test_the_dashboard_shows_it(tmp_path: Path) -> None:
    with semantic_site(store=tmp_path / "t.db", more="dashboard: true\n") as site:
        site.ask(ASKED)
        site.ask(ASKED)
        page = site.http.get(f"{site.url}/dashboard").text
        assert "<b>0</b> of 1 questions" in page
        assert "<b>0</b> clients served so; 1 proving, 0 stopped" in page
        assert "<b>100.0%</b> wrong at most; 20.0% allowed, 0 of 0 compared" in page
        assert '<b class="closed">closed</b> breaker of the encoder; 0 not looked up' in page
        site.cache.health.state, site.cache.health.out_until = "open", math.inf
        site.ask(f"{ASKED}!")
        page = site.http.get(f"{site.url}/dashboard").text
        assert '<b class="open">open</b> breaker of the encoder; 1 not looked up' in page
        site.reload(site.settings.model_copy(update={"cache": CacheSettings(ttl_s=600)}))
        assert "by meaning" not in site.http.get(f"{site.url}/dashboard").text


def test_its_questions_are_bounded_and_end_with_their_answers() -> None:
    with semantic_site("max_entries: 16") as site:
        for i in range(40):
            site.ask(f"tell me of the history of village {i}")
        assert site.cache.state()["questions"] == 16


def test_it_is_off_unless_it_is_asked_for() -> None:
    settings = parse_settings(MINIMAL + "cache: {ttl_s: 10}\n", {"OPENAI_API_KEY": "x"})
    assert settings.cache is not None
    assert settings.cache.semantic is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("max_error_rate: 0", "max_error_rate"),
        ("max_error_rate: 0.6", "max_error_rate"),
        ("verify_share: 0", "verify_share"),
        ("max_entries: 100000", "max_entries"),
        ("treshold: 0.9", "treshold"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        parse_settings(
            f"{MINIMAL}cache: {{ttl_s: 10, semantic: {{{given}}}}}\n", {"OPENAI_API_KEY": "x"}
        )


def test_an_encoder_that_nobody_knows_is_refused() -> None:
    text = f"{MINIMAL}cache: {{ttl_s: 10, semantic: {{encoder: nope}}}}\n"
    settings = parse_settings(text, {"OPENAI_API_KEY": "x"})

    async def build() -> None:
        await open_caches(settings, NamedEncoders(settings.encoders))

    with pytest.raises(SettingsError, match=r"cache\.semantic\.encoder.*nope"):
        asyncio.run(build())


def test_an_encoder_that_does_not_come_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    class Hanging:
        name, dimension, fingerprint = "hanging", 4, "sha256:0"

        def encode(self, texts: Sequence[str]) -> Floats:
            over.wait(30)
            return np.zeros((len(texts), 4), dtype=np.float32)

    monkeypatch.setattr(NamedEncoders, "open", lambda *_: Hanging())
    text = f"{MINIMAL}cache: {{ttl_s: 10, semantic: {{}}}}\nserver: {{decision_timeout_s: 0.1}}\n"
    settings = parse_settings(text, {"OPENAI_API_KEY": "x"})

    async def build() -> None:
        await open_caches(settings, NamedEncoders(settings.encoders))

    try:
        with pytest.raises(SettingsError, match=r"static-256.*within 0\.1 s"):
            asyncio.run(build())
    finally:
        over.set()


class Hanging:
    """An encoder that does not come back until it is over, and then fails."""

    name, dimension, fingerprint, waits = "hanging", 256, "sha256:0", True

    def __init__(self, over: threading.Event) -> None:
        self._over = over

    def encode(self, texts: Sequence[str]) -> Floats:
        self._over.wait(30)
        raise RouterError("no vector")


def test_an_encoder_that_hangs_holds_no_thread_of_the_routers() -> None:
    over = threading.Event()
    try:
        with semantic_site() as site:
            deciding = site.app.opened().deciding.beside
            site.cache._encoding.encoder = Hanging(over)
            site.cache._encoding.quick = False
            site.cache._encoding.beside.timeout_s = 0.05  # type: ignore[attr-defined]
            for i in range(10):
                assert how(site.ask(f"{ASKED} {i}")) == ""
            assert site.cache.counts["failed"] == 3
            assert site.cache.counts["skipped"] == 7
            assert deciding._hung == 0
            state = site.http.get(f"{site.url}/readyz").json()["semantic_cache"]
            assert (state["encoder"], state["failed"], state["skipped"]) == ("open", 3, 7)
            text = site.http.get(f"{site.url}/metrics").text
            assert "\nturnout_semantic_cache_encoder_state 2" in text
            assert "\nturnout_semantic_cache_skipped_total 7" in text
    finally:
        over.set()


@pytest.mark.parametrize(("upstream_s", "status"), [(0.0, 200), (0.8, 504)])
def test_a_look_up_is_of_the_time_that_the_client_gives(upstream_s: float, status: int) -> None:
    """Half of it at most, and what it takes is not given again."""
    over = threading.Event()

    def say(_: str) -> str:
        threading.Event().wait(upstream_s)
        return "well"

    try:
        with semantic_site() as site:
            site.up.say = say
            site.cache._encoding.encoder = Hanging(over)
            site.cache._encoding.quick = False
            fields = {"model": "auto", "temperature": 0}
            began = time.monotonic()
            reply = site.http.post(
                f"{site.url}/v1/chat/completions",
                json={**fields, "messages": [{"role": "user", "content": ASKED}]},
                headers={"x-turnout-timeout-ms": "1000"},
            )
            assert reply.status_code == status
            assert 0.5 <= time.monotonic() - began < 4
            assert site.cache.counts["failed"] == 1
            assert site.cache.health.failures == 0  # of a client in a hurry
    finally:
        over.set()


class Flaky:
    """An encoder that fails while it is told to."""

    name, dimension, fingerprint = "flaky", 4, "sha256:0"

    def __init__(self) -> None:
        self.fails, self.asked = True, 0

    def encode(self, texts: Sequence[str]) -> Floats:
        self.asked += 1
        if self.fails:
            raise RouterError("no vector")
        return np.full((len(texts), 4), 0.5, dtype=np.float32)


def test_an_encoder_that_fails_is_left_alone_and_probed(caplog: pytest.LogCaptureFixture) -> None:
    flaky, seconds = Flaky(), [100.0]
    encoding = Encoding(flaky, Beside(), quick=True)
    given = SemanticCacheSettings()
    answers = KeptAnswers(ttl_s=60, max_bytes=1 << 20, longest_bytes=1 << 10)
    cache = SemanticCache(given, encoding, Beside(), answers, clock=lambda: seconds[0])
    meant = Meant("how are you", b"rest", b"kind")

    async def asked(times: int) -> int:
        """How often the encoder was."""
        before = flaky.asked
        for _ in range(times):
            await cache.look(meant)
        return flaky.asked - before

    async def used() -> None:
        assert await asked(20) == 3
        for pause_s in (5, 10, 20):  # one probe after each, and the next pause is longer
            seconds[0] += pause_s - 0.5
            assert await asked(5) == 0
            seconds[0] += 1
            assert await asked(5) == 1
        assert caplog.text.count("it is not asked for") == 4  # not once for each request
        assert cache.state()["encoder"] == "open"
        flaky.fails = False
        seconds[0] += 41
        assert await asked(5) == 5
        assert cache.state()["encoder"] == "closed"
        assert cache.state()["misses"] == 5

    asyncio.run(used())


def test_a_look_up_that_is_cut_off_does_not_keep_the_probe() -> None:
    over = threading.Event()

    class Waits(Flaky):
        def encode(self, texts: Sequence[str]) -> Floats:
            over.wait(20)
            return super().encode(texts)

    waits = Waits()
    waits.fails = False
    answers = KeptAnswers(ttl_s=60, max_bytes=1 << 20, longest_bytes=1 << 10)
    cache = SemanticCache(SemanticCacheSettings(), Encoding(waits, Beside()), Beside(), answers)
    meant = Meant("how are you", b"rest", b"kind")

    async def used() -> None:
        cache.health.state, cache.health.out_until = "open", 0.0
        probe = asyncio.create_task(cache.look(meant))
        await asyncio.sleep(0.01)
        assert cache.state()["encoder"] == "half_open"
        assert await cache.look(meant) is None  # one at a time
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        over.set()
        assert await cache.look(meant) is not None

    try:
        asyncio.run(used())
    finally:
        over.set()
    assert cache.state()["encoder"] == "closed"


def test_a_change_that_no_answer_depends_on_leaves_what_was_learned() -> None:
    with semantic_site() as site:
        site.teach()
        for allowed in (False, True):  # what served before is closed each time
            site.reload(site.settings.model_copy(update={"allow_passthrough": allowed}))
            assert site.cache.state()["clients"]["serving"] == 1
            assert how(site.ask(ASKED)) == "semantic"


def test_a_change_that_answers_depend_on_begins_anew() -> None:
    with semantic_site() as site:
        site.teach()
        assert site.cache.state()["clients"]["serving"] == 1
        site.reload(site.settings.model_copy(update={"response_model": "requested"}))
        assert site.cache.state()["questions"] == 0
        assert sum(site.cache.state()["clients"].values()) == 0
        assert how(site.ask(ASKED)) == ""
        site.reload(site.settings.model_copy(update={"cache": CacheSettings(ttl_s=600)}))
        assert site.app.opened().semantic is None
        assert "semantic_cache" not in site.http.get(f"{site.url}/readyz").json()


class Failing:
    """An encoder that cannot encode now."""

    name, dimension, fingerprint, waits = "failing", 8, "sha256:0", True

    def encode(self, texts: Sequence[str]) -> Floats:
        raise RouterError(f"cannot encode {texts[0]}")


def test_an_encoder_that_fails_leaves_the_question_to_the_model(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with semantic_site() as site:
        site.cache._encoding = Encoding(Failing(), Beside())
        for _ in range(2):
            assert how(site.ask(ASKED, **{"seed": 1})) in ("", "hit")
        assert site.cache.counts["failed"] == 1
        assert "RouterError" in caplog.text
        assert "bill" not in caplog.text


def test_a_slow_encoder_is_kept_off_the_event_loop() -> None:
    threads = []

    class Slow:
        name, dimension, fingerprint = "slow", 4, "sha256:0"

        def encode(self, texts: Sequence[str]) -> Floats:
            threads.append(threading.current_thread())
            until = time.thread_time() + 0.002
            while time.thread_time() < until:
                pass
            return np.full((len(texts), 4), 0.5, dtype=np.float32)

    async def used() -> None:
        slow = Encoding(Slow(), Beside())
        await slow.warm(600)
        assert not slow.quick
        assert (await slow.vector("x")).shape == (4,)
        assert threading.current_thread() not in threads
        quick = Encoding(open_encoder("hashing-64"), Beside())
        await quick.warm(10)
        assert quick.quick

    asyncio.run(used())


class Vectors:
    """Texts are as alike as `cosine` says."""

    name, dimension, fingerprint = "vectors", 2, "sha256:0"

    def __init__(self, cosine: float) -> None:
        self.cosine = cosine

    def encode(self, texts: Sequence[str]) -> Floats:
        other = [self.cosine, (1 - self.cosine**2) ** 0.5]
        return np.asarray([[1.0, 0.0], *[other] * (len(texts) - 1)], dtype=np.float32)


@pytest.mark.parametrize(
    ("one", "other", "cosine", "same"),
    [
        ("Paris.", "paris", 0.0, True),
        ("Paris is the capital", "The capital is Paris", 0.95, True),
        ("Paris is the capital", "The capital is Paris", 0.85, False),
        ("It costs 5 dollars a month", "Every month it costs 6 dollars", 0.99, False),
        ("You should do that", "You should not do that", 0.99, False),
        ("-5", "5", 1.0, False),
        ("2*(3+4)", "2*3+4", 0.0, False),
        ("x != y", "x = y", 0.99, False),
        ("a" * 5_000, "a" * 5_001, 1.0, False),
    ],
)
def test_when_two_answers_are_the_same(one: str, other: str, cosine: float, same: bool) -> None:
    assert same_answer(one, other, Vectors(cosine), 0.9) is same
    assert same_answer(other, one, Vectors(cosine), 0.9) is same
