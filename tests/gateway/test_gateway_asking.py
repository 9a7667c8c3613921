"""What a request asks of routing itself, over real sockets and with the official SDKs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from gateway_fakes import CLIENT_KEY, Deployment, LengthRouter, deployment, make_settings

from certificates_made import certificate
from turnout.calibration.certificate import pool_fingerprint, seconds
from turnout.calibration.watch import Watch
from turnout.engine import Engine
from turnout.errors import RequestError, SettingsError
from turnout.gateway.routing.asking import wanted
from turnout.gateway.routing.routes import Route
from turnout.gateway.setup.building import build_engine, build_pool
from turnout.gateway.setup.cataloging import build_catalog
from turnout.settings import MINIMAL, RouteSettings, parse_settings
from turnout.types import Query
from turnout.wire.asks import Asks

ASK: Any = [{"role": "user", "content": "Name a colour"}]
LONG: Any = [{"role": "user", "content": "Name a colour " * 20}]
MESSAGES = {"max_tokens": 50, "messages": ASK}
PATHS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": ASK}),
    ("/v1/responses", {"input": "Name a colour"}),
    ("/v1/messages", MESSAGES),
]


def post(http: httpx2.Client, path: str = PATHS[0][0], **body: Any) -> httpx2.Response:
    return http.post(path, json={"model": "auto", **body})


def served(reply: httpx2.Response) -> str:
    assert reply.status_code == 200, reply.text
    return reply.headers["x-turnout-model"]


@pytest.mark.parametrize(("path", "body"), PATHS)
def test_the_object_sets_the_knob_and_does_not_go_up(
    http: httpx2.Client, gateway: Deployment, path: str, body: dict[str, Any]
) -> None:
    assert served(post(http, path, **body)) == "cheap"
    assert served(post(http, path, **body, turnout={"threshold": 0.0})) == "strong"
    assert b"turnout" not in gateway.upstream.seen[-1].body


def test_the_rest_goes_up_byte_for_byte(http: httpx2.Client, gateway: Deployment) -> None:
    body = b'{"seed" : 1.0, "turnout" : {"pin": "strong"} , "model": "auto", "messages": %s}'
    sent = body % json.dumps(ASK).encode()
    assert served(http.post(PATHS[0][0], content=sent)) == "strong"
    left = sent.replace(b', "turnout" : {"pin": "strong"}', b"").replace(
        b'"auto"', b'"strong-model"'
    )
    assert gateway.upstream.seen[-1].body == left


def test_headers_and_sdk_bodies(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response
    reply = raw.create(model="auto", messages=ASK, extra_headers={"x-turnout-threshold": "0"})
    assert reply.headers["x-turnout-model"] == "strong"
    reply = raw.create(model="auto", messages=LONG, extra_body={"turnout": {"deny": ["str*"]}})
    assert reply.headers["x-turnout-model"] == "cheap"
    assert reply.headers["x-turnout-reason"].startswith("only_candidate")


def test_lists_pins_and_caps(http: httpx2.Client) -> None:
    def asked(messages: Any = ASK, **turnout: Any) -> httpx2.Response:
        return post(http, messages=messages, turnout=turnout)

    assert served(asked(allow=["strong"])) == "strong"
    assert served(asked(LONG, allow="ch[e]ap")) == "cheap"
    pinned = asked(pin="strong")
    assert served(pinned) == "strong"
    assert pinned.headers["x-turnout-reason"] == "pinned: strong is pinned by the request"
    assert served(asked(LONG)) == "strong"
    assert served(asked(LONG, max_cost_usd=0.001)) == "cheap"
    assert served(asked(strong_share=0.9)) == "strong"
    assert served(asked(strong_share=0.5)) == "cheap"
    assert served(asked(LONG, willingness_to_pay_usd=0.005)) == "cheap"
    assert served(asked(LONG, willingness_to_pay_usd=10)) == "strong"
    none = asked(max_cost_usd=1e-9)
    assert none.status_code == 400
    assert "may cost" in none.json()["error"]["message"]
    assert "at most 1e-09 are allowed" in none.json()["error"]["message"]


def test_a_cap_counts_the_output_that_is_allowed(http: httpx2.Client) -> None:
    cap = {"max_cost_usd": 0.02}
    assert served(post(http, messages=LONG, turnout=cap, max_tokens=100)) == "strong"
    assert served(post(http, messages=LONG, turnout=cap, max_tokens=10_000)) == "cheap"
    by_name = http.post(
        PATHS[0][0], json={"model": "strong", "messages": ASK, "max_tokens": 10_000, "turnout": cap}
    )
    assert by_name.status_code == 400
    assert by_name.json()["error"]["code"] == "no_candidate"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"turnout": {"allow": ["gpt-*"]}}, "turnout.allow", "here are strong, cheap"),
    ({"turnout": {"deny": ["chaep"]}}, "turnout.deny", "Did you mean 'cheap'"),
    ({"turnout": {"pin": "chaep"}}, "turnout.pin", "Did you mean 'cheap'"),
    ({"turnout": {"pin": "cheap", "deny": ["cheap"]}}, "turnout.pin", "only these may serve: strong"),
    ({"turnout": {"router": "lenght", "threshold": 1}}, "turnout.router", "Did you mean 'length'"),
    ({"turnout": {"router": "nan"}}, "turnout.router", "give a knob with it"),
    ({"turnout": {"floor": 0.9}}, "turnout.floor", "turnout calibrate"),
    ({"turnout": {"max_loss": 0.1, "deny": ["cheap"]}}, "turnout.max_loss", "without allow, deny"),
    ({"model": "cheap", "turnout": {"threshold": 0.1}}, "turnout.threshold", "cheap is one candidate"),
    ({"turnout": {"knob": 1}}, "turnout.knob", "Known: router, threshold"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "field", "words"), REFUSED)
@pytest.mark.parametrize("path", [path for path, _ in PATHS])
def test_what_cannot_be_is_refused_in_the_clients_dialect(
    http: httpx2.Client,
    gateway: Deployment,
    path: str,
    body: dict[str, Any],
    field: str,
    words: str,
) -> None:
    plain = dict(PATHS)[path]
    reply = http.post(path, json={"model": "auto", **plain, **body})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["message"].startswith(f"{field}: ")
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"
    assert error.get("param", field) == field
    assert not gateway.upstream.seen


@pytest.mark.parametrize(("path", "body"), PATHS)
def test_the_decision_alone(
    http: httpx2.Client, gateway: Deployment, path: str, body: dict[str, Any]
) -> None:
    asks = {"decision_only": True, "threshold": 0.25}
    found = post(http, path, **body, turnout=asks)
    assert found.json()["model"] == "cheap"
    assert found.json()["threshold"] == 0.25
    assert found.json()["asked"] == asks
    assert found.headers["x-turnout-decision-id"] == found.json()["id"]
    assert not gateway.upstream.seen
    also = http.post(
        "/v1/route", json={"model": "auto", "messages": ASK, "turnout": {"pin": "strong"}}
    )
    assert (also.json()["model"], also.json()["code"]) == ("strong", "pinned")


@pytest.fixture
def claude(gateway: Deployment) -> Iterator[Any]:
    anthropic = pytest.importorskip("anthropic", reason="needs the anthropic SDK")
    with anthropic.Anthropic(
        base_url=gateway.url, api_key=CLIENT_KEY, max_retries=0, timeout=10
    ) as made:
        yield made


EXPLAIN: Any = {"turnout": {"explain": True}}


def test_explained_answers(client: openai.OpenAI, claude: Any) -> None:
    chat = client.chat.completions.create(model="auto", messages=ASK, extra_body=EXPLAIN)
    responses = client.responses.create(model="auto", input="Hi", extra_body=EXPLAIN)
    messages = claude.messages.create(model="auto", **MESSAGES, extra_body=EXPLAIN)
    assert chat.choices[0].message.content
    assert responses.output_text
    assert messages.content[0].text
    for reply in (chat, responses, messages):
        assert reply.model == "cheap-model"
        said = reply.model_extra["turnout"]
        assert (said["model"], said["asked"]) == ("cheap", {"explain": True})


def test_explained_streams(client: openai.OpenAI, claude: Any, http: httpx2.Client) -> None:
    chat = list(
        client.chat.completions.create(model="auto", messages=ASK, stream=True, extra_body=EXPLAIN)
    )
    assert chat[-1].choices[0].finish_reason == "stop"
    responses = list(
        client.responses.create(model="auto", input="Hi", stream=True, extra_body=EXPLAIN)
    )
    assert responses[-1].type == "response.completed"
    with claude.messages.stream(model="auto", **MESSAGES, extra_body=EXPLAIN) as stream:
        assert "Name a colour" in stream.get_final_text()
    raw = post(http, messages=ASK, stream=True, **EXPLAIN).text
    plain = post(http, messages=ASK, stream=True).text
    comment, _, rest = raw.partition("\n\n")
    assert json.loads(comment.removeprefix(": turnout "))["model"] == "cheap"
    assert rest == plain


ROUTES = {
    "saver": RouteSettings(threshold=1.0, max_cost_usd=0.01),
    "team/quality": RouteSettings(router="length", threshold=0.0, response_model="actual"),
    "only-cheap": RouteSettings(deny=("strong",)),
}


@pytest.fixture(scope="module")
def _named() -> Iterator[Deployment]:
    with deployment(routes=ROUTES, auto="saver", response_model="requested") as running:
        yield running


@pytest.fixture
def named(_named: Deployment) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=_named.url, timeout=10) as made:
        yield made


def test_routes_have_names(named: httpx2.Client) -> None:
    listed = [entry["id"] for entry in named.get("/v1/models").json()["data"]]
    assert listed[:4] == ["auto", "saver", "team/quality", "only-cheap"]
    assert named.get("/v1/models/team/quality").json()["id"] == "team/quality"
    for model, messages, serves in (
        ("auto", LONG, "cheap"),
        ("saver", LONG, "cheap"),
        ("team/quality", ASK, "strong"),
        ("only-cheap", LONG, "cheap"),
    ):
        assert served(post(named, model=model, messages=messages)) == serves
    said = named.post("/v1/route", json={"model": "auto", "messages": ASK}).json()
    assert (said["route"], said["threshold"]) == ("saver", 1.0)


def test_a_request_tightens_the_limits_of_a_route(named: httpx2.Client) -> None:
    free = {"allow": ["*"], "max_cost_usd": 1000, "threshold": 0.0}
    assert served(post(named, model="only-cheap", messages=LONG, turnout=free)) == "cheap"
    assert served(post(named, model="saver", messages=ASK, turnout=free)) == "strong"
    dear = post(named, model="saver", messages=ASK, turnout=free, max_tokens=5000)
    assert served(dear) == "cheap"
    pinned = post(named, model="only-cheap", messages=ASK, turnout={"pin": "strong"})
    assert pinned.status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "inner"),
    [(*PATHS[0], None), (*PATHS[1], "response"), (*PATHS[2], "message")],
)
def test_replies_name_the_model_that_was_asked_for(
    named: httpx2.Client, path: str, body: dict[str, Any], inner: str | None
) -> None:
    for model in ("auto", "only-cheap", "router-length-0.5", "cheap"):
        assert post(named, path, **{**body, "model": model}).json()["model"] == model
    kept = post(named, path, **{**body, "model": "team/quality"})
    assert kept.json()["model"] == "strong-model"
    lines = post(named, path, **{**body, "model": "auto", "stream": True}).text.splitlines()
    events = [json.loads(x[6:]) for x in lines if x.startswith("data: {")]
    holders = [event.get(inner) if inner else event for event in events]
    names = {holder["model"] for holder in holders if holder and "model" in holder}
    assert names == {"auto"}


def test_a_renamed_stream_is_else_byte_for_byte(named: httpx2.Client, http: httpx2.Client) -> None:
    renamed = post(named, messages=ASK, model="only-cheap", stream=True).text
    plain = post(http, messages=ASK, model="cheap", stream=True).text
    assert renamed == plain.replace('"cheap-model"', '"only-cheap"', 1).replace(
        '"model":"cheap-model"', '"model":"only-cheap"'
    )


BASE = """
providers: {up: {base_url: "http://127.0.0.1:1/v1"}}
candidates:
  - {name: strong, price: {input_usd: 1, output_usd: 1}}
  - {name: cheap, price: {input_usd: 0.1, output_usd: 0.1}}
