"""The strong-share alarm: keys whose requests routers send to the dearest candidate more often than usual.

Only what a router decided over all candidates of a route of the settings is counted: not what was asked
for by name, pinned, kept by a conversation, answered from the cache or by a fallback, nor where other
candidates were barred, too small or too dear. All that is remembered is this process's.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from turnout.calibration.certificate import utc
from turnout.calibration.upgrades import OthersShare, UpgradeAlarm
from turnout.settings import AlarmSettings
from turnout.types import Attempt, Candidate, Decision, Pool

log = logging.getLogger("turnout.gateway")

RouteKey: TypeAlias = tuple[str, str, float | None]
"""A route's name (empty for one that is written out), its router and its knob."""

CODE = "strong_share_alarm"
MOST_KEYS = 10_000
"""Keys that are followed; of more, the one that was not heard of for longest begins anew."""
MOST_NAMED = 100
"""Keys that have names in metrics; further ones are counted together as `other`."""
NOBODY = "none"
"""The name in metrics of requests without a key."""


@dataclass(slots=True, kw_only=True)
class WatchedRoute:
    """A route of the settings, as the alarm sees it."""

    strong: str
    """Its dearest candidate."""
    candidates: int
    """How many it chooses between."""
    reference: float | None
    """Largest share that is to be expected; None: that of the others."""
    others: OthersShare = field(default_factory=OthersShare)


@dataclass(slots=True, kw_only=True)
class Raised:
    """An alarm that lasts."""

    model: str
    reference: float
    requests: int
    strong: int
    """Of those requests, when it was raised."""
    at_s: float
    """Unix seconds."""
    until: float
    """On the monotonic clock."""
    routed: int = 0
    """Requests since."""
    served: int = 0
    """Those that the dearest candidate served."""


@dataclass(slots=True)
class Remembered:
    """What outlives a change of the settings."""

    keys: OrderedDict[str, UpgradeAlarm] = field(default_factory=OrderedDict)
    raised: dict[str, Raised] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    """Key, as metrics name it → alarms so far."""


