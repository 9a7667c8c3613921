"""Models that turn texts into vectors."""

from __future__ import annotations

from pydantic import Field

from turnout.settings.base import Tree
from turnout.settings.replicas import ReplicaSettings


class EmbeddingPriceSettings(Tree):
    """USD per million tokens."""

    input_usd: float = Field(ge=0, allow_inf_nan=False)
    """Of input."""


class EmbeddingSettings(Tree):
    """A model that embeds texts. It is never routed: vectors of two models cannot be compared."""

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
    """What clients call it."""
    model: str | None = None
    """What the provider calls it; none: its name."""
    provider: str | None = None
    """Where it is called; none: the only provider."""
    price: EmbeddingPriceSettings | None = None
    """None: the list price, where the list has the model."""
    dimensions: int | None = Field(default=None, ge=1, le=65_536)
    """Length of vector to ask for unless a request asks for one itself; none: the model's own."""
    replicas: tuple[ReplicaSettings, ...] = ()
    """Endpoints of the same model, called where its own fails or is busier. Another model must not
    stand in: its vectors mean something else."""
