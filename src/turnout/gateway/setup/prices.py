"""A price as the settings give it, as a `Price`: what a rule leaves out is as without the rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from turnout.settings import OtherRates, PriceSettings
from turnout.types import Price

_RATES = (
    "input_usd",
    "output_usd",
    "cache_read_usd",
    "cache_write_usd",
    "cache_write_1h_usd",
    "reasoning_usd",
)


def read_price(given: PriceSettings) -> Price:
    """The price that settings mean."""
    usual = {name: getattr(given, name) for name in _RATES}
    services = []
    for service, own in given.services.items():
        rates = _over(usual, own)
        services.append((service, _with_tiers(rates, own.above)))
    return replace(_with_tiers(usual, given.above), services=tuple(services))


def _with_tiers(rates: Mapping[str, float | None], above: Mapping[int, OtherRates]) -> Price:
    found, tiers = dict(rates), []
    for start in sorted(above):
        found = _over(found, above[start])  # a longer input's rule stands on the one before it
        tiers.append((start, _flat(found)))
    return replace(_flat(rates), above=tuple(tiers))


def _over(rates: Mapping[str, float | None], own: OtherRates) -> dict[str, float | None]:
    stated = {name: getattr(own, name) for name in _RATES}
    return {n: rates[n] if usd is None else usd for n, usd in stated.items()}


def _flat(rates: Mapping[str, float | None]) -> Price:
    into, out = rates["input_usd"], rates["output_usd"]
    assert into is not None and out is not None  # noqa: PT018 - the settings ask for both
    others = {n: usd for n, usd in rates.items() if n not in ("input_usd", "output_usd")}
    return Price.per_million(into, out, **others)
