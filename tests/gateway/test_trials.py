"""Shadow routes, mirrors, experiments and feedback, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from gateway_fakes import Deployment, deployment, make_engine, make_settings

from turnout.cli import cli
from turnout.errors import SettingsError
from turnout.gateway.app import create_app
from turnout.gateway.routing.experiments import Experiment
from turnout.gateway.setup.building import build_engine
from turnout.gateway.setup.cataloging import build_catalog
from turnout.providers.fake import Fault
from turnout.recomputing import recompute
from turnout.settings import (
    MINIMAL,
    ExperimentSettings,
    MirrorSettings,
    RouteSettings,
    StoreSettings,
    parse_settings,
)
from turnout.store.database import open_database
from turnout.store.journal import Journal
from turnout.store.ledger import may_hold
from turnout.store.record import Record
from turnout.store.records import RecordTable

ASK: Any = [{"role": "user", "content": "Name a colour"}]
LONG: Any = [{"role": "user", "content": "Name a colour " * 20}]
PATH = "/v1/chat/completions"


@contextmanager
def running(tmp_path: Path, **changes: Any) -> Iterator[tuple[httpx2.Client, Deployment]]:
    store = StoreSettings(path=tmp_path / "t.db")
    with (
        deployment(store=store, **changes) as made,
        httpx2.Client(base_url=made.url, timeout=10) as http,
    ):
        yield http, made


def records(tmp_path: Path) -> list[Record]:
    """All of them, once the gateway has ended."""
    database = open_database(tmp_path / "t.db")
    try:
        return list(RecordTable(database).since(0))
    finally:
        database.close()


def post(http: httpx2.Client, model: str = "auto", messages: Any = ASK, **more: Any) -> Any:
    headers = more.pop("headers", {})
    reply = http.post(PATH, json={"model": model, "messages": messages, **more}, headers=headers)
    assert reply.status_code == 200, reply.text
    return reply


def until(done: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if done():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come")


def test_a_shadow_route_decides_in_record_only(tmp_path: Path) -> None:
    routes = {"trial": RouteSettings(threshold=0.5, mode="shadow", serves="strong")}
    with running(tmp_path, routes=routes, auto="trial") as (http, made):
        for messages in (ASK, LONG):
            reply = post(http, messages=messages)
            assert reply.headers["x-turnout-model"] == "strong"
        assert reply.headers["x-turnout-shadow"] == "trial: strong"
        said = http.post("/v1/route", json={"model": "auto", "messages": ASK}).json()
        assert (said["model"], said["code"], said["shadow"]["model"]) == (
            "strong",
            "shadow",
            "cheap",
        )
        assert {s.json["model"] for s in made.upstream.seen} == {"strong-model"}
        assert len(made.upstream.seen) == 2  # nothing was called for the decision
        pinned = post(http, turnout={"pin": "cheap"})
        assert pinned.headers["x-turnout-model"] == "cheap"
    kept = [json.loads(r.decision) for r in records(tmp_path)]
    assert [recompute(k).differs for k in kept] == [{}, {}, {}]
    assert Counter(k["shadow"].get("model") for k in kept) == {"cheap": 1, "strong": 1, None: 1}


def test_a_candidate_by_its_name_is_shadowed_too(tmp_path: Path) -> None:
    with running(tmp_path, shadow="router-length-0.5") as (http, _):
        reply = post(http, "strong")
        assert reply.headers["x-turnout-model"] == "strong"
        assert reply.headers["x-turnout-reason"].startswith("asked_for_by_name")
        assert reply.headers["x-turnout-shadow"] == "router-length-0.5: cheap"
        assert "x-turnout-shadow" not in post(http).headers
    kept = json.loads(records(tmp_path)[0].decision)
    cost = kept["shadow"]["expected_cost_usd"]
    assert cost["strong"] > 10 * cost["cheap"] > 0


def test_what_a_shadow_route_would_have_saved(tmp_path: Path) -> None:
    routes = {"trial": RouteSettings(threshold=0.5, mode="shadow", serves="strong")}
    with running(tmp_path, routes=routes) as (http, _):
        for i in range(40):
            post(http, "trial", ASK if i % 2 else LONG)
    found = report(tmp_path)["shadows"]
    assert [(s["route"], s["requests"], s["elsewhere"]) for s in found] == [("trial", 40, 20)]
    assert found[0]["saving"]["low"] < found[0]["saving"]["value"] < found[0]["saving"]["high"]
    assert 0.05 < found[0]["saving"]["value"] < 0.9


def report(tmp_path: Path, extra: str = "", *options: str) -> Any:
    config = tmp_path / "turnout.yaml"
    config.write_text(f"{MINIMAL}store: {{path: t.db}}\n{extra}", encoding="utf-8")
    arguments = ["trials", "--config", str(config), *options]
    text = CliRunner(env={"OPENAI_API_KEY": "x"}).invoke(
        cli, [*arguments, "--json"], catch_exceptions=False
    )
    assert text.exit_code == 0, text.output
    plain = CliRunner(env={"OPENAI_API_KEY": "x"}).invoke(cli, arguments, catch_exceptions=False)
    assert plain.exit_code == 0
    return {**json.loads(text.output), "text": plain.output}


def test_a_mirrored_call_is_nobodys(tmp_path: Path) -> None:
    mirror = MirrorSettings(to="cheap", share=1.0, budget_usd_per_day=1.0)
    with running(tmp_path, mirror=mirror) as (http, made):
        counts = made.app.opened().mirror
        assert counts is not None
        plain = post(http, "strong", stream=True, stream_options={"include_usage": True})
        assert plain.headers["x-turnout-model"] == "strong"
        until(lambda: counts.counts.ok == 1)
        post(http, "cheap")  # it has been there
        until(lambda: len(made.upstream.seen) == 3)
        first, second, third = made.upstream.seen
        assert [s.json["model"] for s in (first, second, third)] == [
            "strong-model", "cheap-model", "cheap-model"]  # fmt: skip
        assert "stream" not in second.json
        assert second.json["messages"] == ASK
        ready = http.get("/readyz").json()["mirror"]
        assert (ready["ok"], ready["failed"]) == (1, 0)
        assert 0 < ready["spent_usd_today"] < 1e-3
    by_kind = {r.kind: r for r in records(tmp_path) if r.candidate == "cheap" or r.kind == "mirror"}
    mirrored = by_kind["mirror"]
    assert (mirrored.status, mirrored.candidate, mirrored.key) == ("ok", "cheap", "")
    assert mirrored.of == plain.headers["x-turnout-decision-id"] != mirrored.id
    assert (mirrored.cost_picousd or 0) > 0
    found = report(tmp_path)["mirrors"]
    assert [(m["candidate"], m["calls"], m["failed"]) for m in found] == [("cheap", 1, 0)]


def test_a_mirror_that_fails_or_hangs_fails_nobody(tmp_path: Path) -> None:
    mirror = MirrorSettings(to="cheap", share=1.0, budget_usd_per_day=1.0, most_at_once=1)
    with running(tmp_path, mirror=mirror) as (http, made):
        counts = made.app.opened().mirror
        assert counts is not None
        made.upstream.script.extend([Fault(), Fault(status=500, body=b"{}"), Fault()])
        post(http, "strong")
        until(lambda: counts.counts.failed == 1)
        made.upstream.script.clear()
        made.upstream.script.extend([Fault(), Fault(hang=True)])
        post(http, "strong")
        until(lambda: len(made.upstream.seen) == 4)
        post(http, "strong")
        until(lambda: counts.counts.busy == 1)
        assert all(h.fit(0.0) for h in made.app.opened().resilience.health.values())
    assert Counter((r.kind, r.status) for r in records(tmp_path)) == {
        ("request", "ok"): 3,
        ("mirror", "failed"): 2,  # the one that hung was cut off at the end
    }


def test_a_mirror_stops_where_its_money_does(tmp_path: Path) -> None:
    mirror = MirrorSettings(to="strong", share=1.0, budget_usd_per_day=0.01)
    with running(tmp_path, mirror=mirror) as (http, made):
        counts = made.app.opened().mirror
        assert counts is not None
        post(http, "cheap", max_tokens=100_000)  # could cost more than a day's money
        until(lambda: counts.counts.over_budget == 1)
        post(http, "cheap", max_tokens=10)
        until(lambda: counts.counts.ok == 1)
        counts._spent = 10**10  # all of it
        post(http, "cheap", max_tokens=10)
        until(lambda: counts.counts.over_budget == 2)
        counts._day -= 1  # and a new day
        post(http, "cheap", max_tokens=10)
        until(lambda: counts.counts.ok == 2)


def test_users_are_split_and_stay() -> None:
    half = Experiment("e", (("a", "x"), ("b", "y")))
    drawn = [half.arm(f"user-{i}")[0] for i in range(4_000)]
    assert drawn == [half.arm(f"user-{i}")[0] for i in range(4_000)]
    assert abs(drawn.count("b") - 2_000) < 160  # five standard deviations
    other = [Experiment("f", half.arms).arm(f"user-{i}")[0] for i in range(4_000)]
    assert abs(sum(x == y for x, y in zip(drawn, other, strict=True)) - 2_000) < 160
    few = Experiment("e", (("a", "x"), ("b", "y"), ("c", "z")), 0.1)
    more = Experiment("e", few.arms, 0.3)
    before = [few.arm(f"user-{i}")[0] for i in range(4_000)]
    after = [more.arm(f"user-{i}")[0] for i in range(4_000)]
    assert abs(before.count("a") - 3_600) < 95
    assert abs(before.count("b") - before.count("c")) < 100
    assert all(x == y for x, y in zip(before, after, strict=True) if x != "a")


SPLIT = {"fall": ExperimentSettings(arms={"strong": "strong", "cheap": "router-length-1"})}


def test_an_experiment_and_its_verdict(tmp_path: Path) -> None:
    with running(tmp_path, experiments=SPLIT, auto="fall") as (http, _):
        assert "fall" in [m["id"] for m in http.get("/v1/models").json()["data"]]
        arms: dict[str, set[str]] = {}
        for i in range(120):
            user = f"user-{i % 40}"
            given = {"headers": {"x-turnout-user": user}} if i % 2 else {"user": user}
            reply = post(http, **given)
            name, _, arm = reply.headers["x-turnout-experiment"].partition("/")
            assert name == "fall"
            assert reply.headers["x-turnout-model"] == arm
            arms.setdefault(user, set()).add(arm)
            good = {"strong": 1.0, "cheap": 0.25 + 0.5 * (i % 40 % 3 == 0)}[arm]
            said = http.post(
                "/v1/feedback",
                json={"decision_id": reply.headers["x-turnout-decision-id"], "score": good},
            )
            assert said.json()["replaced"] is False
        assert all(len(seen) == 1 for seen in arms.values())
        assert {a for seen in arms.values() for a in seen} == {"strong", "cheap"}
    assert not any(recompute(json.loads(r.decision)).differs for r in records(tmp_path))
    found = report(tmp_path)
    by_arm = {a["name"]: a for a in found["experiments"]["fall"]}
    assert by_arm["cheap"]["graded"] == by_arm["cheap"]["requests"]
    assert sum(a["users"] for a in by_arm.values()) == 40
    arms_given = "experiments: {fall: {arms: {strong: gpt-4.1, cheap: gpt-4.1-mini}}}\n"
    found = report(tmp_path, arms_given)
    first, other = found["experiments"]["fall"]
    assert (first["name"], other["name"]) == ("strong", "cheap")
    assert other["quality_change"]["high"] < 0
    assert other["cost_change_usd"]["high"] < 0
    assert "cheap: worse than strong in quality" in found["text"]
    assert "cheaper by" in found["text"]


def test_conversations_without_a_user_stay_too(tmp_path: Path) -> None:
    with running(tmp_path, experiments=SPLIT) as (http, _):
        for i in range(12):
            opening = [{"role": "user", "content": f"Question {i}"}]
            later = [
                *opening,
                {"role": "assistant", "content": "?"},
                {"role": "user", "content": "b"},
            ]
            seen = {
                post(http, "fall", messages).headers["x-turnout-experiment"]
                for messages in (opening, later, opening)
            }
            assert len(seen) == 1


def test_feedback_replaces_by_source(tmp_path: Path) -> None:
    with running(tmp_path) as (http, _):
        decision = post(http).headers["x-turnout-decision-id"]

        def send(score: Any, **more: Any) -> httpx2.Response:
            body = {"decision_id": decision, "score": score, **more}
            return http.post("/v1/feedback", json=body)

        assert send(1).json() == {"decision_id": decision, "score": 1.0, "replaced": False}
        assert send(0.5, comment="so so").json()["replaced"] is True
        assert send(0.5).json()["replaced"] is True
        assert send(0.1, source="grader-2").json()["replaced"] is False
        for bad, field in (
            ({"score": 1.5}, "score"),
            ({"score": True}, "score"),
            ({"score": 1, "decision_id": "dec_x"}, "decision_id"),
            ({"score": 1, "source": "a b"}, "source"),
            ({"score": 1, "rating": 5}, "rating"),
        ):
            reply = http.post("/v1/feedback", json={"decision_id": decision, **bad})
            assert reply.status_code == 400
            assert reply.json()["error"]["param"] == field
    rows = open_database(tmp_path / "t.db").run(
        "SELECT source, score FROM feedback ORDER BY source"
    )
    assert rows == [("", 0.5), ("grader-2", 0.1)]
    assert b"so so" not in (tmp_path / "t.db").read_bytes()


def test_feedback_on_a_decision_that_nobody_knows_is_a_404(tmp_path: Path) -> None:
    with running(tmp_path) as (http, made):
        ledger = made.app.opened().recorder.ledger
        assert ledger is not None

        def send(decision: str) -> httpx2.Response:
            return http.post("/v1/feedback", json={"decision_id": decision, "score": 1})

        ask = {"model": "auto", "messages": ASK}
        only_told = http.post("/v1/route", json=ask).json()["id"]
        for unknown in ("dec_0123456789abcdef", only_told):
            reply = send(unknown)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "decision_not_found")
            assert reply.json()["error"]["param"] == "decision_id"
            assert "x-turnout-decision-id" in reply.json()["error"]["message"]
        decision = post(http).headers["x-turnout-decision-id"]
        assert send(decision).status_code == 200  # at once: it may still wait in the journal
        ledger.fold()
        assert send(decision).json()["replaced"] is True
    rows = open_database(tmp_path / "t.db").run("SELECT decision FROM feedback")
    assert rows == [(decision,)]


def test_feedback_finds_what_waits_while_the_database_fails(tmp_path: Path) -> None:
    """A journal is read as it is written, and not where too much of it waits."""
    home = tmp_path / "t.journal"
    journal = Journal(home / "1-a")
    journal.open()
    journal.begin(Record(id="dec_00000000000000aa", at_ms=1, status="unknown"))
    assert may_hold(home, "dec_00000000000000aa")
    assert not may_hold(home, "dec_00000000000000bb")
    assert may_hold(home, "dec_00000000000000bb", most_bytes=1)
    assert not may_hold(tmp_path / "none", "dec_00000000000000aa")
    journal.close()


def test_no_feedback_without_a_store(http: httpx2.Client) -> None:
    assert http.post("/v1/feedback", json={}).status_code == 404


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("shadow: router-mf", "shadow", "threshold is missing"),
        ("routes: {x: {mode: shadow, serves: chaep}}", "routes.x.serves", "Did you mean 'cheap'"),
        ("routes: {x: {serves: cheap}}", "routes.x", "goes with mode: shadow"),
        ("experiments: {e: {arms: {a: strong}}}", "experiments.e.arms", "at least 2"),
        ("experiments: {e: {arms: {a: strong, b: chaep}}}", "experiments.e.arms.b", "Did you mean"),
        ("experiments: {e: {arms: {a: strong, b: auto}}}", "experiments.e.arms.b", "no other exper"),
        ("experiments: {cheap: {arms: {a: strong, b: cheap}}}", "experiments.cheap", "has this name"),
    ],
)  # fmt: skip
def test_what_cannot_be_tried(text: str, field: str, words: str) -> None:
    base = """
