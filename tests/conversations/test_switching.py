"""What a change of model costs in a conversation, and when it is made."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.conversations.dollars import Load, held_tokens, picousd, usd
from turnout.conversations.remaining import FURTHEST, Remaining
from turnout.conversations.sticking import StickyRules, Switching, boundary
from turnout.conversations.table import Held, Table, Warm
from turnout.types import Attempt, Candidate, Conversation, Decision, Pool, Price, Query, Usage

STRONG = Candidate(name="strong", price=Price.per_million(10, 30, cache_read_usd=1))
MIDDLE = Candidate(name="middle", price=Price.per_million(2, 8, cache_read_usd=0.5))
CHEAP = Candidate(name="cheap", price=Price.per_million(1, 4, cache_read_usd=0.1))
POOL = Pool(candidates=(STRONG, MIDDLE, CHEAP), default="strong")
RULES = StickyRules()


def held(candidate: str = "strong", **changes: Any) -> Held:
    made = Held(candidate=candidate, target="up/m", provider="up", model="auto", at=0.0)
    made.requests, made.messages = 4, 5
    made.input_tokens = made.counted_tokens = 40_000
    made.warm[candidate] = Warm(40_000, 0.0)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def query(tokens: int = 41_000, **conversation: Any) -> Query:
    stands = Conversation(**{"messages": 7, "answered": True, **conversation})
    return Query(text="x", input_tokens=tokens, conversation=stands)


def routed(choice: str, **changes: Any) -> Decision:
    quality = {"strong": 0.9, "middle": 0.8, "cheap": 0.6}
    made = Decision(
        id="dec_1",
        router="r",
        policy="hull",
        attempts=(Attempt(candidate=choice, reason="worth most"),),
        code="best_value",
        reason="worth most",
        quality=quality,
        certificate="cert_1",
    )
    return replace(made, **changes)


def settled(decision: Decision, conversation: Held, now: float = 10.0, **asked: Any) -> Decision:
    switching = Switching(pool=POOL, spares=1, rules=RULES, remaining=Remaining())
    asks = query(**asked)
    where = boundary(conversation, asks, RULES, now)
    assert where is not None
    return switching.settle(decision, conversation, asks, where, now)


@pytest.mark.parametrize(
    ("stands", "now", "where"),
    [
        ({}, 10, "new_task"),
        ({"ends": "go_on"}, 10, None),
        ({"ends": "go_on"}, 301, "idle"),
        ({"ends": "tool"}, 301, None),  # a tool may take its time
        ({"ends": "tool", "failed_in_row": 3}, 10, None),
        ({"ends": "tool", "failed_in_row": 4}, 10, "errors"),
        ({"messages": 3}, 10, "compacted"),
        ({"messages": 1, "elsewhere": True}, 10, "new_task"),
    ],
)
def test_where_a_conversation_may_change_its_model(
    stands: dict[str, Any], now: float, where: str | None
) -> None:
    assert boundary(held(), query(**stands), RULES, now) == where


def test_errors_that_were_dealt_with_do_not_count_again() -> None:
    asks = query(ends="tool", failed_in_row=7)
    assert boundary(held(errors_seen=4), asks, RULES, 10) is None
    assert boundary(held(errors_seen=3), asks, RULES, 10) == "errors"
    assert boundary(held(), asks, StickyRules(errors=0), 10) is None


def test_the_gain_is_that_of_the_sums_written_out() -> None:
    load = Load(input_tokens=40_000, growth_tokens=1_000, later=5)
    price = Price.per_million(10, 30, cache_read_usd=1, cache_write_usd="12.5")
    cost = picousd(price, load, warm_tokens=30_000, output=200, caches=True)
    first = 30_000 * 1 + 10_000 * 12.5 + 200 * 30
    later = 40_000 * 1 + 1_000 * 12.5 + 200 * 30
    assert cost == pytest.approx((first + 5 * later) * 1e6)
    plain = picousd(price, load, warm_tokens=30_000, output=200, caches=False)
    assert plain == pytest.approx((40_000 * 10 + 200 * 30 + 5 * (41_000 * 10 + 200 * 30)) * 1e6)


def test_a_cheaper_model_takes_over_where_the_rest_pays_for_reading_all_again() -> None:
    made = settled(routed("cheap"), held())
    assert (made.model, made.code) == ("cheap", "switched_at_boundary")
    assert [a.candidate for a in made.attempts] == ["cheap", "strong"]
    # Of nearly the same price, nothing pays for it.
    made = settled(routed("middle"), held("cheap", warm={"cheap": Warm(40_000, 0.0)}))
    assert made.code == "switched_for_quality"
    near = routed("middle", quality={"strong": 0.9, "middle": 0.61, "cheap": 0.6})
    made = settled(near, held("cheap", warm={"cheap": Warm(40_000, 0.0)}))
    assert (made.model, made.code) == ("cheap", "kept_for_conversation")
    assert "middle would cost" in made.reason
    assert made.certificate is None
    assert "middle (best_value)" in made.notes[-1]


def test_the_routers_own_choice_is_left_as_it_is() -> None:
    decision = routed("strong")
    assert settled(decision, held()) is decision


def test_a_revoked_certificate_goes_before_a_cache() -> None:
    decision = routed("strong", code="certificate_revoked")
    assert settled(decision, held("cheap")) is decision


def test_a_router_that_fails_leaves_the_conversation_where_it_is_and_its_words_behind() -> None:
    failed = routed("strong", fallback=True, reason="cannot read SECRET", notes=("SECRET",))
    made = settled(failed, held("cheap"))
    assert (made.model, made.code, made.fallback) == ("cheap", "kept_for_conversation", False)
    assert "SECRET" not in str(made)


def test_two_models_go_by_the_threshold() -> None:
    decision = routed("strong", win_rate=0.6, quality={"strong": 0.5, "cheap": 0.55})
    assert settled(decision, held("cheap")).code == "switched_for_quality"


def test_without_a_price_the_model_is_kept_unless_it_is_too_weak() -> None:
    unknown = Pool(candidates=(STRONG, replace(CHEAP, price=None)), default="strong")
    switching = Switching(pool=unknown, spares=0, rules=RULES, remaining=Remaining())
    made = switching.settle(routed("cheap"), held(), query(), "new_task", 10)
    assert (made.model, made.code) == ("strong", "kept_for_conversation")
    made = switching.settle(routed("strong"), held("cheap"), query(), "new_task", 10)
    assert (made.model, made.code) == ("strong", "switched_for_quality")


def test_after_errors_a_stronger_one_takes_over_if_there_is_one() -> None:
    failing = {"ends": "tool", "failed_in_row": 4}
    made = settled(routed("cheap"), held("cheap"), **failing)
    assert (made.model, made.code) == ("strong", "switched_after_errors")
    made = settled(routed("middle"), held("cheap"), **failing)
    assert made.model == "middle"  # the router's own choice is strong enough
    made = settled(routed("cheap"), held("strong"), **failing)
    assert (made.model, made.code) == ("strong", "kept_for_conversation")
    out = routed("cheap", excluded={"strong": "too small", "middle": "too small"})
    assert settled(out, held("cheap"), **failing) is out


def test_a_cold_cache_is_not_counted() -> None:
    """After a pause, and after history was cut, both models read everything again."""
    dear = replace(CHEAP, price=Price.per_million(9.5, 30, cache_read_usd=0.95))
    pool = Pool(candidates=(STRONG, dear), default="strong")
    switching = Switching(pool=pool, spares=0, rules=RULES, remaining=Remaining())
    assert switching.settle(routed("cheap"), held(), query(), "new_task", 10).model == "strong"
    assert switching.settle(routed("cheap"), held(), query(), "idle", 301).model == "cheap"
    assert switching.settle(routed("cheap"), held(), query(), "compacted", 10).model == "cheap"


@given(
    later=st.floats(0, 100),
    tokens=st.integers(1, 10**6),
    warm=st.integers(0, 10**6),
    output=st.integers(0, 10**5),
)
def test_a_warmer_cache_never_costs_more(later: float, tokens: int, warm: int, output: int) -> None:
    load = Load(input_tokens=tokens, growth_tokens=10, later=later)
    assert STRONG.price is not None
    cold = picousd(STRONG.price, load, warm_tokens=0, output=output, caches=True)
    assert picousd(STRONG.price, load, warm_tokens=warm, output=output, caches=True) <= cold


@pytest.mark.parametrize(
    ("usage", "automatic", "before", "held_now"),
    [
        (Usage(input_tokens=5_000), True, 0, 5_000),
        (Usage(input_tokens=500), True, 0, 0),  # too short to be cached
        (Usage(input_tokens=5_000), True, 4_000, 0),  # it should have been read, and was not
        (Usage(input_tokens=1_000, cache_read_tokens=4_000), True, 4_000, 5_000),
        (Usage(input_tokens=5_000), False, 0, 0),  # nothing was marked
        (
            Usage(input_tokens=9, cache_read_tokens=4_000, cache_write_5m_tokens=900),
            False,
            0,
            4_900,
        ),
    ],
)
def test_what_a_provider_has_cached(
    usage: Usage, automatic: bool, before: float, held_now: float
) -> None:
    assert held_tokens(usage, automatic=automatic, before=before) == held_now


@pytest.mark.parametrize(
    ("picodollars", "text"),
    [(0, "0"), (1_234_567, "0.00000123"), (-5e10, "0.05"), (1.5e12, "1.5")],
)
def test_dollars_are_never_in_exponent_notation(picodollars: float, text: str) -> None:
    assert usd(picodollars) == text


def test_before_anything_is_known_what_lasted_long_lasts_long() -> None:
    remaining = Remaining()
    found = [remaining.expected(k) for k in (1, 4, 16, 50)]
    assert found == sorted(found)
    assert all(0.5 * k < r < 2 * k for k, r in zip((1, 4, 16, 50), found, strict=True))
    assert remaining.expected(10_000) <= FURTHEST


@pytest.mark.parametrize("chance", [0.5, 0.1])
def test_the_traffics_own_conversations_decide_in_the_end(chance: float) -> None:
    """Geometric ones of mean 1/p have (1 - p) / p further requests at any time."""
    remaining, rng = Remaining(), random.Random(3)
    for _ in range(4_000):
        k = 1
        while rng.random() > chance:
            remaining.went_on(k)
            k += 1
        remaining.ended(k)
    for k in (1, 3, 6):
        assert remaining.expected(k) == pytest.approx((1 - chance) / chance, rel=0.2)


def test_the_table_is_bounded_and_forgets() -> None:
    table = Table(most=2, keep_s=100)
    for i in range(3):
        table.keep(f"s{i}", held(at=float(i)))
        for j in range(10):
            table.made(f"r{i}.{j}", f"s{i}")
    assert len(table) == 2
    assert table.find("s0", 3) is None
    assert table.find("s2", 3) is not None
    assert table.made_by("r0.0") is None
    assert table.made_by("r2.9") == "s2"
    assert table.find("s1", 101.5) is None
    assert len(table) == 1
    assert table.remaining.expected(4) < Remaining().expected(4)  # that one ended after four
