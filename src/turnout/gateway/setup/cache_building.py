"""From settings to the caches: the exact one, and the semantic one over it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from turnout.encoders.named import NamedEncoders
from turnout.errors import SettingsError
from turnout.gateway.beside import Beside
from turnout.gateway.kept.caching import ExactCache
from turnout.gateway.kept.semantic.cache import SemanticCache
from turnout.gateway.kept.semantic.encoding import Encoding
from turnout.settings import Settings

_ANSWERS_DEPEND_ON = (
    "cache", "candidates", "encoders", "providers", "response_model", "routes", "server",
)  # fmt: skip
"""Settings of which a change makes a kept answer another one's, or needs the caches to be opened anew."""


@dataclass(slots=True)
class Caches:
    """What answers are kept in, and what finds them by meaning; None where the settings have none."""

    exact: ExactCache | None = None
    semantic: SemanticCache | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Closes them."""

    def handed_over(self) -> Caches:
        """The same for another deployment; this one closes them no more."""
        return Caches(self.exact, self.semantic, self.stack.pop_all())


def may_stay(old: Settings, new: Settings) -> bool:
    """Whether what was kept, and shown of it, holds under other settings as well."""
    return all(getattr(old, name) == getattr(new, name) for name in _ANSWERS_DEPEND_ON)


async def open_caches(settings: Settings, encoders: NamedEncoders) -> Caches:
    """Open the caches of the settings.

    Args:
        settings: checked.
        encoders: of the settings.

    Raises:
        SettingsError: the semantic cache's encoder is none of the settings, or does not come back.
        TurnoutError: its encoder cannot be opened.
    """
    if settings.cache is None:
        return Caches()
    caches, given = Caches(ExactCache(settings.cache)), settings.cache.semantic
    if caches.exact is None or given is None:
        return caches
    encoder = await asyncio.to_thread(encoders.open, given.encoder, "cache.semantic.encoder")
    # Threads of their own: an encoder that hangs keeps no decision waiting, and comparing no request.
    asking, comparing = (Beside(settings.server.decision_timeout_s) for _ in range(2))
    caches.stack.callback(asking.close)
    caches.stack.callback(comparing.close)
    encoding = Encoding(encoder, asking)
    try:
        await encoding.warm(given.longest_text)
    except BaseException as error:
        await caches.stack.aclose()
        if not isinstance(error, TimeoutError):
            raise
        remedy = f"it gave no vector within {asking.timeout_s:g} s; name a quicker one"
        raise SettingsError("cache.semantic.encoder", given.encoder, remedy) from None
    caches.semantic = SemanticCache(given, encoding, comparing, caches.exact.kept)
    caches.stack.push_async_callback(caches.semantic.close)
    return caches
