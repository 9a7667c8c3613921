from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from planted import planted_prompts
from turnout.artifacts.opening import open_router
from turnout.cli import cli
from turnout.routers.live import LiveKnn


def test_outcomes_are_folded_in_and_more_after_them(artifacts: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "feedback.jsonl", tmp_path / "live"
    rows = [
        {"prompt": p, "models": {"large": 1, "small": i % 2}}
        for i, p in enumerate(planted_prompts(12))
    ]
    data.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    run = CliRunner()
    for artifact, held in ((artifacts / "knn", 24), (out, 48)):
        arguments = ["learn", "--artifact", str(artifact), "--data", str(data), "--out", str(out)]
        result = run.invoke(cli, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert "learned 24 outcomes of 2 models" in result.output
        assert f"{held} are held, over knn" in result.output
    router = open_router("knn_live", artifact=out)
    assert isinstance(router, LiveKnn)
    assert len(router) == 48


def test_a_router_that_does_not_learn_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "feedback.jsonl"
    data.write_text('{"prompt": "Hi", "models": {"a": 1, "b": 0}}\n', encoding="utf-8")
    arguments = ["learn", "--data", str(data), "--out", str(tmp_path / "x"), "--router", "mf"]
    result = CliRunner().invoke(cli, arguments)
    assert "no router that learns named 'mf'" in str(result.exception)
