"""The plan of a deployment: healthy targets first, further calls from a budget, a probe where none is fit."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from turnout.errors import UpstreamError
from turnout.execution.attempts import Target
from turnout.execution.health import BreakerRules, Health, RetryBudget


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """Calling again what failed everywhere."""

    most: int = 2
    base_s: float = 0.05
    longest_s: float = 2.0
    """Longest pause, and the longest `retry-after` that is waited for."""
    budget_share: float = 0.2
    """Further calls, fallbacks among them, as a share of the clients' requests."""


@dataclass(slots=True)
class Resilience:
    """Health of every target and the budget of further calls. One for a process; not for threads.

    Args:
        targets: candidate → its targets.
        windows: candidate → its context window in tokens, where known.
        clock: monotonic seconds.
        rng: for jitter and for choosing between targets.
    """

    targets: Mapping[str, Sequence[Target]]
    windows: Mapping[str, int | None]
    clock: Callable[[], float]
    rng: random.Random
    breaker: BreakerRules = field(default_factory=BreakerRules)
    retries: RetryRules = field(default_factory=RetryRules)
    health: dict[str, Health] = field(default_factory=dict)
    further_calls: int = 0
    """Calls beyond the first of a request so far."""

    _budget: RetryBudget = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._budget = RetryBudget(share=self.retries.budget_share)
        self.forget()

    def forget(self) -> None:
        """Take every target for well again."""
        for targets in self.targets.values():
            for target in targets:
                self.health[target.key] = Health(self.breaker)

    def take_over(self, old: Resilience, providers: Collection[str]) -> None:
        """Go on with what another one knows of the targets of these providers, and with its budget.

        The health is shared, so that calls which are still under way end where they began.
        """
        for targets in self.targets.values():
            for target in targets:
                if target.provider in providers and target.key in old.health:
                    self.health[target.key] = old.health[target.key]
                    self.health[target.key].rules = self.breaker
        self.further_calls += old.further_calls
        self._budget.take_over(old._budget)

    def plan(self, prefer: str = "") -> RequestPlan:
        """The plan of one request.

        Args:
            prefer: key of a target that is called before others of its candidate while it is fit: a
                conversation's prompt cache is there.
        """
        self._budget.first_call()
        return RequestPlan(self, prefer)

    def pick(
        self, candidate: str, tried: frozenset[str] = frozenset(), prefer: str = ""
    ) -> Target | None:
        """A target of a candidate to call now: the preferred one; else of two drawn the less loaded.

        The power of two choices. Targets that are not fit are never drawn.

        Args:
            candidate: whose targets.
            tried: keys of those that were called before.
            prefer: key of the one that is taken while it is fit.
        """
        now, targets = self.clock(), self.targets.get(candidate, ())
        if len(targets) == 1:
            only = targets[0]
            return only if only.key not in tried and self.health[only.key].fit(now) else None
        fit = [t for t in targets if t.key not in tried and self.health[t.key].fit(now)]
        for target in fit:
            if target.key == prefer:
                return target
        if len(fit) > 2:
            fit = self.rng.sample(fit, 2)
        return min(fit, key=lambda t: self.health[t.key].load(now), default=None)

    def begin_at(self, target: Target) -> float:
        """The first call of a request goes to this target, which is fit: `plan` and `began` in one.

        Returns:
            When it began, for `answered_at` or `resume`.
        """
        now = self.clock()
        self._budget.first_call()
        self.health[target.key].began(now)
        return now

    def answered_at(self, target: Target, began: float) -> None:
        """The call that began so was answered."""
        now = self.clock()
        self.health[target.key].succeeded(now, now - began)

    def dropped_at(self, target: Target) -> None:
        """It was given up by this side."""
        self.health[target.key].dropped()

    def resume(self, target: Target, began: float) -> RequestPlan:
        """The plan of a request whose first call was begun by `begin_at`."""
        plan = RequestPlan(self)
        plan.resume(target, began)
        return plan

    def fit(self, candidate: str) -> bool:
        """Whether a target of a candidate may be called now."""
        now = self.clock()
        return any(self.health[t.key].fit(now) for t in self.targets.get(candidate, ()))

    def take_further_call(self) -> bool:
        """One call out of the budget."""
        if not self._budget.take():
            return False
        self.further_calls += 1
        return True


