"""Prompts without outcomes, as calibration takes them: a text file or JSONL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from turnout.data.lines import at, parse_lines, text_lines
from turnout.errors import DataError
from turnout.types import Query, estimate_tokens

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


def read_prompts(path: Path | str) -> list[Query]:
    """Read prompts: one each line of a text file, or each object of a JSONL file.

    Args:
        path: `.jsonl`, `.ndjson` or `.json` is read as JSONL, with `prompt` (text) or `messages`
            (as in a chat request) in each object; anything else as text. `-` is standard input, as
            JSONL where its first line starts with `{`.

    Returns:
        Queries in order, repeats kept: they are part of the traffic.

    Raises:
        DataError: the file cannot be read, holds no prompt, or a line has none.
    """
    path = Path(path)
    lines = list(text_lines(path))
    as_json = path.suffix.lower() in JSON_SUFFIXES
    if str(path) == "-":
        as_json = bool(lines) and lines[0][1].lstrip().startswith("{")
    if as_json:
        queries = [_query(row, path, number) for number, row in parse_lines(lines, path)]
    else:
        queries = [Query.of(line) for _, line in lines]
    if not queries:
        raise DataError("file", str(path), "it holds no prompt; give one a line")
    return queries


def _query(row: dict[str, Any], path: Path, line: int) -> Query:
    prompt = row.get("prompt")
    if isinstance(prompt, str) and prompt.strip():
        return Query.of(prompt)
    if prompt is None and isinstance(row.get("messages"), list):
        return _from_messages(row["messages"], path, line)
    raise DataError(
        at(path, line, "prompt"), prompt, "give the text as `prompt`, or a chat as `messages`"
    )


def _from_messages(messages: list[Any], path: Path, line: int) -> Query:
    said = [(m.get("role"), _text(m.get("content"))) for m in messages if isinstance(m, dict)]
    users = [text for role, text in said if role == "user"]
    if not users or not users[-1].strip():
        raise DataError(
            at(path, line, "messages"), messages, "the last user message must have text"
        )
    return Query(
        text=users[-1],
        system="\n".join(text for role, text in said if role in ("system", "developer")),
        turns=len(users),
        input_tokens=sum(estimate_tokens(text) for _, text in said),
    )


def _text(content: object) -> str:
    """Text of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    found = [p.get("text") for p in parts if isinstance(p, dict)]
    return "\n".join(text for text in found if isinstance(text, str))
