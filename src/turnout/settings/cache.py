"""Answers that are given again: the exact cache, and requests that are sent twice."""

from __future__ import annotations

from pydantic import Field

from turnout.settings.base import Tree


class CacheSettings(Tree):
    """How long answers are kept in memory, and how much of it they take."""

    ttl_s: float = Field(gt=0, le=31_536_000)
    """How long an answer is given again."""
    max_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Of all answers in memory; those used longest ago make room."""
    longest_bytes: int = Field(default=1 << 20, ge=1)
    """Of one answer; a longer one is not kept."""


class IdempotencySettings(Tree):
    """What becomes of a request that is sent twice under one `Idempotency-Key`."""

    enabled: bool = True
    """False leaves the header alone, and passes it on."""
    ttl_s: float = Field(default=3600.0, gt=0, le=31_536_000)
    """How long an answer is kept for a request that comes again."""
    wait_s: float = Field(default=60.0, ge=0, le=3600)
    """Longest wait of a request for the first one of its key; then it is told to come again (409)."""
    max_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Of all answers in memory; those used longest ago make room."""
    longest_bytes: int = Field(default=4 << 20, ge=1)
    """Of one answer; a longer one is not kept."""
