"""One tree of settings: a YAML file, `${ENV}` in its values, environment variables over it."""

from __future__ import annotations

from turnout.settings.alarm import AlarmSettings
from turnout.settings.cache import CacheSettings, IdempotencySettings
from turnout.settings.embeddings import EmbeddingSettings
from turnout.settings.reading import load_settings, parse_settings, read_encoders
from turnout.settings.routes import RouteSettings
from turnout.settings.tree import (
    AUTO,
    MAX_BODY_BYTES,
    MINIMAL,
    CandidateSettings,
    EncoderSettings,
    LearnSettings,
    OtherRates,
    PriceSettings,
    ProviderSettings,
    RouterSettings,
    Settings,
    StoreSettings,
)
from turnout.settings.trials import ExperimentSettings, MirrorSettings

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
    "Settings",
    "StoreSettings",
    "load_settings",
    "parse_settings",
    "read_encoders",
]
