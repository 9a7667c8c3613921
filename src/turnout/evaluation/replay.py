"""Stored predictions decided again with other thresholds, prices and pools. Nothing is called.

A router's predictions do not depend on prices, so they need to be made once. What is decided here goes
through the same policies as live decisions (`knobs.Knobs`): for the same settings it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.evaluation.replay_predictions import (
    Index,
    StoredPredictions,
    StoredRouterWithReference,
    columns_of,
    stored_router,
)
from turnout.knobs import Knobs, reference_points
from turnout.names import RouteSpec
from turnout.policies.base import Policy
from turnout.policies.hull import HullPolicy
from turnout.policies.threshold import ThresholdPolicy
from turnout.policies.within_price import WithinPricePolicy
from turnout.pricing import cost_of_tokens_picousd
from turnout.types import Candidate, PairRule, Pool, Prediction, Price

PolicyName: TypeAlias = Literal["threshold", "hull", "within_price"]
POLICIES: Final[tuple[PolicyName, ...]] = get_args(PolicyName)
NOBODY: Final = -1
"""The column of a request that no candidate of the pool can serve."""


class Replay:
    """Stored predictions over a pool at given prices; decides at any threshold.

    Args:
        stored: the predictions.
        prices: of some candidates; the others keep the price of then.
        models: candidates that stay, strongest first; None keeps all.
        policy: how to choose; None is what an engine would do with this pool: a threshold between
            two, the hull of more, or `within_price` where there is no reference.

    Raises:
        UnknownNameError: a price or a model of no stored candidate.
        InputError: a model twice, none left, a price without tokens to count, or a policy that does
            not fit.
    """

    def __init__(
        self,
        stored: StoredPredictions,
        *,
        prices: Mapping[str, Price] | None = None,
        models: Sequence[str] | None = None,
        policy: PolicyName | None = None,
    ) -> None:
        names = stored.names if models is None else tuple(models)
        self.columns = columns_of(stored, names)
        given = dict(prices or {})
        columns_of(stored, tuple(given))
        if not names:
            raise InputError("models", names, "keep at least one")
        self.candidates = tuple(
            replace(stored.candidates[j], price=given.get(name, stored.candidates[j].price))
            for name, j in zip(names, self.columns, strict=True)
        )
        default = stored.default if stored.default in names else names[0]
        self.pool = Pool(candidates=self.candidates, default=default)
        self._stored, self._policy = stored, policy
        self._router = stored_router(stored)
        self._knobs = Knobs(self.pool, {stored.router: self._router})
        self._hulls: dict[tuple[str, ...], HullPolicy] = {}
        self.quality = stored.quality[:, self.columns]
        self.cost_picousd = self._cost(given)
        self._groups = self._fit_groups()
        self._check_policy()

    def decide(self, threshold: float | None = None) -> Index:
        """(n,) columns of `candidates` that would be called.

        Args:
            threshold: of the policy; None is that of each recorded decision.

        Returns:
            `NOBODY` where constraints leave no candidate. Where nothing was predicted (the router
            had failed, a model was asked for by name) the recorded model stays, or else the
            pool's default serves.

        Raises:
            InputError: no threshold was recorded; a price that the policy needs is unknown.
        """
        if threshold is not None:
            return self._decide(np.arange(self._stored.n), threshold)
        recorded = self._stored.recorded
        if recorded is None:
            raise InputError("threshold", None, "no decisions are recorded here; give a threshold")
        index = self._unpredicted(np.arange(self._stored.n))
        for value in np.unique(recorded.threshold[np.isfinite(recorded.threshold)]):
            rows = np.flatnonzero(recorded.threshold == value)
            index[rows] = self._decide(rows, float(value))
        return index

    def chosen(self, values: NDArray[np.floating], index: Index) -> NDArray[np.float64]:
        """(n,) value of the chosen candidate, of (n, m) values; NaN where nobody serves."""
        rows = np.arange(len(index))
        found = values[rows, np.maximum(index, 0)].astype(np.float64)
        return np.where(index == NOBODY, np.nan, found)

    def stored_columns(self, index: Index) -> Index:
        """(n,) the same choices as columns of the stored candidates."""
        return np.where(index == NOBODY, NOBODY, self.columns[np.maximum(index, 0)])

    def policy_name(self) -> str:
        """How this replay chooses."""
        if len(self.candidates) == 1:
            return "only_candidate"
        return self._policy_for(0.5, self.candidates).name

    def _decide(self, rows: Index, threshold: float) -> Index:
        index = self._unpredicted(rows)
        inside = np.zeros(self._stored.n, dtype=bool)
        inside[rows] = True
        place = np.cumsum(inside) - 1
        for members, fit in self._groups:
            here = members[inside[members]]
            if not len(here):
                continue
            if len(fit) == 1:
                index[place[here]] = fit[0]
                continue
            candidates = [self.candidates[j] for j in fit]
            policy = self._policy_for(threshold, candidates)
            prediction = self._prediction(here, fit, policy)
            cost = self.cost_picousd[np.ix_(here, fit)]
            index[place[here]] = fit[policy.pick(prediction, candidates, cost)]
        return index

    def _policy_for(self, threshold: float, candidates: Sequence[Candidate]) -> Policy:
        if self._policy is None:
            return self._knobs.policy(RouteSpec(self._stored.router, threshold), candidates)
        if self._policy == "threshold":
            return ThresholdPolicy(threshold)
        if self._policy == "within_price":
            return WithinPricePolicy(threshold)
        key = tuple(c.name for c in candidates)
        if key not in self._hulls:
            assert isinstance(self._router, StoredRouterWithReference)
            points = reference_points(self._router.reference(candidates), candidates)
            self._hulls[key] = HullPolicy(points, 0.0)
        return replace(self._hulls[key], threshold=threshold)

    def _check_policy(self) -> None:
        names = [c.name for c in self.candidates]
        if self._policy == "hull" and self._stored.reference is None:
            remedy = "no reference is stored to measure operating points on; give within_price"
            raise InputError("policy", "hull", remedy)
        if self._policy == "threshold" and len(names) > 2:
            raise InputError("policy", names, "a threshold chooses between two models; give hull")
        by_win_rate = len(names) == 2 and self._policy in (None, "threshold")
        if by_win_rate and self._stored.pair is None and tuple(names) != self._stored.names:
            remedy = (
                "win rates of these two were not recorded; give --policy within_price, or replay "
                "predictions that `turnout evaluate --save-predictions` wrote"
            )
            raise InputError("models", names, remedy)

    def _prediction(self, rows: Index, fit: Index, policy: Policy) -> Prediction:
        quality = self.quality[np.ix_(rows, fit)]
        names = tuple(self.candidates[j].name for j in fit)
        pair = self._stored.pair
        if pair is None:
            pair = PairRule()
            if isinstance(policy, ThresholdPolicy) and self._stored.recorded is not None:
                # The recorded rate itself: `strong` reads it off the first column.
                rate = self._stored.recorded.win_rate[rows]
                quality, pair = np.stack([rate, quality[:, 1]], axis=1), PairRule("strong")
        return Prediction(candidates=names, quality=quality, pair=pair)

    def _cost(self, prices: Mapping[str, Price]) -> NDArray[np.float64]:
        """(n, m) expected cost at the prices of this replay."""
        stored = self._stored
        tokens = stored.output_tokens[:, self.columns]
        cost = cost_of_tokens_picousd(stored.input_tokens, tokens, self.candidates)
        if stored.recorded is not None:
            then = stored.recorded.cost_picousd[:, self.columns]
            kept = np.asarray([c.name not in prices for c in self.candidates])
            cost = np.where(np.isnan(cost) & kept, then, cost)
        serves = ~stored.out[:, self.columns] & np.isfinite(self.quality)
        for j, candidate in enumerate(self.candidates):
            if candidate.name in prices and np.isnan(cost[serves[:, j], j]).any():
                remedy = (
                    "the decisions do not say how many tokens it is for; record them with this "
                    "version, whose decisions have input_tokens and expected_output_tokens"
                )
                raise InputError("price", candidate.name, remedy)
        return self._knobs.priced(stored.router, self.candidates, cost)

    def _fit_groups(self) -> list[tuple[Index, Index]]:
        """Rows that the same candidates can serve and were predicted, with those candidates."""
        usable = ~self._stored.out[:, self.columns]
        whole = usable.all(axis=1)
        # Most requests exclude nobody: sorting the patterns of all of them would take the longest.
        rest = np.flatnonzero(~whole)
        patterns, which = np.unique(usable[rest], axis=0, return_inverse=True)
        parts = [(np.flatnonzero(whole), np.arange(usable.shape[1]))]
        parts += [
            (rest[which.reshape(-1) == k], np.flatnonzero(pattern))
            for k, pattern in enumerate(patterns)
        ]
        return [(self._predicted(rows, fit), fit) for rows, fit in parts if len(rows) and len(fit)]

    def _predicted(self, rows: Index, fit: Index) -> Index:
        """Those of the rows that have a quality of each of several candidates."""
        if len(fit) == 1:
            return rows
        return rows[np.isfinite(self.quality[np.ix_(rows, fit)]).all(axis=1)]

    def _unpredicted(self, rows: Index) -> Index:
        """What stands where no policy decides: the recorded model, else the pool's default."""
        usable = ~self._stored.out[np.ix_(rows, self.columns)]
        names = [c.name for c in self.candidates]
        index = np.full(len(rows), names.index(self.pool.default), dtype=np.intp)
        if self._stored.recorded is not None:
            place = np.full(len(self._stored.names), -1, dtype=np.intp)
            place[self.columns] = np.arange(len(self.columns))
            kept = place[self._stored.recorded.index[rows]]
            index = np.where(kept >= 0, kept, index)
        first = np.where(usable.any(axis=1), usable.argmax(axis=1), NOBODY)
        return np.where(usable[np.arange(len(rows)), index], index, first).astype(np.intp)
