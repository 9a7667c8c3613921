"""Tokens that a call used, and what a token costs: exact integers. `turnout.types` has these names too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Price of a model in picodollars (1e-12 USD) a token, so that sums stay exact integers.

    3 USD per million tokens is 3_000_000 picodollars per token.
    """

    input_picousd: int
    output_picousd: int
    cache_read_picousd: int | None = None
    """Of input that the provider had cached; None: as any input."""
    cache_write_5m_picousd: int | None = None
    """Of input that it caches for a short time; None: as any input."""
    cache_write_1h_picousd: int | None = None
    """Of input that it caches for long; None: as for a short time."""
    reasoning_picousd: int | None = None
    """Of output that is reasoning; None: as any output."""
    above: tuple[tuple[int, Price], ...] = ()
    """Long requests: with a whole input of more tokens than this, that price holds for all of the call.
    Ascending; the last that applies counts."""
    services: tuple[tuple[str, Price], ...] = ()
    """Service tier (`flex`, `priority`, …) → its price, where the provider served a call in it."""

    @classmethod
    def per_million(
        cls,
        input_usd: float | str,
        output_usd: float | str,
        *,
        cache_read_usd: float | str | None = None,
        cache_write_usd: float | str | None = None,
        cache_write_1h_usd: float | str | None = None,
        reasoning_usd: float | str | None = None,
    ) -> Price:
        """From USD per million tokens, rounded to whole picodollars a token."""
        others = (cache_read_usd, cache_write_usd, cache_write_1h_usd, reasoning_usd)
        read, write, write_1h, thought = (
            None if c is None else round(float(c) * 1e6) for c in others
        )
        return cls(
            input_picousd=round(float(input_usd) * 1e6),
            output_picousd=round(float(output_usd) * 1e6),
            cache_read_picousd=read,
            cache_write_5m_picousd=write,
            cache_write_1h_picousd=write_1h,
            reasoning_picousd=thought,
        )

    def usage_picousd(self, usage: Usage, service: str = "") -> int:
        """Price of what a call used, exactly, each kind of token at its own rate.

        Args:
            usage: of one call.
            service: the tier that the provider says it served the call in; one without a price of
                its own, see `has_service`, counts as any.
        """
        price = self
        if self.services:
            price = self.in_service(service)
        if price.above:
            price = price.for_input(usage.total_input_tokens)
        plain, output = price.input_picousd, price.output_picousd
        read = plain if price.cache_read_picousd is None else price.cache_read_picousd
        write = plain if price.cache_write_5m_picousd is None else price.cache_write_5m_picousd
        long = write if price.cache_write_1h_picousd is None else price.cache_write_1h_picousd
        thought = output if price.reasoning_picousd is None else price.reasoning_picousd
        return (
            usage.input_tokens * plain
            + usage.cache_read_tokens * read
            + usage.cache_write_5m_tokens * write
            + usage.cache_write_1h_tokens * long
            + (usage.output_tokens - usage.reasoning_tokens) * output
            + usage.reasoning_tokens * thought
        )

    def cost_picousd(self, *, input_tokens: int, output_tokens: int) -> int:
        """Price of one call without caches or reasoning, exactly."""
        price = self.for_input(input_tokens) if self.above else self
        return input_tokens * price.input_picousd + output_tokens * price.output_picousd

    def for_input(self, tokens: int) -> Price:
        """The price that holds for a whole input of so many tokens."""
        found = self
        for start, price in self.above:
            if tokens > start:
                found = price
        return found

    def in_service(self, service: str) -> Price:
        """The price in a service tier; this one where it has none of its own."""
        for name, price in self.services:
            if name == service:
                return price
        return self

    def has_service(self, service: str) -> bool:
        """Whether it is known what this service tier costs: any provider's usual one is."""
        return service in USUAL_SERVICES or any(name == service for name, _ in self.services)

    def every(self) -> Iterator[Price]:
        """This price and all that may hold in its place."""
        yield self
        for _, price in (*self.above, *self.services):
            yield from price.every()

    @property
    def dearest_input_picousd(self) -> int:
        """The most that a token of input can cost, however it is cached, tiered or served."""
        return max(
            rate
            for p in self.every()
            for rate in (
                p.input_picousd,
                p.cache_read_picousd,
                p.cache_write_5m_picousd,
                p.cache_write_1h_picousd,
            )
            if rate is not None
        )

    @property
    def dearest_output_picousd(self) -> int:
        """The most that a token of output can cost, reasoning or not."""
        return max(max(p.output_picousd, p.reasoning_picousd or 0) for p in self.every())


USUAL_SERVICES = frozenset({"", "auto", "default", "standard", "on_demand"})
"""What providers call the service tier that their list price is for."""

PICO = 1_000_000_000_000
"""Picodollars in one dollar."""


@dataclass(slots=True, kw_only=True)  # not frozen: that would double what making one costs
class Usage:
    """Tokens of one call, in parts that do not overlap, so that each has one price.

    APIs count differently: cached tokens are inside OpenAI's input and outside Anthropic's. Here the
    input is `input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens`.
    """

    input_tokens: int = 0
    """Read at full price: neither from a cache nor written to one."""
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    """Written to a cache for a short time (Anthropic's 5 minutes, OpenAI's 30)."""
    cache_write_1h_tokens: int = 0
    """Written to a cache for long (Anthropic's hour, OpenAI's 12 hours)."""
    output_tokens: int = 0
    """Everything that was generated, reasoning included."""
    reasoning_tokens: int = 0
    """Those of `output_tokens` that were reasoning; not to be added to them."""
    cost_picousd: int | None = None
    """What the provider says that the call cost, where it says so."""

    @property
    def total_input_tokens(self) -> int:
        """The whole input, cached or not."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
        )

    @property
    def total_tokens(self) -> int:
        """Input and output."""
        return self.total_input_tokens + self.output_tokens
