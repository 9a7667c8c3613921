"""Certify an operating point of an engine: from calibration data and a promise to a certificate.

The steps that are tested, and their order, come from what the router's artifact remembers, never
from the data that is calibrated on; see `calibration.sequence` for why that makes the chance of a
broken promise the stated one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.bounds import clopper_pearson
from turnout.calibration.certificate import (
    Certificate,
    Measured,
    Watched,
    pool_fingerprint,
    utc,
)
from turnout.calibration.curve import LEAST_PROMPTS, LEVEL
from turnout.calibration.drift import histogram_of
from turnout.calibration.evidence import Evidence, Values
from turnout.calibration.price import REPLICATES
from turnout.calibration.promises import Facts, Promise
from turnout.calibration.sequence import PromiseTest, last_kept, least_groups
from turnout.calibration.watch import INTERVAL_MISSES, SCORE_PAIR, SCORE_POOL, watched_scores
from turnout.engine import Engine
from turnout.errors import InputError, NotCertifiedError, UnknownNameError
from turnout.names import RouteSpec, format_route
from turnout.routers.base import Learns
from turnout.routers.reference import ShareKnob
from turnout.types import PICO, Candidate, Prediction

CONFIDENCE = 0.95
EXPIRES_DAYS = 90
FALSE_ALARM = 0.01
"""Chance that traffic which has not changed ever revokes a certificate."""
LEAST_ROUTED = 0.1
"""Part of the traffic that the first step must route where the risk is over the routed share: on
fewer requests a share of losses is too coarse to be shown, and the walk would end at once."""
_DAY_S = 86_400


def certify(
    engine: Engine,
    router: str,
    evidence: Evidence,
    promise: Promise,
    *,
    confidence: float = CONFIDENCE,
    expires_days: float = EXPIRES_DAYS,
    false_alarm: float = FALSE_ALARM,
    most_usd: float | None = None,
    encoder: str | None = None,
    seed: int = 0,
    now: Callable[[], float] = time.time,
) -> Certificate:
    """Certify the operating point that keeps a promise: the cheapest, or the best within a budget.

    Args:
        engine: its pool's candidates are chosen among; the first one is the strong model.
        router: which of its routers predicts.
        evidence: requests that the router was not fitted on, like those to come.
        promise: what must hold.
        confidence: that the promise holds, over calibration sets; above 0.5 and below 1.
        expires_days: until the certificate expires.
        false_alarm: chance that unchanged traffic ever revokes it.
        most_usd: the most that one request can cost, for a budget; default: by the candidates'
            prices and context windows.
        encoder: fingerprint of the router's encoder, for the record.
        seed: of the order in which evidence is looked at.
        now: seconds since 1970.

    Raises:
        NotCertifiedError: no point that spares the strong model any call is shown to keep the
            promise; the message says how many labels would do.
        InputError: fewer than 30 groups, one candidate, a price or a range that is unknown, a
            router that learns while it serves.
        UnknownNameError: no such router here.
    """
    _check(engine, router, confidence, expires_days)
    trial = Trial(engine, router, evidence, promise)
    if trial.facts.g < LEAST_PROMPTS:
        remedy = f"give labels of at least {LEAST_PROMPTS} prompts that are not near-duplicates"
        raise InputError("groups", trial.facts.g, remedy)
    if promise.of_quality and np.isnan(evidence.score).any():
        raise InputError("data", evidence.source, "a promise of quality needs labels: give --data")
    test = PromiseTest(
        promise=promise, delta=1.0 - confidence, most_usd=_most(trial, most_usd), seed=seed
    )
    start = trial.start(test.delta)
    point = last_kept(test.kept(trial.facts), start)
    if point is None or not trial.counts(point):
        raise NotCertifiedError(_why_not(trial, test, confidence, start))
    made = now()
    return Certificate(
        promise=promise,
        confidence=confidence,
        route=trial.route(point),
        models=engine.pool.names,
        safe=trial.safe,
        requests=trial.facts.n,
        groups=trial.facts.g,
        left_out=evidence.left_out,
        measured=promise.measured(trial.facts, point),
        bound=test.bound(trial.facts, point),
        strong_share=_share(trial.facts, point, LEVEL),
        saving=_saving(trial, point, seed),
        costs=trial.costs,
        source=evidence.source,
        data=evidence.fingerprint,
        artifact=engine.routers[router].fingerprint,
        encoder=encoder,
        pool=_pool(engine, promise),
        made_at=utc(made),
        expires_at=utc(made + expires_days * _DAY_S),
        seed=seed,
        watched=_watched(trial, point, false_alarm),
        notes=(*evidence.notes, *trial.notes()),
    )


@dataclass
class Trial:
    """The points of a router on some evidence, in the order in which they are tested."""

    engine: Engine
    router: str
    evidence: Evidence
    promise: Promise
    prediction: Prediction = field(init=False)
    thresholds: tuple[float, ...] = field(init=False)
    """Safest first."""
    facts: Facts = field(init=False)
    cost_usd: Values = field(init=False)
    """(n, m) what each call costs."""
    costs: str = field(init=False)

    def __post_init__(self) -> None:
        candidates = self.engine.pool.candidates
        opened = self.engine.routers[self.router]
        opened.check(candidates)
        queries = self.evidence.queries
        self.prediction = opened.predict(queries, candidates)
        steps = self.engine.steps(self.router)
        self.thresholds = steps if self.promise.of_quality else steps[::-1]
        expected = self.engine.cost_picousd(self.router, queries, candidates, self.prediction)
        self.cost_usd, self.costs = self.evidence.costs(candidates, expected / PICO)
        index = self._choices(expected)
        rows = np.arange(len(queries))[:, None]
        self.facts = Facts(
            strong=self.evidence.score[:, 0],
            chosen=self.evidence.score[rows, index],
            cost_usd=self.cost_usd[rows, index],
            to_strong=(index == 0).astype(np.float64),
            groups=self.evidence.groups,
        )

    @property
    def safe(self) -> str:
        """The candidate that keeps the promise whatever comes."""
        if self.promise.of_quality:
            return self.engine.pool.names[0]
        if np.isfinite(self.cost_usd).all():
            return self.engine.pool.names[int(self.cost_usd.mean(axis=0).argmin())]
        return self.engine.pool.names[-1]

    def route(self, point: int) -> str:
        """The name of a point."""
        return format_route(RouteSpec(self.router, self.thresholds[point]))

    def counts(self, point: int) -> bool:
        """Whether a point does anything that the safe model alone does not."""
        strong = self.facts.to_strong[:, point].mean()
        return bool(strong < 1.0 if self.promise.of_quality else strong > 0.0)

    def start(self, delta: float) -> int:
        """The first step tested. Of the routed share one that is large enough to show anything.

        How large a share a step routes is read from the reference, not from this evidence.
        """
        if self.promise.risk == "all":
            return 0
        candidates, opened = self.engine.pool.candidates, self.engine.routers[self.router]
        if len(candidates) != 2 or not isinstance(opened, ShareKnob):
            remedy = "it needs two models and a router that remembers outcomes; give --risk all"
            raise InputError("risk", "routed", remedy)
        slack = self.promise.value if self.promise.kind == "max_loss" else 1 - self.promise.value
        least = 2 * least_groups(slack, delta) if slack > 0 else np.inf
        wanted = max(least, LEAST_ROUTED * self.facts.g)
        rates = opened.reference_win_rates(candidates)
        routed = [self.facts.g * float((rates < t).mean()) for t in self.thresholds]
        enough = [i for i, count in enumerate(routed) if count >= wanted]
        return enough[0] if enough else len(self.thresholds) - 1

    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""
        found = []
        if self.evidence.left_out:
            found.append(
                f"{self.evidence.left_out:,} prompts lack a score of some candidate and are left "
                "out: the promise is about prompts like the others"
            )
        return tuple(found)

    def _choices(self, expected_picousd: Values) -> NDArray[np.intp]:
        """(n, k) columns chosen at each step."""
        candidates = self.engine.pool.candidates
        if len(candidates) == 2:
            rate = self.prediction.win_rate(candidates[0].name, candidates[1].name)
            # As the threshold policy compares: in the precision of the win rates.
            cut = np.asarray(self.thresholds).astype(rate.dtype)
            return np.where(rate[:, None] >= cut, 0, 1).astype(np.intp)
        policies = [
            self.engine.policy(RouteSpec(self.router, t), candidates) for t in self.thresholds
        ]
        chosen = [p.choose(self.prediction, candidates, expected_picousd).index for p in policies]
        return np.stack(chosen, axis=1)


def _check(engine: Engine, router: str, confidence: float, expires_days: float) -> None:
    if router not in engine.routers:
        raise UnknownNameError("router", router, engine.routers)
    if len(engine.pool.candidates) < 2:
        remedy = "give at least two models: with one there is nothing to choose"
        raise InputError("candidates", engine.pool.names, remedy)
    if not 0.5 < confidence < 1.0:
        raise InputError(
            "confidence", confidence, "give a number above 0.5 and below 1, such as 0.95"
        )
    if not 0 < expires_days <= 36_500:
        raise InputError("expires_days", expires_days, "give days above 0, such as 90")
    if isinstance(engine.routers[router], Learns):
        remedy = "it learns while it serves, so what is certified would not be what serves"
        raise InputError("router", router, f"{remedy}; name one that does not")


def _most(trial: Trial, most_usd: float | None) -> float:
    """The most that one request can cost; NaN where the promise is not about cost.

    Raises:
        InputError: a price or a window is unknown, or a request cost more than was said.
    """
    if trial.promise.kind != "budget_usd":
        return float("nan")
    _refuse_unpriced(trial)
    if most_usd is None:
        most_usd = max(_dearest_call(c) for c in trial.engine.pool.candidates)
    seen = float(trial.facts.cost_usd.max())
    if not seen <= most_usd < float("inf"):
        raise InputError("most_usd", most_usd, f"a request of the data costs {seen:.6f} USD")
    return most_usd


def _refuse_unpriced(trial: Trial) -> None:
    unknown = np.isnan(trial.cost_usd).any(axis=0)
    if unknown.any():
        name = trial.engine.pool.names[int(unknown.argmax())]
        remedy = "no price of this model is known; give --price MODEL=IN,OUT, or costs in the data"
        raise InputError("price", name, remedy)


def _dearest_call(candidate: Candidate) -> float:
    price, window = candidate.price, candidate.context_tokens
    if price is None or window is None:
        remedy = (
            "the mean of costs without an upper limit cannot be bounded, and this model's price or "
            "context window is unknown; give --most-usd, the most that one request can cost"
        )
        raise InputError("most_usd", candidate.name, remedy)
    return window * max(price.dearest_input_picousd, price.dearest_output_picousd) / PICO


def _share(facts: Facts, point: int, level: float) -> Measured:
    strong = facts.to_strong[facts.firsts(), point]
    low, high = clopper_pearson(int(strong.sum()), facts.g, level=level)
    return Measured(value=float(strong.mean()), low=low, high=high)


def _saving(trial: Trial, point: int, seed: int) -> Measured | None:
    """The share of always calling the strong model that is saved, with a bootstrap over groups."""
    if np.isnan(trial.cost_usd[:, 0]).any() or np.isnan(trial.facts.cost_usd[:, point]).any():
        return None
    always = trial.facts.group_means(trial.cost_usd[:, 0])
    chosen = trial.facts.group_means(trial.facts.cost_usd[:, point])
    if always.sum() <= 0:
        return None
    rng, g = np.random.default_rng(seed), len(always)
    draws = []
    for _ in range(REPLICATES):
        rows = rng.integers(g, size=g)
        draws.append(1.0 - chosen[rows].sum() / always[rows].sum())
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Measured(
        value=float(1.0 - chosen.sum() / always.sum()), low=float(low), high=float(high)
    )


def _watched(trial: Trial, point: int, false_alarm: float) -> Watched:
    """What to watch. The interval of the share holds at all points at once: one was chosen."""
    points = len(trial.thresholds)
    share = _share(trial.facts, point, 1.0 - INTERVAL_MISSES * false_alarm / points)
    scores = watched_scores(trial.prediction)[trial.facts.firsts()]
    return Watched(
        false_alarm=false_alarm,
        share_low=share.low,
        share_high=share.high,
        score=SCORE_PAIR if len(trial.engine.pool.candidates) == 2 else SCORE_POOL,
        scores=tuple(histogram_of(scores.tolist())),
    )


def _pool(engine: Engine, promise: Promise) -> str:
    candidates = engine.pool.candidates
    return pool_fingerprint(candidates, priced=len(candidates) > 2 or promise.kind == "budget_usd")


def _why_not(trial: Trial, test: PromiseTest, confidence: float, start: int) -> str:
    """What was tested, and what would do."""
    strong, facts, promise = trial.engine.pool.names[0], trial.facts, trial.promise
    said = (
        f"nothing can be certified: {promise.sentence(strong)}, is not shown with a confidence of "
        f"{100 * confidence:.4g}% by {facts.g:,} groups of prompts"
    )
    moves = [i for i in range(start, len(trial.thresholds)) if trial.counts(i)]
    if not moves:
        return f"{said}: no step of this router's knob chooses another model than {trial.safe}"
    first = moves[0]
    share = facts.mean(facts.to_strong[:, first])
    seen = promise.figure(promise.measured(facts, first))
    step = f"the first step, {trial.route(first)} with {share:.1%} of calls to {strong}, measured {seen}"
    needed = test.labels_needed(facts, first)
    if needed is None:
        return (
            f"{said}; {step}, and labels like these will not show it however many: take another "
            "router, train it on your own outcomes, or promise less"
        )
    return (
        f"{said}; {step}. About {needed.groups:,} groups of prompts like these would show it with a "
        f"chance of {needed.chance:.0%}: label more, or promise less"
    )
