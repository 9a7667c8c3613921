"""Settings of who may ask: keys, teams, limits, and what is reserved."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Window: TypeAlias = Literal["hour", "day", "week", "month", "total"]
"""Of a budget, in UTC; weeks begin on Monday, `total` never ends."""

Role: TypeAlias = Literal["user", "admin"]

MOST_USD = 9_000_000.0
"""Largest budget: picodollars of it fit into 64 bits."""

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
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the key, in hex."""
    key_env: str | None = None
    key_file: Path | None = None
    team: str = ""
    role: Role = "user"
    expires: datetime | None = None

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
