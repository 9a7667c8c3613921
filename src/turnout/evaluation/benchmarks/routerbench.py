"""RouterBench (arXiv:2403.12031), read from an export of its pickled tables to CSV or Parquet.

`routerbench_0shot` and `routerbench_5shot` have a row a prompt:

    sample_id, prompt, eval_name, MODEL, MODEL|model_response, MODEL|total_cost, …,
    oracle_model_to_route_to

`routerbench_raw` has a row an answer:

    sample_id, prompt, eval_name, model_name, performance, cost, model_response

Costs are what the calls cost, in USD. A prompt is a list of messages written as text; they are
joined by line ends. `eval_name` is the category.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from turnout.data.collecting import Collector
from turnout.data.files import read_rows
from turnout.data.flat import number
from turnout.data.lines import at
from turnout.data.table import OutcomeTable
from turnout.errors import DataError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.benchmarks.outcomes import from_table

NAME: Final = "routerbench"
COST: Final = "|total_cost"
ANSWER: Final = "model_response"
_ROW: Final = ("sample_id", "prompt", "eval_name", "oracle_model_to_route_to")
_LONG: Final = ("model_name", "performance", "cost")


def read(path: Path, models: Sequence[str] = ()) -> Benchmark:
    """RouterBench as a benchmark of two or N models.

    Raises:
        DataError: another layout, a pickle, or see `from_table`.
    """
    return from_table(read_table(path), models=models, name=NAME)


def read_table(path: Path) -> OutcomeTable:
    """All outcomes of an exported table.

    Raises:
        DataError: it is not laid out as above; a score or cost cannot be used.
    """
    found = Collector((*_ROW, *_LONG))
    wide = False
    for line, row in read_rows(path, skip=lambda name: name.endswith(ANSWER)):
        wide = _is_wide(row, path, line)
        prompt = found.prompt(
            path, line, _text(row.get("prompt")), category=row.get("eval_name") or None
        )
        if wide:
            _add_wide(found, path, line, prompt, row)
        else:
            found.unknown(path, line, [n for n in row if n not in (*_ROW, *_LONG)])
            values = {"score": number(row["performance"]), "cost_usd": number(row.get("cost"))}
            found.add(path, line, prompt, row["model_name"], values)
    return found.table(str(path), row_per_prompt=wide)


def _add_wide(found: Collector, path: Path, line: int, prompt: str, row: Mapping[str, Any]) -> None:
    models = [name.removesuffix(COST) for name in row if name.endswith(COST)]
    known = {*_ROW, *models, *(name + COST for name in models)}
    found.unknown(path, line, [name for name in row if name not in known])
    for model in models:
        if model not in row:
            remedy = f"there is no column of its scores beside {model + COST!r}; export all columns"
            raise DataError(at(path, line), model, remedy)
        values = {"score": number(row[model]), "cost_usd": number(row[model + COST])}
        found.add(path, line, prompt, model, values)


def _is_wide(row: Mapping[str, Any], path: Path, line: int) -> bool:
    if any(name.endswith(COST) for name in row):
        return True
    if "model_name" in row and "performance" in row:
        return False
    remedy = (
        f"no column ends with {COST!r}, and there are no `model_name` and `performance`; give a CSV "
        "or Parquet export of routerbench_0shot, routerbench_5shot or routerbench_raw"
    )
    raise DataError(at(path, line), sorted(row), remedy)


def _text(prompt: Any) -> Any:
    """The messages of a prompt in one text."""
    if isinstance(prompt, str) and prompt.startswith("[") and prompt.rstrip().endswith("]"):
        try:
            prompt = ast.literal_eval(prompt)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return prompt  # a text that merely begins with a bracket
    if isinstance(prompt, list) and all(isinstance(part, str) for part in prompt):
        return "\n".join(prompt)
    return prompt
