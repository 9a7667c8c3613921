from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from turnout.data.prompts import read_prompts
from turnout.errors import DataError
from turnout.wire.chat import read_query


def test_text_is_one_prompt_a_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("first\n\n  \nsecond one\nfirst\n", encoding="utf-8")
    assert [q.text for q in read_prompts(path)] == ["first", "second one", "first"]


def test_jsonl_holds_prompts_or_chats(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": [{"type": "text", "text": "Why?"}, {"type": "image_url"}]},
    ]
    path.write_text(json.dumps({"prompt": "one"}) + "\n" + json.dumps({"messages": chat}) + "\n")
    one, two = read_prompts(path)
    assert one.text == "one"
    assert (two.text, two.system, two.turns) == ("Why?", "Be brief.", 2)
    assert two.input_tokens > one.input_tokens
    assert two == read_query({"messages": chat})  # as the gateway reads it


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{}", "prompts.jsonl:1 prompt: None"),
        ('{"prompt": ""}', "prompts.jsonl:1 prompt: ''"),
        ('{"prompt": 5}', "prompts.jsonl:1 prompt: 5"),
        ('{"messages": []}', "prompts.jsonl:1 messages: an empty list"),
        ('{"messages": ["Hi"]}', r"prompts.jsonl:1 messages\[0\]: a string"),
        ('{"messages": [{"role": "user", "content": null}]}', "last user message"),
        ("prompt", "prompts.jsonl:1: .*not JSON"),
    ],
)
def test_lines_without_a_prompt_are_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=says):
        read_prompts(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("\n")
    with pytest.raises(DataError, match="holds no prompt"):
        read_prompts(path)


@pytest.mark.parametrize("given", ["one\ntwo\n", '{"prompt": "one"}\n{"prompt": "two"}\n'])
def test_a_dash_reads_standard_input(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    assert [q.text for q in read_prompts("-")] == ["one", "two"]
