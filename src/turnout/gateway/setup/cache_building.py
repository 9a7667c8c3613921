"""From settings to the semantic cache, which shares the encoders of the routers."""

from __future__ import annotations

import asyncio

from turnout.encoders.named import NamedEncoders
from turnout.gateway.kept.caching import ExactCache
from turnout.gateway.kept.semantic.cache import SemanticCache
from turnout.gateway.kept.semantic.encoding import Encoding
from turnout.gateway.routing.beside import Beside
from turnout.settings import CacheSettings


async def build_semantic(
    settings: CacheSettings | None,
    exact: ExactCache | None,
    encoders: NamedEncoders,
    beside: Beside,
    comparing: Beside,
) -> SemanticCache | None:
    """The semantic cache over an exact one; None where the settings have none.

    Args:
        settings: of the cache.
        exact: holds the answers.
        encoders: of the settings.
        beside: makes the vectors that would hold the event loop up.
        comparing: compares answers, so that no request waits behind that.

    Raises:
        SettingsError: its encoder is none of the settings.
        TurnoutError: its encoder cannot be opened.
        TimeoutError: its encoder did not come back.
    """
    if settings is None or settings.semantic is None or exact is None:
        return None
    given = settings.semantic
    encoder = await asyncio.to_thread(encoders.open, given.encoder, "cache.semantic.encoder")
    encoding = Encoding(encoder, beside)
    await encoding.warm(given.longest_text)
    return SemanticCache(given, encoding, comparing, exact.kept)
