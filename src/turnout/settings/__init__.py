"""One tree of settings: a YAML file, `${ENV}` in its values, environment variables over it."""

from __future__ import annotations

from turnout.settings.alarm import AlarmSettings
from turnout.settings.cache import CacheSettings, IdempotencySettings, SemanticCacheSettings
from turnout.settings.embeddings import EmbeddingSettings
from turnout.settings.prices import OtherRates, PriceSettings
from turnout.settings.reading import load_settings, parse_settings, read_encoders
from turnout.settings.routes import RouteSettings
from turnout.settings.tree import (
    AUTO,
    MAX_BODY_BYTES,
    MINIMAL,
    CandidateSettings,
    LearnSettings,
    RouterSettings,
    Settings,
    StoreSettings,
)
from turnout.settings.trials import ExperimentSettings, MirrorSettings
from turnout.settings.upstreams import EncoderSettings, ProviderSettings

__all__ = [
    "AUTO",
    "MAX_BODY_BYTES",
    "MINIMAL",
    "AlarmSettings",
    "CacheSettings",
    "CandidateSettings",
    "EmbeddingSettings",
    "EncoderSettings",
    "ExperimentSettings",
    "IdempotencySettings",
    "LearnSettings",
    "MirrorSettings",
    "OtherRates",
    "PriceSettings",
    "ProviderSettings",
    "RouteSettings",
    "RouterSettings",
    "SemanticCacheSettings",
    "Settings",
    "StoreSettings",
    "load_settings",
    "parse_settings",
    "read_encoders",
]
