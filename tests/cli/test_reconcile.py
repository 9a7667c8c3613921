from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from turnout.cli import cli
from turnout.errors import DataError
from turnout.store.database import open_database
from turnout.store.record import Record
from turnout.store.records import RecordTable

DAY = 1_764_115_200_000  # 2025-11-26 UTC
ROWS = [
    ("a", DAY, "gpt-4o-2024-08-06", 100, 50, 20, 1_000_000_000),
    ("b", DAY + 86_399_999, "gpt-4o", 10, 0, 5, 500_000_000),
    ("c", DAY + 86_400_000, "gpt-4o", 7, 0, 3, 2**62),
    ("d", DAY, "claude-sonnet-4-5-20250929", 30, 70, 9, 250_000_000),
    ("e", DAY - 1, "gpt-4o", 999, 0, 999, 999),  # the day before the bill
]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    table = RecordTable(open_database(tmp_path / "turnout.db"))
    table.put(
        Record(
            id=name,
            at_ms=at,
            status="ok",
            candidate="x",
            provider="anthropic" if model.startswith("claude") else "openai",
            upstream_model=model,
            input_tokens=plain,
            cache_read_tokens=cached,
            output_tokens=out,
            cost_picousd=cost,
        )
        for name, at, model, plain, cached, out, cost in ROWS
    )
    table.close()
    return tmp_path / "turnout.db"


def run(store: Path, text: str, *arguments: str, name: str = "bill.csv") -> Result:
    bill = store.parent / name
    bill.write_text(text)
    return CliRunner().invoke(cli, ["reconcile", str(bill), "--store", str(store), *arguments])


def agreed(found: Result) -> None:
    assert found.exit_code == 0, (found.output, found.exception)


def test_a_csv_with_tokens_and_dollars(store: Path) -> None:
    text = (
        "date,model,input_tokens,output_tokens,cost_usd\n"
        "2025-11-26,gpt-4o-2024-08-06,160,25,$0.0015\n"
        '2025-11-27,gpt-4o,7,3,"4,611,686.018427387904"\n'
    )
    found = run(store, text, "--provider", "openai")
    agreed(found)
    assert "2025-11-26  gpt-4o" in found.output
    assert "100.00% of the bill's usd are in the ledger" in found.output


def test_what_differs_is_shown_and_fails(store: Path) -> None:
    text = "day,model,input_tokens,output_tokens\n2025-11-26,gpt-4o,200,25\n2025-11-26,o3,5,5\n"
    found = run(store, text, "--provider", "openai", "--json")
    assert found.exit_code == 1
    said = json.loads(found.output)
    assert said["explained"] == {"tokens": pytest.approx(185 / 235)}
    assert [line["model"] for line in said["lines"]] == ["gpt-4o", "o3"]
    assert run(store, text, "--provider", "openai", "--tolerance", "0.3").exit_code == 0
    beyond = run(store, "day,model,input_tokens,output_tokens\n2025-11-26,gpt-4o,100,25\n")
    assert beyond.exit_code == 1
    assert "they DIFFER in tokens" in beyond.output


OPENAI_USAGE = {
    "object": "page",
    "data": [
        {
            "start_time": DAY // 1000,
            "results": [
                {"model": "gpt-4o-2024-08-06", "input_tokens": 160, "output_tokens": 25,
                 "input_cached_tokens": 50},
            ],
        }
    ],
}  # fmt: skip
OPENAI_COSTS = {
    "data": [
        {
            "start_time": DAY // 1000,
            "results": [
                {"amount": {"value": 0.001, "currency": "usd"}, "line_item": "gpt-4o, input"},
                {"amount": {"value": 0.0005, "currency": "usd"}, "line_item": "gpt-4o, output"},
            ],
        }
    ]
}
ANTHROPIC_USAGE = {
    "data": [
        {
            "starting_at": "2025-11-26T00:00:00Z",
            "results": [
                {"model": "claude-sonnet-4-5", "uncached_input_tokens": 30, "output_tokens": 9,
                 "cache_read_input_tokens": 60,
                 "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6}},
            ],
        }
    ]
}  # fmt: skip
ANTHROPIC_COST = {
    "data": [
        {
            "starting_at": "2025-11-26T00:00:00Z",
            "results": [{"model": "claude-sonnet-4-5", "amount": "0.025", "currency": "USD"}],
        }
    ]
}


@pytest.mark.parametrize(
    ("provider", "export"),
    [
        ("openai", OPENAI_USAGE),
        ("openai", OPENAI_COSTS),
        ("anthropic", ANTHROPIC_USAGE),
        ("anthropic", ANTHROPIC_COST),
    ],
)
def test_the_providers_own_exports(store: Path, provider: str, export: dict[str, Any]) -> None:
    agreed(run(store, json.dumps(export), "--provider", provider, name="export.json"))
    pages = json.dumps([export, {"data": []}])
    agreed(run(store, pages, "--provider", provider, name="pages.json"))


def test_columns_by_other_names_and_json_lines(store: Path) -> None:
    text = '{"wann": 1764115200, "was": "gpt-4o", "rein": 160, "raus": 25}\n'
    columns = ("day=wann", "model=was", "input=rein", "output=raus")
    options = [part for column in columns for part in ("--column", column)]
    agreed(run(store, text, "--provider", "openai", *options, name="rows.jsonl"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("day,model,input_tokens\n", "no rows"),
        ("day,input_tokens\n2025-11-26,1\n", "name its model"),
        ("model,input_tokens\ngpt-4o,1\n", "name its day"),
        ("day,model,input_tokens\nyesterday,gpt-4o,1\n", "row 1, day.*2026-11-26"),
        ("day,model,input_tokens\n2025-11-26,gpt-4o,many\n", "row 1, input.*a number"),
        ("day,model,input_tokens\n2025-11-26,gpt-4o,-1\n", "0 or more"),
        ("day,model,cost\n2025-11-26,gpt-4o,NaN\n", "row 1, cost"),
        ("day,model,words\n2025-11-26,gpt-4o,1\n", "--column"),
        ('{"data": [', "line 1"),
        ("[1, 2]", "list of objects"),
    ],
)
def test_bad_files_say_what_is_wrong(store: Path, text: str, said: str) -> None:
    error = run(store, text).exception
    assert isinstance(error, DataError), (text, error)
    import re

    assert re.search(said, str(error)), str(error)


def test_a_bad_option_is_named(store: Path) -> None:
    assert isinstance(run(store, "x", "--column", "tag=1").exception, DataError)
