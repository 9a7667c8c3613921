"""Exact match with a reference: of the whole answer, or of the final answer that it ends with."""

from __future__ import annotations

import re

from turnout.scorers.base import Answered

_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_STATED = re.compile(r"(?:final answer|answer)\s*(?:is|:|=)\s*(.+)", re.IGNORECASE)
_EDGES = " \t\r\n.,;:!?\"'`*$()[]"
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")


class ExactScorer:
    """1 where an answer is the reference but for case, spacing, marks around it and number format."""

    def score(self, answered: Answered) -> float | None:
        """1 or 0; None without a reference."""
        if answered.reference is None or not answered.reference.strip():
            return None
        right = _plain(answered.reference)
        return float(any(_same(_plain(text), right) for text in finals(answered.answer)))


def finals(answer: str) -> list[str]:
    """What may be meant as the answer: all of it, its last boxed or stated part, its last line."""
    found = [answer]
    boxed = _BOXED.findall(answer)
    stated = _STATED.findall(answer)
    lines = [line for line in answer.splitlines() if line.strip()]
    return found + boxed[-1:] + stated[-1:] + lines[-1:]


def _plain(text: str) -> str:
    return " ".join(text.strip(_EDGES).casefold().split())


def _same(given: str, right: str) -> bool:
    if given == right:
        return True
    try:
        return float(_THOUSANDS.sub("", given)) == float(_THOUSANDS.sub("", right))
    except ValueError:
        return False
