"""Encoders that the settings name: shared by routers, and what happens where one fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from json_fakes import Answer, embed, endpoint, slow
from planted import CANDIDATES, planted_prompts, planted_table
from turnout.client.controller import Controller
from turnout.engine import Engine
from turnout.errors import ArtifactError, SettingsError
from turnout.gateway.setup.building import build_engine
from turnout.names import RouteSpec
from turnout.settings import load_settings, parse_settings, read_encoders
from turnout.training.fit import fit_router
from turnout.types import Query

SECRET = "sk-canary-73aa"
PROMPT = "translate this text that must not leak"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two routers fitted on vectors of an endpoint's model `m`."""
    made = tmp_path_factory.mktemp("named")
    with endpoint(embed) as (url, _), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNOUT_EMBEDDINGS_BASE_URL", url)
        for router in ("linear", "knn"):
            fit_router(router, planted_table(80), encoder="remote:m").write(made / router)
    (made / "key").write_text(f"{SECRET}\n", encoding="utf-8")
    return made


def engine(
    folder: Path,
    url: str,
    more: str = "",
    routers: str = "",
    what: str = "model: m, dimension: 64",
) -> Engine:
    names = "\n".join(
        f"  - {{name: {c.name}, price: {{input_usd: 1, output_usd: 1}}}}" for c in CANDIDATES[:2]
    )
    given = routers or (
        "  linear: {artifact: linear, encoder: embedder, fallback: router-rules-0.5}\n"
        "  knn: {artifact: knn, encoder: embedder}\n"
        "  rules: {}\n"
    )
    text = (
        f"providers: {{up: {{base_url: 'http://127.0.0.1:1/v1'}}}}\ncandidates:\n{names}\n"
        f"encoders:\n  embedder: {{base_url: '{url}', {what}{more}}}\n"
        f"routers:\n{given}"
    )
    (folder / "turnout.yaml").write_text(text, encoding="utf-8")
    return build_engine(load_settings(folder / "turnout.yaml", {"EMBED_KEY": SECRET}))


def test_routers_share_the_encoder_that_they_name(folder: Path) -> None:
    with endpoint(embed) as (url, script):
        made = engine(folder, url, ", api_key_file: key")
        assert not script.bodies  # opening calls nothing
        for router in ("linear", "knn"):
            assert made.waits(router)
            assert not made.decide(Query.of(PROMPT), RouteSpec(router, 0.5)).fallback
        assert len(script.bodies) == 1  # the second router's vectors came from the cache
        assert script.headers[0]["authorization"] == f"Bearer {SECRET}"
        assert script.bodies[0]["model"] == "m"


@pytest.mark.parametrize("key", [f", api_key: {SECRET}", ", api_key_env: EMBED_KEY", ""])
def test_the_key_comes_from_the_file_or_the_environment_or_not_at_all(
    folder: Path, key: str
) -> None:
    with endpoint(embed) as (url, script):
        engine(folder, url, key).decide(Query.of("x"), RouteSpec("knn", 0.5))
    assert script.headers[0].get("authorization") == (f"Bearer {SECRET}" if key else None)


def _gone(_: dict[str, Any]) -> Any:
    return Response(f"{SECRET} {PROMPT}", status_code=503)


