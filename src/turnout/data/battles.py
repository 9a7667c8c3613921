r"""Read battles, which of two answers was preferred, from JSONL in the layouts of Chatbot Arena.

    {"prompt": "…", "model_a": "gpt-4", "model_b": "small", "winner": "model_a"}
    {"prompt": "[\"…\"]", "model_a": "…", "model_b": "…", "winner_model_a": 1, "winner_model_b": 0}

A vote becomes two scores on its prompt: 1 and 0, or .5 and .5 for a tie. Every router can then be
trained on votes; `sw_ranking` takes back exactly the battles that were fought.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnout.data.groups import near_duplicate_groups
from turnout.data.lines import at, json_lines
from turnout.data.table import OutcomeTable, build_table
from turnout.errors import DataError
from turnout.types import Outcome

VOTES_READ = "votes read as scores of 1, 0 and .5"
"""What the note of a table of votes ends with."""
TIES = ("tie", "tie (bothbad)")
_WINNERS = ("model_a", "model_b", *TIES)
_COLUMNS = ("winner_model_a", "winner_model_b", "winner_tie")


def is_battle(row: Mapping[str, Any]) -> bool:
    """Whether a row of a file is a vote between two models."""
    return "model_a" in row and "model_b" in row


def are_votes(table: OutcomeTable) -> bool:
    """Whether a table was read from votes."""
    return any(note.endswith(VOTES_READ) for note in table.notes)


def read_battles(path: Path | str) -> OutcomeTable:
    """Read a file of votes into a table of scores.

    Two votes on one prompt that share a model give it the mean of both, and that is noted. Of a
    conversation the first turn is the prompt.

    Raises:
        DataError: the file cannot be read, holds no vote, or a line cannot be used.
    """
    path = Path(path)
    outcomes = list(_outcomes(path))
    if not outcomes:
        raise DataError("file", str(path), "it holds no vote; give one JSON object a line")
    table = build_table(outcomes)
    return replace(
        table,
        groups=near_duplicate_groups(table.prompts),
        notes=(f"{len(outcomes) // 2} {VOTES_READ}", *table.notes),
    )


def _outcomes(path: Path) -> Iterator[Outcome]:
    for line, row in json_lines(path):
        prompt = _prompt(row, path, line)
        names = [row.get(field) for field in ("model_a", "model_b")]
        for field, name in zip(("model_a", "model_b"), names, strict=True):
            if not isinstance(name, str) or not name.strip():
                raise DataError(at(path, line, field), name, "give the model's name")
        if names[0] == names[1]:
            raise DataError(at(path, line, "model_b"), names[1], "a model cannot fight itself")
        first = _first_wins(row, path, line)
        yield Outcome(prompt=prompt, model=str(names[0]), score=first)
        yield Outcome(prompt=prompt, model=str(names[1]), score=1.0 - first)


def _prompt(row: Mapping[str, Any], path: Path, line: int) -> str:
    """The text that was asked; the first turn of a list, or of a list written as text."""
    prompt = row.get("prompt")
    if isinstance(prompt, str) and prompt.startswith("["):
        prompt = _turns(prompt)
    if isinstance(prompt, list):
        prompt = prompt[0] if prompt else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(at(path, line, "prompt"), prompt, "give the text that was sent")
    return prompt


def _turns(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:  # a prompt that merely begins with a bracket
        return text


def _first_wins(row: Mapping[str, Any], path: Path, line: int) -> float:
    if "winner" in row:
        winner = row["winner"]
        if winner in TIES:
            return 0.5
        if winner not in _WINNERS:
            raise DataError(at(path, line, "winner"), winner, f"give one of {', '.join(_WINNERS)}")
        return 1.0 if winner == "model_a" else 0.0
    values = [row.get(name, 0) for name in _COLUMNS]
    if any(value not in (0, 1) for value in values) or sum(values[:2]) > 1:
        raise DataError(at(path, line), values, f"give winner, or 0 and 1 in {', '.join(_COLUMNS)}")
    return 0.5 if sum(values[:2]) == 0 else float(values[0])
