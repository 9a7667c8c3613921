"""Open a router by name: a shipped one, the user's own artifact, or one that needs no artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.routers.base import Router


def open_router(
    name: str, *, artifact: Path | str | None = None, options: Mapping[str, Any] | None = None
) -> Router:
    """Open a router, with no key and no network.

    Args:
        name: `mf`, `linear`, `knn`, `clusters`, `blend`, `rules`, `random`, or a plug-in's.
        artifact: a folder made by `turnout train`; default: the artifact that ships in the package.
        options: keyword arguments of that router (`rules` takes `file`, `random` takes `seed`).

    Raises:
        UnknownNameError: no such router.
        ArtifactError: the artifact is missing, corrupt, or of another encoder or router.
    """
    raise NotImplementedError
