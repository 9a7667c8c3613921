"""Whether two answers are the same, by a rule that errs on the side of no.

They are where they are equal but for case, spaces and marks at the ends; or where their vectors are at
least as similar as a bound and they agree in their details, as questions must. So a different number, name,
negation or code in a long answer makes it another answer, and a hit that would have been fine counts as an
error.
"""

from __future__ import annotations

from turnout.encoders.base import Encoder
from turnout.gateway.kept.semantic.details import details_of, difference

_ENDS = " .,;:!?\"'`*\u2026"
"""Marks that say nothing at the ends of an answer. Within it they may: of "2*(3+4)" every one counts."""
_LONGEST = 4_000
"""Characters of an answer beyond which only equality counts: vectors of longer texts say little."""


def same_answer(one: str, other: str, encoder: Encoder, bound: float) -> bool:
    """Whether two texts say the same.

    Args:
        one: an answer.
        other: another one; their order changes nothing.
        encoder: gives their vectors.
        bound: least cosine.

    Raises:
        RouterError: the encoder cannot encode now.
    """
    if _plain(one) == _plain(other):
        return True
    if max(len(one), len(other)) > _LONGEST or difference(details_of(one), details_of(other)):
        return False
    vectors = encoder.encode([one, other])
    return float(vectors[0] @ vectors[1]) >= bound


def _plain(text: str) -> str:
    """Without case, with single spaces, and without marks at the ends."""
    return " ".join(text.casefold().split()).strip(_ENDS)
