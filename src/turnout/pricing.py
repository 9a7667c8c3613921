"""What a call costs: an offline price list, the user's own prices over it, exact integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from turnout.types import Candidate, Prediction, Price, Query

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, PriceCalculation

DEFAULT_OUTPUT_TOKENS = 256
"""Expected output length where neither the router nor the request says one."""


_RATES = {
    "input_picousd": "input_mtok",
    "output_picousd": "output_mtok",
    "cache_read_picousd": "cache_read_mtok",
    "cache_write_5m_picousd": "cache_write_mtok",
    "cache_write_1h_picousd": "cache_write_1h_mtok",
    "reasoning_picousd": "output_reasoning_mtok",
}
"""Rate of a `Price` → its key in the list."""

_SERVICES: dict[str, tuple[dict[str, str], ...]] = {
    "flex": ({"service_tier": "flex"},),
    "priority": ({"service_tier": "priority"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
    "batch": ({"processing": "batch"},),
}
"""Service tier → what the list knows it by, at one provider or another."""


def list_price(model: str) -> Price | None:
    """The list price of a model by its public name, offline; None where the list has none.

    It holds what the list has: caches, reasoning, long inputs, service tiers, as of today. `vendor/model`
    and `vendor:model` are tried without the vendor as well. The list is the one inside the installed
    `genai-prices`: nothing is fetched.
    """
    one = _calculated(model)
    if one is None:
        return None
    plain = _with_tiers(one.model_price)
    if plain is None:
        return None
    services = ((name, _in_service(one, contexts)) for name, contexts in _SERVICES.items())
    return replace(plain, services=tuple((n, p) for n, p in services if p not in (None, plain)))


def _in_service(one: PriceCalculation, contexts: Sequence[dict[str, str]]) -> Price | None:
    """The price in a service tier; None where the list does not tell it apart."""
    if not any(one.model is own for own in one.provider.models):
        return None  # borrowed from another provider, whose tiers these are
    now = datetime.now(tz=UTC)
    for context in contexts:
        listed = one.model.get_prices(now, context)
        if listed != one.model_price:
            return _with_tiers(listed)
    return None


def _with_tiers(listed: ModelPrice) -> Price | None:
    """A listed price with those of long inputs; None where tokens have none."""
    given = {name: getattr(listed, key) for name, key in _RATES.items()}
    if given["input_picousd"] is None and given["output_picousd"] is None:
        return None
    tiered = [rate for rate in given.values() if hasattr(rate, "tiers")]
    starts = sorted({tier.start for rate in tiered for tier in rate.tiers})
    above = tuple((start, _flat(given, start)) for start in starts)
    return replace(_flat(given, None), above=above)


def _flat(given: Mapping[str, Any], start: int | None) -> Price:
    """The rates that hold for inputs above a tier's start; None: below all."""
    found: dict[str, Any] = {}
    for name, rate in given.items():
        usd = getattr(rate, "base", rate)
        for tier in getattr(rate, "tiers", ()):
            if start is not None and tier.start <= start:
                usd = tier.price
        found[name] = None if usd is None else int((usd * 10**6).to_integral_value())
    into, out = found.pop("input_picousd") or 0, found.pop("output_picousd") or 0
    return Price(input_picousd=into, output_picousd=out, **found)


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
    return Tariff.of(candidates).output_tokens(queries, prediction)


def unpredicted_output_tokens(query: Query, candidate: Candidate) -> int:
    """`arm_output_tokens` of one request at one candidate, where no router predicts."""
    most = query.max_output_tokens
    if most is None:
        most = candidate.arm_output_tokens
    return DEFAULT_OUTPUT_TOKENS if most is None else min(DEFAULT_OUTPUT_TOKENS, most)


def cost_of_tokens_picousd(
    input_tokens: NDArray[np.float64],
    output_tokens: NDArray[np.float64],
    candidates: Sequence[Candidate],
) -> NDArray[np.float64]:
    """(n, m) price of calls in picodollars: see `Tariff.cost_picousd`."""
    return Tariff.of(candidates).cost_picousd(input_tokens, output_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What m candidates charge, and how much they write, as arrays: the same for every query."""

    input_picousd: NDArray[np.float64]
    """(m,) a token; NaN without a price."""
    output_picousd: NDArray[np.float64]
    """(m,)"""
    arms: NDArray[np.float64]
    """(m,) output limits of the arms; infinite where one asks for none."""
    above: tuple[tuple[int, int, Price], ...]
    """Prices of long inputs: a candidate's column, the tokens above which its price holds, and it."""

    @classmethod
    def of(cls, candidates: Sequence[Candidate]) -> Tariff:
        """The candidates' own."""
        priced = [(j, c.price) for j, c in enumerate(candidates) if c.price is not None]
        arms = [c.arm_output_tokens or np.inf for c in candidates]
        return cls(
            input_picousd=rates(candidates, "input_picousd"),
            output_picousd=rates(candidates, "output_picousd"),
            arms=np.asarray(arms, dtype=np.float64),
            above=tuple((j, start, price) for j, p in priced for start, price in p.above),
        )

    def output_tokens(
        self, queries: Sequence[Query], prediction: Prediction | None = None
    ) -> NDArray[np.float64]:
        """(n, m) to expect, capped by the request or, where it says nothing, by the arm."""
        usual: NDArray[np.float64]
        if prediction is None or prediction.output_tokens is None:
            usual = np.full((len(queries), len(self.arms)), DEFAULT_OUTPUT_TOKENS, dtype=np.float64)
        else:
            known = np.asarray(prediction.output_tokens, dtype=np.float64)
            usual = np.where(np.isnan(known), float(DEFAULT_OUTPUT_TOKENS), known)
        found = np.minimum(usual, self.arms)
        for i, query in enumerate(queries):
            if query.max_output_tokens is not None:
                found[i] = np.minimum(usual[i], query.max_output_tokens)
        return found

    def cost_picousd(
        self, input_tokens: NDArray[np.float64], output_tokens: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(n, m) price of calls with (n,) or (n, m) input and (n, m) output tokens, in picodollars.

        Long inputs at their own price. NaN for a candidate without a price, and where tokens are.
        """
        tokens_in = input_tokens[:, None] if input_tokens.ndim == 1 else input_tokens
        cost: NDArray[np.float64] = tokens_in * self.input_picousd
        cost += output_tokens * self.output_picousd
        for j, start, price in self.above:
            given, out = tokens_in[:, min(j, tokens_in.shape[1] - 1)], output_tokens[:, j]
            dearer = given * price.input_picousd + out * price.output_picousd
            cost[:, j] = np.where(given > start, dearer, cost[:, j])
        return cost


def rates(candidates: Sequence[Candidate], field: str) -> NDArray[np.float64]:
    """(m,) picodollars a token of each candidate (`input_picousd` or `output_picousd`), or NaN."""
    return np.asarray(
        [np.nan if c.price is None else getattr(c.price, field) for c in candidates],
        dtype=np.float64,
    )
