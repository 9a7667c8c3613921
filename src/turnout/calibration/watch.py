"""A certificate in use: valid until it expires, does not fit, or traffic is seen to change."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from turnout.calibration.certificate import Certificate, pool_fingerprint, seconds
from turnout.calibration.drift import ScoreAlarm, ShareAlarm
from turnout.types import Candidate, Floats, Prediction

log = logging.getLogger("turnout.certificates")

_REMEMBERED = 4096
"""Latest prompts of which a repeat counts once, as near-duplicates do in the calibration data."""
SCORE_PAIR, SCORE_POOL = "win rate", "predicted gap between the first and the last model"

INTERVAL_MISSES, SHARE_ALARMS, SCORE_ALARMS = 0.25, 0.25, 0.5
"""How the stated false-alarm rate is spent: on the share's interval, on leaving it, on scores."""


class Watch:
    """Follows the requests that a certificate covers. Safe to share between threads.

    Its memory is this process's: after a restart it begins anew, at the same false-alarm rate.

    Args:
        certificate: what is promised.
        candidates: those that are served now, strongest first.
        artifact: fingerprint of the router's artifact that is served now.
        now: seconds since 1970; passed in by tests.
    """

    def __init__(
        self,
        certificate: Certificate,
        candidates: Sequence[Candidate],
        artifact: str | None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.certificate, self.id = certificate, certificate.id
        self.covers = frozenset(c.name for c in candidates)
        self.requests = 0
        """Requests that it covered."""
        self.withheld = 0
        """Requests served by the safe model because it was revoked."""
        self._now, self._expires = now, seconds(certificate.expires_at)
        self._lock = threading.Lock()
        self._recent: OrderedDict[int, None] = OrderedDict()
        watched = certificate.watched
        self._share = ShareAlarm(
            watched.share_low, watched.share_high, SHARE_ALARMS * watched.false_alarm
        )
        # Ties are broken by a generator of this certificate's own, so that a replay repeats.
        rng = random.Random(self.id)  # noqa: S311 - no secret hangs on it
        self._scores = ScoreAlarm(watched.scores, SCORE_ALARMS * watched.false_alarm, rng)
        self._revoked: str | None = None
        self._revoke(_misfit(certificate, candidates, artifact))

    @property
    def revoked(self) -> str | None:
        """Why it no longer holds; None while it does."""
        if self._revoked is None and self._now() >= self._expires:
            self._revoke(f"it expired on {self.certificate.expires_at}")
        return self._revoked

    def see(self, text: str, score: float, to_strong: bool) -> None:
        """One request more that it covered; a repeat of a recent one tells nothing new.

        Args:
            text: of the query; only its hash is kept.
            score: see `watched_scores`.
            to_strong: whether the strong model was chosen.
        """
        key = hash(text)
        with self._lock:
            self.requests += 1
            if key in self._recent:
                self._recent.move_to_end(key)
                return
            self._recent[key] = None
            if len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)
            self._share.see(to_strong)
            self._scores.see(score)
            alarms = self._share.process.alarmed, self._scores.process.alarmed
        if any(alarms):
            self._revoke(self._drifted(*alarms))

    def withhold(self) -> None:
        """One request more that the safe model served because this was revoked."""
        with self._lock:
            self.withheld += 1

    def state(self) -> dict[str, Any]:
        """JSON-ready: for readiness and for people."""
        revoked = self.revoked
        return {
            "id": self.id,
            "route": self.certificate.route,
            "state": "valid" if revoked is None else "revoked",
            "reason": revoked,
            "expires_at": self.certificate.expires_at,
            "requests": self.requests,
            "withheld": self.withheld,
        }

    def _revoke(self, why: str | None) -> None:
        with self._lock:
            if why is None or self._revoked is not None:
                return
            self._revoked = why
        log.warning(
            "certificate %s of %s is revoked: %s; %s serves",
            self.id,
            self.certificate.route,
            why,
            self.certificate.safe,
        )

    def _drifted(self, share: bool, scores: bool) -> str:
        watched, what = self.certificate.watched, []
        if share:
            what.append(
                f"the share of calls to {self.certificate.strong} left "
                f"{watched.share_low:.1%} to {watched.share_high:.1%}"
            )
        if scores:
            what.append(f"the {watched.score} is distributed otherwise")
        return (
            f"traffic changed after {self.requests:,} requests: {' and '.join(what)} "
            f"(false alarms: at most {watched.false_alarm:.2%})"
        )


def watched_scores(prediction: Prediction) -> Floats:
    """(n,) in [0, 1]: the win rate of two candidates; of more, the gap between first and last.

    A gap of predicted qualities from -1 to 1 becomes 0 to 1.
    """
    first, last = prediction.candidates[0], prediction.candidates[-1]
    if len(prediction.candidates) == 2:
        return prediction.win_rate(first, last)
    gap = prediction.quality[:, 0] - prediction.quality[:, -1]
    return np.asarray((1.0 + gap) / 2.0, dtype=np.float32)


def _misfit(
    certificate: Certificate, candidates: Sequence[Candidate], artifact: str | None
) -> str | None:
    """Why a certificate is not about these candidates and this artifact; None where it is."""
    if certificate.artifact != artifact:
        return f"it is of artifact {certificate.artifact}, and {artifact} is served"
    names = tuple(c.name for c in candidates)
    if certificate.models != names:
        return f"it is of {', '.join(certificate.models)}, and {', '.join(names)} are served"
    if certificate.pool != pool_fingerprint(candidates, priced=certificate.prices_decide):
        also = " or their prices" if certificate.prices_decide else ""
        return f"the candidates' settings{also} are not those that it was made with"
    return None
