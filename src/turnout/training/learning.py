"""Fold outcomes into a router that learns, as an artifact: no fit, no out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout import registry
from turnout.artifacts.opening import open_router
from turnout.errors import UnknownNameError
from turnout.routers.learning import LearningRouter
from turnout.training.card import render_card
from turnout.training.fit import Fitted
from turnout.types import Outcome


def learners() -> tuple[str, ...]:
    """Names of the routers that learn and whose artifact holds what they learned."""
    return tuple(
        name
        for name, kind in registry.items("routers")
        if isinstance(kind, type) and issubclass(kind, LearningRouter)
    )


def learn(
    router: str,
    outcomes: Sequence[Outcome],
    *,
    artifact: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Fitted:
    """The artifact of a router that learns, after these outcomes, in their order.

    Args:
        router: one of `learners()`.
        outcomes: oldest first.
        artifact: of that router, to go on from; or of any fitted head, to start from. None is the
            shipped `blend`.
        options: of the router.

    Raises:
        UnknownNameError: no such router, or a model that the artifact does not know.
        DataError: an outcome that cannot be used.
        ArtifactError: an artifact that cannot be opened.
    """
    if router not in learners():
        raise UnknownNameError("router that learns", router, learners())
    opened = open_router(router, artifact=artifact, options=options)
    assert isinstance(opened, LearningRouter)
    opened.partial_fit(outcomes)
    manifest, arrays = opened.parts()
    return Fitted(name=router, manifest=manifest, arrays=arrays, card=render_card(manifest))