providers: {up: {base_url: "http://127.0.0.1:1/v1"}}
candidates: [{name: strong}, {name: cheap}]
routers: {random: {}}
"""

    def build() -> None:
        settings = parse_settings(f"{base}{text}\n", {})
        build_catalog(settings, build_engine(settings))

    with pytest.raises(SettingsError) as refused:
        build()
    assert refused.value.field == field
    assert words in str(refused.value)


def test_a_mirror_needs_a_price() -> None:
    mirror = MirrorSettings(to="cheap", share=0.5, budget_usd_per_day=1)
    settings = make_settings("http://127.0.0.1:1", mirror=mirror)
    free = tuple(c.model_copy(update={"price": None}) for c in settings.candidates)
    settings = settings.model_copy(update={"candidates": free})

    async def start() -> None:
        async with create_app(settings, engine=make_engine(settings)).lifespan():
            pass

    with pytest.raises(SettingsError, match="a price"):
        asyncio.run(start())


def test_the_guides_examples_are_settings() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "trials.md").read_text()
    examples = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    assert len(examples) == 3
    for example in examples:
        settings = parse_settings(MINIMAL + example, {"OPENAI_API_KEY": "x"})
        catalog = build_catalog(settings, build_engine(settings))
        assert {*settings.routes, *settings.experiments} <= set(catalog.names())
