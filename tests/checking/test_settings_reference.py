"""The reference of all settings is what the code gives, and says something of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel

from turnout.checking.reference import Part, docstrings, parts, reference_page
from turnout.cli import cli
from turnout.gateway.deploying import RELOADED
from turnout.settings import Settings, parse_settings
from turnout.settings.examples import EXAMPLES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
ENV = {
    "OPENAI_API_KEY": "sk-o",
    "ANTHROPIC_API_KEY": "sk-a",
    "COHERE_API_KEY": "sk-a",
    "CI_KEY": "k" * 24,
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}


def test_the_page_is_what_the_code_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "run `make docs-reference`"
    found = CliRunner().invoke(cli, ["check", "--reference"])
    assert found.output == reference_page()


@pytest.mark.parametrize("part", parts(), ids=lambda part: part.path or "all")
def test_every_setting_is_described_in_the_code(part: Part) -> None:
    described = docstrings(part.cls)
    assert [n for n in part.cls.model_fields if not described.get(n, "").endswith(".")] == []
    assert part.cls.__doc__


def test_every_mapping_of_the_tree_has_a_table() -> None:
    classes: set[type[BaseModel]] = {part.cls for part in parts()}
    modules = {c.__module__ for c in classes}

    def below(cls: type[BaseModel]) -> set[type[BaseModel]]:
        found = set(cls.__subclasses__())
        return found.union(*(below(c) for c in found))

    own = {
        c for c in below(BaseModel) if c.__module__ in modules and not c.__name__.startswith("_")
    }
    assert {c.__name__ for c in own - classes} == {"Keyed", "GrantSettings"}  # bases alone


@pytest.mark.parametrize("section", Settings.model_fields)
def test_every_section_has_an_example_that_is_valid(section: str) -> None:
    base = yaml.safe_load(EXAMPLES["providers"] + EXAMPLES["candidates"])
    example = yaml.safe_load(EXAMPLES[section])
    assert section in example
    settings = parse_settings(yaml.safe_dump({**base, **example}), ENV)
    assert section in settings.model_fields_set


def test_every_example_of_the_page_is_one_of_these() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert blocks == [EXAMPLES[section] for section in Settings.model_fields]
    whole = {}
    for section, example in EXAMPLES.items():
        whole[section] = yaml.safe_load(example)[section]
    assert parse_settings(yaml.safe_dump(whole), ENV).default == "gpt-4.1"


def test_a_few_lines_read_as_meant() -> None:
    text = reference_page()
    for line in (
        "| `timeout_s` | number, > 0 | `600.0` | seconds | yes | Longest wait for an answer",
        "| `budgets_usd` | mapping of `hour`, `day`, `week`, `month`, `total` to numbers, > 0, ≤ 9,000,000 |",
        "| `input_usd` | number, ≥ 0, ≤ 10000 | must be given | USD per million tokens | yes | Of input. |",
        "| `listen` | mapping | as below |  | no, restart | Where the gateway listens. |",
        "| `api` | `chat`, `responses`, `messages` | `chat` |  | yes |",
        "| `requests_per_minute` | whole number, ≥ 1, ≤ 1,000,000,000,000 | none | requests a minute |",
    ):
        assert f"\n{line}" in text, line
    assert set(Settings.model_fields) >= RELOADED
