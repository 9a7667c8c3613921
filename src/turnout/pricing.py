"""What a call costs: an offline price list, the user's own prices over it, exact integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from turnout.types import Candidate, Prediction, Price, Query

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, PriceCalculation

DEFAULT_OUTPUT_TOKENS = 256
"""Expected output length where neither the router nor the request says one."""


def list_price(model: str) -> Price | None:
    """The list price of a model by its public name, offline; None where the list has none.

    `vendor/model` and `vendor:model` are tried without the vendor as well. Tiered prices give their
    base tier. The list is the one inside the installed `genai-prices`: nothing is fetched.
    """
    one = _calculated(model)
    if one is None:
        return None
    listed = one.model_price
    return Price(
        input_picousd=_per_token(one.input_price),
        output_picousd=_per_token(one.output_price),
        cache_read_picousd=_cache_rate(listed, "cache_read_mtok"),
        cache_write_5m_picousd=_cache_rate(listed, "cache_write_mtok"),
        cache_write_1h_picousd=_cache_rate(listed, "cache_write_1h_mtok"),
    )


def _cache_rate(listed: ModelPrice, name: str) -> int | None:
    """Picodollars a token of one kind of cached input; the base tier, where there are tiers."""
    given = getattr(listed, name, None)
    base = getattr(given, "base", given)
    return None if base is None else int((base * 10**6).to_integral_value())


def list_context_tokens(model: str) -> int | None:
    """The context window of a model by its public name, offline; None where unknown.

    Names are tried as in `list_price`.
    """
    one = _calculated(model)
    return None if one is None else one.model.context_window


@dataclass(frozen=True, slots=True)
class CachePrice:
    """Price of input that goes through a provider's prompt cache, in picodollars a token."""

    read_picousd: int
    """Of tokens read from the cache."""
    write_picousd: int
    """Of tokens written to it for its default life; the plain input price where writing is free."""


def list_cache_price(model: str, price: Price | None) -> CachePrice:
    """Cache prices of a model by its public name, offline; those of plain input where unknown.

    Args:
        model: names are tried as in `list_price`.
        price: what plain input costs; list cache prices are scaled to it, so that a discount on the
            list holds for the cache as well. None gives zeros where the list has nothing.
    """
    plain = 0 if price is None else price.input_picousd
    one = _calculated(model)
    listed = None if one is None else one.model_price
    base = None if listed is None else _base_rate(listed.input_mtok)
    if listed is None or not base:
        return CachePrice(plain, plain)
    share = plain / base if price is not None else 1.0

    def scaled(rate: object) -> int:
        found = _base_rate(rate)
        return plain if found is None else round(found * share)

    return CachePrice(scaled(listed.cache_read_mtok), scaled(listed.cache_write_mtok))


def _base_rate(rate: object) -> float | None:
    """Picodollars a token of a price in USD per million, of tiered prices the base tier."""
    base = getattr(rate, "base", rate)
    return None if base is None else float(base) * 1e6  # type: ignore[arg-type]


def with_list_values(candidate: Candidate) -> Candidate:
    """The candidate with list price and context window where none was given.

    The name that the upstream knows the model by is looked up, then the candidate's own; what the
    list does not know stays None. Where both are given, the list is not read.
    """
    price, context_tokens = candidate.price, candidate.context_tokens
    for name in dict.fromkeys((candidate.model, candidate.name)):
        price = list_price(name) if price is None else price
        context_tokens = list_context_tokens(name) if context_tokens is None else context_tokens
    return replace(candidate, price=price, context_tokens=context_tokens)


def _calculated(model: str) -> PriceCalculation | None:
    """What the list makes of a thousand tokens each way."""
    from genai_prices import Usage, calc_price  # 0.4 s of import, so only when asked for

    for name in dict.fromkeys((model, model.rpartition("/")[2], model.rpartition(":")[2])):
        if not name:
            continue
        try:
            return calc_price(Usage(input_tokens=1_000, output_tokens=1_000), model_ref=name)
        except LookupError:
            continue
    return None


def _per_token(price_of_thousand: Decimal) -> int:
    """Picodollars a token from the price of a thousand tokens (below every tier's first step)."""
    return int((price_of_thousand * 10**9).to_integral_value())


def expected_output_tokens(
    queries: Sequence[Query], prediction: Prediction | None, m: int
) -> NDArray[np.float64]:
    """(n, m) output tokens to expect: the router's estimate, capped by what the request allows."""
    n = len(queries)
    expected = np.full((n, m), float(DEFAULT_OUTPUT_TOKENS))
    if prediction is not None and prediction.output_tokens is not None:
        known = np.asarray(prediction.output_tokens, dtype=np.float64)
        expected = np.where(np.isnan(known), expected, known)
    cap = [q.max_output_tokens if q.max_output_tokens is not None else np.inf for q in queries]
    limit: NDArray[np.float64] = np.asarray(cap, dtype=np.float64)[:, None]
    capped: NDArray[np.float64] = np.minimum(expected, limit)
    return capped


def expected_cost_picousd(
    queries: Sequence[Query], candidates: Sequence[Candidate], prediction: Prediction | None = None
) -> NDArray[np.float64]:
    """(n, m) expected price of each call in picodollars; NaN for a candidate without a price."""
    tokens_in = np.asarray([q.input_tokens for q in queries], dtype=np.float64)
    return cost_of_tokens_picousd(
        tokens_in, arm_output_tokens(queries, candidates, prediction), candidates
    )


def arm_output_tokens(
    queries: Sequence[Query], candidates: Sequence[Candidate], prediction: Prediction | None = None
) -> NDArray[np.float64]:
    """(n, m) output tokens to expect, capped by the request or, where it says nothing, by the arm."""
    tokens_out = expected_output_tokens(queries, prediction, len(candidates))
    own = np.asarray([q.max_output_tokens is not None for q in queries], dtype=bool)[:, None]
    arms = np.asarray([c.arm_output_tokens or np.inf for c in candidates], dtype=np.float64)
    return np.where(own, tokens_out, np.minimum(tokens_out, arms[None, :]))


def cost_of_tokens_picousd(
    input_tokens: NDArray[np.float64],
    output_tokens: NDArray[np.float64],
    candidates: Sequence[Candidate],
) -> NDArray[np.float64]:
    """(n, m) price of calls with (n,) or (n, m) input and (n, m) output tokens, in picodollars.

    NaN for a candidate without a price, and where tokens are.
    """
    tokens_in = input_tokens[:, None] if input_tokens.ndim == 1 else input_tokens
    cost: NDArray[np.float64] = tokens_in * rates(
        candidates, "input_picousd"
    ) + output_tokens * rates(candidates, "output_picousd")
    return cost


def rates(candidates: Sequence[Candidate], field: str) -> NDArray[np.float64]:
    """(m,) picodollars a token of each candidate (`input_picousd` or `output_picousd`), or NaN."""
    return np.asarray(
        [np.nan if c.price is None else getattr(c.price, field) for c in candidates],
        dtype=np.float64,
    )
