"""Prices of models."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from turnout.settings.base import Tree

MOST_USD_PER_MILLION = 10_000
"""A higher price is a mistake of units; below it, no call overflows a database's whole numbers."""

Service: TypeAlias = Literal["flex", "priority", "fast", "batch", "scale"]
"""Service tiers that replies name beside the usual one."""

_Usd = Annotated[float, Field(ge=0, le=MOST_USD_PER_MILLION, allow_inf_nan=False)]


class OtherRates(Tree):
    """USD per million tokens, of calls that have a price of their own. What is left out is as usual."""

    input_usd: _Usd | None = None
    """Of input."""
    output_usd: _Usd | None = None
    """Of output."""
    cache_read_usd: _Usd | None = None
    """Of input that is read from the provider's prompt cache; none: as any input."""
    cache_write_usd: _Usd | None = None
    """Of input that is written to it; none: as any input."""
    cache_write_1h_usd: _Usd | None = None
    """Of input that is written to it for an hour; none: as any write."""
    reasoning_usd: _Usd | None = None
    """Of output that is reasoning."""


class ServicePriceSettings(OtherRates):
    """The price of a service tier."""

    above: dict[Annotated[int, Field(gt=0)], OtherRates] = Field(default_factory=dict)
    """Long inputs in it; left out, they cost what others do."""


class PriceSettings(Tree):
    """USD per million tokens."""

    input_usd: _Usd
    """Of input."""
    output_usd: _Usd
    """Of output."""
    cache_read_usd: _Usd | None = None
    """Of input that is read from the provider's prompt cache; none: as any input."""
    cache_write_usd: _Usd | None = None
    """Of input that is written to it; none: as any input."""
    cache_write_1h_usd: _Usd | None = None
    """Of input that is written to it for an hour; none: as any write."""
    reasoning_usd: _Usd | None = None
    """Of output that is reasoning; none: as any output."""
    above: dict[Annotated[int, Field(gt=0)], OtherRates] = Field(default_factory=dict)
    """Long inputs: with more input tokens than this, those rates hold for the whole call."""
    services: dict[Service, ServicePriceSettings] = Field(default_factory=dict)
    """What a call costs that the provider says it served in this service tier."""
