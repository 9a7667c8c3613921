"""What every part of the settings tree is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Tree(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
