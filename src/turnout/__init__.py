"""Turnout sends each LLM request to the cheapest model that will answer it well enough.

Public names load on first use, so that `import turnout` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnout.artifacts.opening import open_router as open_router
    from turnout.client.controller import Controller as Controller
    from turnout.engine import Engine as Engine
    from turnout.errors import TurnoutError as TurnoutError
    from turnout.types import Candidate as Candidate
    from turnout.types import Decision as Decision
    from turnout.types import Pool as Pool
    from turnout.types import Prediction as Prediction
    from turnout.types import Price as Price
    from turnout.types import Query as Query

__version__ = "0.1.0"

_HOMES = {
    "Candidate": "turnout.types",
    "Controller": "turnout.client.controller",
    "Decision": "turnout.types",
    "Engine": "turnout.engine",
    "Pool": "turnout.types",
    "Prediction": "turnout.types",
    "Price": "turnout.types",
    "Query": "turnout.types",
    "TurnoutError": "turnout.errors",
    "open_router": "turnout.artifacts.opening",
}

__all__ = [
    "Candidate",
    "Controller",
    "Decision",
    "Engine",
    "Pool",
    "Prediction",
    "Price",
    "Query",
    "TurnoutError",
    "__version__",
    "open_router",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'turnout' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