routers: {random: {}}
"""


@pytest.mark.parametrize(
    ("routes", "field", "words"),
    [
        ("{auto: {threshold: 1}}", "routes.auto", "neither auto"),
        ("{cheap: {threshold: 1}}", "routes.cheap", "a candidate has this name"),
        ("{a b: {threshold: 1}}", "routes.a b", "letters"),
        ("{x: {threshold: 2}}", "routes.x.threshold", "less than or equal to 1"),
        ("{x: {threshold: 1, floor: 1}}", "routes.x", "give one of threshold, floor"),
        ("{x: {treshold: 1}}", "routes.x.treshold", "Did you mean 'threshold'"),
        ("{x: {router: mf}}", "routes.x.router", "name one of: random"),
        ("{x: {allow: [gpt-*]}}", "routes.x.allow", "no candidate matches"),
        ("{x: {floor: 0.9}}", "routes.x.floor", "no certificate here promises that"),
    ],
)
def test_a_route_that_cannot_be(routes: str, field: str, words: str) -> None:
    def build() -> None:
        settings = parse_settings(f"{BASE}routes: {routes}\n", {})
        build_catalog(settings, build_engine(settings))

    with pytest.raises(SettingsError) as refused:
        build()
    assert refused.value.field == field
    assert words in str(refused.value)


def promised(*kinds: tuple[str, float, str, float]) -> Engine:
    """An engine with a certificate for each kind, value, route and saving."""
    settings = make_settings("http://127.0.0.1:1")
    pool, now = build_pool(settings), seconds("2026-12-01T00:00:00Z")
    watches = []
    for kind, value, route, saving in kinds:
        base = certificate()
        made = certificate(
            promise=type(base.promise)(kind=kind, value=value),  # type: ignore[arg-type]
            route=route,
            models=pool.names,
            safe="strong",
            artifact=LengthRouter().fingerprint,
            pool=pool_fingerprint(pool.candidates, priced=False),
            saving=type(base.strong_share)(value=saving, low=0.0, high=1.0),
        )
        watches.append(Watch(made, pool.candidates, made.artifact, now=lambda: now))
    return Engine(pool, {"length": LengthRouter()}, watches=watches)


def test_a_floor_is_a_certified_route() -> None:
    engine = promised(
        ("floor", 0.9, "router-length-0.6", 0.5),
        ("floor", 0.95, "router-length-0.4", 0.3),
        ("floor", 0.99, "router-length-0.1", 0.1),
        ("max_loss", 0.02, "router-length-0.2", 0.2),
    )
    route = Route(spec=engine.parse("router-length-0.5"))

    def threshold(**asks: float) -> float:
        spec = wanted(engine, route, Asks(**asks)).spec
        assert spec is not None
        return spec.threshold

    assert threshold(floor=0.9) == 0.6
    assert threshold(floor=0.92) == 0.4
    assert threshold(floor=0.99) == 0.1
    assert threshold(max_loss=0.05) == 0.2
    made = wanted(engine, route, Asks(floor=0.95)).decide(engine, Query.of("hello"))
    assert made.certificate is not None
    assert made.asked == {"floor": 0.95}
    with pytest.raises(RequestError, match=r"promised: 0\.9, 0\.95, 0\.99"):
        threshold(floor=0.995)
    with pytest.raises(RequestError, match=r"max_loss: 0\.01"):
        threshold(max_loss=0.01)


def test_a_candidate_cannot_be_pinned_where_none_may_be_asked_for_by_name() -> None:
    with (
        deployment(allow_passthrough=False) as running,
        httpx2.Client(base_url=running.url) as http,
    ):
        reply = post(http, messages=ASK, turnout={"pin": "cheap"})
        assert reply.status_code == 400
        assert "by its name" in reply.json()["error"]["message"]


def test_the_guides_example_is_a_setting() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "requests.md").read_text()
    for example in re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE):
        settings = parse_settings(MINIMAL + example, {"OPENAI_API_KEY": "x"})
        catalog = build_catalog(settings, build_engine(settings))
        assert set(settings.routes) < set(catalog.names())
        assert catalog.resolve("auto") == catalog.routes[settings.auto]


def test_a_conversation_goes_by_what_its_requests_ask(http: httpx2.Client) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "c", "content": "42"}
    talk: Any = [*ASK, {"role": "assistant", "content": None, "tool_calls": [call]}, result]
    headers = {"x-turnout-session": "asks"}

    def asked(messages: Any, **turnout: Any) -> httpx2.Response:
        body = {"model": "auto", "messages": messages, **({"turnout": turnout} if turnout else {})}
        return http.post(PATHS[0][0], json=body, headers=headers)

    assert served(asked(LONG)) == "strong"
    assert served(asked(talk)) == "strong"  # as the conversation has it
    assert served(asked(talk, threshold=1.0)) == "cheap"  # another knob is another question
    for limit in ({"deny": "strong"}, {"pin": "cheap"}, {"max_cost_usd": 0.001}):
        assert served(asked(LONG, pin="strong")) == "strong"
        assert served(asked(talk)) == "strong"
        assert served(asked(talk, **limit)) == "cheap"
