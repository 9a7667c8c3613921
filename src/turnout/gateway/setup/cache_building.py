"""From settings to the caches: the exact one, and the semantic one over it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from turnout.encoders.named import NamedEncoders
from turnout.gateway.kept.caching import ExactCache
from turnout.gateway.kept.semantic.cache import SemanticCache
from turnout.gateway.kept.semantic.encoding import Encoding
from turnout.gateway.routing.beside import Beside
from turnout.settings import Settings


async def open_caches(
    settings: Settings, encoders: NamedEncoders, beside: Beside, stack: AsyncExitStack
) -> tuple[ExactCache | None, SemanticCache | None]:
    """What answers are kept in, and what finds them by meaning; None where the settings have none.

    Args:
        settings: checked.
        encoders: of the settings.
        beside: makes the vectors that would hold the event loop up.
        stack: closes what is opened here.

    Raises:
        SettingsError: the semantic cache's encoder is none of the settings.
        TurnoutError: its encoder cannot be opened.
        TimeoutError: its encoder did not come back.
    """
    if settings.cache is None:
        return None, None
    exact, given = ExactCache(settings.cache), settings.cache.semantic
    if given is None:
        return exact, None
    encoder = await asyncio.to_thread(encoders.open, given.encoder, "cache.semantic.encoder")
    encoding = Encoding(encoder, beside)
    await encoding.warm(given.longest_text)
    comparing = Beside(settings.server.decision_timeout_s)  # so that no request waits behind it
    stack.callback(comparing.close)
    semantic = SemanticCache(given, encoding, comparing, exact.kept)
    stack.push_async_callback(semantic.close)
    return exact, semantic
