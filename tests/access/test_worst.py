"""The most that a request can cost is never less than what it costs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.access.worst import OVERHEAD_TOKENS, Asked, Costs
from turnout.types import Candidate, Price, Query, Usage
from turnout.wire import chat

PRICE = Price.per_million(2, 8, cache_write_usd=2.5, cache_write_1h_usd=4)


def candidate(**changes: Any) -> Candidate:
    return Candidate(**{"name": "m", "price": PRICE, **changes})


def most(asked: Asked, **changes: Any) -> int | None:
    return Costs([candidate(**changes)], 4_096).most_picousd(asked)["m"]


def read(body: dict[str, Any]) -> Asked:
    return Asked.of(chat.read_query(body), body, len(json.dumps(body, ensure_ascii=False)))


def test_the_dearest_rule_of_a_price_counts() -> None:
    long = replace(PRICE, input_picousd=9_000_000, output_picousd=40_000_000)
    tiered = replace(PRICE, above=((1_000, long),), services=(("priority", long),))
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 10}
    plain, dear = most(read(body)), most(read(body), price=tiered)
    assert plain is not None
    assert dear is not None
    assert dear - plain >= 10 * 32_000_000


@given(
    text=st.text(max_size=200),
    limit=st.integers(1, 10_000),
    output=st.floats(0, 1),
    parts=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_no_usage_within_the_request_costs_more(
    text: str, limit: int, output: float, parts: list[float]
) -> None:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": limit}
    tokens = len(text.encode("utf-8", "surrogatepass"))  # a token is a byte at least
    left, kinds = tokens, []
    for share in parts[:3]:
        kinds.append(int(left * share))
        left -= kinds[-1]
    usage = Usage(
        input_tokens=left,
        cache_read_tokens=kinds[0],
        cache_write_5m_tokens=kinds[1],
        cache_write_1h_tokens=kinds[2],
        output_tokens=int(limit * output),
    )
    found = most(read(body))
    assert found is not None
    assert PRICE.usage_picousd(usage) <= found


def test_the_request_limits_its_output_else_the_candidate_else_the_settings() -> None:
    def tokens_out(limit: int | None, **changes: Any) -> int:
        free = candidate(price=Price.per_million(0, 1), **changes)
        asked = Asked(Query.of("Hi", max_output_tokens=limit), 10)
        return (Costs([free], 4_096).most_picousd(asked)["m"] or 0) // 1_000_000

    assert tokens_out(10) == 10
    assert tokens_out(None) == 4_096
    assert tokens_out(None, max_output_tokens=500) == 500
    assert tokens_out(None, max_output_tokens=500, arm_output_tokens=90) == 90
    assert tokens_out(900, max_output_tokens=500) == 500
    assert tokens_out(10**9, context_tokens=2_000) == 2_000


def test_copies_and_predictions_are_paid_too() -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}
    one, five = most(read(body)), most(read({**body, "n": 5}))
    assert one is not None
    assert five is not None
    assert five - one == 4 * 100 * PRICE.output_picousd
    assert most(read({**body, "n": True})) == most(read({**body, "n": "5"})) == one
    predicted = most(read({**body, "prediction": {"type": "content", "content": "Hi"}}))
    assert predicted is not None
    assert predicted > one


def test_images_count_flat_and_files_by_length() -> None:
    data = "data:image/png;base64," + "A" * 100_000

    def of(part: dict[str, Any]) -> Asked:
        return read({"messages": [{"role": "user", "content": [part]}]})

    image = of({"type": "image_url", "image_url": {"url": data}})
    assert image.most_input_tokens() < 5_000
    file = of({"type": "file", "file": {"file_data": data}})
    assert file.most_input_tokens() > 100_000


def test_a_window_bounds_it_and_no_price_is_none() -> None:
    asked = Asked(Query.of("x" * 4_000, max_output_tokens=10), 4_000)
    rate = PRICE.dearest_input_picousd
    assert rate == 4_000_000
    assert most(asked) == (4_000 + OVERHEAD_TOKENS) * rate + 10 * PRICE.output_picousd
    assert most(asked, context_tokens=100) == 100 * rate + 10 * PRICE.output_picousd
    assert most(asked, price=None) is None


@pytest.mark.parametrize(("limit", "tokens"), [(None, 257), (9, 10), (10**6, 4_097)])
def test_a_limit_of_tokens_takes_what_is_usual(limit: int | None, tokens: int) -> None:
    assert Asked(Query.of("Hi", max_output_tokens=limit), 2).usual_tokens() == tokens
