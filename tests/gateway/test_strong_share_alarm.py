"""The strong-share alarm: one key's prompts are made to look hard, and what comes of it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_fakes import (
    Deployment,
    LengthRouter,
    deployment,
    make_engine,
    make_settings,
    serving,
)

from certificates_made import certificate
from turnout.calibration.certificate import pool_fingerprint, seconds
from turnout.calibration.upgrades import LEAST_OTHERS
from turnout.calibration.watch import Watch
from turnout.engine import Engine
from turnout.errors import SettingsError
from turnout.gateway.app import create_app
from turnout.gateway.routing import alarming
from turnout.gateway.routing.alarming import MOST_NAMED, StrongShareAlarm
from turnout.gateway.setup.alarm_building import build_alarm
from turnout.gateway.setup.building import build_pool
from turnout.gateway.setup.cataloging import build_catalog
from turnout.policies.explore import Explore
from turnout.providers.fake import create_fake_app
from turnout.recomputing import recompute
from turnout.settings import AlarmSettings, RouteSettings, Settings, StoreSettings
from turnout.settings.access import KeySettings
from turnout.store.database import open_database
from turnout.store.records import RecordTable
from turnout.types import Query

KEYS = {name: f"sk-turnout-{name}-0123456789" for name in ("app", "rogue", "boss")}
EASY, HARD = "Name a colour", "describe confounder gadget " * 8
SOON = 11
"""Requests to an alarm at a share of 100%, where 25% are to be expected."""


def key_settings() -> tuple[KeySettings, ...]:
    return tuple(
        KeySettings(
            name=name,
            sha256=hashlib.sha256(key.encode()).hexdigest(),
            role="admin" if name == "boss" else "user",
        )
        for name, key in KEYS.items()
    )


@contextmanager
def watching(tmp_path: Path, **alarm: Any) -> Iterator[tuple[httpx2.Client, Deployment]]:
    given = {"strong_share": {"auto": 0.25}, **alarm}
    with (
        deployment(
            alarm=AlarmSettings(**given),
            keys=key_settings(),
            store=StoreSettings(path=tmp_path / "t.db"),
        ) as made,
        httpx2.Client(base_url=made.url, timeout=10) as http,
    ):
        yield http, made


def post(
    http: httpx2.Client, text: str = HARD, key: str = "rogue", path: str = "", **more: Any
) -> httpx2.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **more}
    headers = {"authorization": f"Bearer {KEYS[key]}"}
    return http.post(path or "/v1/chat/completions", json=body, headers=headers)


def served(reply: httpx2.Response) -> str:
    assert reply.status_code == 200
    return reply.headers["x-turnout-model"]


def alarms(http: httpx2.Client) -> dict[str, Any]:
    reply = http.get("/v1/alarms", headers={"authorization": f"Bearer {KEYS['boss']}"})
    found: dict[str, Any] = reply.json()
    return found


def metric(http: httpx2.Client, line: str) -> bool:
    reply = http.get("/metrics", headers={"authorization": f"Bearer {KEYS['boss']}"})
    return line in reply.text.splitlines()


def test_an_attack_is_told_once_and_goes_on_where_it_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "turnout.gateway")
    with watching(tmp_path) as (http, _):
        for _ in range(SOON + 5):
            assert served(post(http)) == "strong"
            assert served(post(http, EASY, "app")) == "cheap"
        lines = [r.getMessage() for r in caplog.records if "strong-share" in r.getMessage()]
        assert len(lines) == 1
        assert f"sent {SOON} of {SOON} requests of key file_rogue to strong" in lines[0]
        assert not any(secret in lines[0] for secret in KEYS.values())
        found = alarms(http)
        assert (found["action"], found["raised"]) == ("log", 1)
        (told,) = found["alarms"]
        assert (told["key"], told["model"], told["expected_share"]) == (
            "file_rogue",
            "strong",
            0.25,
        )
        assert told["since"] == {"requests": 5, "strong": 5}
        ready = http.get("/readyz").json()["alarm"]
        assert ready == {"action": "log", "keys": 1, "raised": 1}
        assert metric(http, 'turnout_strong_share_alarms_total{key="file_rogue"} 1.0')
        assert metric(http, 'turnout_strong_share_alarm{key="file_rogue"} 1.0')


def test_a_key_that_raised_it_gets_the_cheapest_candidate_until_it_is_cleared(
    tmp_path: Path,
) -> None:
    with watching(tmp_path, action="weak") as (http, _):
        for _ in range(SOON):
            assert served(post(http)) == "strong"
        held = [post(http) for _ in range(4)]
        assert [served(reply) for reply in held] == ["cheap"] * 4
        reason = held[0].headers["x-turnout-reason"]
        assert reason.startswith("strong_share_alarm: cheap serves")
        assert post(http, path="/v1/route").json()["code"] == "strong_share_alarm"
        by_knob = post(http, model="router-length-0")
        assert served(by_knob) == "cheap"  # a knob of its own is no way around
        assert served(post(http, key="app")) == "strong"
        assert served(post(http, model="strong")) == "strong"  # asked for by name: that is for keys
        forbidden = http.post(
            "/v1/alarms", json={"clear": "file_rogue"},
            headers={"authorization": f"Bearer {KEYS['rogue']}"},
        )  # fmt: skip
        assert forbidden.status_code == 403
        boss = {"authorization": f"Bearer {KEYS['boss']}"}
        for wrong in ({"clear": "file_app"}, {"clear": 3}, {"end": "file_rogue"}):
            assert http.post("/v1/alarms", json=wrong, headers=boss).status_code == 400
        cleared = http.post("/v1/alarms", json={"clear": "file_rogue"}, headers=boss)
        assert cleared.json() == {
            "cleared": "file_rogue", "action": "weak", "keys": 1, "raised": 0,
        }  # fmt: skip
        assert metric(http, 'turnout_strong_share_alarm{key="file_rogue"} 0.0')
        assert served(post(http)) == "strong"
    database = open_database(tmp_path / "t.db")
    records = list(RecordTable(database).since(0))
    database.close()
    assert sum(r.code == "strong_share_alarm" for r in records) == 5
    for record in records:
        again = recompute(json.loads(record.decision))
        assert not again.differs
        assert bool(again.later) == (record.code == "strong_share_alarm")


def test_a_clamped_key_keeps_the_share_that_was_to_be_expected(tmp_path: Path) -> None:
    with watching(tmp_path, action="clamp") as (http, _):
        for _ in range(SOON):
            post(http)
        seen = [served(post(http)) for _ in range(40)]
        assert seen.count("strong") == 10
        assert set(seen[:3]) == {"cheap"}
        assert {served(post(http, EASY)) for _ in range(4)} == {"cheap"}


def test_what_no_router_decided_freely_is_not_counted(tmp_path: Path) -> None:
    with watching(tmp_path) as (http, made):
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
        seen = [{"role": "user", "content": [{"type": "text", "text": HARD}, image]}]
        for _ in range(SOON + 3):
            post(http, model="strong")
            post(http, turnout={"pin": "strong"})
            post(http, turnout={"deny": ["cheap"]})
            post(http, model="router-length-0.1")  # a knob of the request's own
            post(http, model="router-broken-0.5")  # a router that fails
            post(http, path="/v1/route")
            assert served(post(http, messages=seen)) == "strong"  # no other candidate can see
        alarm = made.app.opened().alarm
        assert alarm is not None
        assert alarm.state() == {"action": "log", "keys": 0, "raised": 0}


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


def alarm_of(
    clock: list[float], *, before: StrongShareAlarm | None = None, engine: Any = None, **given: Any
) -> tuple[StrongShareAlarm, Any]:
    settings = make_settings("http://127.0.0.1:9").model_copy(
        update={"alarm": AlarmSettings(**given), "routes": {"two": RouteSettings(router="length")}}
    )
    engine = engine or make_engine(settings)
    made = build_alarm(settings.alarm, engine, build_catalog(settings, engine), before)
    assert made is not None
    made._clock = lambda: clock[0]
    return made, engine


def ask(alarm: StrongShareAlarm, engine: Any, key: str, text: str) -> Any:
    decision = engine.decide(Query(text=text), engine.parse("router-length-0.5"))
    alarm.see(key, decision)
    return alarm.held(key, decision)


def test_without_a_calibration_a_key_is_set_against_all_others(clock: list[float]) -> None:
    alarm, engine = alarm_of(clock)
    for i in range(400):  # nothing is known of the others yet
        ask(alarm, engine, "rogue", HARD)
        assert alarm.state()["raised"] == 0
        if i >= LEAST_OTHERS:
            break
    for i in range(1000):
        ask(alarm, engine, f"app{i % 5}", HARD if i % 4 == 0 else EASY)
    assert alarm.state()["raised"] == 0
    for _ in range(30):
        ask(alarm, engine, "rogue", HARD)
    (told,) = alarm.listing()
    assert told["key"] == "rogue"
    assert 0.25 < told["expected_share"] < 0.35


def certified(settings: Settings) -> tuple[Engine, Watch]:
    """An engine whose route has a certificate, and what watches that."""
    pool, router = build_pool(settings), LengthRouter()
    made = certificate(
        route="router-length-0.5",
        models=pool.names,
        safe="strong",
        artifact=router.fingerprint,
        pool=pool_fingerprint(pool.candidates, priced=False),
    )
    watch = Watch(made, pool.candidates, made.artifact, now=lambda: seconds(made.made_at))
    return Engine(pool, {"length": router}, watches=[watch]), watch


def test_a_certificate_says_what_is_to_be_expected(clock: list[float]) -> None:
    settings = make_settings("http://127.0.0.1:9")
    engine, watch = certified(settings)
    alarm, _ = alarm_of(clock, engine=engine)
    for _ in range(200):
        ask(alarm, engine, "rogue", HARD)
    (told,) = alarm.listing()
    assert told["expected_share"] == round(watch.certificate.watched.share_high, 4)
    stated, _ = alarm_of(clock, engine=engine, strong_share={"auto": 0.125})
    for _ in range(200):
        ask(stated, engine, "rogue", HARD)
    assert stated.listing()[0]["expected_share"] == 0.125  # what the operator says goes before


@pytest.mark.parametrize(("action", "counted"), [("log", 2), ("clamp", 0), ("weak", 0)])
def test_a_held_key_is_no_evidence_against_a_certificate(action: str, counted: int) -> None:
    """Neither where it is sent elsewhere nor where it is let through."""
    with serving(create_fake_app(["strong-model", "cheap-model"])) as upstream:
        settings = make_settings(
            upstream,
            alarm=AlarmSettings(strong_share={"auto": 0.25}, action=action),
            keys=key_settings(),
            auto="router-length-0.5",
        )
        engine, watch = certified(settings)
        with (
            serving(create_app(settings, engine=engine)) as url,
            httpx2.Client(base_url=url, timeout=10) as http,
        ):
            for i in range(SOON):
                assert post(http, f"{HARD}{i}").headers["x-turnout-certificate"] == watch.id
            assert watch.requests == SOON
            replies = [post(http, f"{text} again") for text in (HARD, EASY)]
            assert watch.requests == SOON + counted
            named = [r for r in replies if "x-turnout-certificate" in r.headers]
            assert len(named) == counted
            assert post(http, EASY, "app").headers["x-turnout-certificate"] == watch.id
            assert watch.requests == SOON + counted + 1
            for i in range(30):
                post(http, f"{HARD}{i} at last")
            assert (watch.revoked is None) == (
                action != "log"
            )  # whoever asks is served otherwise then


def test_an_alarm_ends_by_itself_and_comes_again_if_it_must(clock: list[float]) -> None:
    alarm, engine = alarm_of(clock, action="weak", cool_s=60, strong_share={"auto": 0.25})
    for _ in range(SOON):
        ask(alarm, engine, "rogue", HARD)
    assert ask(alarm, engine, "rogue", HARD).model == "cheap"
    clock[0] += 61
    assert alarm.state()["raised"] == 0
    assert ask(alarm, engine, "rogue", HARD).model == "strong"
    for _ in range(SOON):
        ask(alarm, engine, "rogue", HARD)
    assert alarm.state()["raised"] == 1
    assert alarm.remembered.counts == {"rogue": 2}


def test_a_margin_lets_keys_be_harder(clock: list[float]) -> None:
    alarm, engine = alarm_of(clock, strong_share={"auto": 0.25}, margin=0.5)
    for i in range(600):
        ask(alarm, engine, "hard", HARD if i % 10 < 7 else EASY)
    assert alarm.state()["raised"] == 0


def test_a_reload_keeps_what_is_known_and_takes_the_other_action(clock: list[float]) -> None:
    alarm, engine = alarm_of(clock, strong_share={"auto": 0.25})
    for _ in range(SOON - 1):
        ask(alarm, engine, "rogue", HARD)
    later, _ = alarm_of(
        clock, before=alarm, engine=engine, action="weak", strong_share={"auto": 0.25}
    )
    ask(later, engine, "rogue", HARD)
    assert later.state() == {"action": "weak", "keys": 0, "raised": 1}
    assert ask(later, engine, "rogue", HARD).model == "cheap"


def test_exploring_is_not_counted_and_is_overruled(clock: list[float]) -> None:
    alarm, engine = alarm_of(clock, action="weak", strong_share={"auto": 0.25})
    engine.explore = Explore(share=0.5, seed=1)
    codes = [ask(alarm, engine, "app", EASY).code for _ in range(100)]
    assert codes.count("explored") > 20
    assert alarm.remembered.keys["app"].requests == 100 - codes.count("explored")
    assert alarm.remembered.keys["app"].strong == 0


def test_keys_are_bounded_and_alarms_outlive_them(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarming, "MOST_KEYS", 20)
    alarm, engine = alarm_of(clock, action="weak", strong_share={"auto": 0.25})
    for _ in range(SOON):
        ask(alarm, engine, "rogue", HARD)
    for i in range(100):
        ask(alarm, engine, f"key_{i}", HARD)
        ask(alarm, engine, "steady", EASY)
    assert len(alarm.remembered.keys) == 20
    assert alarm.remembered.keys["steady"].requests == 100  # the one that is heard of stays
    assert ask(alarm, engine, "rogue", HARD).model == "cheap"
    for i in range(30):
        for _ in range(SOON):
            ask(alarm, engine, f"more_{i}", HARD)
    assert len(alarm.remembered.raised) == 20


def test_names_in_metrics_are_bounded(clock: list[float]) -> None:
    alarm, engine = alarm_of(clock, strong_share={"auto": 0.25})
    for i in range(MOST_NAMED + 5):
        for _ in range(SOON):
            ask(alarm, engine, f"key_{i}", HARD)
    assert len(alarm.remembered.counts) == MOST_NAMED + 1
    assert alarm.remembered.counts["other"] == 5
    assert alarm.gauge()["other"] == 5.0
    assert sum(alarm.gauge().values()) == MOST_NAMED + 5


@pytest.mark.parametrize(
    ("name", "words"), [("atuo", "Did you mean 'auto'"), ("cheap", "not routed")]
)
def test_a_share_of_what_is_no_route_is_refused(clock: list[float], name: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as found:
        alarm_of(clock, strong_share={name: 0.3})
    assert found.value.field == f"alarm.strong_share.{name}"


def test_alarms_are_not_there_where_none_is_set_up(http: httpx2.Client) -> None:
    reply = http.get("/v1/alarms")
    assert reply.status_code == 400
    assert "set `alarm`" in reply.json()["error"]["message"]
