"""`turnout routes`, and `turnout route --option`."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from turnout.cli import cli
from turnout.errors import DataError
from turnout.routers.routes import parse_routes, read_routes
from turnout.routers.semantic import SHIPPED
from turnout.training.route_import import import_routes

LABELLED = {
    "small talk": ["hey you", "good evening", "many thanks", "how is it going?", "another joke"],
    "code": ["sort this list in python", "my javascript has a bug", "join two SQL tables"],
    "proofs and hard maths": ["prove it by induction", "solve this equation", "integrate sin x"],
    "none": ["capital of Peru", "best pizza in town", "history of Rome", "flights to Oslo"] * 3,
}
V0 = {
    "encoder_type": "openai",
    "encoder_name": "text-embedding-3-small",
    "routes": [
        {
            "name": "chitchat",
            "utterances": ["how's the weather today?", "lovely weather"],
            "description": "small talk",
            "function_schemas": None,
            "llm": None,
            "score_threshold": 0.42,
            "metadata": {},
        },
        {"name": "politics", "utterances": ["they will save the country!"]},
    ],
}
V1 = {
    "router_type": "indexed",
    "encoder": {"type": "openai", "name": "text-embedding-3-small"},
    "sparse_encoder": None,
    "alpha": 0.7,
    "top_k": 5,
    "aggregation": "mean",
    "index": {"type": "local"},
    "confidence_threshold": 0.3,
    "calibrator": None,
    "refresh_interval": None,
    "routes": [
        {
            "name": "chitchat",
            "utterances": ["lovely weather"],
            "description": None,
            "confidence_threshold": 0.5,
            "metadata": {},
        }
    ],
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def labelled(path: Path) -> Path:
    rows = [
        {"prompt": f"{p}{'!' * i}", "route": r}
        for r, ps in LABELLED.items()
        for i, p in enumerate(ps)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_fitted_routes_have_thresholds_and_can_be_tried(tmp_path: Path) -> None:
    out = tmp_path / "fitted.yaml"
    fitted = run("routes", "fit", SHIPPED, "--data", labelled(tmp_path / "l.jsonl"), "--out", out)
    assert fitted.exit_code == 0, fitted.output
    assert "out of fold" in fitted.output
    found = read_routes(out)
    assert all(route.threshold > 0 for route in found.routes)
    tried = run("route", "--router", "semantic", "--option", f"file={out}", "write python code")
    assert tried.exit_code == 0, tried.output
    assert "route code: match" in tried.output


def test_outcomes_give_each_route_its_scores(tmp_path: Path) -> None:
    outcomes, out = tmp_path / "o.jsonl", tmp_path / "scored.yaml"
    rows = []
    for i in range(30):
        rows.append({"prompt": f"hello there {i}", "models": {"a": 1.0, "b": 1.0}})
        rows.append({"prompt": f"write a python function {i}", "models": {"a": 1.0, "b": 0.0}})
    outcomes.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    fitted = run("routes", "fit", SHIPPED, "--outcomes", outcomes, "--out", out)
    assert fitted.exit_code == 0, fitted.output
    scores = {route.name: route.action.scores for route in read_routes(out).routes}
    assert scores["small talk"]["b"] > 0.85
    assert scores["code"]["b"] < 0.15
    assert scores["code"]["a"] == 1.0


@pytest.mark.parametrize(("parsed", "suffix"), [(V0, ".json"), (V0, ".yaml"), (V1, ".yaml")])
def test_routes_of_semantic_router_are_imported(
    tmp_path: Path, parsed: dict[str, Any], suffix: str
) -> None:
    path, out = tmp_path / f"theirs{suffix}", tmp_path / "ours.yaml"
    text = json.dumps(parsed) if suffix == ".json" else yaml.safe_dump(parsed)
    path.write_text(text, encoding="utf-8")
    found = run("routes", "import", path, "--win-rate", "0.3", "--out", out)
    assert found.exit_code == 0, found.output
    assert "threshold 0." in found.output
    assert "encoder openai text-embedding-3-small is replaced" in found.output
    routes = read_routes(out).routes
    assert routes[0].name == "chitchat"
    assert "lovely weather" in routes[0].utterances
    assert routes[0].action.win_rate == 0.3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"router_type": "decision"}, "router_type"),
        ({"sparse_encoder": {"type": "bm25"}}, "sparse_encoder"),
        ({"calibrator": {"method": "sigmoid"}}, "calibrator"),
        ({"routes": None}, "remote index"),
        ({"routes": [{"name": "a", "utterances": ["b"], "llm": {"x": 1}}]}, "llm"),
        ({"routes": [{"name": "a", "utterances": ["b"], "function_schemas": [{}]}]}, "function_s"),
        ({"routes": [{"name": "a", "utterances": ["b"], "novel": 1}]}, "novel"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps({**V1, **change}), encoding="utf-8")
    with pytest.raises(DataError, match=named):
        import_routes(path)


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([{"prompt": "hi", "route": "cod"}], "route"),
        ([{"prompt": "", "route": "code"}], "prompt"),
        ([{"prompt": "hi", "route": "code"}], "at least 20"),
        ([{"prompt": f"hi {i}", "route": "code"} for i in range(30)], "labelled 'none'"),
    ],
)
def test_labels_that_cannot_be_used_are_named(
    tmp_path: Path, lines: list[dict[str, str]], named: str
) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    found = run("routes", "fit", SHIPPED, "--data", path, "--out", tmp_path / "x.yaml")
    assert isinstance(found.exception, DataError)
    assert named in str(found.exception)
    assert not (tmp_path / "x.yaml").exists()


def test_the_commands_and_the_file_of_the_guide_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "semantic.md"
    text = guide.read_text(encoding="utf-8")
    block = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)[0]
    assert len(parse_routes(yaml.safe_load(block)).routes) == 2
    monkeypatch.chdir(tmp_path)
    Path("routes.yaml").write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
    Path("semantic-router.yaml").write_text(yaml.safe_dump(V1), encoding="utf-8")
    labelled(Path("labelled.jsonl"))
    rows = [{"prompt": f"sort list {i}", "models": {"a": 1.0, "b": i % 2}} for i in range(30)]
    Path("outcomes.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    commands = re.findall(r"^    turnout (routes .*)$", text, re.M)
    assert len(commands) == 3
    for command in commands:
        found = run(*shlex.split(command))
        assert found.exit_code == 0, (command, found.output, found.exception)