FAULTS: dict[str, tuple[Answer, str]] = {
    "slow": (slow(embed, 3.0), "did not answer within 0.3 s"),
    "lies": (lambda body: embed(body, 32), "32 numbers a text, not 64"),
    "gone": (_gone, "status 503"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_encoder_that_fails_is_stood_in_for_within_the_deadline(
    fault: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answer, why = FAULTS[fault]
    with endpoint(answer) as (url, _):
        made = engine(folder, url, f", api_key: {SECRET}, timeout_s: 0.3")
        started = time.monotonic()
        stood_in = made.decide(Query.of(PROMPT), RouteSpec("linear", 0.5))
        default = made.decide(Query.of(PROMPT), RouteSpec("knn", 0.5))
        assert time.monotonic() - started < 2.0  # two deadlines of 0.3 s, and the machine's own
    assert (stood_in.fallback, stood_in.router) == (True, "rules")
    assert why in stood_in.notes[-1]
    assert (default.code, default.model) == ("router_failed", made.pool.default)
    assert why in default.reason
    shown = f"{caplog.text}{stood_in}{default}{made.routers}"
    assert SECRET not in shown
    assert PROMPT not in shown


def test_a_server_that_is_not_there_is_a_fallback_too(folder: Path) -> None:
    made = engine(folder, "http://127.0.0.1:9/v1", ", timeout_s: 0.3")
    found = made.decide(Query.of("x"), RouteSpec("linear", 0.5))
    assert found.router == "rules"
    assert "could not be reached" in found.notes[-1]


def test_an_encoder_of_another_dimension_or_model_is_refused_at_the_start(folder: Path) -> None:
    for what in ("model: m, dimension: 32", "model: other, dimension: 64"):
        with pytest.raises(ArtifactError, match=r"fitted with encoder remote:m .* name that one"):
            engine(folder, "http://127.0.0.1:9/v1", what=what)


def test_semantic_routes_take_a_named_encoder(folder: Path) -> None:
    routers = "  semantic: {encoder: embedder}\n  rules: {}\n"
    with endpoint(embed) as (url, script):
        made = engine(folder, url, routers=routers)
        assert script.bodies  # its utterances were encoded
        assert made.waits("semantic")
        assert "utterance" not in made.decide(Query.of("x"), RouteSpec("semantic", 0.5)).reason


def test_a_client_names_encoders_as_a_file_does(folder: Path) -> None:
    with endpoint(embed) as (url, script):
        client = Controller(
            routers=["linear"],
            strong_model=CANDIDATES[0].name,
            weak_model=CANDIDATES[1].name,
            config={"linear": {"artifact": folder / "linear", "encoder": "embedder"}},
            encoders={"embedder": {"base_url": url, "model": "m", "dimension": 64}},
        )
        client.route(planted_prompts(1)[0], "linear", 0.5)
        assert len(script.bodies) == 1


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda f: engine(f, "http://h/v1", routers="  knn: {encoder: embeder}\n"),
         r"routers.knn.encoder: 'embeder' .*Did you mean 'embedder'"),
        (lambda f: engine(f, "http://h/v1", ", tiemout_s: 1"),
         r"encoders.embedder.tiemout_s.*Did you mean 'timeout_s'"),
        (lambda f: engine(f, "http://h/v1", ", timeout_s: 0"), r"encoders.embedder.timeout_s: 0 "),
        (lambda f: engine(f, "http://h/v1", ", onnx: there"), "give base_url, model and dimension"),
        (lambda f: engine(f, "http://h/v1", f", api_key: {SECRET}, api_key_env: EMBED_KEY"),
         "give one of api_key, api_key_env and api_key_file"),
        (lambda f: engine(f, "http://h/v1", ", api_key_env: NOT_SET"), "set this environment var"),
        (lambda f: engine(f, f"http://u:{SECRET}@h/v1"), r"encoders.embedder.base_url: the hidden"),
        (lambda f: read_encoders({"e": {"base_url": "http://h/v1"}}), "give model and dimension"),
        (lambda f: read_encoders({"e": {"onnx": "x", "batch": 3}}), "beside onnx leave out batch"),
        (lambda f: read_encoders({"static-256": {"onnx": "x"}}), "names of built-in encoders"),
        (lambda f: read_encoders({"e": 7}), r"encoders.e: 7 "),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_a_remedy(
    write: Callable[[Path], Any], says: str, folder: Path
) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        write(folder)
    assert SECRET not in str(caught.value)


def test_the_guides_example_is_sound() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "encoders.md"
    block = re.findall(r"^```yaml\n(.*?)^```", guide.read_text(encoding="utf-8"), re.M | re.S)[0]
    rest = "providers: {up: {base_url: 'http://h/v1'}}\ncandidates: [{name: a}, {name: b}]\n"
    found = parse_settings(rest + block, {"EMBEDDINGS_KEY": SECRET}, folder=Path("/home"))
    assert set(found.encoders) == {"embedder", "minilm"}
    assert found.encoders["minilm"].onnx == Path("/home/encoders/minilm")
    assert found.encoders["embedder"].cache_file == Path("/home/embeddings.sqlite")
    named = {r.options.get("encoder") for r in found.routers.values()} - {None}
    assert named == set(found.encoders)
    assert SECRET not in repr(found)
