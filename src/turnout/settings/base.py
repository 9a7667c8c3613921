"""What every part of the tree of settings is made of."""

from __future__ import annotations

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Tree(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


NoneIsEmpty = BeforeValidator(lambda value: {} if value is None else value)
"""A section whose name stands there with nothing below it."""
