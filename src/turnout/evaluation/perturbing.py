"""Changes of a prompt's wording that should not change who answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

TYPO_RATE = 0.02


def polite(text: str) -> str:
    """With a greeting and a plea before it."""
    return f"Hello, could you please help me with this? {text}"


def typos(text: str) -> str:
    """With 2% of its letters swapped with the next, always at the same places."""
    letters = list(text)
    rng = np.random.default_rng(len(text))
    for i in np.flatnonzero(rng.random(max(len(letters) - 1, 0)) < TYPO_RATE):
        letters[i], letters[i + 1] = letters[i + 1], letters[i]
    return "".join(letters)


def double_spaces(text: str) -> str:
    """With every space doubled, and blank lines around it."""
    return "\n\n" + text.replace(" ", "  ") + "\n\n"


PERTURBATIONS: Mapping[str, Callable[[str], str]] = {
    "polite prefix": polite,
    "2% typos": typos,
    "lower case": str.lower,
    "whitespace": double_spaces,
}
