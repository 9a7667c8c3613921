"""A second call beside one that is slow to answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from turnout.settings.base import Tree


class HedgeSettings(Tree):
    """When a second call is made beside a slow one; the first answer wins, both are paid."""

    after: Literal["p95"] | Annotated[float, Field(gt=0, le=600_000, allow_inf_nan=False)]
    """Milliseconds without a first byte; `p95`: longer than 95% of this candidate's calls of late."""
    share: float = Field(default=0.05, gt=0, le=1)
    """Most of this candidate's requests that get a second call; `retry_budget` bounds it too."""
    spares: bool = False
    """Whether the decision's next candidate may be called where no replica is fit; else replicas alone."""
