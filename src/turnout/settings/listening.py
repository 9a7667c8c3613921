"""An address to listen on."""

from __future__ import annotations

from pydantic import Field

from turnout.settings.base import Tree


class Listen(Tree):
    """Where the gateway listens."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address; 0.0.0.0 or :: are all of this machine."""
    port: int = Field(default=8080, ge=0, le=65535)
    """The port; 0 picks a free one."""
