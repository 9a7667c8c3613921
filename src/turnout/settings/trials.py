"""What is tried out beside what serves: mirrored calls, and experiments between routes."""

from __future__ import annotations

from pydantic import Field

from turnout.settings.base import Tree


class MirrorSettings(Tree):
    """A share of the requests goes to one more candidate, in the background."""

    to: str = Field(min_length=1)
    """The candidate; it needs a price."""
    share: float = Field(gt=0, le=1)
    """Of requests."""
    budget_usd_per_day: float = Field(gt=0, le=1e6)
    """Of each process, by UTC; what would go over it is not called."""
    most_at_once: int = Field(default=4, ge=1, le=256)
    """Calls under way; what comes beyond is not called."""


class ExperimentSettings(Tree):
    """Users are split between routes, each always to the same."""

    arms: dict[str, str] = Field(min_length=2)
    """Arm → what `model` would say. The first arm is the one that the others are compared with."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """Of users that get another arm than the first; None splits them evenly."""
