"""The exact cache: answers that are given again."""

from __future__ import annotations

from pydantic import Field

from turnout.settings.base import Tree


class CacheSettings(Tree):
    """How long answers are kept in memory, and how much of it they take."""

    ttl_s: float = Field(gt=0, le=31_536_000)
    max_bytes: int = Field(default=64 << 20, ge=1 << 20)
    longest_bytes: int = Field(default=1 << 20, ge=1)
    """Of one answer; a longer one is not kept."""
