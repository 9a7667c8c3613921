"""Settings of who may ask: keys, teams, limits, what is reserved, and where it is counted."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

Window: TypeAlias = Literal["hour", "day", "week", "month", "total"]
"""Of a budget, in UTC; weeks begin on Monday, `total` never ends."""

Role: TypeAlias = Literal["user", "admin"]

MOST_USD = 9_000_000.0
"""Largest budget: picodollars of it fit into 64 bits."""

PREFIX = r"^[A-Za-z0-9_.-]{1,64}$"
"""Of names in Redis."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$"
_Name: TypeAlias = Annotated[str, StringConstraints(pattern=NAME)]
_Usd: TypeAlias = Annotated[float, Field(gt=0, le=MOST_USD, allow_inf_nan=False)]
_Count: TypeAlias = Annotated[int, Field(ge=1, le=10**12)]


class _Tree(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LimitSettings(_Tree):
    """How much may be asked for; what is left out is not limited."""

    budgets_usd: dict[Window, _Usd] = Field(default_factory=dict)
    """Window → the most that its requests may cost."""
    requests_per_minute: _Count | None = None
    """Requests that begin in a minute."""
    tokens_per_minute: _Count | None = None
    """Input and output."""
    concurrent: _Count | None = None
    """Requests under way at once."""


class GrantSettings(LimitSettings):
    """What may be asked for, and how much of it."""

    allow: tuple[str, ...] | None = None
    """Candidates that may serve, by name or pattern (`gpt-*`); None allows all."""
    deny: tuple[str, ...] = ()
    """Candidates that may not serve, and routes that may not be asked for, by name or pattern."""
    max_request_usd: _Usd | None = None
    """The most that one request may cost."""


class TeamSettings(GrantSettings):
    """What the keys of a team share."""


class KeySettings(GrantSettings):
    """A key that stands in the settings, by its hash or by where it is read from."""

    name: _Name
    """What logs and records call it."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the key, in hex."""
    key_env: str | None = None
    """The environment variable that holds the key."""
    key_file: Path | None = None
    """A file that holds the key."""
    team: str = ""
    """The team whose limits it shares."""
    role: Role = "user"
    """`admin` may also call what is an admin's, such as `/metrics`."""
    expires: datetime | None = None
    """When it ends, with its time zone; none: never."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(v is not None for v in (self.sha256, self.key_env, self.key_file)) != 1:
            raise ValueError("give one of sha256, key_env and key_file")
        return self


class AuthSettings(_Tree):
    """When a key is asked for."""

    required: bool = False
    """True asks for a key although none exists yet; else the first key closes the gateway."""
    cache_s: float = Field(default=60.0, ge=1, le=3600)
    """How long keys that were read before are believed while the database cannot be read."""


class ReserveSettings(_Tree):
    """What is reserved of a budget before a call."""

    output_tokens: int = Field(default=4096, ge=1)
    """Where neither the request nor the candidate limits its output."""
    send_limit: bool = False
    """Send that as the limit of such requests under a budget, so that none can cost more."""


class CounterSettings(_Tree):
    """Where budgets and rates are counted, for all processes that share it."""

    redis_url: SecretStr | None = None
    """Of the Redis; a URL with a password is better read from the environment or a file."""
    redis_url_env: str | None = None
    """The environment variable that holds the URL."""
    redis_url_file: Path | None = None
    """A file that holds the URL."""
    prefix: str = Field(default="turnout", pattern=PREFIX)
    """Of every name in Redis; deployments of one prefix share what they count."""
    timeout_s: float = Field(default=0.25, gt=0, le=10)
    """Longest wait for it."""
    hold_s: float = Field(default=900.0, ge=1, le=86_400)
    """After this, what a request reserved whose process died comes back."""
    when_down: Literal["refuse", "local"] = "refuse"
    """While it cannot be reached, limited requests are refused, or each process counts for itself
    up to `local_share` of each limit."""
    local_share: float = Field(default=0.1, gt=0, le=1)
    """Of each limit, that a process lets through by itself while Redis is down."""

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        given = [self.redis_url, self.redis_url_env, self.redis_url_file]
        if sum(url is not None for url in given) != 1:
            raise ValueError("give one of redis_url, redis_url_env and redis_url_file")
        return self
