"""Settings of conversations: how they stick to their models, and who shares them."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from turnout.settings.access import PREFIX
from turnout.settings.base import Tree


class ConversationSettings(Tree):
    """Which model serves the later requests of a conversation."""

    sticky: bool = True
    """A conversation keeps its model, but where changing it pays or the router finds it too weak."""
    idle_s: float = Field(default=300.0, gt=0, le=86_400)
    """How long a prompt cache lives after its last use; a conversation that was silent for longer may
    change its model."""
    errors: int = Field(default=4, ge=0)
    """Failures of tools in a row after which a stronger model takes over; 0: never."""
    keep_s: float = Field(default=3600.0, gt=0)
    """How long a conversation is remembered after its latest request."""
    most: int = Field(default=10_000, ge=1)
    """Conversations that are remembered, the latest ones."""
    shared: bool = True
    """With the other gateways, where a Redis is named: here, or by `counters`."""
    redis_url: SecretStr | None = None
    """Of the Redis; a URL with a password is better read from the environment or a file."""
    redis_url_env: str | None = None
    """The environment variable that holds the URL."""
    redis_url_file: Path | None = None
    """A file that holds the URL."""
    prefix: str | None = Field(default=None, pattern=PREFIX)
    """Of every name in Redis; none: as `counters` has it, or `turnout`."""
    shared_wait_s: float = Field(default=0.005, gt=0, le=1)
    """Longest wait of a request for what the other gateways know of its conversation."""

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        given = [self.redis_url, self.redis_url_env, self.redis_url_file]
        if sum(url is not None for url in given) > 1:
            raise ValueError("give one of redis_url, redis_url_env and redis_url_file")
        return self
