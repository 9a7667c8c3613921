from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from gateway_fakes import Deployment, LengthRouter, UnfitRouter, make_engine, make_settings, serving

from turnout.artifacts.opening import open_router
from turnout.engine import Engine
from turnout.errors import InputError, SettingsError, UnknownNameError
from turnout.gateway import app as app_module
from turnout.gateway.app import create_app
from turnout.gateway.http.headers import REASON_CAP, decision_headers, header_safe, picousd_decimal
from turnout.gateway.setup.building import (
    build_engine,
    build_pool,
    build_providers,
)
from turnout.gateway.setup.cataloging import auto_route, check_auto
from turnout.routers.random import RandomRouter
from turnout.routers.trained import TrainedRouter
from turnout.settings import RouterSettings, Settings
from turnout.types import Attempt, Candidate, Decision, Pool, Price, Query

ASK: Any = [{"role": "user", "content": "Hello"}]


def test_health_and_readiness(http: httpx2.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    ready = http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["routers"] == ["broken", "length", "nan"]


def test_not_ready_with_a_router_that_does_not_fit_but_requests_are_served(
    gateway: Deployment,
) -> None:
    engine = Engine(gateway.engine.pool, {"length": LengthRouter(), "unfit": UnfitRouter()})
    with serving(create_app(make_settings(gateway.url), engine=engine)) as url:
        reply = httpx2.get(f"{url}/readyz")
        assert reply.status_code == 503
        assert "no candidate named 'strong'" in reply.json()["problem"]
        body = {"model": "router-unfit-0.5", "messages": ASK}
        served = httpx2.post(f"{url}/v1/route", json=body)
    assert served.json()["fallback"] is True


@pytest.mark.parametrize("path", ["/v1/route", "/route"])
def test_a_decision_alone(http: httpx2.Client, gateway: Deployment, path: str) -> None:
    reply = http.post(path, json={"model": "router-length-0.5", "messages": ASK})
    decision = reply.json()
    assert decision["model"] == "cheap"
    assert decision["threshold"] == 0.5
    assert decision["win_rate"] == pytest.approx(0.05)
    assert decision["artifact"] == "sha256:0123"
    assert decision["id"] == reply.headers["x-turnout-decision-id"]
    assert gateway.upstream.seen == []


def test_paths_work_without_v1(http: httpx2.Client) -> None:
    reply = http.post("/chat/completions", json={"model": "auto", "messages": ASK})
    assert reply.status_code == 200


def test_a_model_by_its_id(http: httpx2.Client) -> None:
    assert http.get("/models/cheap").json()["owned_by"] == "up"
    assert http.get("/models/a/b").status_code == 404
    assert http.get("/models/router-length-7").status_code == 400


class FaultyEngine(Engine):
    def decide_many(self, *_: Any, **__: Any) -> list[Decision]:
        raise ZeroDivisionError("inner detail")


def test_an_unexpected_failure_shows_no_traceback(gateway: Deployment) -> None:
    engine = FaultyEngine(gateway.engine.pool, gateway.engine.routers)
    with serving(create_app(make_settings(gateway.url), engine=engine)) as url:
        reply = httpx2.post(f"{url}/v1/route", json={"model": "auto", "messages": ASK})
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "internal_error"
    assert "inner detail" not in reply.text


def test_an_app_outside_its_lifespan_says_so() -> None:
    settings = make_settings("http://127.0.0.1:9")
    gateway = app_module.Gateway(settings, make_engine(settings), None)
    with pytest.raises(RuntimeError, match="lifespan"):
        gateway.opened()


def test_the_pool_follows_the_settings() -> None:
    settings = make_settings("http://127.0.0.1:9")
    pool = build_pool(settings)
    assert pool.names == ("strong", "cheap")
    assert pool.default == "strong"
    assert pool["strong"].model == "strong-model"
    assert pool["strong"].capabilities is None
    assert pool["cheap"].price == Price.per_million(0.24, 0.24)
    assert set(build_providers(settings)) == {"up", "down"}


def test_list_prices_and_windows_fill_what_is_not_given() -> None:
    settings = make_settings("http://127.0.0.1:9")
    known = settings.candidates[0].model_copy(
        update={"model": "gpt-4o", "price": None, "context_tokens": None}
    )
    unknown = known.model_copy(update={"name": "own", "model": "no-such-model-anywhere"})
    pool = build_pool(settings.model_copy(update={"candidates": (known, unknown)}))
    assert pool["strong"].price is not None
    assert pool["strong"].context_tokens == 128_000
    assert pool["own"].price is None
    assert pool["own"].context_tokens is None


def with_routers(**routers: RouterSettings) -> Settings:
    return make_settings("http://127.0.0.1:9", routers=routers, auto="router-random-0.5")


def test_routers_are_opened_with_their_options() -> None:
    engine = build_engine(with_routers(random=RouterSettings.model_validate({"seed": 7})))
    decided = engine.decide(Query.of("Hello"), engine.parse("router-random-0"))
    assert decided.model == "strong"
    with pytest.raises(InputError, match="sed"):
        build_engine(with_routers(random=RouterSettings.model_validate({"sed": 7})))
    with pytest.raises(UnknownNameError, match="no router named 'mfx'"):
        build_engine(with_routers(mfx=RouterSettings()))


def test_an_app_opens_its_own_routers() -> None:
    with serving(create_app(with_routers(random=RouterSettings()))) as url:
        assert httpx2.get(f"{url}/readyz").json()["routers"] == ["random"]


@pytest.mark.parametrize("auto", ["gpt-4", "router-length-2", "router-mf-0.5"])
def test_auto_must_be_a_route_over_the_routers_here(auto: str) -> None:
    with pytest.raises(SettingsError, match="auto: "):
        check_auto(make_settings("http://127.0.0.1:9", auto=auto))


def test_auto_is_half_strong_calls_where_none_is_named() -> None:
    settings = make_settings("http://127.0.0.1:9", auto="")
    pair = Pool(
        candidates=(Candidate(name="gpt-4o"), Candidate(name="gpt-4o-mini")), default="gpt-4o"
    )
    router = open_router("blend")
    assert isinstance(router, TrainedRouter)
    engine = Engine(pair, {"random": RandomRouter(), "blend": router})
    spec = engine.parse(auto_route(settings, engine))
    assert spec.router == "blend"
    rates = router.reference_win_rates(pair.candidates)
    assert (rates >= spec.threshold).mean() == pytest.approx(0.5, abs=0.02)
    assert auto_route(settings, Engine(pair, {"random": RandomRouter()})) == "router-random-0.5"


def decision(**changes: Any) -> Decision:
    given: dict[str, Any] = {
        "id": "dec_1",
        "router": "mf",
        "policy": "threshold",
        "attempts": (Attempt(candidate="cheap", reason="x"),),
        "code": "code",
        "reason": "a sentence",
    }
    return Decision(**{**given, **changes})


def test_headers_hold_plain_ascii_on_one_line_of_bounded_length() -> None:
    reason = decision_headers(decision(reason="é\r\nx-evil: 1\x00" + "y" * 9999))[
        "x-turnout-reason"
    ]
    assert reason.startswith("code: ?  x-evil: 1 yyy")
    assert len(reason) == REASON_CAP
    assert header_safe("\u2028\x7f") == "??"


def test_what_is_not_known_has_no_header() -> None:
    assert decision_headers(decision()) == {
        "x-turnout-decision-id": "dec_1",
        "x-turnout-model": "cheap",
        "x-turnout-router": "mf",
        "x-turnout-reason": "code: a sentence",
    }


def test_the_score_is_the_win_rate_or_the_chosen_ones_quality() -> None:
    quality = {"cheap": 0.25, "strong": 0.5}
    assert decision_headers(decision(quality=quality))["x-turnout-score"] == "0.2500"
    both = decision_headers(decision(quality=quality, win_rate=0.125))
    assert both["x-turnout-score"] == "0.1250"


@pytest.mark.parametrize(
    ("picousd", "text"), [(0, "0"), (1, "0.000000000001"), (10**12, "1"), (10**14, "100")]
)
def test_costs_are_fixed_point(picousd: int, text: str) -> None:
    assert picousd_decimal(picousd) == text


def test_a_route_body_is_json(http: httpx2.Client) -> None:
    reply = http.post("/route", json={"model": "router-broken-0.5", "messages": ASK})
    assert json.loads(reply.content)["code"] == "router_failed"
