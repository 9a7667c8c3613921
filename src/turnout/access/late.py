"""The keys of a database that may be away when the gateway starts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from turnout.access.keys import Key
from turnout.access.keystore import KeyStore


class LateKeys:
    """Reads keys from a database that is opened by the first call that reaches it.

    Args:
        open_store: opens it; tried again by each call until it does.
    """

    def __init__(self, open_store: Callable[[], KeyStore]) -> None:
        self._open, self._turn = open_store, threading.Lock()
        self._store: KeyStore | None = None

    def version(self) -> int:
        """See `KeyStore.version`."""
        return self._opened().version()

    def load(self) -> Sequence[Key]:
        """See `KeyStore.load`."""
        return self._opened().load()

    def spent(self, since_ms: int) -> dict[str, int]:
        """See `KeyStore.spent`."""
        return self._opened().spent(since_ms)

    def close(self) -> None:
        """Close what was opened."""
        with self._turn:
            if self._store is not None:
                self._store.close()

    def _opened(self) -> KeyStore:
        with self._turn:
            if self._store is None:
                self._store = self._open()
            return self._store
