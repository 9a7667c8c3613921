from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from turnout.data.outcomes import read_outcomes
from turnout.errors import DataError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(*rows: object) -> Path:
        path = tmp_path / "my.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return make


def wide(prompt: str, **more: object) -> dict[str, object]:
    return {"prompt": prompt, "models": {"big": 1, "small": 0}, **more}


def test_wide_rows(write: Write) -> None:
    table = read_outcomes(
        write(
            {
                "prompt": "What is 2+2?",
                "models": {
                    "big": {"score": 1, "cost_usd": 0.5, "input_tokens": 5, "output_tokens": 7},
                    "small": True,
                    "new": None,
                },
                "category": "maths",
            },
            wide("Write a poem about rain"),
        )
    )
    assert table.models == ("big", "small")
    assert table.score.tolist() == [[1, 1], [1, 0]]
    assert table.cost_usd[0, 0] == 0.5
    assert table.output_tokens[0, 0] == 7
    assert np.isnan(table.cost_usd[1, 0])
    assert table.categories == ("maths", "")


def test_long_rows_mean_the_same(write: Write) -> None:
    long = read_outcomes(
        write(
            {"prompt": "a b", "model": "big", "score": 0.75, "cost_usd": 0.1, "group": "g"},
            {"prompt": "c d", "model": "small", "score": 0, "group": "g"},
            {"prompt": "a b", "model": "small", "score": 0.25},
        )
    )
    assert long.prompts == ("a b", "c d")
    assert long.groups.tolist() == [0, 0]
    assert np.isnan(long.score[1, 0])
    assert long.score[0].tolist() == [0.75, 0.25]


def test_a_repeat_without_its_cost_keeps_the_known_one(write: Write) -> None:
    first = {"prompt": "a", "models": {"big": {"score": 1, "cost_usd": 0.5}, "small": 1}}
    table = read_outcomes(write(first, {"prompt": "a", "models": {"big": 0, "small": 0}}))
    assert table.cost_usd[0, 0] == 0.5
    assert np.isnan(table.cost_usd[0, 1])


def test_repeats_are_merged_and_noted(write: Write) -> None:
    table = read_outcomes(write(wide("a"), {"prompt": "a", "models": {"big": 0, "small": 0}}))
    assert table.prompts == ("a",)
    assert table.score.tolist() == [[0.5, 0]]
    assert "1 rows repeat an earlier prompt: merged" in table.notes
    assert "averaged" in table.notes[-1]


def test_near_duplicates_share_a_group_with_what_the_user_grouped(write: Write) -> None:
    table = read_outcomes(
        write(
            wide("What is the capital of France?"),
            wide("what is the capital of FRANCE"),
            wide("Another question", group=7),
            wide("Something else", group="7"),
        )
    )
    assert table.groups.tolist() == [0, 0, 1, 1]


def test_a_misspelt_field_is_noted_not_lost_in_silence(write: Write) -> None:
    table = read_outcomes(write(wide("a", catgory="x"), wide("b", catgory="y")))
    assert "'catgory' (first at my.jsonl:1) is not read. Did you mean 'category'?" in table.notes[0]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{'prompt': 1}", "my.jsonl:2: .*not JSON"),
        ("[" * 100_000, "my.jsonl:2: .*not JSON"),
        ("[1]", "my.jsonl:2: .*JSON object"),
        ({"models": {"a": 1}}, "my.jsonl:2 prompt: None"),
        ({"prompt": "  ", "models": {"a": 1}}, "my.jsonl:2 prompt: '  '"),
        ({"prompt": 5, "models": {"a": 1}}, "my.jsonl:2 prompt: 5"),
        ({"prompt": "x"}, 'give either "models"'),
        ({"prompt": "x", "models": {"a": 1}, "model": "a"}, 'give either "models"'),
        ({"prompt": "x", "models": []}, "my.jsonl:2 models: .*NAME"),
        ({"prompt": "x", "models": {" ": 1}}, "my.jsonl:2 model: ' '"),
        ({"prompt": "x", "models": {"a": 1.5}}, "score of 'a': 1.5 .*divide a judge's"),
        ({"prompt": "x", "models": {"a": -1}}, "score of 'a': -1 .*from 0 to 1"),
        ({"prompt": "x", "models": {"a": "good"}}, "score of 'a': 'good'"),
        ('{"prompt": "x", "models": {"a": NaN}}', "score of 'a': nan"),
        ('{"prompt": "x", "models": {"a": Infinity}}', "score of 'a': inf"),
        ({"prompt": "x", "models": {"a": {"cost_usd": 1}}}, 'give "score" from 0 to 1'),
        ({"prompt": "x", "models": {"a": {"score": 1, "cost_usd": -1}}}, "cost_usd of 'a': -1"),
        ({"prompt": "x", "models": {"a": 1}, "group": [1]}, r"my.jsonl:2 group: \[1\]"),
        ({"prompt": "x", "model": "a", "score": 1}, "mixed; use one form"),
    ],
)
def test_a_line_that_cannot_be_used_names_file_line_and_remedy(
    write: Write, row: object, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        read_outcomes(write(wide("fine"), row))


def test_files_that_cannot_be_used(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it holds no row"):
        read_outcomes(write("", "  "))
    with pytest.raises(DataError, match="every model's score is null"):
        read_outcomes(write({"prompt": "x", "models": {"a": None}}))
    with pytest.raises(DataError, match="at least two models"):
        read_outcomes(write({"prompt": "x", "models": {"a": 1}}))
    with pytest.raises(DataError, match="No such file"):
        read_outcomes(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="Is a directory"):
        read_outcomes(tmp_path)
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"prompt": "a", "models": {"a": 1, "b": 0}}\n{"prompt": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"latin.jsonl:2: .*not UTF-8"):
        read_outcomes(latin)


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a", "models": {"x": 1, "y": 0}}\r\n')
    assert read_outcomes(path).prompts == ("a",)
