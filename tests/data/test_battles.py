from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from turnout.data.outcomes import read_outcomes
from turnout.errors import DataError


def written(folder: Path, *rows: dict[str, object]) -> Path:
    file = folder / "votes.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def vote(prompt: object, winner: str, a: str = "large", b: str = "small") -> dict[str, object]:
    return {"prompt": prompt, "model_a": a, "model_b": b, "winner": winner}


def test_votes_are_scores_of_one_nought_and_a_half(tmp_path: Path) -> None:
    table = read_outcomes(
        written(
            tmp_path,
            vote("first thing to ask", "model_a"),
            vote("another matter", "model_b"),
            vote("who knows", "tie"),
            vote("not even wrong", "tie (bothbad)", b="tiny"),
        )
    )
    assert table.models == ("large", "small", "tiny")
    nan = np.nan
    wanted = [[1, 0, nan], [0, 1, nan], [0.5, 0.5, nan], [0.5, nan, 0.5]]
    np.testing.assert_array_equal(table.score, wanted)
    assert table.notes[0] == "4 votes read as scores of 1, 0 and .5"


def test_the_layout_with_a_column_for_each_winner_is_read(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": json.dumps([text, "and then?"]),
            "model_a": "large",
            "model_b": "small",
            "winner_model_a": a,
            "winner_model_b": b,
            "winner_tie": int(not a and not b),
        }
        for text, a, b in (("one", 1, 0), ("two", 0, 1), ("three", 0, 0))
    ]
    table = read_outcomes(written(tmp_path, *rows))
    assert table.prompts == ("one", "two", "three")
    assert table.score[:, 0].tolist() == [1.0, 0.0, 0.5]


def test_a_prompt_may_begin_with_a_bracket_or_be_a_list(tmp_path: Path) -> None:
    table = read_outcomes(
        written(tmp_path, vote("[INST] hello", "tie"), vote(["turn", "next"], "model_a"))
    )
    assert table.prompts == ("[INST] hello", "turn")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (vote("x", "gpt-4"), r"votes\.jsonl:1 winner: 'gpt-4'.*model_a, model_b, tie"),
        (vote("", "tie"), r":1 prompt: ''"),
        (vote([], "tie"), r":1 prompt: None"),
        (vote("x", "tie", b="large"), "a model cannot fight itself"),
        (vote("x", "tie", b=" "), r":1 model_b: ' '.*model's name"),
        (
            {
                "prompt": "x",
                "model_a": "a",
                "model_b": "b",
                "winner_model_a": 1,
                "winner_model_b": 1,
            },
            "winner_model_a",
        ),
    ],
)
def test_a_vote_that_cannot_be_used_is_named(
    tmp_path: Path, row: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_outcomes(written(tmp_path, row))
