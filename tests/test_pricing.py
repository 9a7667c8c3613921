from __future__ import annotations

from dataclasses import replace

import genai_prices
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.pricing import (
    DEFAULT_OUTPUT_TOKENS,
    arm_output_tokens,
    expected_cost_picousd,
    list_context_tokens,
    list_price,
    unpredicted_output_tokens,
    with_list_values,
)
from turnout.types import PICO, Candidate, Prediction, Price, Query, Usage, estimate_tokens

CHEAP = Candidate(name="cheap", price=Price.per_million("0.05", "0.2"))
DEAR = Candidate(name="dear", price=Price.per_million(3, 15))
FREE = Candidate(name="free")
"""Its price is not known."""


def query(tokens: int = 10, most: int | None = None) -> Query:
    return Query(text="x", input_tokens=tokens, max_output_tokens=most)


def prediction(*rows: list[float]) -> Prediction:
    tokens = np.asarray(rows, dtype=np.float32)
    return Prediction(
        candidates=("cheap", "dear"), quality=np.zeros_like(tokens), output_tokens=tokens
    )


def test_a_call_costs_whole_picodollars() -> None:
    price = Price.per_million("3", 15)
    assert price.cost_picousd(input_tokens=1_000_000, output_tokens=0) == 3 * PICO
    assert price.cost_picousd(input_tokens=1, output_tokens=1) == 18_000_000


def test_list_values_fill_what_is_missing_by_either_name() -> None:
    deployed = with_list_values(Candidate(name="gpt-4", upstream_model="my-deployment"))
    assert deployed.price == list_price("gpt-4")
    assert deployed.context_tokens == list_context_tokens("gpt-4")
    upstream = with_list_values(Candidate(name="gpt-3.5-turbo", upstream_model="gpt-4"))
    assert upstream.price == list_price("gpt-4")
    given_price = with_list_values(Candidate(name="gpt-4", price=CHEAP.price, context_tokens=9))
    assert (given_price.price, given_price.context_tokens) == (CHEAP.price, 9)
    assert with_list_values(FREE) == FREE


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=20),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_the_price_of_calls_adds_up_exactly(
    calls: list[tuple[int, int]], one_in: int, one_out: int
) -> None:
    price = Price(input_picousd=one_in, output_picousd=one_out)
    each = sum(price.cost_picousd(input_tokens=i, output_tokens=o) for i, o in calls)
    total_in, total_out = sum(i for i, _ in calls), sum(o for _, o in calls)
    assert each == price.cost_picousd(input_tokens=total_in, output_tokens=total_out)


def test_the_list_knows_prices_by_public_name() -> None:
    mini, sonnet = list_price("gpt-4o-mini"), list_price("claude-sonnet-4-5")
    assert mini is not None
    assert sonnet is not None
    usual = replace(mini, above=(), services=())
    assert usual == Price.per_million("0.15", "0.6", cache_read_usd="0.075")
    assert sonnet.for_input(200_000).input_picousd == 3_000_000
    assert replace(sonnet.for_input(200_001), above=()) == Price.per_million(
        6, 22.5, cache_read_usd="0.6", cache_write_usd="7.5", cache_write_1h_usd=12
    )
    assert mini.in_service("batch").input_picousd == 75_000
    assert mini.in_service("unheard-of") is mini
    assert not mini.has_service("flex")
    assert mini.has_service("default")


def test_what_is_priced_by_other_things_than_tokens_has_no_price() -> None:
    assert list_price("whisper-large-v3-turbo") is None


@given(
    st.sampled_from(["gpt-5.4", "claude-sonnet-4-5", "gemini-2.5-pro", "grok-4.20", "gpt-4o"]),
    st.sampled_from(["", "flex", "priority", "batch"]),
    st.lists(st.integers(0, 300_000), min_size=4, max_size=4),
)
def test_the_list_is_taken_exactly(model: str, service: str, tokens: list[int]) -> None:
    plain, read, write, out = tokens
    price = list_price(model)
    assert price is not None
    used = Usage(
        input_tokens=plain,
        cache_read_tokens=read,
        cache_write_5m_tokens=write,
        output_tokens=out,
    )
    listed = genai_prices.Usage(
        input_tokens=plain + read + write,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=out,
    )
    context = {"processing": "batch"} if service == "batch" else {"service_tier": service}
    expected = genai_prices.calc_price(listed, model, price_context=context).total_price
    assert price.usage_picousd(used, service) == expected * PICO


