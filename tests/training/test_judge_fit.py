"""A judge fitted to outcomes: the command, what it costs, what it keeps, and how it is opened."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.responses import Response

from json_fakes import Scripted, endpoint, openai_chat
from turnout.artifacts.opening import open_router
from turnout.cli import cli
from turnout.data.table import build_table
from turnout.engine import Engine
from turnout.errors import ArtifactError, InputError, RouterError
from turnout.names import RouteSpec
from turnout.training.causal_llm import train_causal_llm
from turnout.training.trainers import names
from turnout.types import Candidate, Outcome, Pool, Query

POOL = Pool(candidates=(Candidate(name="big"), Candidate(name="small")), default="big")
KINDS = ("greet", "prove")


def outcomes(n: int = 200) -> list[Outcome]:
    """The small model fails on proofs; the large one nearly never."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        kind = KINDS[i % 2]
        words = " ".join(f"w{j}" for j in rng.integers(1_000, size=int(rng.integers(6, 30))))
        for model, chance in (("big", 0.95), ("small", 0.9 if kind == "greet" else 0.2)):
            score = float(rng.random() < chance)
            found.append(Outcome(prompt=f"{kind} {words}", model=model, score=score))
    return found


def shy(body: Mapping[str, Any]) -> Any:
    """A judge that knows which is which, but is far too sure that small answers fail."""
    text = body["messages"][1]["content"]
    yes = 0.6 if "greet" in text else 0.05
    return openai_chat({"yes": yes, "no": 1 - yes})


def trained(url: str, **options: Any) -> Any:
    given = {"model": "j", "scheme": "two", **options}
    return train_causal_llm(build_table(outcomes()), base_url=url, **given)


def guide_command(url: str) -> list[str]:
    """The words after `turnout` of the guide's command, with another address and a key."""
    guide = Path(__file__).parents[2] / "docs" / "guides" / "causal-llm.md"
    line = next(
        x for x in guide.read_text(encoding="utf-8").splitlines() if "train causal_llm --" in x
    )
    words = shlex.split(line.partition("turnout ")[2])
    words = [f"base_url={url}" if w.startswith("base_url=") else w for w in words]
    return [*words, "--option", "api_key_env=JUDGE_KEY", "-q"]


def test_the_command_asks_fits_and_writes_what_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-77")
    monkeypatch.chdir(tmp_path)
    data, out = tmp_path / "outcomes.jsonl", tmp_path / "judge"
    rows = [{"prompt": o.prompt, "model": o.model, "score": o.score} for o in outcomes()]
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with endpoint(shy) as (url, script):
        found = CliRunner().invoke(cli, guide_command(url))
        assert found.exit_code == 0, found.output
        assert "better than prompt length alone" in found.output
        assert len(script.bodies) == 200
        options = {"base_url": url, "model": "my-judge", "scheme": "two"}
        router = open_router("causal_llm", artifact=out, options=options)
        engine = Engine(POOL, {"causal_llm": router})
        engine.check()
        easy = engine.decide(Query.of("greet w1 w2"), RouteSpec("causal_llm", 0.5))
        hard = engine.decide(Query.of("prove w1 w2"), RouteSpec("causal_llm", 0.5))
    assert (easy.model, hard.model) == ("small", "big")
    assert not hard.fallback
    # The judge says 0.6 and 0.05; outcomes say 0.9 and 0.2.
    assert easy.quality["small"] == pytest.approx(0.9, abs=0.08)
    assert hard.quality["small"] == pytest.approx(0.2, abs=0.1)
    assert "causal_llm" in names()
    kept = b"".join(file.read_bytes() for file in out.iterdir())
    assert b"sk-secret-77" not in kept
    assert not any(row["prompt"].encode() in kept for row in rows)
    threshold = router.threshold_for_share(POOL.candidates, 0.5)  # type: ignore[attr-defined]
    assert 0.0 < threshold < 1.0


def test_a_run_that_broke_off_asks_only_what_is_missing(tmp_path: Path) -> None:
    def breaks(body: Mapping[str, Any]) -> Any:
        return Response("gone", status_code=503) if len(script.bodies) > 120 else shy(body)

    script: Scripted
    with endpoint(breaks) as (url, script):
        with pytest.raises(RouterError, match=r"no usable answer.*status 503.*same command again"):
            trained(url, checkpoint=tmp_path / "kept", concurrency=1)
        script.answer = shy
        script.bodies.clear()
        fitted = trained(url, checkpoint=tmp_path / "kept")
        assert len(script.bodies) == 100  # two parts of fifty were kept
        plain = trained(url)
    for name, array in plain.arrays.items():
        np.testing.assert_array_equal(fitted.arrays[name], array)


def test_a_few_prompts_without_an_answer_are_left_out_and_said() -> None:
    failing = {o.prompt for o in outcomes()[:20]}  # ten prompts

    def answer(body: Mapping[str, Any]) -> Any:
        text = body["messages"][1]["content"]
        bad = any(prompt in text for prompt in failing)
        return Response("no", status_code=500) if bad else shy(body)

    with endpoint(answer) as (url, _):
        fitted = trained(url)
    assert fitted.manifest["data"]["prompts"] == 190
    assert any("10 prompts got no usable answer" in note for note in fitted.manifest["notes"])


def test_no_more_is_asked_than_allowed() -> None:
    with endpoint(shy) as (url, script):
        fitted = trained(url, most=60)
        assert len(script.bodies) == 60
    assert "60 of 200 prompts, drawn at random" in fitted.manifest["notes"]


def test_a_judge_that_knows_nothing_is_seen_to(tmp_path: Path) -> None:
    with endpoint(lambda _: openai_chat({"yes": 0.5, "no": 0.5})) as (url, _):
        fitted = trained(url)
    assert not fitted.manifest["measured"]["above_length"].get("beats")
    assert fitted.manifest["measured"]["brier_skill"] < 0.02


def test_another_judge_than_the_one_fitted_is_refused(tmp_path: Path) -> None:
    with endpoint(shy) as (url, _):
        trained(url).write(tmp_path / "judge")
    for change in ({"model": "other"}, {"scheme": "five"}, {"max_characters": 500}):
        options = {"base_url": url, "model": "j", "scheme": "two", **change}
        with pytest.raises(ArtifactError, match="give the same options or train it again"):
            open_router("causal_llm", artifact=tmp_path / "judge", options=options)
    with pytest.raises(InputError, match="base_url"):
        open_router("causal_llm", artifact=tmp_path / "judge")
    with pytest.raises(InputError, match="it takes"):
        open_router("causal_llm", options={"opened": 3})
    with pytest.raises(InputError, match="rules"):
        open_router("rules", artifact=tmp_path / "judge")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"base_url": ""}, "base_url"), ({"most": 3}, "most"), ({"encoder": "hashing-64"}, "encoder")],
)
def test_bad_options_cost_no_call(options: dict[str, Any], message: str) -> None:
    given = {"base_url": "http://127.0.0.1:9/v1", "model": "j", **options}
    with pytest.raises(InputError, match=message):
        train_causal_llm(build_table(outcomes()), **given)
