"""CSV, Parquet and JSON arrays mean what the JSONL means; what cannot be read is named."""

from __future__ import annotations

import gzip
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from turnout.data.files import format_of, read_rows
from turnout.data.outcomes import read_outcomes
from turnout.data.prompts import read_prompts
from turnout.errors import DataError, MissingExtraError

LONG = [
    {"prompt": "a, b", "model": "big", "score": 1, "cost_usd": 0.5, "group": "g"},
    {"prompt": "a, b", "model": "small", "score": 0.25, "output_tokens": 7, "group": "g"},
    {"prompt": 'say "hi"\nnow', "model": "big", "score": 0},
]


def save(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    pq.write_table(pa.table({n: [row.get(n) for row in rows] for n in names}), path)
    return path


def same(path: Path, other: Path) -> None:
    a, b = read_outcomes(path), read_outcomes(other)
    assert (a.prompts, a.models, a.categories) == (b.prompts, b.models, b.categories)
    for field in ("score", "cost_usd", "input_tokens", "output_tokens"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    assert a.groups.tolist() == b.groups.tolist()


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    return save(tmp_path / "long.jsonl", "\n".join(map(json.dumps, LONG)))


CSV = (
    "prompt,model,score,cost_usd,output_tokens,group\n"
    '"a, b",big,1,0.5,,g\n"a, b",small,0.25,,7,g\n"say ""hi""\nnow",big,false,,,\n'
)


def test_long_rows_of_a_csv(tmp_path: Path, jsonl: Path) -> None:
    same(save(tmp_path / "long.csv", CSV), jsonl)


@pytest.mark.parametrize("delimiter", ["\t", ";"])
def test_tabs_and_semicolons_a_byte_order_mark_and_windows_lines(
    tmp_path: Path, jsonl: Path, delimiter: str
) -> None:
    rows = (
        ["prompt", "model", "score", "cost_usd", "output_tokens", "group"],
        ['"a, b"', "big", "1", "0.5", "", "g"],
        ['"a, b"', "small", "0.25", "", "7", "g"],
    )
    text = "\r\n".join(map(delimiter.join, rows))
    found = read_outcomes(save(tmp_path / "x.tsv", b"\xef\xbb\xbf" + text.encode()))
    assert found.prompts == ("a, b",)
    assert found.score.tolist() == read_outcomes(jsonl).score[:1].tolist()


def test_wide_rows_of_a_csv_name_field_and_model(tmp_path: Path) -> None:
    found = read_outcomes(
        save(
            tmp_path / "wide.csv",
            "prompt,category,score:mistral:free,score:big,cost_usd:big,output_tokens:big\n"
            "first,maths,1,0.5,0.01,12\nsecond,,,1,,\n",
        )
    )
    assert found.models == ("mistral:free", "big")
    assert np.array_equal(found.score, [[1, 0.5], [np.nan, 1]], equal_nan=True)
    assert found.cost_usd[0, 1] == np.float32(0.01)
    assert found.output_tokens[0, 1] == 12
    assert found.categories == ("maths", "")


def test_long_rows_of_parquet(tmp_path: Path, jsonl: Path) -> None:
    same(parquet(tmp_path / "long.parquet", LONG), jsonl)


def test_the_content_decides_before_the_name(tmp_path: Path, jsonl: Path) -> None:
    parquet(tmp_path / "data.csv", LONG)
    same(tmp_path / "data.csv", jsonl)
    same(save(tmp_path / "data.tsv", jsonl.read_bytes()), jsonl)
    same(save(tmp_path / "data.txt", CSV), jsonl)
    same(save(tmp_path / "data.json", json.dumps(LONG, indent=2)), jsonl)
    assert format_of(save(tmp_path / "empty", "")) == "jsonl"


def test_nested_rows_of_parquet(tmp_path: Path) -> None:
    models = {"big": {"score": 1.0, "cost_usd": 0.5}, "small": {"score": None, "cost_usd": None}}
    found = read_outcomes(
        parquet(
            tmp_path / "n.parquet",
            [{"prompt": "x", "models": models}] * 2
            + [
                {
                    "prompt": "y",
                    "models": {
                        "big": {"score": 0.0, "cost_usd": 0.1},
                        "small": {"score": 1.0, "cost_usd": 0.0},
                    },
                }
            ],
        )
    )
    assert found.models == ("big", "small")
    assert "1 rows repeat an earlier prompt: merged" in found.notes


def test_a_map_of_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = pa.table({
        "prompt": ["x"],
        "models": pa.array([[("big", 1.0), ("small", 0.5)]], pa.map_(pa.string(), pa.float64())),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "map.parquet")
    assert read_outcomes(tmp_path / "map.parquet").score.tolist() == [[1.0, 0.5]]


def test_conflicting_duplicates_are_counted_and_named(tmp_path: Path) -> None:
    text = "prompt,model,score\nx,big,1\nx,small,0\nx,big,0\nx,small,0\nx,big,1\n"
    table = read_outcomes(save(tmp_path / "twice.csv", text))
    assert any(
        note.startswith("1 scores conflict")
        and "big at twice.csv:2 (1) and twice.csv:4 (0)" in note
        for note in table.notes
    )
    assert "2 (prompt, model) cells given more than once: averaged" in table.notes


def test_columns_that_are_not_read_are_named_with_their_line(tmp_path: Path) -> None:
    table = read_outcomes(
        save(tmp_path / "x.csv", "prompt,score:a,score:b,scor:c,\nx,1,0,1,0\ny,0,1,1,1\n")
    )
    assert table.models == ("a", "b")
    assert any("'scor:c' (first at x.csv:2) is not read" in note for note in table.notes)
    assert any("'(column 5)'" in note for note in table.notes)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", "prompt,model,score\nx,big,8\n", r"x.csv:2 score of 'big': 8.0 .*divide a judge"),
        ("x.csv", "prompt,model,score\nx,big,good\n", "x.csv:2 score of 'big': 'good'"),
        ("x.csv", 'prompt,model,score\n"a\nb",big,1\ny,big,-1\n', "x.csv:4 score of 'big': -1.0"),
        ("x.csv", "prompt,model,score\n,big,1\n", "x.csv:2 prompt: ''"),
        ("x.csv", "prompt,model,score\nx,,1\n", "x.csv:2: .*give either"),
        ("x.csv", "prompt,model,score\nx,big\n", "x.csv:2: '2 fields' .*3 columns"),
        ("x.csv", 'prompt,model,score\nx,big,1\n"y,big,1\n', "x.csv:3: .*not CSV"),
        ("x.csv", "prompt,model,prompt\nx,big,1\n", "x.csv:1: 'prompt' .*two columns"),
        ("x.csv", b"prompt,model,score\ncaf\xe9,big,1\n", "x.csv:2: .*not UTF-8"),
        ("x.csv", "question,answer\nx,big\n", "x.csv:2: .*`score:NAME`"),
        ("x.csv", "", "it holds no row"),
        ("x.csv", "prompt,score:a,score:b\nx,,\n", "every model's score is null"),
        ("x.csv", "prompt,score:a\nx,1\n", "at least two models"),
        ("x.json", '[{"prompt": "x", "models": {"a": 1', r"x.json:1: .*cut short"),
        ("x.json", "[1]", "x.json:1: 1 .*JSON object"),
        ("x.parquet", "prompt,model", "not Parquet, or was cut short"),
        ("x.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("x.pkl", pickle.dumps([1]), "never opened.*to_parquet"),
        ("x.dat", pickle.dumps([1]), "never opened.*to_parquet"),
        ("x.jsonl.gz", gzip.compress(b"{}"), "gzip; decompress"),
        ("x.xlsx", b"PK\x03\x04rest", "spreadsheet"),
        ("x.csv", "prompt,model\n".encode("utf-16"), "UTF-16; save it as UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_the_line_and_the_remedy(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        read_outcomes(save(tmp_path / name, content))


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    whole = parquet(tmp_path / "whole.parquet", LONG * 50).read_bytes()
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_outcomes(save(tmp_path / "part.parquet", whole[: len(whole) // 2]))


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet(tmp_path / "x.parquet", LONG)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"turnout\[parquet\]"):
        read_outcomes(tmp_path / "x.parquet")


def test_columns_may_be_left_out_where_they_are_read(tmp_path: Path) -> None:
    rows = [{"V1.2|text": "long", "V1.2": 1.0, "prompt": "x"}]
    path = parquet(tmp_path / "x.parquet", rows)
    for made in (path, save(tmp_path / "x.csv", "V1.2|text,V1.2,prompt\nlong,1.0,x\n")):
        found = dict(read_rows(made, skip=lambda name: name.endswith("|text")))
        assert set(found) == {1 if made is path else 2}
        assert [sorted(row) for row in found.values()] == [["V1.2", "prompt"]]


def test_a_long_field_is_read(tmp_path: Path) -> None:
    text = f'prompt,score:a,score:b\n"{"word " * 60_000}",1,0\n'
    assert len(read_outcomes(save(tmp_path / "x.csv", text)).prompts[0]) == 300_000


def test_prompts_come_from_a_column(tmp_path: Path, make_parquet: Callable[..., Path]) -> None:
    rows = [{"id": 1, "prompt": "What is 2+2?"}, {"id": 2, "prompt": "Hello, you"}]
    found = read_prompts(make_parquet(rows))
    assert [q.text for q in found] == ["What is 2+2?", "Hello, you"]
    text = 'id,prompt\n1,What is 2+2?\n2,"Hello, you"\n'
    assert read_prompts(save(tmp_path / "p.csv", text)) == found
    with pytest.raises(DataError, match=r"bad.csv:2 prompt: None .*`prompt`"):
        read_prompts(save(tmp_path / "bad.csv", "id,text\n1,a\n"))


@pytest.fixture
def make_parquet(tmp_path: Path) -> Callable[..., Path]:
    return lambda rows: parquet(tmp_path / "p.parquet", rows)
