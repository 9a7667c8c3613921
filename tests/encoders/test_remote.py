"""The remote encoder over a real socket, and the cache around any encoder."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.responses import Response

from json_fakes import Answer, embed, endpoint, slow, text_answer
from planted import CANDIDATES, planted_prompts, planted_table
from turnout.artifacts.opening import open_router
from turnout.encoders.cached import CachedEncoder
from turnout.encoders.hashing import HashingEncoder
from turnout.encoders.opening import open_encoder
from turnout.engine import Engine
from turnout.errors import ArtifactError, InputError, RouterError, SettingsError
from turnout.names import RouteSpec
from turnout.training.fit import fit_router
from turnout.types import Floats, Pool, Query

SECRET = "sk-secret-1234"
PROMPT = "a prompt that must not leak"


def opened(url: str, **options: Any) -> Any:
    return open_encoder("remote:m", {"base_url": url, "dimension": 64, **options})


def test_vectors_come_back_in_order_and_in_batches() -> None:
    texts = planted_prompts(10)
    with endpoint(embed) as (url, script):
        encoder = opened(url, batch=4)
        expected = HashingEncoder(64).encode(texts)
        np.testing.assert_allclose(encoder.encode(texts), expected, atol=1e-6)
        assert sorted(len(b["input"]) for b in script.bodies) == [2, 4, 4]
        encoder.encode(texts)
        assert len(script.bodies) == 3  # cached
        assert not encoder.encode(["", " \n"]).any()
        assert len(script.bodies) == 3  # blank texts are not sent
        found = asyncio.run(encoder.encoder.aencode(texts[:3]))
        np.testing.assert_allclose(found, expected[:3], atol=1e-6)


def test_the_batches_of_a_call_go_out_together() -> None:
    with endpoint(slow(embed, 0.2)) as (url, _):
        encoder = opened(url, batch=1, timeout_s=5)
        started = time.monotonic()
        encoder.encode(planted_prompts(8))
        assert time.monotonic() - started < 0.8  # one after the other: 1.6 s


def test_a_dimension_that_is_not_given_is_asked_for_once() -> None:
    with endpoint(embed) as (url, script):
        encoder = opened(url, dimension=None)
        assert encoder.dimension == 64
        assert encoder.fingerprint == opened(url).fingerprint
        assert len(script.bodies) == 1


def _data(rows: Any, **more: Any) -> Answer:
    return lambda _: {"data": rows, **more}


GOOD = [0.5] * 64
FAULTS: dict[str, tuple[Answer, str]] = {
    "500": (text_answer(f"{SECRET} {PROMPT}", 500), "status 500"),
    "HTML": (text_answer(f"<html>{SECRET} {PROMPT}"), "with JSON"),
    "no data": (lambda _: {"error": PROMPT}, "another shape"),
    "null": (lambda _: None, "another shape"),
    "too few": (_data([]), "for 1 texts"),
    "too many": (_data([{"index": i, "embedding": GOOD} for i in (0, 1)]), "for 1 texts"),
    "twice": (_data([{"index": 1, "embedding": GOOD}]), "for 1 texts"),
    "dimension": (_data([{"index": 0, "embedding": [1.0] * 65}]), "65 numbers a text, not 64"),
    "NaN": (_data([{"index": 0, "embedding": [float("nan")] * 64}]), "not finite"),
    "words": (_data([{"index": 0, "embedding": ["x"] * 64}]), "another shape"),
    "model": (_data([{"index": 0, "embedding": GOOD}], model="other"), "another model"),
    "slow": (slow(embed, 0.6), "within 0.3 s"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_endpoint_that_lies_or_fails_is_a_router_error(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBED_KEY", SECRET)
    answer, why = FAULTS[fault]
    with endpoint(answer) as (url, script):
        encoder = opened(url, api_key_env="EMBED_KEY", timeout_s=0.3)
        with pytest.raises(RouterError, match=why) as caught:
            encoder.encode([PROMPT])
        assert script.headers[0]["authorization"] == f"Bearer {SECRET}"
    shown = f"{caught.value} {encoder!r} {vars(encoder)} {vars(encoder.encoder)}"
    assert SECRET not in shown
    assert PROMPT not in shown


def test_a_trained_router_serves_by_its_remote_encoder_and_falls_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {"now": False}

    def answer(body: dict[str, Any]) -> Any:
        return Response("gone", status_code=503) if gone["now"] else embed(body)

    with endpoint(answer) as (url, script):
        monkeypatch.setenv("TURNOUT_EMBEDDINGS_BASE_URL", url)
        fit_router("linear", planted_table(60), encoder="remote:m").write(tmp_path / "a")
        monkeypatch.delenv("TURNOUT_EMBEDDINGS_BASE_URL")
        with pytest.raises(SettingsError, match="TURNOUT_EMBEDDINGS_BASE_URL"):
            open_router("linear", artifact=tmp_path / "a")
        options = {"encoder": {"base_url": url, "dimension": 32}}
        with pytest.raises(ArtifactError, match="fitted with encoder remote:m"):
            open_router("linear", artifact=tmp_path / "a", options=options)
        calls = len(script.bodies)
        linear = open_router(
            "linear", artifact=tmp_path / "a", options={"encoder": {"base_url": url}}
        )
        assert len(script.bodies) == calls
        engine = Engine(
            Pool(candidates=CANDIDATES[:2], default=CANDIDATES[0].name),
            {"linear": linear, "rules": open_router("rules")},
            fallbacks={"linear": RouteSpec("rules", 0.5)},
        )
        assert engine.waits("linear")
        assert not engine.decide(Query.of("one"), RouteSpec("linear", 0.5)).fallback
        gone["now"] = True
        decision = engine.decide(Query.of("two"), RouteSpec("linear", 0.5))
        assert (decision.fallback, decision.router) == (True, "rules")
        assert "status 503" in decision.notes[-1]


def test_the_environments_key_goes_to_the_environments_url_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TURNOUT_EMBEDDINGS_API_KEY", SECRET)
    with endpoint(embed) as (url, script):
        opened(url).encode(["a"])
        monkeypatch.setenv("TURNOUT_EMBEDDINGS_BASE_URL", url)
        monkeypatch.setenv("TURNOUT_EMBEDDINGS_DIMENSION", "64")
        open_encoder("remote:m").encode(["a"])
    assert "authorization" not in script.headers[0]
    assert script.headers[1]["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("remote:m", {}, "TURNOUT_EMBEDDINGS_BASE_URL"),
        ("remote:", {"base_url": "http://h/v1"}, "base_url"),
        ("remote:m", {"base_urll": "x"}, "Did you mean 'base_url'"),
        ("remote:m", {"base_url": "http://h/v1", "timeout_s": 0}, "timeout_s"),
        ("remote:m", {"base_url": "http://h/v1", "dimension": "many"}, "dimension"),
        ("remote:m", {"base_url": "http://h/v1", "api_key_env": "NOT_SET"}, "environment"),
        ("static-256", {"base_url": "http://h/v1"}, "takes none"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_encoder(name, options)


class Counting(HashingEncoder):
    seen = 0

    def encode(self, texts: Any) -> Floats:
        self.seen += len(texts)
        return super().encode(texts)


def test_the_cache_is_bounded_and_encodes_each_text_once() -> None:
    within = Counting(64)
    encoder = CachedEncoder(within, size=2)
    texts = ["a", "b", "a", "c"]
    np.testing.assert_array_equal(encoder.encode(texts), HashingEncoder(64).encode(texts))
    assert within.seen == 3
    encoder.encode(["b", "c"])
    assert within.seen == 3
    encoder.encode(["a"])
    assert within.seen == 4
    assert (encoder.name, encoder.fingerprint) == (within.name, within.fingerprint)


def test_a_cache_file_outlives_the_process_and_holds_no_text(tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    CachedEncoder(HashingEncoder(64), size=0, file=file).encode([PROMPT])
    within = Counting(64)
    found = CachedEncoder(within, size=0, file=file).encode([PROMPT])
    np.testing.assert_array_equal(found, HashingEncoder(64).encode([PROMPT]))
    assert within.seen == 0
    assert PROMPT.encode() not in file.read_bytes()
    other = Counting(32)
    assert CachedEncoder(other, size=0, file=file).encode([PROMPT]).shape == (1, 32)
    assert other.seen == 1


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    file.write_text(json.dumps({"no": "database"}) * 100, encoding="utf-8")
    with pytest.raises(ArtifactError, match="cannot be used"):
        CachedEncoder(HashingEncoder(64), size=1, file=file)
