"""Requests made from the published description, against a real gateway: no 5xx, replies as described.

The same requests in every run; `make fuzz` makes others, and more of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")

import httpx2  # noqa: E402
from described_gateway import KEY, gateway  # noqa: E402
from hypothesis import HealthCheck, Phase, settings  # noqa: E402
from hypothesis.internal.conjecture import providers  # noqa: E402
from schemathesis.config import (  # noqa: E402
    GenerationConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

from turnout.gateway.http.admission import deadline_s  # noqa: E402
from turnout.providers.fake import FakeUpstream, Fault  # noqa: E402
from turnout.wire.asks import Asks  # noqa: E402

FILE = Path(__file__).parents[2] / "docs" / "reference" / "openapi.yaml"
EXAMPLES = int(os.environ.get("TURNOUT_FUZZ_EXAMPLES", "15"))
"""Of each operation, beside those that cover its schema."""
SEED = os.environ.get("TURNOUT_FUZZ_SEED")
"""A number gives other requests; without one they are the same in every run."""
FIXED = SEED is None
CONFIG = SchemathesisConfig(
    seed=None if SEED is None else int(SEED),
    projects=ProjectsConfig(
        default=ProjectConfig(
            generation=GenerationConfig(
                deterministic=FIXED,
                max_examples=EXAMPLES,
                with_security_parameters=False,
                allow_extra_parameters=False,  # unknown headers are nothing wrong
            ),
        )
    ),
)
schema = schemathesis.openapi.from_path(FILE, config=CONFIG)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, FakeUpstream]]:
    with gateway(tmp_path_factory.mktemp("described")) as running:
        yield running


@pytest.fixture(autouse=True)
def _same_in_every_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hypothesis draws from the constants of all modules that happen to be loaded: not where it is fixed."""
    if not FIXED:
        yield
        return
    monkeypatch.setattr(providers, "_get_local_constants", providers.Constants)
    providers.CONSTANTS_CACHE.cache.clear()
    yield
    providers.CONSTANTS_CACHE.cache.clear()


@pytest.fixture
def url(site: tuple[str, FakeUpstream]) -> str:
    site[1].script.clear()
    return site[0]


PATIENCE_S = 20.0
MODELS = ("auto", "cheap", "over-chat", "over-messages", "over-responses")
ASKS = tuple(f"x-turnout-{field.name.replace('_', '-')}" for field in fields(Asks))


def settle(case: Any) -> None:
    """Models that exist, for most requests; few of the right ones ask for routing, which may not exist.

    What makes a request wrong is left alone. An answer that may not begin within a moment is a 504, and
    no fault of anybody's.
    """
    if (deadline_s(case.headers or {}) or PATIENCE_S) < PATIENCE_S:
        case.headers["x-turnout-timeout-ms"] = f"{PATIENCE_S * 1e3:g}"
    body = case.body if isinstance(case.body, dict) else None
    rng = random.Random(repr((case.headers, body)))
    right = bool(case.meta and case.meta.generation.mode.is_positive)
    embeds = case.path.endswith("/embeddings")
    if isinstance(case.body, dict):
        model = case.body.get("model")
        if isinstance(model, str) and 0 < len(model) <= 256 and rng.random() < 0.9:
            case.body["model"] = "vectors" if embeds else rng.choice(MODELS)
        if right and rng.random() < 0.7:
            case.body.pop("turnout", None)
        if embeds:  # JSON Schema takes 98.0 for an integer
            case.body["input"] = whole(case.body.get("input"))
    if right and rng.random() < 0.7:
        for name in ASKS:
            (case.headers or {}).pop(name, None)


def whole(value: Any) -> Any:
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def made_to_be_right(case: Any) -> bool:
    """Whether the description says that a request is right, and it asks for nothing that may not exist."""
    asks = any(name in (case.headers or {}) for name in ASKS)
    asks |= isinstance(case.body, dict) and "turnout" in case.body
    return bool(case.meta and case.meta.generation.mode.is_positive and not asks)


def served_where_right(ctx: Any, response: Any, case: Any) -> None:
    """What the description allows is served, but for models and decisions that are not here, for what
    the upstream's API cannot say, and for what the upstream itself refuses."""
    if case.path.endswith("/alarms"):
        return  # no alarm lasts that could be cleared
    if response.status_code == 400 and made_to_be_right(case):
        refused_above = "x-turnout-decision-id" in response.headers
        untranslatable = "untranslatable" in response.headers["x-turnout-reason"]
        assert refused_above or untranslatable, response.text


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, derandomize=FIXED, database=None, deadline=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
)  # fmt: skip
def test_replies_are_as_described(case: Any, url: str) -> None:
    settle(case)
    case.call_and_validate(
        base_url=url,
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=PATIENCE_S,
        excluded_checks=[positive_data_acceptance],
        additional_checks=[served_where_right],
    )


ASKED = {
    "/v1/chat/completions": {"model": "over-chat", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"model": "over-responses", "input": "Hi"},
    "/v1/messages": {
        "model": "over-messages", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]
    },
    "/v1/embeddings": {"model": "vectors", "input": "Hi"},
}  # fmt: skip
JSON = {"content-type": "application/json"}
FAULTS = {
    "500": Fault(
        status=500,
        body=b'{"error": {"message": "no", "type": "x", "param": null, "code": 7}}',
        headers=JSON,
    ),
    "503 of no form": Fault(status=503, body=b"gone", headers={"content-type": "text/plain"}),
    "429": Fault(status=429, body=b'{"error": "slowly"}', headers={"retry-after-ms": "1", **JSON}),
    "418": Fault(status=418, body=b"[]", headers=JSON),
    "a page": Fault(body=b"<html>", headers={"content-type": "text/html"}),
    "nothing": Fault(body=b""),
    "JSON of another kind": Fault(body=b"[1]", headers=JSON),
    "cut": Fault(cut_after=2),
    "an error in mid-stream": Fault(error_after=2),
}


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stream", [False, True])
def test_replies_over_failing_upstreams_are_as_described(
    site: tuple[str, FakeUpstream], url: str, path: str, fault: str, stream: bool
) -> None:
    if stream and path.endswith("/embeddings"):
        pytest.skip("embeddings are no streams")
    site[1].script.extend([FAULTS[fault]] * 3)
    body = ASKED[path] | ({"stream": True} if stream else {})
    headers = {"authorization": f"Bearer {KEY}"}
    reply = httpx2.post(f"{url}{path}", json=body, headers=headers, timeout=20)
    scripted = FAULTS[fault]
    well = scripted.body is None and not stream  # the faults of streams are of streams alone
    assert (reply.status_code == 200) >= well
    if scripted.status == 418 or (reply.status_code, reply.content) == (
        scripted.status, scripted.body
    ):  # fmt: skip
        return  # an upstream's own, passed on as it came
    if scripted.body is not None:
        assert reply.status_code >= 400
    schema[path]["POST"].validate_response(reply)
