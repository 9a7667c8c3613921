"""From settings to the caches: the exact one, and the semantic one over it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from turnout.encoders.named import NamedEncoders
from turnout.errors import SettingsError
from turnout.gateway.kept.caching import ExactCache
from turnout.gateway.kept.semantic.cache import SemanticCache
from turnout.gateway.kept.semantic.encoding import Encoding
from turnout.gateway.routing.beside import Beside
from turnout.settings import Settings


async def open_caches(
    settings: Settings, encoders: NamedEncoders, stack: AsyncExitStack
) -> tuple[ExactCache | None, SemanticCache | None]:
    """What answers are kept in, and what finds them by meaning; None where the settings have none.

    Args:
        settings: checked.
        encoders: of the settings.
        stack: closes what is opened here.

    Raises:
        SettingsError: the semantic cache's encoder is none of the settings, or does not come back.
        TurnoutError: its encoder cannot be opened.
    """
    if settings.cache is None:
        return None, None
    exact, given = ExactCache(settings.cache), settings.cache.semantic
    if given is None:
        return exact, None
    encoder = await asyncio.to_thread(encoders.open, given.encoder, "cache.semantic.encoder")
    # Threads of their own: an encoder that hangs keeps no decision waiting, and comparing no request.
    asking, comparing = (Beside(settings.server.decision_timeout_s) for _ in range(2))
    stack.callback(asking.close)
    stack.callback(comparing.close)
    encoding = Encoding(encoder, asking)
    try:
        await encoding.warm(given.longest_text)
    except TimeoutError:
        remedy = f"it gave no vector within {asking.timeout_s:g} s; name a quicker one"
        raise SettingsError("cache.semantic.encoder", given.encoder, remedy) from None
    semantic = SemanticCache(given, encoding, comparing, exact.kept)
    stack.push_async_callback(semantic.close)
    return exact, semantic
