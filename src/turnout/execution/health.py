"""How fit a target is: a circuit breaker, cooling down, and how fast it answers. No I/O, no clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

State: TypeAlias = Literal["closed", "open", "half_open"]
LEVELS: Mapping[State, float] = {"closed": 0.0, "half_open": 1.0, "open": 2.0}
"""States as metrics have them: called, probed, out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When a target is taken out, and for how long."""

    consecutive: int = 5
    """Failures in a row."""
    share: float = 0.5
    """Or this share of the calls of the last `window_s`, of which there were at least `least`."""
    least: int = 10
    window_s: float = 10.0
    open_s: float = 5.0
    """First time out; it doubles with each failed probe."""
    longest_open_s: float = 300.0
    bad_key_s: float = 300.0
    """Time out after 401 or 403: the same key will be refused again."""
    longest_cooling_s: float = 3600.0
    """Most that is believed of a `retry-after`."""


@dataclass(slots=True)
class Health:
    """The health of one target. `now` is a monotonic clock, in seconds."""

    rules: BreakerRules = field(default_factory=BreakerRules)
    in_flight: int = 0
    state: State = "closed"
    out_until: float = 0.0
    """When an open breaker lets a probe through."""
    cool_until: float = 0.0
    """Until when the target asked not to be called (429, 503 with `retry-after`)."""
    latency_s: float = 0.0
    """Peak-sensitive moving average of the time to the first byte; 0 before the first answer."""
    failures: int = 0
    """In a row."""
    _recent: deque[tuple[float, bool]] = field(default_factory=deque)
    _times_out: int = 0
    _probing: bool = False
    _measured: float = 0.0

    def fit(self, now: float) -> bool:
        """Whether a call may go out: one at a time while it is being probed."""
        if now < self.cool_until:
            return False
        if self.state == "closed":
            return True
        return now >= self.out_until and not self._probing

    def began(self, now: float) -> None:
        """A call goes out."""
        self.in_flight += 1
        if self.state != "closed" and now >= self.out_until:
            self.state, self._probing = "half_open", True

    def succeeded(self, now: float, latency_s: float) -> None:
        """It was answered; any answer that is not the target's fault counts."""
        self._finished(now, failed=False)
        self._observe(now, latency_s)
        self.failures = 0
        if self.state != "closed":
            self.state, self._times_out = "closed", 0
            self._recent.clear()

    def failed(self, now: float) -> None:
        """It failed by the target's fault."""
        probing = self._probing
        self._finished(now, failed=True)
        self.failures += 1
        if probing or (self.state == "closed" and self._too_many()):
            self._take_out(now)

    def refused_key(self, now: float) -> None:
        """Our key was refused."""
        self._finished(now, failed=True)
        self.state, self.out_until = "open", now + self.rules.bad_key_s

    def limited(self, now: float, retry_after_s: float | None) -> None:
        """It asked for fewer calls, and maybe for how long. That is no failure of the target."""
        self._finished(now, failed=False)
        if self.state != "closed":
            self.state = "closed"
        wait = min(retry_after_s or 0.0, self.rules.longest_cooling_s)
        self.cool_until = max(self.cool_until, now + wait)

    def dropped(self) -> None:
        """The call was given up by this side."""
        self.in_flight -= 1
        self._probing = False

    def overtaken(self, now: float, at_least_s: float) -> None:
        """The call was given up after so long, because another one had answered."""
        self.dropped()
        if at_least_s > self.latency_s:
            self._observe(now, at_least_s)

    def fit_at(self, now: float) -> float:
        """When a call may go out again."""
        return max(now, self.cool_until, self.out_until if self.state != "closed" else now)

    def load(self, now: float) -> float:
        """What to compare targets by: expected wait if one more call went out (peak-EWMA)."""
        fresh = self.latency_s * math.exp(-(now - self._measured) / _TAU_S)
        return max(fresh, _LEAST_LATENCY_S) * (self.in_flight + 1)

    def _finished(self, now: float, *, failed: bool) -> None:
        self.in_flight -= 1
        self._probing = False
        self._recent.append((now, failed))
        while self._recent and self._recent[0][0] < now - self.rules.window_s:
            self._recent.popleft()

    def _too_many(self) -> bool:
        """Of the calls that `_finished` keeps."""
        if self.failures >= self.rules.consecutive:
            return True
        bad = sum(failed for _, failed in self._recent)
        return len(self._recent) >= self.rules.least and bad >= self.rules.share * len(self._recent)

    def _take_out(self, now: float) -> None:
        out = min(self.rules.open_s * 2.0**self._times_out, self.rules.longest_open_s)
        self._times_out = min(self._times_out + 1, 30)
        self.state, self.out_until = "open", now + out

    def _observe(self, now: float, latency_s: float) -> None:
        """Up at once, down slowly: a target that has become slow is known by its first slow answer."""
        if latency_s >= self.latency_s:
            self.latency_s = latency_s
        else:
            keep = math.exp(-(now - self._measured) / _TAU_S)
            self.latency_s = self.latency_s * keep + latency_s * (1.0 - keep)
        self._measured = now


_TAU_S = 10.0
"""How fast an old latency is forgotten."""
_LEAST_LATENCY_S = 1e-3
"""So that calls in flight count before anything was measured."""


@dataclass(slots=True)
class RetryBudget:
    """Further calls as a share of first ones, so that a storm cannot feed itself.

    The first few may be made before they are earned: that reserve is a loan, given once and paid back
    out of the share before more is held. After n first calls at most `max(reserve, share * n)` further
    ones were made, so `1 + share` calls for each first one once n is `reserve / share` or more; and
    between any two moments at most `most + share * n`. A share of 0 gives no loan.
    """

    share: float = 0.2
    reserve: float = 20.0
    most: float = 100.0
    held: float = field(init=False)
    """Further calls that may be made now."""
    owed: float = field(init=False)
    """What is left of the loan."""

    def __post_init__(self) -> None:
        self.held = self.owed = self.reserve if self.share > 0 else 0.0

    def first_call(self) -> None:
        """A client's request: it earns a share of a further call."""
        paid = min(self.share, self.owed)
        self.owed -= paid
        self.held = min(self.held + (self.share - paid), self.most)

    def take(self) -> bool:
        """Take one further call, if there is one."""
        if self.held < 1.0:
            return False
        self.held -= 1.0
        return True

    def take_over(self, old: RetryBudget) -> None:
        """Go on with what another one held and owed: there is no second loan."""
        if self.share > 0:
            self.held, self.owed = min(old.held, self.most), old.owed