class StrongShareAlarm:
    """Follows keys and holds those back that raised the alarm. For one event loop.

    Args:
        settings: see `AlarmSettings`.
        pool: the candidates.
        routes: those that are watched.
        remembered: of the one before it.
        clock: monotonic seconds.
        now_s: Unix seconds.
    """

    def __init__(
        self,
        settings: AlarmSettings,
        pool: Pool,
        routes: dict[RouteKey, WatchedRoute],
        remembered: Remembered | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.settings, self.remembered = settings, remembered or Remembered()
        self.routes, self._clock, self._now_s = routes, clock, now_s
        self._dearest_first = dearest_first(pool)

    def see(self, key: str, decision: Decision) -> None:
        """A request is about to be served.

        Args:
            key: the id of the key that asks; empty where no key is asked for.
            decision: by which it is.
        """
        raised = self.remembered.raised.get(key)
        if raised is not None:
            if self._clock() < raised.until:
                self._count(raised, decision)
                return
            self.clear(key, "its time is over")
        route = self.routes.get((decision.route or "", decision.router, decision.threshold))
        if route is None or len(decision.quality) != route.candidates:
            return
        if decision.fallback or decision.code == "explored":
            return
        strong = decision.grounds.get("chose") == route.strong
        reference = route.reference
        if reference is None:
            reference = route.others.high(key)
            route.others.see(key, strong)
        if reference is None:
            return
        reference = min(reference + self.settings.margin, 1.0)
        watch = self._watch(key)
        if watch.see(strong, reference):
            self._raise(key, watch, route.strong, reference)

    def holds(self, key: str) -> bool:
        """Whether a key's requests may be sent elsewhere than a router sends them.

        Then none of them is usual traffic, whichever way it goes: of the key's requests, those that are
        let through are the ones that the router sends to cheap candidates anyhow.
        """
        raised = self.remembered.raised.get(key)
        return raised is not None and self.settings.action != "log" and self._clock() < raised.until

    def held(self, key: str, decision: Decision) -> Decision:
        """The decision for a key, with the cheapest candidate first where the alarm asks for it."""
        raised = self.remembered.raised.get(key)
        if raised is None or not self.holds(key) or len(decision.quality) < 2:
            return decision
        names = self._among(decision)
        if decision.model != names[0] or decision.fallback:
            return decision
        room = raised.served + 1 <= raised.reference * (raised.routed + 1)
        if self.settings.action == "clamp" and room:
            return decision
        return _redirected(decision, names[-1], raised, self.settings.action)

    def clear(self, key: str, why: str) -> bool:
        """End a key's alarm; it is watched anew.

        Returns:
            Whether there was one.
        """
        if self.remembered.raised.pop(key, None) is None:
            return False
        log.info("the strong-share alarm of key %s is over: %s", key or NOBODY, why)
        return True

    def state(self) -> dict[str, Any]:
        """JSON-ready, without names: for readiness."""
        raised = sum(1 for _ in self._lasting())
        return {
            "action": self.settings.action,
            "keys": len(self.remembered.keys),
            "raised": raised,
        }

    def listing(self) -> list[dict[str, Any]]:
        """The alarms that last, JSON-ready: for operators."""
        return [
            {
                "key": key or NOBODY,
                "model": r.model,
                "expected_share": round(r.reference, 4),
                "requests": r.requests,
                "strong": r.strong,
                "at": utc(r.at_s),
                "until": utc(self._now_s() + r.until - self._clock()),
                "since": {"requests": r.routed, "strong": r.served},
            }
            for key, r in self._lasting()
        ]

    def gauge(self) -> dict[str, float]:
        """Key, as metrics name it → alarms that last; those that are over are 0."""
        found = dict.fromkeys(list(self.remembered.counts), 0.0)
        for key, _ in self._lasting():
            name = key or NOBODY
            name = name if name in found else "other"
            found[name] = found.get(name, 0.0) + 1.0
        return found

    def _count(self, raised: Raised, decision: Decision) -> None:
        """Whatever was routed, by knobs of the request too: what `clamp` allows is of all that."""
        if len(decision.quality) > 1:
            raised.routed += 1
            raised.served += decision.model == self._among(decision)[0]

    def _among(self, decision: Decision) -> list[str]:
        """The candidates that a decision was between, dearest first."""
        return [name for name in self._dearest_first if name in decision.quality]

    def _lasting(self) -> Iterator[tuple[str, Raised]]:
        now = self._clock()
        return ((key, r) for key, r in list(self.remembered.raised.items()) if now < r.until)

    def _watch(self, key: str) -> UpgradeAlarm:
        keys = self.remembered.keys
        watch = keys.get(key)
        if watch is None:
            watch = keys[key] = UpgradeAlarm(self.settings.false_alarm)
            if len(keys) > MOST_KEYS:
                keys.popitem(last=False)
        else:
            keys.move_to_end(key)
        return watch

    def _raise(self, key: str, watch: UpgradeAlarm, strong: str, reference: float) -> None:
        del self.remembered.keys[key]  # watched anew when it is over
        raised = self.remembered.raised
        if len(raised) >= MOST_KEYS:
            del raised[next(iter(raised))]
        raised[key] = Raised(
            model=strong,
            reference=reference,
            requests=watch.requests,
            strong=watch.strong,
            at_s=self._now_s(),
            until=self._clock() + self.settings.cool_s,
        )
        counts, name = self.remembered.counts, key or NOBODY
        if name not in counts and len(counts) >= MOST_NAMED:
            name = "other"
        counts[name] = counts.get(name, 0) + 1
        log.warning(
            "strong-share alarm: routers sent %d of %d requests of key %s to %s, where at most %.1f%% are to "
            "be expected; action: %s",
            watch.strong,
            watch.requests,
            key or NOBODY,
            strong,
            100.0 * reference,
            self.settings.action,
        )


def dearest_first(pool: Pool) -> list[str]:
    """Names by price, of a token of input and one of output; as they stand where a price is not known."""

    def cost(candidate: Candidate) -> int:
        price = candidate.price
        return 0 if price is None else price.input_picousd + price.output_picousd

    if any(c.price is None for c in pool.candidates):
        return list(pool.names)
    return [c.name for c in sorted(pool.candidates, key=cost, reverse=True)]


def _redirected(decision: Decision, weak: str, raised: Raised, action: str) -> Decision:
    """The decision with the cheapest candidate in front."""
    held = "is held to it" if action == "clamp" else "gets the cheapest candidate"
    reason = (
        f"{weak} serves: this key's share of calls to {raised.model} rose above "
        f"{raised.reference:.1%}, and it {held} for now"
    )
    others = (
        replace(a, reason=f"serves if {weak} fails")
        for a in decision.attempts
        if a.candidate != weak
    )
    attempts = (Attempt(candidate=weak, reason=reason), *others)
    return replace(
        decision,
        attempts=attempts[: len(decision.attempts)],
        code=CODE,
        reason=reason,
        certificate=None,
        propensity=None,
        notes=(*decision.notes, f"of itself: {decision.model} ({decision.code})"),
    )
