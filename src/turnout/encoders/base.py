"""The seam between text and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from turnout.types import Floats

REMOTE = "remote:"
"""What the names of encoders behind an endpoint begin with."""


@runtime_checkable
class Encoder(Protocol):
    """Text → float32 vectors of unit length (or all zero for text without known tokens)."""

    @property
    def name(self) -> str:
        """Such as `static-256`."""
        ...

    @property
    def dimension(self) -> int:
        """D."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what decides its output; artifacts store it and refuse another encoder."""
        ...

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, d) vectors. The same text gives the same vector whatever stands beside it."""
        ...
