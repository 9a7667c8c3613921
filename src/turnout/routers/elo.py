"""`sw_ranking`: a Bradley-Terry ranking of the models, fitted afresh for each prompt.

RouteLLM's similarity-weighted ranking (arXiv:2406.18665, section 4.1): battles on prompts like the
one at hand weigh more. There every request fits a logistic regression to all battles. Here the
weights are gathered into wins of tier over tier first, since the likelihood depends on nothing
else; what is left is a few Newton steps in as many unknowns as there are tiers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import Array, Arrays, column_means, logit, sigmoid, unit
from turnout.routers.bradley_terry import solve, tiers
from turnout.types import Floats

TIERS = 10
"""Models of like strength share a rating, as RouteLLM's do."""
SHARPNESS = (2.3, 5.0, 10.0, 20.0, 40.0)
"""Weights fall by exp(-sharpness) from cosine 1 to 0; RouteLLM's fall by 10, near exp(-2.3)."""
PRIOR_BATTLES = 10.0
"""Battles of the overall ranking that are added, so that few like prompts cannot turn it over."""
MOST_TRIED = 200
"""Prompts on which a sharpness is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityRanking:
    """Quality of a model = sigmoid(logit of its mean score + how its tier's rating moves here).

    The ratings r maximise sum_kl C_kl log sigmoid(r_k - r_l) with C = sum_p w_p C_p + prior and
    w_p = exp(sharpness (cos_p - max cos)): wins of tier k over tier l, a tie being half a win of
    each. A rating moves from the one that all battles alike give. `ratings` are Bradley-Terry's own:
    the win rate of tier k over l is sigmoid(r_k - r_l).
    """

    vectors_: Floats
    """(p, d) unit rows of the prompts that were fought on."""
    row_: NDArray[np.intp]
    """(b,) prompt of each entry."""
    code_: NDArray[np.intp]
    """(b,) K * winner's tier + loser's tier."""
    wins_: Floats
    """(b,) how much was won."""
    tier_: NDArray[np.intp]
    """(m,) tier of each model."""
    rating_: Array
    """(K,) of all battles alike: where Newton's method starts."""
    level_: Array
    """(m,) logit of each model's mean score."""
    prior_: Array
    """(K, K) wins that are always added."""
    sharpness: float

    @classmethod
    def fit(
        cls,
        x: Floats,
        score: Array,
        groups: NDArray[np.intp],
        *,
        seed: int = 0,
        penalty: float | None = None,  # noqa: ARG003 - of heads with a ridge
    ) -> SimilarityRanking:
        """Fit to (n, d) rows and (n, m) scores, NaN where missing.

        Of two models with scores s and t on one prompt the first wins (1 + s - t) / 2: all where it
        alone is right, half where both are. A vote is scores 1 and 0, a tie .5 and .5. The
        sharpness is the one that best foretells battles of prompts whose group is left out.
        """
        m = score.shape[1]
        rating = solve(_overall(score) + _even(m), np.zeros(m))
        tier = tiers(rating, min(TIERS, m))
        k = int(tier.max()) + 1
        row, code, wins = battles(score, tier, k)
        counts = _gather(code, wins, k) + _even(k)
        found = cls(
            vectors_=unit(x),
            row_=row,
            code_=code,
            wins_=wins,
            tier_=tier,
            rating_=solve(counts, np.zeros(k)),
            level_=logit(column_means(score)),
            prior_=counts * (PRIOR_BATTLES / max(float(counts.sum()), 1e-9)),
            sharpness=SHARPNESS[0],
        )
        return _sharpest(found, groups, seed)

    def predict(self, x: Floats) -> Floats:
        """(n, m) expected quality on the prompts of (n, d) rows."""
        moved = self.ratings(unit(x)) - self.rating_
        return np.asarray(sigmoid(self.level_ + moved[:, self.tier_]), dtype=np.float32)

    def ratings(self, rows: Floats, skip: NDArray[np.bool_] | None = None) -> Array:
        """(n, K) ratings on the prompts of (n, d) unit rows.

        Args:
            rows: of the prompts to rank on.
            skip: (n, p) prompts whose battles must not count, by row.
        """
        k = len(self.rating_)
        found = np.empty((len(rows), k))
        for i, row in enumerate(rows):
            near = self.vectors_ @ row
            if skip is not None:
                near = np.where(skip[i], -np.inf, near)
            weight = np.exp(np.float32(self.sharpness) * (near - near.max(initial=-1.0)))
            wins = _gather(self.code_, weight[self.row_] * self.wins_, k)
            found[i] = solve(wins + self.prior_, self.rating_)
        return found

    def arrays(self) -> Arrays:
        """What was learned, by name: vectors in 16 bits, no text."""
        return {
            "vectors": self.vectors_.astype(np.float16),
            "row": self.row_.astype(np.int32),
            "code": self.code_.astype(np.int16),
            "wins": self.wins_.astype(np.float16),
            "tier": self.tier_.astype(np.int16),
            "rating": self.rating_,
            "level": self.level_,
            "prior": self.prior_,
            "sharpness": np.asarray([self.sharpness]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> SimilarityRanking:
        """The head that `arrays` came from."""
        return cls(
            vectors_=arrays["vectors"].astype(np.float32),
            row_=arrays["row"].astype(np.intp),
            code_=arrays["code"].astype(np.intp),
            wins_=arrays["wins"].astype(np.float32),
            tier_=arrays["tier"].astype(np.intp),
            rating_=arrays["rating"].astype(np.float64),
            level_=arrays["level"].astype(np.float64),
            prior_=arrays["prior"].astype(np.float64),
            sharpness=float(arrays["sharpness"][0]),
        )


def battles(
    score: Array, tier: NDArray[np.intp], k: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """All battles between tiers on n prompts, gathered into one entry a prompt and pair of tiers.

    Args:
        score: (n, m), NaN where missing.
        tier: (m,) tier of each model.
        k: number of tiers.

    Returns:
        (b,) prompt, (b,) k * winner's tier + loser's tier, (b,) wins.
    """
    total = np.zeros(len(score) * k * k)
    first = np.arange(len(score)) * k * k
    for a, b in combinations(range(score.shape[1]), 2):
        if tier[a] == tier[b]:
            continue
        both = np.isfinite(score[:, a]) & np.isfinite(score[:, b])
        won = (1.0 + score[both, a] - score[both, b]) / 2.0
        total[first[both] + k * tier[a] + tier[b]] += won
        total[first[both] + k * tier[b] + tier[a]] += 1.0 - won
    at = np.flatnonzero(total)
    wins = np.asarray(total[at], dtype=np.float32)
    return (at // (k * k)).astype(np.intp), (at % (k * k)).astype(np.intp), wins


def _overall(score: Array) -> Array:
    """(m, m) wins of model over model on all prompts."""
    m = score.shape[1]
    wins = np.zeros((m, m))
    for a, b in combinations(range(m), 2):
        both = np.isfinite(score[:, a]) & np.isfinite(score[:, b])
        won = (1.0 + score[both, a] - score[both, b]) / 2.0
        wins[a, b], wins[b, a] = float(won.sum()), float((1.0 - won).sum())
    return wins


def _sharpest(ranking: SimilarityRanking, groups: NDArray[np.intp], seed: int) -> SimilarityRanking:
    """The ranking with the sharpness that loses least on groups left out."""
    n = len(ranking.vectors_)
    tried = np.random.default_rng(seed).permutation(n)[:MOST_TRIED]
    skip = groups[tried][:, None] == groups[None, :]
    if skip.all():
        return ranking
    others = [replace(ranking, sharpness=sharpness) for sharpness in SHARPNESS]
    losses = [_loss(r, tried, r.ratings(r.vectors_[tried], skip)) for r in others]
    return others[int(np.argmin(losses))]


def _loss(ranking: SimilarityRanking, rows: NDArray[np.intp], ratings: Array) -> float:
    """Negative log-likelihood of the battles of r prompts under their (r, K) ratings."""
    place = np.full(len(ranking.vectors_), -1)
    place[rows] = np.arange(len(rows))
    at = np.flatnonzero(place[ranking.row_] >= 0)
    winner, loser = np.divmod(ranking.code_[at], len(ranking.rating_))
    r, pick = ratings[place[ranking.row_[at]]], np.arange(len(at))
    chance = sigmoid(r[pick, winner] - r[pick, loser])
    return float(-(ranking.wins_[at] * np.log(np.maximum(chance, 1e-12))).sum())


def _gather(code: NDArray[np.intp], wins: Array, k: int) -> Array:
    """(K, K) wins of tier over tier."""
    return np.asarray(np.bincount(code, wins, minlength=k * k).reshape(k, k), dtype=np.float64)


def _even(k: int) -> Array:
    """Half a battle between any two, tied: it ranks tiers that never met, or never lost."""
    return np.full((k, k), 0.25) - 0.25 * np.eye(k)
