"""Prompts without outcomes, as calibration takes them: a text file, JSONL, CSV or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from turnout.data.files import CSV_SUFFIXES, PARQUET_SUFFIXES, read_rows
from turnout.data.lines import at, parse_lines, text_lines
from turnout.errors import DataError, RequestError
from turnout.types import Query
from turnout.wire.chat import query_of_prompt, read_query

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


def read_prompts(path: Path | str) -> list[Query]:
    """Read prompts: one each line of a text file, or each row of a JSONL, CSV or Parquet file.

    Args:
        path: `.jsonl`, `.ndjson` or `.json` is read as JSONL, with `prompt` (text) or a chat
            request (`messages`, and `tools` or others beside) in each object; `.csv`, `.tsv` and
            `.parquet` have a column `prompt`; anything else is text. `-` is standard input, as
            JSONL where its first line starts with `{`.

    Returns:
        Queries in order, repeats kept: they are part of the traffic.

    Raises:
        DataError: the file cannot be read, holds no prompt, or a line has none.
    """
    path = Path(path)
    queries = _queries(path)
    if not queries:
        raise DataError("file", str(path), "it holds no prompt; give one a line")
    return queries


def _queries(path: Path) -> list[Query]:
    if path.suffix.lower() in CSV_SUFFIXES + PARQUET_SUFFIXES:
        return [_query(row, path, number) for number, row in read_rows(path)]
    lines = list(text_lines(path))
    as_json = path.suffix.lower() in JSON_SUFFIXES
    if str(path) == "-":
        as_json = bool(lines) and lines[0][1].lstrip().startswith("{")
    if as_json:
        return [_query(row, path, number) for number, row in parse_lines(lines, path)]
    return [query_of_prompt(line) for _, line in lines]


def _query(row: dict[str, Any], path: Path, line: int) -> Query:
    prompt = row.get("prompt")
    if isinstance(prompt, str) and prompt.strip():
        return query_of_prompt(prompt)
    if prompt is None and isinstance(row.get("messages"), list):
        return _from_request(row, path, line)
    raise DataError(
        at(path, line, "prompt"), prompt, "give the text as `prompt`, or a chat as `messages`"
    )


def _from_request(row: dict[str, Any], path: Path, line: int) -> Query:
    """The query of a chat request, read as the gateway reads it, so that a knob means the same."""
    try:
        query = read_query(row)
    except RequestError as error:
        raise DataError(at(path, line, error.field), error.value, error.remedy) from None
    if not query.text.strip():
        remedy = "the last user message must have text"
        raise DataError(at(path, line, "messages"), row["messages"], remedy)
    return query
