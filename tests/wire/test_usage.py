from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.types import Usage
from turnout.wire.dialects import DIALECTS, Dialect
from turnout.wire.usage import (
    MOST_TOKENS,
    merge_usage,
    read_embedding_usage,
    read_usage,
    write_usage,
)


def test_what_is_inside_what() -> None:
    chat = {
        "prompt_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens": 20,
        "completion_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    }
    expected = Usage(
        input_tokens=30,
        cache_read_tokens=60,
        cache_write_5m_tokens=10,
        output_tokens=20,
        reasoning_tokens=5,
    )
    assert read_usage("chat", chat).usage == expected
    messages = {
        "input_tokens": 30,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 10,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 5},
    }
    assert read_usage("messages", messages).usage == expected
    assert expected.total_input_tokens == 100
    assert expected.total_tokens == 120


def test_anthropics_split_by_lifetime() -> None:
    given = {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    }
    usage = read_usage("messages", given).usage
    assert usage is not None
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (10, 20)
    odd = read_usage("messages", {**given, "cache_creation_input_tokens": 50})
    assert odd.usage is not None
    assert odd.usage.cache_write_5m_tokens + odd.usage.cache_write_1h_tokens == 50
    assert odd.problems == ("cache_creation does not add up to its total",)


def test_reasoning_that_stands_beside_the_output_is_added() -> None:
    given = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "completion_tokens_details": {"reasoning_tokens": 40},
        "total_tokens": 55,
    }
    usage = read_usage("chat", given).usage
    assert usage is not None
    assert (usage.output_tokens, usage.reasoning_tokens) == (45, 40)
    inside = read_usage("chat", {**given, "completion_tokens": 45}).usage
    assert inside is not None
    assert inside.output_tokens == 45


def test_deepseeks_name_for_cached_tokens() -> None:
    given = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}
    usage = read_usage("chat", given).usage
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens) == (2, 8)


@pytest.mark.parametrize(
    ("cost", "picousd"),
    [(0, 0), (0.95, 950_000_000_000), (1.5e-7, 150_000), (1e-12, 1), (None, None)],
)
def test_a_providers_cost_is_exact(cost: float | None, picousd: int | None) -> None:
    usage = read_usage("chat", {"prompt_tokens": 1, "completion_tokens": 1, "cost": cost}).usage
    assert usage is not None
    assert usage.cost_picousd == picousd


@pytest.mark.parametrize("cost", [-1, "1", True, 1e300, float("nan")])
def test_a_cost_that_is_none_is_named(cost: Any) -> None:
    found = read_usage("chat", {"prompt_tokens": 1, "completion_tokens": 1, "cost": cost})
    assert found.usage is not None
    assert found.usage.cost_picousd is None
    assert len(found.problems) == 1


@pytest.mark.parametrize("value", [-1, "7", True, 1.5, MOST_TOKENS + 1, [], {"a": 1}])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_count_that_is_not_believed_is_no_usage(dialect: Dialect, value: Any) -> None:
    given = write_usage(dialect, Usage(input_tokens=5, output_tokens=5))
    name = "completion_tokens" if dialect == "chat" else "output_tokens"
    found = read_usage(dialect, {**given, name: value})
    assert found.usage is None
    assert name in found.problems[0]


def test_a_detail_that_is_not_believed_counts_as_plain_input() -> None:
    given = {
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 11},
    }
    found = read_usage("chat", given)
    assert found.usage == Usage(input_tokens=10, output_tokens=1)
    assert found.problems == ("prompt_tokens_details.cached_tokens is more than what holds it",)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    assert read_usage("messages", {"input_tokens": 3.0, "output_tokens": 0.0}).usage is not None


def test_absent_is_no_problem_and_no_usage() -> None:
    assert read_usage("chat", None).usage is None
    assert read_usage("chat", None).problems == ()
    assert read_usage("chat", "5").problems == ("usage is a string",)


def test_later_counts_replace_earlier_ones_where_they_are_given() -> None:
    first = {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 4}
    assert merge_usage(first, {"output_tokens": 7, "input_tokens": None}) == {
        **first,
        "output_tokens": 7,
    }
    assert merge_usage(None, first) == first
    assert merge_usage(first, None) == first


def test_embeddings_have_input_alone() -> None:
    assert read_embedding_usage({"prompt_tokens": 8, "total_tokens": 8}).usage == Usage(
        input_tokens=8
    )
    assert read_embedding_usage(None).usage is None
    assert read_embedding_usage({"prompt_tokens": -1}).problems == ("prompt_tokens is -1",)


counts = st.integers(0, 10**6)


@given(counts, counts, counts, counts, st.data())
def test_what_was_written_is_read_back(
    plain: int, read: int, short: int, out: int, data: st.DataObject
) -> None:
    usage = Usage(
        input_tokens=plain,
        cache_read_tokens=read,
        cache_write_5m_tokens=short,
        output_tokens=out,
        reasoning_tokens=data.draw(st.integers(0, out)),
    )
    for dialect in DIALECTS:
        found = read_usage(dialect, write_usage(dialect, usage))
        assert found.usage == usage
        assert found.problems == ()
