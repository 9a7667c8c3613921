"""Further endpoints of a model."""

from __future__ import annotations

from turnout.settings.base import Tree


class ReplicaSettings(Tree):
    """Another endpoint that serves the same model."""

    provider: str
    """Where it is."""
    model: str | None = None
    """The name that this provider knows it by; none: as the candidate's own."""
