"""What every log format must give: the same two calls, whatever wrote them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from log_samples import (
    ANSWER,
    MODEL,
    QUESTION,
    SAMPLES,
    SECOND,
    START,
    SYSTEM,
)
from turnout.data.logs import Findings, LogCall, read_calls

TOLD = {
    "time": START,
    "model": MODEL,
    "input_tokens": 120,
    "cached_tokens": 64,
    "output_tokens": 9,
    "cost_usd": pytest.approx(0.0025),
    "latency_ms": pytest.approx(2000),
    "answer": ANSWER,
}


def read(paths: list[Path]) -> tuple[list[LogCall], Findings]:
    findings = Findings()
    calls = list(read_calls(paths, findings))
    return sorted(calls, key=lambda c: c.query.turns), findings


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_gives_the_same_two_calls(name: str, tmp_path: Path) -> None:
    write, untold = SAMPLES[name]
    calls, findings = read(write(tmp_path))
    assert [c.query.text for c in calls] == [QUESTION, SECOND]
    assert {c.format for c in calls} == {name.split()[0]}
    for call in calls:
        assert not call.doubts
        for field, value in TOLD.items():
            assert getattr(call, field) == (value if field not in untold else _nothing(field)), (
                field
            )
        if "system" not in untold:
            assert call.query.system == SYSTEM
        if "session" not in untold:
            assert call.session == "s1"
    assert len({c.session for c in calls}) == 1
    if "turns" not in untold:
        assert [c.query.turns for c in calls] == [1, 2]
    assert set(findings.counts) <= {"not_chat"}


def _nothing(field: str) -> object:
    return "" if field == "answer" else None


@pytest.mark.parametrize("name", ["chat", "helicone csv", "otel-genai", "helicone array"])
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_packed_files_are_read_by_their_content(name: str, packing: str, tmp_path: Path) -> None:
    if packing == "zstd":
        zstd = pytest.importorskip("backports.zstd", reason="needs the extra zstd")
        pack = zstd.compress
    else:
        pack = gzip.compress
    paths = SAMPLES[name][0](tmp_path)
    for path in paths:
        path.write_bytes(pack(path.read_bytes()))
    assert len(read(paths)[0]) == 2


def test_a_file_may_mix_formats(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.jsonl"
    names = ("chat", "litellm-spend", "otel-genai", "weave")
    lines = [
        path.read_text(encoding="utf-8") for name in names for path in SAMPLES[name][0](tmp_path)
    ]
    mixed.write_text("".join(lines), encoding="utf-8")
    calls, findings = read([mixed])
    assert {c.format for c in calls} == set(names)
    assert len(calls) == 8
    assert findings.counts == {"not_chat": 2}


def test_scores_of_other_files_join_their_calls(tmp_path: Path) -> None:
    calls, _ = read(SAMPLES["langfuse-legacy"][0](tmp_path))
    assert [c.score for c in calls] == [0.5, None]


def test_propensities_and_decisions_are_read(tmp_path: Path) -> None:
    calls, _ = read(SAMPLES["chat"][0](tmp_path))
    assert {c.propensity for c in calls} == {0.25}
    assert [c.decision_id for c in calls] == ["dec_0", "dec_1"]


def test_anthropic_counts_its_cached_input_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    usage = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5}
    row = {
        "request": {
            "model": "claude-sonnet-4-5",
            "system": "Be brief.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        },
        "response": {"content": [{"type": "text", "text": ANSWER}], "usage": usage},
    }
    path.write_text(json.dumps(row), encoding="utf-8")
    [call], _ = read([path])
    assert (call.input_tokens, call.cached_tokens, call.output_tokens) == (100, 90, 5)
    assert (call.query.text, call.query.system, call.answer) == (QUESTION, "Be brief.", ANSWER)
    assert call.model == "claude-sonnet-4-5"
