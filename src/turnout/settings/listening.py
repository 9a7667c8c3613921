"""An address to listen on."""

from __future__ import annotations

from pydantic import Field

from turnout.settings.base import Tree


class Listen(Tree):
    """Where the gateway listens."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535)
