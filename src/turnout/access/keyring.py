"""The keys that are valid now, in memory: read again when they change, believed for a while when not."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeAlias

from turnout.access.identity import Deployment, Identity
from turnout.access.keys import Key, digest, given_token
from turnout.access.limits import Limit
from turnout.alongside import alongside
from turnout.errors import AccessDownError, AuthenticationError, ForbiddenError, StoreError

log = logging.getLogger("turnout.access")

EVERY_S = 1.0
"""Between two looks for changed keys."""
_HOW = "send it as `Authorization: Bearer KEY` or `x-api-key: KEY`"

Known: TypeAlias = tuple[str, int | None, Identity]
"""A key's whole hash, until when it is good (Unix milliseconds), and whom it stands for."""


class Keys(Protocol):
    """Where keys are kept: see `KeyStore`. Both raise `StoreError`."""

    def version(self) -> int:
        """Grows with every change of any key."""
        ...

    def load(self) -> Sequence[Key]:
        """Every key."""
        ...


class Seed(Protocol):
    """Is told of keys before they may be used: see `Seeding`."""

    async def __call__(
        self, keys: Sequence[Key], identities: Sequence[Identity], common: Sequence[Limit]
    ) -> None:
        """Raises `StoreError` or `AccessDownError` where they may not be used yet."""
        ...


class Keyring:
    """Tells who asks. `running` keeps it up to date.

    Args:
        deployment: what keys are read against.
        fixed: keys of the settings.
        store: keys of the database; None where there is none.
        required: ask for a key although none exists.
        cache_s: how long what was read is believed while the database fails.
        before: told of all keys and whom they stand for, before they may be used.
    """

    def __init__(
        self,
        deployment: Deployment,
        fixed: Sequence[Key],
        store: Keys | None,
        *,
        required: bool = False,
        cache_s: float = 60.0,
        every_s: float = EVERY_S,
        before: Seed | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._deployment, self._fixed, self._store = deployment, tuple(fixed), store
        self._required, self._cache_s, self._every_s = required, cache_s, every_s
        self._before, self._clock, self._now_s = before, clock, now_s
        self._fixed_ids = frozenset(key.id for key in self._fixed)
        self._known: Mapping[str, Known] = _known(deployment, self._fixed)
        self._version = -1
        self._read_at = clock()
        self.closed = required or bool(fixed)
        """Whether a key is asked for. Once it is, it stays so until the process ends."""
        self.failures = 0
        """Looks for changed keys that failed."""

    def identify(self, headers: Mapping[str, str]) -> Identity | None:
        """Who asks; None only where no key exists here, so that none is asked for.

        Raises:
            AuthenticationError: no key, or none that is valid.
            ForbiddenError: a valid key of a team that does not exist.
            AccessDownError: the database has not been read for too long to tell.
        """
        return self.identify_by(hash_of(headers) if self.closed else None)

    def identify_by(self, hashed: str | None) -> Identity | None:
        """The same by the hash of the key that was given (see `hash_of`); None: none was.

        Raises:
            AuthenticationError, ForbiddenError, AccessDownError: as of `identify`.
        """
        if not self.closed:
            self._check_fresh()
            return None
        if hashed is None:
            raise AuthenticationError(f"this gateway asks for a key: {_HOW}")
        known = self._known.get(hashed)
        if known is None or not hmac.compare_digest(known[0], hashed):
            self._check_fresh()
            raise AuthenticationError(f"this key is not known here, or was revoked; {_HOW}")
        identity = known[2]
        if known[1] is not None and known[1] <= self._now_s() * 1e3:
            raise AuthenticationError(f"key {identity.name} has expired; ask for another")
        if identity.id not in self._fixed_ids or (self.unread and _has_budget(identity)):
            self._check_fresh()
        if identity.unfit:
            raise ForbiddenError(identity.unfit)
        return identity

    @property
    def unread(self) -> bool:
        """Whether the database has not been read yet, since it was away when this began."""
        return self._store is not None and self._version < 0

    @property
    def problem(self) -> str | None:
        """Why nobody can be let in, or None."""
        if self.unread and not self._fixed_ids:
            return "the database of keys has not been read yet"
        return None

    async def refresh(self) -> bool:
        """Look for changed keys, once.

        Returns:
            Whether there were any.

        Raises:
            StoreError: the database failed.
        """
        if self._store is None:
            return False
        version = await asyncio.to_thread(self._store.version)
        changed = version != self._version
        if changed:
            keys = [*await asyncio.to_thread(self._store.load), *self._fixed]
            known = _known(self._deployment, keys)
            await self._tell(keys, known)
            self._known, self._version = known, version
            self.closed = self.closed or bool(keys)
        self._read_at = self._clock()
        return changed

    async def _tell(self, keys: Sequence[Key], known: Mapping[str, Known]) -> None:
        if self._before is not None:
            identities = [identity for _, _, identity in known.values()]
            await self._before(keys, identities, self._deployment.common())

    @asynccontextmanager
    async def running(self, *, late: bool = False) -> AsyncIterator[None]:
        """Keep up to date while the block runs; the first look is made before it begins.

        Args:
            late: begin although the database is away. Until it was read, keys of the settings that
                have no budget are let in, and nobody else.

        Raises:
            StoreError: the database failed at the first look.
        """
        if self._store is None:
            await self._tell(self._fixed, self._known)
        try:
            await self.refresh()
        except StoreError as error:
            if not (late and error.away):
                raise
            self.failures += 1
            self._read_at = -math.inf
            log.error("starting without the keys of the database: %s", error)
        if self._store is None:
            yield
            return
        async with alongside(self._follow()):
            yield

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.refresh()
            except (StoreError, AccessDownError) as error:
                self.failures += 1
                log.error("keys could not be read again: %s", error)

    def _check_fresh(self) -> None:
        """Raise where keys may have changed for too long without being seen."""
        if self._store is not None and self._clock() - self._read_at > self._cache_s:
            raise AccessDownError("the database of keys cannot be read")


def hash_of(headers: Mapping[str, str]) -> str | None:
    """The hash of the key in a request's headers; None where it brings none."""
    token = given_token(headers.get("authorization"), headers.get("x-api-key"))
    return None if token is None else digest(token)


def _has_budget(identity: Identity) -> bool:
    """Whether what it has spent must be known before it may spend more."""
    return any(limit.kind == "usd" for limit in identity.limits)


def _known(deployment: Deployment, keys: Sequence[Key]) -> dict[str, Known]:
    found: dict[str, Known] = {}
    for key in keys:
        if key.revoked_ms is not None:
            continue
        identity = deployment.identity(key)
        found[key.sha256] = (key.sha256, key.expires_ms, identity)
        if key.old_sha256 and key.old_until_ms:
            until = min(key.old_until_ms, key.expires_ms or key.old_until_ms)
            found.setdefault(key.old_sha256, (key.old_sha256, until, identity))
    return found
