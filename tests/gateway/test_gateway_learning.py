"""Learning while serving: outcomes over the wire, kept across kills."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from planted import CANDIDATES, planted_prompts
from served import served
from turnout.artifacts.folder import read_artifact
from turnout.errors import SettingsError
from turnout.gateway.app import create_app
from turnout.gateway.setup.building import build_engine
from turnout.settings import load_settings

NAMES = [c.name for c in CANDIDATES[:2]]
PROMPT = "translate a word that nobody may read in a log"


def config(folder: Path, artifact: Path, learn: str) -> Path:
    pool = "".join(
        f"  - {{name: {n}, price: {{input_usd: 1, output_usd: 1}}, context_tokens: 9999}}\n"
        for n in NAMES
    )
    file = folder / "turnout.yaml"
    file.write_text(
        f"providers: {{up: {{base_url: 'http://127.0.0.1:9/v1'}}}}\ncandidates:\n{pool}"
        f"routers:\n  knn_live: {{artifact: '{artifact}'}}\n  rules: {{}}\n{learn}\n"
    )
    return file


def report(url: str, count: int, model: str = NAMES[1]) -> httpx2.Response:
    rows = [{"prompt": p, "model": model, "score": 1} for p in planted_prompts(count, 5)]
    return httpx2.post(f"{url}/outcomes", json={"outcomes": rows}, timeout=30)


def basis(url: str) -> str:
    body = {"model": "router-knn_live-0.5", "messages": [{"role": "user", "content": PROMPT}]}
    return str(httpx2.post(f"{url}/route", json=body, timeout=30).json()["basis"][NAMES[1]])


def wait_for(outcomes: int, folder: Path) -> None:
    for _ in range(200):
        if folder.exists() and read_artifact(folder)[0]["live"]["outcomes"] == outcomes:
            return
        time.sleep(0.05)
    raise AssertionError(f"{folder} never held {outcomes} outcomes")


def test_what_was_learned_outlives_a_kill_and_an_orderly_end(
    tmp_path: Path, artifacts: Path
) -> None:
    kept = tmp_path / "kept" / "knn_live"
    file = config(tmp_path, artifacts / "knn", "learn: {keep: kept, every_s: 0.1}")
    with served(file) as gateway:
        url = f"{gateway.url}/v1"
        assert "learned" not in basis(url)
        assert report(url, 20).json() == {"learned": {"knn_live": 20}}
        wait_for(20, kept)
        gateway.process.kill()  # no chance to write
    file = config(tmp_path, artifacts / "knn", "learn: {keep: kept, every_s: 9999}")
    with served(file) as gateway:
        url = f"{gateway.url}/v1"
        assert basis(url).endswith(", 20 learned while serving")
        report(url, 15)
        assert gateway.end() in (0, -signal.SIGTERM)  # long before the next interval
        assert PROMPT not in gateway.said
    wait_for(35, kept)
    assert [f.name for f in kept.parent.iterdir()] == ["knn_live"]  # nothing half-written beside


def test_kills_in_the_middle_of_writing_leave_a_whole_artifact(
    tmp_path: Path, artifacts: Path
) -> None:
    kept = tmp_path / "kept" / "knn_live"
    file = config(tmp_path, artifacts / "knn", "learn: {keep: kept, every_s: 0.05}")
    least = 0
    for wait in (0.06, 0.11):
        with served(file) as gateway:
            report(f"{gateway.url}/v1", 10)
            time.sleep(wait)
            gateway.process.kill()
        if kept.exists():
            held = read_artifact(kept)[0]["live"]["outcomes"]
            assert held >= least
            least = held
    with served(file) as gateway:
        assert httpx2.get(f"{gateway.url}/readyz", timeout=10).status_code == 200


def test_what_was_learned_over_another_artifact_is_refused(tmp_path: Path, artifacts: Path) -> None:
    def settings(artifact: Path):  # type: ignore[no-untyped-def]
        file = config(tmp_path, artifact, "learn: {keep: kept}")
        return load_settings(file, {})

    app = create_app(settings(artifacts / "knn"))
    with TestClient(app, base_url="http://t/v1") as client:
        rows = [{"prompt": PROMPT, "model": NAMES[0], "score": 0.5}]
        assert client.post("outcomes", json={"outcomes": rows}).status_code == 200
    assert (tmp_path / "kept" / "knn_live" / "manifest.json").exists()
    assert build_engine(settings(artifacts / "knn")).routers["knn_live"].fingerprint
    with pytest.raises(SettingsError, match=r"learn.keep: .*learned over artifact .* begin anew"):
        build_engine(settings(artifacts / "mf"))


BAD = [
    ({}, "outcomes"),
    ({"outcomes": []}, "outcomes"),
    ({"outcomes": [7]}, "outcomes[0]"),
    ({"outcomes": [{"prompt": PROMPT, "model": NAMES[0], "score": 2}]}, "outcomes[0].score"),
    ({"outcomes": [{"prompt": PROMPT, "model": NAMES[0], "score": True}]}, "outcomes[0].score"),
    ({"outcomes": [{"prompt": " ", "model": NAMES[0], "score": 1}]}, "outcomes[0].prompt"),
    ({"outcomes": [{"prompt": PROMPT, "score": 1}]}, "outcomes[0].model"),
]


@pytest.mark.parametrize(("body", "field"), BAD)
def test_outcomes_that_cannot_be_used_are_named(
    body: object, field: str, tmp_path: Path, artifacts: Path
) -> None:
    app = create_app(load_settings(config(tmp_path, artifacts / "knn", "learn: {}"), {}))
    with TestClient(app, base_url="http://t/v1") as client:
        found = client.post("outcomes", json=body)
    assert found.status_code == 400
    assert found.json()["error"]["param"] == field
    assert PROMPT not in found.text


def test_outcomes_are_taken_only_where_it_is_asked_for(tmp_path: Path, artifacts: Path) -> None:
    rows = {"outcomes": [{"prompt": "x", "model": NAMES[0], "score": 1}]}
    for learn, status in (("", 404), ("learn: {}", 200)):
        app = create_app(load_settings(config(tmp_path, artifacts / "knn", learn), {}))
        with TestClient(app, base_url="http://t/v1") as client:
            assert client.post("outcomes", json=rows).status_code == status
            if learn:
                unknown = {"outcomes": [{**rows["outcomes"][0], "model": "nobody"}]}
                assert client.post("outcomes", json=unknown).status_code == 404


def test_where_it_cannot_be_kept_serving_goes_on_and_the_log_says_so(
    tmp_path: Path, artifacts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = config(tmp_path, artifacts / "knn", "learn: {keep: turnout.yaml}")
    rows = {"outcomes": [{"prompt": PROMPT, "model": NAMES[0], "score": 1}]}
    with TestClient(create_app(load_settings(file, {})), base_url="http://t/v1") as client:
        assert client.post("outcomes", json=rows).status_code == 200
    assert "what router knn_live learned is in memory alone" in caplog.text
    assert PROMPT not in caplog.text
