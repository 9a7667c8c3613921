"""How many requests a conversation will still make, learned from those that are over.

Between its k-th request and the next one a conversation goes on or ends. The chance that it ends is
counted in ranges of k, beside a prior: 2 / (k + 2), by which a conversation of k requests is expected
to make k more (Lindy's law: what has lasted long will last long). With enough conversations of the
traffic's own the counts decide.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

_BEGINS = (1, 2, 3, 5, 9, 17, 33, 65)
"""First k of each range; the last one has no end."""
PRIOR_REQUESTS = 20.0
"""What the prior weighs in a range, in requests."""
FURTHEST = 200.0
"""More requests than this are never expected."""


class Remaining:
    """Counts, and what they say. Not for threads."""

    def __init__(self) -> None:
        self._went_on = [0] * len(_BEGINS)
        self._ended = [0] * len(_BEGINS)

    def went_on(self, requests: int) -> None:
        """A conversation of so many requests made another one."""
        self._went_on[_range(requests)] += 1

    def ended(self, requests: int) -> None:
        """A conversation is over after so many requests."""
        self._ended[_range(requests)] += 1

    def expected(self, requests: int) -> float:
        """Requests to expect after the one under way, at least 0.

        Args:
            requests: how many it has made, that one included.
        """
        at = _range(max(requests, 1))
        total, alive, k = 0.0, 1.0, max(requests, 1)
        for i, (_, end) in list(enumerate(pairwise((*_BEGINS, 0))))[at:]:
            on = 1.0 - self._chance_of_end(i)
            if not end:  # on + on² + …
                total += alive * on / (1.0 - on)
                break
            steps = end - k
            total += alive * on * (1.0 - on**steps) / (1.0 - on)
            alive, k = alive * on**steps, end
        return min(total, FURTHEST)

    def _chance_of_end(self, i: int) -> float:
        begin = _BEGINS[i]
        end = _BEGINS[i + 1] if i + 1 < len(_BEGINS) else 2 * begin
        prior = 2.0 / ((begin + end - 1) / 2 + 2.0)
        seen = self._went_on[i] + self._ended[i]
        return (self._ended[i] + PRIOR_REQUESTS * prior) / (seen + PRIOR_REQUESTS)


def _range(requests: int) -> int:
    return bisect_right(_BEGINS, requests) - 1
