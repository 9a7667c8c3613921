"""What the rest of a conversation costs with one model, its prompt cache counted in.

A request sends the whole conversation again. What the provider has cached of it is read at the cache's
price, the rest is written to it, where that has a price of its own, else paid as any input. So moving to
another model costs one reading of the whole conversation at that model's price, and saves what its later
requests are cheaper by:

    gain = first(old) - first(new) + E[later requests] x (later(old) - later(new))

which is the rule of agents that price their switches (expected turns x saved a turn - cache write +
cache read), with the requests' own new input and output counted too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from turnout.types import PICO, Price, Usage

LEAST_CACHED = 1024
"""Providers cache no shorter prompts (OpenAI's and Anthropic's least, for most models)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a conversation's requests hold, in tokens."""

    input_tokens: float
    """Of the request under way, the whole conversation."""
    growth_tokens: float
    """By which each request is longer than the one before."""
    later: float
    """Requests expected after it."""


def picousd(price: Price, load: Load, *, warm_tokens: float, output: float, caches: bool) -> float:
    """Expected price of the request under way and of the later ones, in picodollars.

    Args:
        price: the model's.
        load: what the requests hold. Later ones are counted at today's length and growth.
        warm_tokens: of the conversation, what the model's provider has cached now.
        output: tokens that it is expected to write in each request.
        caches: whether its provider's cache is used at all by these requests.
    """
    plain = price.input_picousd
    read = _rate(price.cache_read_picousd, plain) if caches else plain
    write = _rate(price.cache_write_5m_picousd, plain) if caches else plain
    whole = load.input_tokens
    warm = min(warm_tokens, whole)
    first = warm * read + (whole - warm) * write
    later = whole * read + load.growth_tokens * write
    return first + load.later * later + (1.0 + load.later) * output * price.output_picousd


def _rate(given: int | None, plain: int) -> int:
    return plain if given is None else given


def held_tokens(usage: Usage, *, automatic: bool, before: float) -> float:
    """What the provider has cached of a conversation after a request.

    Args:
        usage: what the request used.
        automatic: the provider caches without being asked (OpenAI's and most; not Anthropic's), so
            that what was not read from the cache was written to it.
        before: what it had cached before the request.
    """
    read = usage.cache_read_tokens
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    if written or (read and not automatic):
        return float(read + written)
    whole = usage.total_input_tokens
    if not automatic or whole < LEAST_CACHED:
        return 0.0
    # A cache that should have been warm and gave nothing is not there for this conversation.
    return 0.0 if before >= LEAST_CACHED and not read else float(whole)


def usd(picodollars: float) -> str:
    """Dollars without a sign, to three significant digits, never in exponent notation."""
    return f"{Decimal(f'{abs(picodollars) / PICO:.3g}'):f}"
