"""Every `turnout` command and every Python block of the README and the guides runs.

Left to tests of their own: `serve` (it does not end), the settings and JSONL examples of the
gateway's and the outcomes' pages, and the client's guide, which needs an upstream.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from planted import SUCCESS, planted_prompts
from review_made import NOW, made_calls, mapper, write_log
from turnout.artifacts.opening import open_router
from turnout.cli import cli
from turnout.evaluation.benchmarks import open_benchmark
from turnout.evaluation.replay_folder import predict_benchmark, save
from turnout.explaining import kept_decision
from turnout.gateway.setup.building import build_engine
from turnout.review import Asked, review
from turnout.settings import load_settings
from turnout.store.database import open_database
from turnout.store.record import Record, json_line
from turnout.store.records import RecordTable
from turnout.wire.chat import read_query

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
ELSEWHERE = {"serve"}
STORED = """
providers: {openai: {base_url: https://api.openai.com/v1, api_key_env: OPENAI_API_KEY}}
candidates: [{name: gpt-4.1}, {name: gpt-4.1-mini}]
routers: {rules: {}}
store: {path: turnout.db}
"""
LITELLM = """
model_list:
  - {model_name: gpt-4.1, litellm_params: {model: openai/gpt-4.1, api_key: os.environ/OPENAI_API_KEY}}
  - {model_name: gpt-4.1-mini, litellm_params: {model: openai/gpt-4.1-mini, rpm: 60}}
"""
ARENA_POOL = ("gpt-4o", "gpt-4o-mini")
TESTED = (
    "keys|audit|explain|route|train|learn|models|calibrate|evaluate|review|grade|reconcile|replay|store|"
    "routerarena|demo|trials|check|import"
)
PYTHON_ELSEWHERE = {"controller.md"}


def commands(page: Path) -> list[list[str]]:
    """The `turnout` commands of a page, in order, without their comments."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(
        rf"^(?:    |\$ )?turnout ((?:{TESTED})\b.*)$",
        text,
        re.M,
    )
    return [shlex.split(line, comments=True) for line in found]


def python_blocks(page: Path) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages speak of."""
    home = tmp_path_factory.mktemp("docs")
    rng_free = planted_prompts(400)
    with (home / "outcomes.jsonl").open("w", encoding="utf-8") as file:
        for i, prompt in enumerate(rng_free):
            good = {
                name: float((i * 7919 % 1000) / 1000 < SUCCESS[column][i % 4])
                for name, column in (("gpt-4", "large"), ("mixtral", "small"))
            }
            file.write(json.dumps({"prompt": prompt, "models": good}) + "\n")
    peers = [
        {
            "prompt": p,
            "models": {f"peer-{j}": (i * 7919 + j * 104729) % 10 < 2 * j for j in range(5)},
        }
        for i, p in enumerate(rng_free)
    ]
    (home / "peers.jsonl").write_text("\n".join(map(json.dumps, peers)), encoding="utf-8")
    labelled = [{"prompt": p, "model": "my-model", "score": i % 2} for i, p in enumerate(rng_free)]
    (home / "labelled.jsonl").write_text(
        "\n".join(map(json.dumps, labelled[:100])), encoding="utf-8"
    )
    (home / "prices.yaml").write_text("gpt-4: {input_usd: 2, output_usd: 8}\n", encoding="utf-8")
    queries = [{"global index": f"AIME_{i}", "prompt_formatted": p} for i, p in enumerate(rng_free)]
    for name, count in (("router_data", 200), ("router_data_10", 20), ("router_robustness", 10)):
        text = json.dumps(queries[:count])
        (home / f"{name}.json").write_text(text, encoding="utf-8")
    graded = [f'"{p}",{m},{i % 2},0.001' for i, p in enumerate(rng_free) for m in ARENA_POOL]
    text = "\n".join(["prompt,model,score,cost_usd", *graded])
    (home / "outcomes.csv").write_text(text, encoding="utf-8")
    with (home / "fresh.jsonl").open("w", encoding="utf-8") as file:
        for i, prompt in enumerate(planted_prompts(800, seed=1)):
            good = {
                name: float((i * 6007 % 1009) / 1009 < SUCCESS[column][i % 4])
                for name, column in (("gpt-4", "large"), ("mixtral", "small"))
            }
            file.write(json.dumps({"prompt": prompt, "models": good}) + "\n")
    (home / "config.yaml").write_text(LITELLM, encoding="utf-8")
    (home / "prompts.txt").write_text("\n".join(rng_free[:200]), encoding="utf-8")
    kept = predict_benchmark(
        open_router("blend"), open_benchmark("outcomes", home / "outcomes.jsonl")
    )
    save(kept, home / "kept" / "blend")
    _logs(home)
    _store(home)
    trained = CliRunner().invoke(
        cli,
        [
            "train",
            "blend",
            "--data",
            str(home / "outcomes.jsonl"),
            "--out",
            str(home / "my-router"),
        ],
        catch_exceptions=False,
    )
    assert trained.exit_code == 0, trained.output
    return home


def _store(home: Path) -> None:
    """A gateway's settings, its store with one record, and that record's request."""
    (home / "turnout.yaml").write_text(STORED, encoding="utf-8")
    body = {"model": "auto", "messages": [{"role": "user", "content": "What is 2 + 2?"}]}
    (home / "request.json").write_text(json.dumps(body), encoding="utf-8")
    engine = build_engine(load_settings(home / "turnout.yaml", {"OPENAI_API_KEY": "none"}))
    made = engine.decide(read_query(body), engine.parse("router-rules-0.5"))
    kept = json_line(kept_decision(replace(made, id="dec_5f2d91c07b3a44e8"))).decode()
    record = Record(id="dec_5f2d91c07b3a44e8", at_ms=int(NOW) * 1000, status="ok", decision=kept)
    table = RecordTable(open_database(home / "turnout.db"))
    table.put([record, replace(record, id="dec_2", upstream_model="gpt-4.1", output_tokens=50)])
    table.close()
    day = datetime.fromtimestamp(NOW, tz=UTC).date()
    bill = f"date,model,input_tokens,output_tokens\n{day},gpt-4.1-2025-04-14,0,50\n"
    (home / "usage.csv").write_text(bill, encoding="utf-8")


def _logs(home: Path) -> None:
    """Logs as the review's page speaks of them, with graded prompts and outputs of batches."""
    (home / "logs").mkdir()
    write_log(home / "logs" / "a.jsonl", made_calls(150))
    file = home / "graded.jsonl"
    asked = Asked(label=60, label_file=file, replicates=20)
    review([home / "logs"], mapper(), asked, now=NOW)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["models"] = {"gpt-4o": 1, "gpt-4o-mini": 0.5}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    body = {"choices": [{"message": {"content": "42"}}]}
    output = {"custom_id": rows[0]["id"], "response": {"status_code": 200, "body": body}}
    for name in ("big", "small"):
        (home / f"{name}.out.jsonl").write_text(json.dumps(output) + "\n", encoding="utf-8")


def test_pages_have_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 8
    assert sum(len(python_blocks(page)) for page in PAGES) >= 3


def test_the_commands_of_the_pages_run(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("OPENAI_API_KEY", "none-is-used")
    runner = CliRunner()
    for page in PAGES:
        for arguments in commands(page):
            if "--benchmark" in arguments:  # needs RouteLLM's data: tests/evaluation
                continue
            if "1500" in arguments:  # more labels than this folder has
                arguments[arguments.index("1500")] = "200"
            target = None
            if ">" in arguments:  # as a shell does
                arguments, target = arguments[: arguments.index(">")], arguments[-1]
            if "logs/*.jsonl" in arguments:  # a shell would expand it; one process is enough here
                arguments += ["--no-cache", "--workers", "1"]
            if "200" in arguments and "--label" in arguments:
                arguments[arguments.index("200")] = "60"
            result = runner.invoke(cli, arguments)
            if target is not None:
                Path(target).write_text(result.stdout, encoding="utf-8")
            assert result.exit_code == 0, (page.name, arguments, result.output, result.exception)


def test_the_python_of_the_pages_runs(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("OPENAI_API_KEY", "none-is-used")
    for page in PAGES:
        if page.name in PYTHON_ELSEWHERE:
            continue
        for block in python_blocks(page):
            # The call itself needs an upstream: tests/client.
            made = re.split(r"^.*(?:chat\.completions|embeddings)\.create", block, flags=re.M)[0]
            exec(compile(made, f"{page.name} block", "exec"), {})
    assert "gpt-4o" in capsys.readouterr().out
    for name in ELSEWHERE:
        assert name in cli.list_commands(None)  # type: ignore[arg-type]


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
