"""Logs as they should not be: what is wrong is counted and named, and the rest is read."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_samples import MESSAGES, QUESTION, SAMPLES, write_lines
from turnout.data.logs import Findings, LogCall, LogFile, expand, open_log, read_calls
from turnout.data.logs.call import REASONS
from turnout.data.logs.fields import messages_of, moment
from turnout.data.logs.files import lines_of, spooled
from turnout.errors import DataError

GOOD = json.dumps({"messages": MESSAGES, "model": "m"})


def read(path: Path) -> tuple[list[LogCall], Findings]:
    findings = Findings()
    return list(read_calls([path], findings)), findings


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"messages": [{"role": "user", "con', "truncated"),
        ("hello there", "not_json"),
        ("[1, 2]", "not_object"),
        ('{"a": 1}', "unknown_shape"),
        ('{"messages": []}', "no_prompt"),
        ('{"messages": [{"role": "user", "content": ""}]}', "no_user_text"),
        ('{"messages": [7]}', "bad_messages"),
        (json.dumps({"prompt": "x", "status": "error"}), "failed"),
        (b'{"messages": "\xff\xfe"}', "not_utf8"),
    ],
)
def test_what_gives_no_call_is_counted_with_its_first_line(
    line: str | bytes, reason: str, tmp_path: Path
) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    path = written(tmp_path / "log.jsonl", b"\n".join([GOOD.encode(), b"", raw, raw, b""]))
    calls, findings = read(path)
    assert len(calls) == 1
    assert list(findings) == [(reason, 2, "log.jsonl", 3)]
    assert reason in REASONS


def test_litellm_without_prompts_says_which_switch_is_off(tmp_path: Path) -> None:
    [path] = SAMPLES["litellm-spend"][0](tmp_path)
    rows = [
        {**json.loads(line), "messages": {}, "response": {}}
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    calls, findings = read(write_lines(path, *rows))
    assert (calls, findings.counts) == ([], {"no_prompt_litellm": 2})
    assert "store_prompts_in_spend_logs" in REASONS["no_prompt_litellm"]


@pytest.mark.parametrize(
    ("change", "doubt", "field"),
    [
        ({"score": 7}, "bad_score", "score"),
        ({"propensity": 0}, "bad_propensity", "propensity"),
        ({"input_tokens": -3}, "bad_tokens", "input_tokens"),
        ({"output_tokens": "many"}, "bad_tokens", "output_tokens"),
        ({"cost_usd": float("nan")}, "bad_cost", "cost_usd"),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": 2}}, "bad_tokens", "output_tokens"),
        ({"timestamp": "yesterday"}, "bad_time", "time"),
        (
            {"timestamp": 1_790_000_000, "end_time": 1_789_999_000},
            "ends_before_start",
            "latency_ms",
        ),
    ],
)
def test_a_value_that_cannot_be_is_left_out_and_counted(
    change: dict[str, Any], doubt: str, field: str, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "log.jsonl", {"messages": MESSAGES, **change})
    [call], findings = read(path)
    assert getattr(call, field) is None
    assert findings.counts == {doubt: 1}


@pytest.mark.parametrize(
    ("content", "line"),
    [("this is\nno log\n", 1), ('{"a": 1}\n{"b": 2}\n', 1), ("", 1), ('{"a": \n', 1)],
)
def test_a_file_of_which_nothing_can_be_read_is_an_error(
    content: str, line: int, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"x\.log:{line}"):
        read(written(tmp_path / "x.log", content))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        expand([tmp_path / "none*.jsonl"])


def test_an_archive_that_ends_early_gives_what_came_before(tmp_path: Path) -> None:
    packed = gzip.compress((GOOD + "\n").encode() * 20_000, compresslevel=0)
    path = written(tmp_path / "x.gz", packed[: len(packed) // 2])
    calls, findings = read(path)
    assert len(calls) > 1_000
    assert findings.counts["broken_archive"] == 1


def test_an_array_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    path = written(tmp_path / "x.json", f"[{GOOD},\n{GOOD},\n{GOOD[:-9]}")
    calls, findings = read(path)
    assert len(calls) == 2
    assert list(findings) == [("truncated", 1, "x.json", 3)]


def test_a_ragged_csv_row_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", 'prompt,model\n"one\nprompt",m\nbroken\ntwo,m\n')
    calls, findings = read(path)
    assert [c.query.text for c in calls] == ["one\nprompt", "two"]
    assert list(findings) == [("ragged", 1, "x.csv", 4)]


def test_a_batch_id_that_two_outputs_share_gets_no_tokens(tmp_path: Path) -> None:
    paths = SAMPLES["openai-batch"][0](tmp_path)
    other = json.loads(paths[1].read_text(encoding="utf-8").splitlines()[0])
    other["response"]["body"]["usage"] = {"prompt_tokens": 1, "completion_tokens": 1}
    with paths[1].open("a", encoding="utf-8") as file:
        file.write(json.dumps(other) + "\n")
    findings = Findings()
    tokens = {c.id: c.input_tokens for c in read_calls(paths, findings)}
    assert tokens == {"one": 120, "two": None}
    assert findings.counts == {"ambiguous_output": 1}


def test_folders_patterns_and_repeats_are_each_read_once(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for name in ("1.jsonl", "2.jsonl"):
        written(inner / name, GOOD)
    found = expand([tmp_path, str(tmp_path / "**" / "*.jsonl"), inner / "1.jsonl"])
    assert found == [inner / "1.jsonl", inner / "2.jsonl"]


def test_standard_input_is_copied_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    path = spooled(expand(["-"])[0], tmp_path)
    assert len(read(path)[0]) == 1


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=1))
def test_chunks_of_any_size_hold_every_line_once(lines: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes("\n".join(lines).encode())
        file = LogFile(path, "lines")
        for size in (1, 7, 100):
            ranges = file.chunks(size)
            assert b"".join(file.chunk(*r) for r in ranges) == path.read_bytes()
            parts = [r.value for a, b in ranges for r in lines_of(io.BytesIO(file.chunk(a, b)))]
            if not any(line.startswith("\ufeff") for line in lines):
                assert parts == [r.value for r in file.records()]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_790_000_000, 1.79e9),
        (1_790_000_000_000, 1.79e9),
        ("1790000000000000", 1.79e9),
        ("1790000000000000000", 1.79e9),
        ("2026-09-21 14:13:20.000000", 1.79e9),
        ("2026-09-21T16:13:20+02:00", 1.79e9),
        ("2026-09-21T14:13:20.000Z", 1.79e9),
        ("soon", None),
        (None, None),
        ([], None),
    ],
)
def test_times_are_read_in_every_unit(value: Any, seconds: float | None) -> None:
    assert moment(value) == seconds


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "parts", "messages", "type", "text", "input"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_is_a_call_or_a_reason(value: Any) -> None:
    from turnout.data.logs.call import Unusable
    from turnout.data.logs.fields import Fields, finish

    found = finish(Fields(format="chat", body=value, response=value, score=value, start=value))
    assert isinstance(found, LogCall) or (isinstance(found, Unusable) and found.reason in REASONS)
    assert all(isinstance(m, dict) for m in messages_of(value))


def test_what_a_file_is_does_not_depend_on_its_name(tmp_path: Path) -> None:
    forms = {
        "lines": GOOD + "\n" + GOOD,
        "array": f"[{GOOD}]",
        "document": json.dumps({"data": [json.loads(GOOD)]}, indent=1),
        "csv": f"id,prompt\n1,{QUESTION}\n",
    }
    for form, content in forms.items():
        path = written(tmp_path / "same.name", content)
        assert open_log(path).form == form
        assert len(read(path)[0]) == (2 if form == "lines" else 1)
