"""What calls cost, would have cost elsewhere, and what switching models inside conversations loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.pricing import DEFAULT_OUTPUT_TOKENS, CachePrice, list_cache_price, list_price, rates
from turnout.review.columns import UNKNOWN
from turnout.review.traffic import Traffic
from turnout.types import PICO, Candidate, Price

Usd = NDArray[np.float64]

CACHE_TTL_S = 300.0
"""How long providers keep a prompt's prefix by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What n calls cost, in USD."""

    paid: Usd
    """(n,) recorded, else by tokens and list price; NaN where neither is known."""
    recorded: NDArray[np.bool_]
    """(n,) True where the log says what was paid."""
    alone: Usd
    """(n, m) what candidate j would have cost on each call, had it answered all of them."""
    cold: Usd
    """(n, m) extra cost where the conversation's cache has to be filled anew, on a switch to j."""
    unpriced: tuple[str, ...]
    """Models of the log without a price, of calls without a recorded cost."""


def price_calls(traffic: Traffic, candidates: Sequence[Candidate]) -> Money:
    """Prices of all calls.

    The output of a candidate that did not answer is taken to be as long as the one that was logged,
    and its input as many tokens; where a log tells no output tokens, those that the router expects.

    Raises:
        InputError: a candidate has no price.
    """
    c = traffic.columns
    unknown = [name.name for name in candidates if name.price is None]
    if unknown:
        remedy = "no list price is known for this model; give --price MODEL=IN,OUT, or a --config"
        raise InputError("price", unknown[0], remedy)
    tokens_in = np.where(c.input_tokens == UNKNOWN, c.estimated_tokens, c.input_tokens).astype(
        float
    )
    cached = np.minimum(np.where(c.cached_tokens == UNKNOWN, 0, c.cached_tokens), tokens_in)
    expected = np.where(np.isfinite(c.expected_tokens), c.expected_tokens, DEFAULT_OUTPUT_TOKENS)
    known_out = (c.output_tokens != UNKNOWN)[:, None]
    tokens_out = np.where(known_out, c.output_tokens[:, None], expected).astype(float)
    per_in, per_out = rates(candidates, "input_picousd"), rates(candidates, "output_picousd")
    caches = [list_cache_price(x.model, x.price) for x in candidates]
    read = np.asarray([x.read_picousd for x in caches], dtype=float)
    write = np.asarray([x.write_picousd for x in caches], dtype=float)
    alone = (
        (tokens_in - cached)[:, None] * per_in + cached[:, None] * read + tokens_out * per_out
    ) / PICO
    cold = cached[:, None] * (np.maximum(per_in, write) - read) / PICO
    paid, unpriced = _paid(traffic, tokens_in, cached)
    return Money(
        paid=paid,
        recorded=np.isfinite(c.cost_usd),
        alone=alone,
        cold=cold,
        unpriced=unpriced,
    )


def _paid(traffic: Traffic, tokens_in: Usd, cached: Usd) -> tuple[Usd, tuple[str, ...]]:
    """What was paid: as recorded, else list prices of the model that answered."""
    c = traffic.columns
    prices = [list_price(name) if name else None for name in traffic.models]
    caches = [
        CachePrice(0, 0) if p is None else list_cache_price(name, p)
        for name, p in zip(traffic.models, prices, strict=True)
    ]

    def each(values: list[float]) -> Usd:
        return np.asarray(values, dtype=float)[c.model]

    per_in = each([_rate(p, "input_picousd") for p in prices])
    per_out = each([_rate(p, "output_picousd") for p in prices])
    read = each([x.read_picousd for x in caches])
    out = np.where(c.output_tokens == UNKNOWN, np.nan, c.output_tokens)
    priced = ((tokens_in - cached) * per_in + cached * read + out * per_out) / PICO
    paid = np.where(np.isfinite(c.cost_usd), c.cost_usd, priced)
    lacking = ~np.isfinite(c.cost_usd) & np.isnan(per_in)
    names = sorted({traffic.models[i] or "(no model named)" for i in np.unique(c.model[lacking])})
    return paid, tuple(names)


def _rate(price: Price | None, field: str) -> float:
    return np.nan if price is None else float(getattr(price, field))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Who follows whom in the conversations."""

    before: NDArray[np.intp]
    """(n,) row of the call before in the same conversation and within the cache's life; -1: none."""
    first: NDArray[np.intp]
    """(n,) row of the conversation's first call."""
    conversations: int
    """Conversations of more than one call."""


def turns(traffic: Traffic) -> Turns:
    """Order the calls of each conversation by time (by the log's order where a time is missing)."""
    c = traffic.columns
    n = len(c)
    when = np.where(np.isnan(c.time), -np.inf, c.time)
    order = np.lexsort((np.arange(n), when, c.group))
    same = np.r_[False, c.group[order][1:] == c.group[order][:-1]] if n else np.empty(0, bool)
    starts = np.maximum.accumulate(np.where(same, 0, np.arange(n)))
    first = np.empty(n, dtype=np.intp)
    first[order] = order[starts]
    previous = np.r_[-1, order[:-1]]
    with np.errstate(invalid="ignore"):
        gap = c.time[order] - c.time[previous]
    warm = same & ~(gap > CACHE_TTL_S)  # an unknown gap counts as a short one
    before = np.full(n, -1, dtype=np.intp)
    before[order] = np.where(warm, previous, -1)
    longer = int((np.bincount(np.cumsum(~same)[same]) > 0).sum()) if same.any() else 0
    return Turns(before=before, first=first, conversations=longer)


def switching_usd(choice: NDArray[np.intp], turn: Turns, cold: Usd) -> Usd:
    """(n,) extra cost of each call whose model is not that of the call before: its cache is cold."""
    rows = np.arange(len(choice))
    switched = (turn.before >= 0) & (choice != choice[turn.before])
    return np.where(switched, cold[rows, choice], 0.0)