class RequestPlan:
    """Implements `attempts.Plan` for one request."""

    __slots__ = ("_began", "_prefer", "_shared")

    def __init__(self, shared: Resilience, prefer: str = "") -> None:
        self._shared, self._prefer = shared, prefer
        self._began: dict[str, float] = {}
        """By target: two may be called at once."""

    def resume(self, target: Target, began: float) -> None:
        """A call is under way already."""
        self._began[target.key] = began

    def pick(self, candidate: str, tried: frozenset[str]) -> Target | None:
        """See `Resilience.pick`."""
        return self._shared.pick(candidate, tried, self._prefer)

    def last_resort(self, candidates: list[str]) -> Target | None:
        """Panic mode: the target that will be fit soonest, if no other request is probing it.

        Not one that asked not to be called, nor one that refused our key.
        """
        shared, now = self._shared, self._shared.clock()
        all_targets = [t for name in candidates for t in shared.targets.get(name, ())]
        out = [
            t
            for t in all_targets
            if shared.health[t.key].in_flight == 0
            and shared.health[t.key].cool_until <= now
            and shared.health[t.key].out_until - now <= shared.breaker.open_s
        ]
        return min(out, key=lambda t: shared.health[t.key].fit_at(now), default=None)

    def larger(self, candidate: str, than: str) -> bool:
        """Whether its context window is larger; an unknown one may be."""
        window, needed = self._shared.windows.get(candidate), self._shared.windows.get(than)
        return candidate != than and (window is None or needed is None or window > needed)

    def may_call_again(self) -> bool:
        """Take a further call out of the budget that all requests share."""
        return self._shared.take_further_call()

    def delay_s(self, retry: int, error: UpstreamError) -> float | None:
        """Full jitter over a doubling bound; a `retry-after` is waited for if it is short."""
        rules = self._shared.retries
        if retry >= rules.most:
            return None
        asked = retry_after_s(error)
        if asked is not None and asked > rules.longest_s:
            return None
        bound = min(rules.base_s * 2.0**retry, rules.longest_s)
        return (asked or 0.0) + self._shared.rng.uniform(0.0, bound)

    def began(self, target: Target) -> None:
        """A call goes out."""
        now = self._began[target.key] = self._shared.clock()
        self._shared.health[target.key].began(now)

    def ended(self, target: Target, error: UpstreamError | None) -> None:
        """Tell the target's health what came of the call."""
        health, now = self._shared.health[target.key], self._shared.clock()
        if error is None or (error.status is not None and error.status < 500 and not _ours(error)):
            health.succeeded(now, now - self._began[target.key])
        elif error.status in (401, 403):
            health.refused_key(now)
        elif error.status == 429:
            health.limited(now, retry_after_s(error))
        else:
            health.failed(now)

    def dropped(self, target: Target) -> None:
        """The call was given up by this side."""
        self._shared.health[target.key].dropped()

    def overtaken(self, target: Target) -> None:
        """It took at least so long: a target that is always overtaken must not look quick."""
        now = self._shared.clock()
        self._shared.health[target.key].overtaken(now, now - self._began[target.key])

    def retry_after_s(self, candidates: list[str]) -> float:
        """When the first of their targets may be fit again."""
        shared, now = self._shared, self._shared.clock()
        at = [
            shared.health[t.key].fit_at(now)
            for name in candidates
            for t in shared.targets.get(name, ())
        ]
        return max(0.0, min(at, default=now) - now)


def _ours(error: UpstreamError) -> bool:
    return error.status in (401, 403, 429)


def retry_after_s(error: UpstreamError) -> float | None:
    """Seconds of `retry-after-ms` or `retry-after`; None where neither is a number.

    A date is not read: clocks differ, and no provider of models sends one.
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = error.headers.get(name, "")
        try:
            value = float(text) * scale
        except ValueError:
            continue
        if 0.0 <= value < float("inf"):
            return value
    return None
