"""Answers that are given again: the exact cache, and requests that are sent twice."""

from __future__ import annotations

from pydantic import Field

from turnout.settings.base import Tree


class SemanticCacheSettings(Tree):
    """When a question is answered with the kept answer to another one that means the same."""

    encoder: str = Field(default="static-256", min_length=1)
    """What turns questions into vectors: one of `encoders`, or the own name of a local one."""
    max_error_rate: float = Field(default=0.05, ge=0.001, le=0.5)
    """Most of the answers that are given by meaning that may be wrong, at 95% confidence; until that is
    shown of a client's own traffic, and when it no longer is, none are given."""
    verify_share: float = Field(default=0.05, ge=0.01, le=1)
    """Of the questions that could be answered by meaning, those that go to the model all the same, so
    that the two answers are compared."""
    same_answer: float = Field(default=0.9, gt=0, le=1)
    """Similarity from which two answers that agree in numbers, names and negations are the same."""
    max_entries: int = Field(default=5_000, ge=16, le=10_000)
    """Questions in memory; those used longest ago make room."""
    longest_text: int = Field(default=600, ge=1, le=2_000)
    """Characters of a question; longer ones are not compared by meaning, which says little of them."""
    max_temperature: float = Field(default=0.5, ge=0, le=2)
    """Requests that ask for more chance are not answered by meaning; one that says nothing asks for 1."""


class CacheSettings(Tree):
    """How long answers are kept in memory, and how much of it they take."""

    ttl_s: float = Field(gt=0, le=31_536_000)
    """How long an answer is given again."""
    max_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Of all answers in memory; those used longest ago make room."""
    longest_bytes: int = Field(default=1 << 20, ge=1)
    """Of one answer; a longer one is not kept."""
    semantic: SemanticCacheSettings | None = None
    """Answers by meaning beside; none: only the same request gets the same answer."""


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