def test_a_long_input_is_expected_at_its_own_price() -> None:
    long = replace(CHEAP.price or Price(input_picousd=0, output_picousd=0), input_picousd=7)
    tiered = replace(CHEAP, price=replace(CHEAP.price or long, above=((100, long),)))
    cost = expected_cost_picousd([query(100, 0), query(101, 0)], [DEAR, tiered])
    assert cost[:, 1].tolist() == [100 * 50_000, 101 * 7]
    assert cost[:, 0].tolist() == [100 * 3_000_000, 101 * 3_000_000]


def test_the_dearest_token_of_a_price_with_rules() -> None:
    long = Price.per_million(1, 2, cache_write_1h_usd=9)
    fast = Price.per_million(3, 20, reasoning_usd=30)
    price = replace(Price.per_million(1, 2), above=((10, long),), services=(("fast", fast),))
    assert price.dearest_input_picousd == 9_000_000
    assert price.dearest_output_picousd == 30_000_000


def test_each_kind_of_token_has_its_own_rate() -> None:
    price = Price.per_million(3, 15, cache_read_usd=0.3, cache_write_usd=3.75, cache_write_1h_usd=6)
    usage = Usage(
        input_tokens=1,
        cache_read_tokens=10,
        cache_write_5m_tokens=100,
        cache_write_1h_tokens=1000,
        output_tokens=10_000,
        reasoning_tokens=5_000,  # part of the output
    )
    expected = 3e6 + 10 * 0.3e6 + 100 * 3.75e6 + 1000 * 6e6 + 10_000 * 15e6
    assert price.usage_picousd(usage) == expected
    plain = Price.per_million(3, 15)
    assert plain.usage_picousd(usage) == 1111 * 3_000_000 + 10_000 * 15_000_000


def test_a_vendor_in_front_is_no_hindrance() -> None:
    plain = list_price("gpt-4o-mini")
    assert plain is not None
    for name in ("openai/gpt-4o-mini", "openai:gpt-4o-mini", "proxy/openai/gpt-4o-mini"):
        assert list_price(name) == plain
        assert list_context_tokens(name) == list_context_tokens("gpt-4o-mini")


@pytest.mark.parametrize(
    "name", ["a-model-of-our-own", "", "/", ":", "vendor/", "\ud83d", "\0", "x" * 10_000]
)
def test_an_unknown_model_has_no_price_and_no_window(name: str) -> None:
    assert list_price(name) is None
    assert list_context_tokens(name) is None


def test_cost_is_tokens_times_price() -> None:
    cost = expected_cost_picousd([query(10), query(0)], [CHEAP, DEAR])
    assert cost.shape == (2, 2)
    assert cost[0, 1] == 10 * 3_000_000 + DEFAULT_OUTPUT_TOKENS * 15_000_000
    assert cost[1, 0] == DEFAULT_OUTPUT_TOKENS * 200_000


def test_a_missing_price_stays_missing_in_its_column_only() -> None:
    cost = expected_cost_picousd([query(0, most=0)], [CHEAP, FREE])
    assert np.isnan(cost).tolist() == [[False, True]]


def test_output_is_what_the_router_expects_and_a_guess_where_it_does_not_know() -> None:
    guessed = prediction([30, np.nan], [np.nan, 900])
    found = arm_output_tokens([query(), query()], [CHEAP, DEAR], guessed)
    assert found.tolist() == [[30, DEFAULT_OUTPUT_TOKENS], [DEFAULT_OUTPUT_TOKENS, 900]]


def test_output_is_capped_by_what_the_request_allows() -> None:
    queries = [query(most=20), query(most=None), query(most=0)]
    found = arm_output_tokens(queries, [CHEAP, DEAR], prediction([30, 10], [30, 10], [30, 10]))
    assert found.tolist() == [[20, 10], [30, 10], [0, 0]]
    assert arm_output_tokens([query(most=5)], [CHEAP]).tolist() == [[5]]


def test_no_query_has_no_cost() -> None:
    assert expected_cost_picousd([], [CHEAP, DEAR]).shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é" * 4, 2), ("\ud83d", 1)]
)
def test_tokens_are_estimated_from_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
    assert Query.of(text).input_tokens == tokens


@given(
    tokens=st.integers(0, 10**6),
    most=st.none() | st.integers(1, 10**6),
    arm=st.none() | st.integers(1, 4096),
)
def test_one_call_without_a_prediction_is_priced_as_an_array_of_them(
    tokens: int, most: int | None, arm: int | None
) -> None:
    candidate = replace(DEAR, arm_output_tokens=arm)
    asked = query(tokens, most)
    out = unpredicted_output_tokens(asked, candidate)
    assert out == arm_output_tokens([asked], [candidate])[0, 0]
    assert candidate.price is not None
    exact = candidate.price.cost_picousd(input_tokens=tokens, output_tokens=out)
    assert exact == expected_cost_picousd([asked], [candidate])[0, 0]
