"""Embeddings: passed through to the model that was named, replicas behind it, every token booked."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from gateway_fakes import CLIENT_KEY, PROVIDER_KEY, make_engine, serving

from turnout.gateway.app import Gateway, create_app
from turnout.providers.fake import FakeUpstream, Fault
from turnout.settings import parse_settings
from turnout.store.database import open_database
from turnout.store.record import Record
from turnout.store.records import RecordTable

CONFIG = """
providers:
  up: {{base_url: "{url}/v1", api_key: {key}}}
  down: {{base_url: "http://127.0.0.1:9/v1", connect_timeout_s: 1}}
candidates:
  - {{name: strong, model: strong-model, provider: up, price: {{input_usd: 10, output_usd: 30}}}}
  - {{name: cheap, model: cheap-model, provider: up, price: {{input_usd: 1, output_usd: 1}}}}
embeddings:
  - {{name: small, model: embed-small, provider: up, price: {{input_usd: 0.02}}, dimensions: 4}}
  - {{name: plain, model: embed-plain, provider: up}}
  - {{name: spread, model: embed-plain, provider: down, replicas: [{{provider: up}}]}}
  - {{name: gone, model: embed-plain, provider: down}}
routers: {{length: {{}}, broken: {{}}, nan: {{}}}}
auto: router-length-0.5
store: {{path: {store}}}
resilience: {{retries: 0}}
"""


@contextmanager
def embedding_gateway(home: Path) -> Iterator[tuple[str, FakeUpstream, Gateway]]:
    upstream = FakeUpstream(["strong-model", "cheap-model", "embed-small", "embed-plain"])
    with serving(upstream) as up:
        text = CONFIG.format(url=up, key=PROVIDER_KEY, store=home / "turnout.db")
        settings = parse_settings(text, {})
        app = create_app(settings, engine=make_engine(settings))
        with serving(app) as url:
            yield url, upstream, app


@pytest.fixture(scope="module")
def _running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, FakeUpstream, Gateway]]:
    with embedding_gateway(tmp_path_factory.mktemp("embeddings")) as running:
        yield running


@pytest.fixture
def url(_running: tuple[str, FakeUpstream, Gateway]) -> str:
    _running[1].seen.clear()
    _running[1].script.clear()
    _running[2].opened().resilience.forget()
    return _running[0]


@pytest.fixture
def upstream(_running: tuple[str, FakeUpstream, Gateway]) -> FakeUpstream:
    return _running[1]


@pytest.fixture
def sdk(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=CLIENT_KEY, max_retries=0) as made:
        yield made


def records(home: Path) -> list[Record]:
    kept = RecordTable(open_database(home / "turnout.db"))
    found = list(reversed(kept.latest(100)))
    kept.close()
    return found


def test_the_sdks_base64_and_plain_floats_are_the_same_vectors(
    sdk: openai.OpenAI, upstream: FakeUpstream
) -> None:
    asked = ["one", "two"]
    encoded = sdk.embeddings.create(model="plain", input=asked)  # the SDK asks for base64
    plain = sdk.embeddings.create(model="plain", input=asked, encoding_format="float")
    assert upstream.seen[0].json["encoding_format"] == "base64"
    assert [e.embedding for e in encoded.data] == [e.embedding for e in plain.data]
    assert [len(e.embedding) for e in plain.data] == [8, 8]
    assert encoded.usage.prompt_tokens == 2


def test_base64_is_not_touched(url: str) -> None:
    body = {"model": "plain", "input": "one", "encoding_format": "base64"}
    reply = httpx2.post(f"{url}/v1/embeddings", json=body)
    raw = base64.b64decode(reply.json()["data"][0]["embedding"])
    assert len(struct.unpack("<8f", raw)) == 8
    assert reply.headers["x-turnout-model"] == "plain"
    assert reply.headers["x-turnout-router"] == "none"


def test_the_body_goes_up_as_it_was_sent(url: str, upstream: FakeUpstream) -> None:
    body = b'{ "input": [[1, 2], [3]],  "model": "plain", "new_field": 1.50 }'
    reply = httpx2.post(f"{url}/embeddings", content=body)
    assert reply.status_code == 200
    assert upstream.seen[0].body == body.replace(b'"plain"', b'"embed-plain"')
    assert upstream.seen[0].headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert reply.json()["usage"]["prompt_tokens"] == 3


def test_the_length_of_the_settings_gives_way_to_the_requests(sdk: openai.OpenAI) -> None:
    assert len(sdk.embeddings.create(model="small", input="x").data[0].embedding) == 4
    asked = sdk.embeddings.create(model="small", input="x", dimensions=3)
    assert len(asked.data[0].embedding) == 3


def test_a_replica_serves_and_no_other_model_does(url: str, upstream: FakeUpstream) -> None:
    served = httpx2.post(f"{url}/v1/embeddings", json={"model": "spread", "input": "x"})
    assert served.status_code == 200
    assert upstream.seen[-1].json["model"] == "embed-plain"
    upstream.seen.clear()
    failed = httpx2.post(f"{url}/v1/embeddings", json={"model": "gone", "input": "x"})
    assert failed.status_code == 502
    assert failed.json()["error"]["code"] == "upstream_error"
    assert upstream.seen == []


@pytest.mark.parametrize("words", [b"", b"upstream connect error", b"[1]"])
def test_what_is_no_answer_is_a_failure(url: str, upstream: FakeUpstream, words: bytes) -> None:
    upstream.script.append(Fault(body=words, headers={"content-type": "application/json"}))
    reply = httpx2.post(f"{url}/v1/embeddings", json={"model": "small", "input": "Hi"}, timeout=10)
    assert reply.status_code == 502
    assert "no JSON object" in reply.json()["error"]["message"]


def test_an_upstreams_own_error_comes_back(url: str, upstream: FakeUpstream) -> None:
    upstream.script.append(Fault(status=429, body=b'{"error":{"message":"slow"}}',
                                 headers={"retry-after": "30"}))  # fmt: skip
    reply = httpx2.post(f"{url}/v1/embeddings", json={"model": "plain", "input": "x"})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "30")
    assert reply.json()["error"]["message"] == "slow"


@pytest.mark.parametrize(
    ("body", "status", "field", "words"),
    [
        ({"model": "nope", "input": "x"}, 404, "model", "known: gone, plain, small, spread"),
        ({"model": "strong", "input": "x"}, 404, "model", "that make embeddings"),
        ({"model": "auto", "input": "x"}, 404, "model", "no model named 'auto'"),
        ({"model": "plain"}, 400, "input", "a missing field"),
        ({"model": "plain", "input": ["secret-canary", None]}, 400, "input[1]", "null"),
        ({"model": "plain", "input": []}, 400, "input", "an empty text or list"),
        ({"input": "x"}, 400, "model", "a missing field"),
    ],
)
def test_what_is_refused(url: str, body: Any, status: int, field: str, words: str) -> None:
    reply = httpx2.post(f"{url}/v1/embeddings", json=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["param"]) == (status, field)
    assert words in error["message"]
    assert "secret-canary" not in reply.text


def test_an_embedding_model_does_not_chat(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="ask POST /v1/embeddings"):
        sdk.chat.completions.create(model="plain", messages=[{"role": "user", "content": "x"}])


def test_they_are_listed_to_those_who_can_use_them(sdk: openai.OpenAI, url: str) -> None:
    listed = {m.id: m.owned_by for m in sdk.models.list()}
    assert {"small", "plain", "spread", "gone"} <= listed.keys()
    assert listed["small"] == "up"
    assert sdk.models.retrieve("small").id == "small"
    with anthropic.Anthropic(base_url=url, api_key=CLIENT_KEY) as claude:
        assert "small" not in {m.id for m in claude.models.list()}


def test_tokens_and_costs_are_booked(tmp_path: Path) -> None:
    with embedding_gateway(tmp_path) as (url, upstream, _):
        good = httpx2.post(f"{url}/v1/embeddings", json={"model": "small", "input": "x" * 40})
        upstream.script.append(Fault(body=b'{"data": []}'))
        httpx2.post(f"{url}/v1/embeddings", json={"model": "small", "input": "x" * 40})
        httpx2.post(f"{url}/v1/embeddings", json={"model": "plain", "input": "x"})
        httpx2.post(f"{url}/v1/embeddings", json={"model": "gone", "input": "x"})
    booked, silent, unpriced, failed = records(tmp_path)
    assert good.headers["x-turnout-cost-usd"] == "0.0000002"
    assert (booked.status, booked.candidate, booked.upstream_model) == (
        "ok",
        "small",
        "embed-small",
    )
    assert (booked.input_tokens, booked.output_tokens) == (10, 0)
    assert (booked.cost_picousd, booked.cost_basis) == (200_000, "usage")
    assert (silent.cost_picousd, silent.cost_basis) == (200_000, "estimate")
    assert (unpriced.cost_picousd, unpriced.cost_basis) == (None, "none")
    assert (failed.status, failed.http_status) == ("failed", 502)


def test_the_settings_of_the_guide_are_settings() -> None:
    page = Path(__file__).parents[2] / "docs" / "guides" / "embeddings.md"
    shown = page.read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    names = ("openai", "local", "local-2")
    providers = "".join(f"  {name}: {{base_url: 'http://127.0.0.1:1/v1'}}\n" for name in names)
    text = f"providers:\n{providers}candidates: [{{name: x, provider: local}}]\n{shown}"
    assert [e.name for e in parse_settings(text, {}).embeddings] == [
        "text-embedding-3-small",
        "house",
    ]
