"""What counts: the protocol of counters, and what passes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from turnout.access.limits import Limit

RATE_S = 60
"""Seconds over which requests and tokens are counted. They are counted by whole seconds, and a second
that has begun counts whole, so that no 60 seconds hold more than the limit."""


@dataclass(slots=True)
class Hold:
    """What a request has reserved, until it is settled."""

    id: str
    limits: tuple[Limit, ...]
    amounts: Sequence[int]
    """Reserved under each limit."""
    marks: Sequence[int]
    """Under each limit: when the window began (budgets) or the second (rates) it was counted in."""
    left: Sequence[int]
    """Under each limit: what was left behind it."""
    local: bool = False
    """Counted by this process alone, because the shared counters could not be reached."""
    meters: tuple[Any, ...] = ()
    """Where counters of this process counted it."""


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Refusal:
    """A request that does not fit; nothing was reserved."""

    limit: Limit
    left: int
    """What is left of it."""
    retry_after_s: float | None
    """When there may be room; None: not by waiting."""


class Counters(Protocol):
    """Counts money, requests and tokens. One step reserves under all limits of a request, or none."""

    async def reserve(
        self, hold_id: str, limits: tuple[Limit, ...], *, cost: int, tokens: int
    ) -> Hold | Refusal:
        """Reserve the most that a request may take, under every limit or under none.

        Args:
            hold_id: of the request; never given twice.
            limits: that it comes under.
            cost: picodollars, for budgets.
            tokens: for limits of tokens.

        Returns:
            What was reserved, or the first limit under which it does not fit.

        Raises:
            AccessDownError: the counters cannot be reached.
        """
        ...

    def settle(self, hold: Hold, *, cost: int, tokens: int) -> None:
        """Put what a request took in place of what it had reserved. It is quick, and never fails."""
        ...

    def tightest(self, limits: tuple[Limit, ...], most: int) -> Refusal | None:
        """The budget with the least left, as far as is known without asking.

        It spares requests a decision for a candidate that cannot be paid, and decides nothing.

        Args:
            limits: that a request comes under.
            most: the most that it can cost, in picodollars.

        Returns:
            None where no budget has less left than that, or it is not known.
        """
        ...

    async def seed(self, spent: Mapping[tuple[str, int], int]) -> None:
        """Tell what budgets had spent before they were counted here; more than that stays.

        Args:
            spent: (limit id, Unix second at which its window began) → picodollars.
        """
        ...

    async def used(self, limits: Sequence[Limit]) -> list[int]:
        """What is spent and reserved under each limit now.

        Raises:
            AccessDownError: the counters cannot be reached.
        """
        ...


def amount(limit: Limit, *, cost: int, tokens: int) -> int:
    """What a request takes under a limit."""
    if limit.kind == "usd":
        return cost
    return tokens if limit.kind == "tokens" else 1
