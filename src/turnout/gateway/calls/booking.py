"""What a call cost: the provider's own word, else its counts at the price of the model that served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from turnout.names import plain_model
from turnout.pricing import list_price
from turnout.store.record import CostBasis
from turnout.types import Pool, Price, Usage

MOST_KEPT = 1024
"""Upstreams name models as they like, so what is kept by name is bounded."""


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Booked:
    """What goes into the ledger."""

    cost_picousd: int | None
    """None where no price is known."""
    basis: CostBasis
    flags: tuple[str, ...] = ()
    """See `turnout.store.record.FLAGS`."""


class Books:
    """Prices calls. Safe to share between threads.

    Args:
        pool: the candidates and their prices.
        listed: the price of a model by its public name.
    """

    def __init__(self, pool: Pool, listed: Callable[[str], Price | None] = list_price) -> None:
        self._pool, self._listed = pool, listed
        self._own = {c.model: c.price for c in pool.candidates}
        self._kept: dict[tuple[str, str, str], tuple[Price | None, bool]] = {}

    def book(
        self,
        candidate: str,
        usage: Usage | None,
        *,
        estimate: Usage | None,
        asked: str = "",
        named: str = "",
        service: str = "",
    ) -> Booked:
        """Book one call.

        Args:
            candidate: who served.
            usage: what the upstream says it used; None where it does not say, or is not believed.
            estimate: ours, for then; None with a usage.
            asked: the model that the upstream was asked for.
            named: the model that it says it is; empty where it does not say.
            service: the service tier that it says.
        """
        if named and named != asked:
            price, other = self._of_named(candidate, asked, named)
        else:
            price, other = self._pool[candidate].price, False
        flags = ("other_model",) if other else ()
        if usage is not None and usage.cost_picousd is not None:
            return Booked(usage.cost_picousd, "provider", flags)
        if price is None:
            return Booked(None, "none", flags)
        if not price.has_service(service):
            flags = (*flags, "service_unpriced")
        used = usage or estimate
        if used is None:
            raise ValueError("a call is booked by its usage or by an estimate")
        cost = price.usage_picousd(used, service)
        return Booked(cost, "estimate" if usage is None else "usage", flags)

    def _of_named(self, candidate: str, asked: str, named: str) -> tuple[Price | None, bool]:
        """The price where the upstream names a model that it was not asked for, and if it is another."""
        key = (candidate, asked, named)
        found = self._kept.get(key)
        if found is None:
            found = self._find(candidate, asked, named)
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = found
        return found

    def _find(self, candidate: str, asked: str, named: str) -> tuple[Price | None, bool]:
        own = self._pool[candidate].price
        if plain_model(asked) == plain_model(named):
            return own, False
        if named in self._own:
            return self._own[named], True
        actual = self._listed(named)
        if own is None:
            return actual, True
        # A deployment's name that no list knows says nothing: then the candidate's price is the word.
        expected = self._listed(asked)
        if actual is None or expected is None:
            return own, actual is None
        return (own, False) if actual == expected else (actual, True)
