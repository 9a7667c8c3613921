"""What budgets had spent before they were counted: read from the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from turnout.access.counters import Counters
from turnout.access.identity import Identity
from turnout.access.keys import Key
from turnout.access.limits import Limit
from turnout.access.windows import bounds


class Spent(Protocol):
    """What the ledger says was spent: see `KeyStore`."""

    def spent(self, since_ms: int) -> dict[str, int]:
        """Key → picodollars. Raises `StoreError`."""
        ...


class Seeding:
    """Tells counters what budgets had spent, each once. Called by `Keyring` before keys may be used.

    Args:
        counters: that count.
        store: holds the ledger.
    """

    def __init__(
        self,
        counters: Counters,
        store: Spent,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._counters, self._store = counters, store
        self._now_s = now_s
        self._told: frozenset[str] = frozenset()
        self._teams: Mapping[str, str] = {}
        self._budgets: Mapping[str, Limit] = {}

    async def __call__(
        self, keys: Sequence[Key], identities: Iterable[Identity], common: Iterable[Limit]
    ) -> None:
        """Tell of the budgets of these identities that were not told of before.

        Args:
            keys: all that are known, so that what a team spent can be told.
            identities: who may ask now.
            common: limits of all requests together.

        Raises:
            StoreError: the ledger cannot be read.
            AccessDownError: the counters cannot be reached.
        """
        limits = [limit for who in identities for limit in who.limits] + list(common)
        self._budgets = {limit.id: limit for limit in limits if limit.kind == "usd"}
        self._teams = {key.id: key.team for key in keys}
        await self._tell({i: b for i, b in self._budgets.items() if i not in self._told})
        self._told = frozenset(self._budgets)

    async def again(self) -> None:
        """Tell of all budgets once more: the counters have lost what they knew.

        Raises:
            StoreError: the ledger cannot be read.
            AccessDownError: the counters cannot be reached.
        """
        await self._tell(self._budgets)

    async def _tell(self, budgets: Mapping[str, Limit]) -> None:
        spent: dict[tuple[str, int], int] = {}
        now_s = self._now_s()
        for window in {limit.window for limit in budgets.values() if limit.window is not None}:
            start = bounds(window, now_s)[0]
            by_key = await asyncio.to_thread(self._store.spent, start * 1000)
            for limit in budgets.values():
                if limit.window == window:
                    spent[limit.id, start] = self._of(limit.owner, by_key)
        await self._counters.seed(spent)

    def _of(self, owner: str, by_key: Mapping[str, int]) -> int:
        kind, _, name = owner.partition(":")
        if kind == "key":
            return by_key.get(name, 0)
        return sum(v for k, v in by_key.items() if kind == "all" or self._teams.get(k) == name)
