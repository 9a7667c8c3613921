from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from turnout.cli import cli
from turnout.errors import InputError, UnknownNameError
from turnout.explaining import kept_decision
from turnout.gateway.setup.building import build_engine
from turnout.settings import load_settings
from turnout.store.database import open_database
from turnout.store.record import Record, json_line
from turnout.store.records import RecordTable
from turnout.types import Decision
from turnout.wire.chat import query_of_prompt

CONFIG = """
providers: {up: {base_url: "http://127.0.0.1:9/v1"}}
candidates:
  - {name: strong, price: {input_usd: 3, output_usd: 9}, context_tokens: 100000}
  - {name: cheap, price: {input_usd: 0.3, output_usd: 0.7}, context_tokens: 100000}
routers: {rules: {}}
store: {path: turnout.db}
"""
PROMPT = "Prove that the square root of 2 is irrational, step by step."


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A gateway's folder, whose store has the record of one decision."""
    (tmp_path / "turnout.yaml").write_text(CONFIG)
    messages = [{"role": "user", "content": PROMPT}]
    (tmp_path / "request.json").write_text(json.dumps({"model": "auto", "messages": messages}))
    (tmp_path / "other.json").write_text(
        json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hi"}]})
    )
    engine = build_engine(load_settings(tmp_path / "turnout.yaml"))
    made = engine.decide(query_of_prompt(PROMPT), engine.parse("router-rules-0.4"))
    made = replace(made, notes=(*made.notes, "answered by meaning"))
    table = RecordTable(open_database(tmp_path / "turnout.db"))
    table.put(
        [of(made), of(replace(made, win_rate=0.123), id="dec_false"), of(None, id="dec_bare")]
    )
    table.close()
    return tmp_path


def of(decision: Decision | None, **changes: str) -> Record:
    kept = "" if decision is None else json_line(kept_decision(decision)).decode()
    return replace(
        Record(
            id="dec_1",
            at_ms=1,
            status="ok",
            model="auto",
            candidate="cheap",
            input_tokens=15,
            output_tokens=3,
            cost_picousd=6_600_000,
            cost_basis="usage",
            flags="other_model",
            decision=kept,
        ),
        **changes,  # type: ignore[arg-type]
    )


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["explain", *arguments])


def test_a_decision_in_words(home: Path) -> None:
    found = run("dec_1", "--store", str(home / "turnout.db"))
    assert found.exit_code == 0, found.output
    for said in (
        "was asked, for `auto`; ok",
        "strong: expected quality",
        "it cost 0.000006600000 USD (by usage)",
        "other_model: the upstream named another model",
        "note: answered by meaning",
        "computed again from the record: the same, bit for bit",
    ):
        assert said in found.output


def test_the_prediction_too_where_the_request_is_given(home: Path) -> None:
    config = ["--config", str(home / "turnout.yaml")]
    same = run("dec_1", *config, "--request", str(home / "request.json"))
    assert same.exit_code == 0, same.output
    assert "predicted again from the request: the same, bit for bit" in same.output
    other = run("dec_1", *config, "--request", str(home / "other.json"))
    assert other.exit_code == 1
    assert "it DIFFERS" in other.output
    assert "quality: recorded" in other.output


def test_for_machines(home: Path) -> None:
    found = run("dec_1", "--config", str(home / "turnout.yaml"), "--json")
    said = json.loads(found.output)
    assert said["identical"] is True
    assert said["recomputed"]["model"] == said["decision"]["model"]
    assert said["record"]["cost_picousd"] == 6_600_000


def test_a_record_that_does_not_follow_is_shown(home: Path) -> None:
    found = run("dec_false", "--store", str(home / "turnout.db"))
    assert found.exit_code == 1
    assert "win_rate: recorded 0.123" in found.output
    bare = run("dec_bare", "--store", str(home / "turnout.db"))
    assert bare.exit_code == 0
    assert "not computed again: the record has no decision" in bare.output


def test_what_cannot_be_explained_says_why(home: Path) -> None:
    store = str(home / "turnout.db")
    assert isinstance(run("dec_x", "--store", store).exception, UnknownNameError)
    for arguments, said in (
        (["dec_1"], "give --config"),
        (["dec_1", "--store", store, "--config", "x"], "give --config"),
        (["dec_1", "--store", str(home / "none.db")], "no such file"),
        (["dec_1", "--store", store, "--request", "r.json"], "give --config"),
        (["dec_1", "--config", str(home / "turnout.yaml"), "--request", "no.json"], "readable"),
    ):
        error = run(*arguments).exception
        assert isinstance(error, InputError), arguments
        assert said in str(error)
