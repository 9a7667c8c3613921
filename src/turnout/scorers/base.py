"""The seam between an answer and its quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer to be graded."""

    prompt: str
    answer: str
    reference: str | None = None
    """The right answer, where it is known."""


class Scorer(Protocol):
    """Grades answers. It looks at what was answered, never at who answered."""

    def score(self, answered: Answered) -> float | None:
        """Quality in [0, 1]; None where this scorer cannot tell (no reference, say)."""
        ...
