"""Priors of models without outcomes: the price's line, and what effort did to other models."""

from __future__ import annotations

import numpy as np
import pytest

from turnout.errors import DataError
from turnout.routers.priors import PricePrior, arm_prior, effort_step
from turnout.routers.space import ModelSpace
from turnout.types import Price

FIRST = np.array([1.0, 0.0])


def space(**abilities: float) -> ModelSpace:
    """Models by name (`__` stands for @) with an ability; the second coordinate is its half."""
    names = tuple(name.replace("__", "@") for name in abilities)
    first = np.array(list(abilities.values()), dtype=np.float32)
    m = len(names)
    return ModelSpace(
        names=names,
        basis=("outcomes",) * m,
        vectors_=np.stack([first, first / 2], axis=1),
        spread_=np.full((m, 2), 0.1, dtype=np.float32),
        prior_mean_=np.zeros(2, dtype=np.float32),
        prior_cov_=np.array([[1.0, 0.5], [0.5, 1.0]], dtype=np.float32),
        tokens_=first,
        seen_=np.full(m, 100.0, dtype=np.float32),
    )


def fitted() -> PricePrior:
    prices = [Price.per_million(2.0**i, 2.0**i) for i in range(10)]
    return PricePrior.fit(prices, np.arange(10) * 0.3 + np.tile([0.1, -0.1], 5))


def test_a_dearer_model_is_expected_to_be_abler_and_correlated_coordinates_follow() -> None:
    prior, known = fitted(), space(a=0.0)
    cheap, dear = (
        prior.vector(Price.per_million(usd, usd), known.prior_mean_, known.prior_cov_, FIRST)
        for usd in (1, 16)
    )
    assert cheap is not None
    assert dear is not None
    assert dear[0][0] - cheap[0][0] == pytest.approx(1.2, abs=0.05)
    assert dear[0][1] - cheap[0][1] == pytest.approx(0.6, abs=0.03)
    assert np.sqrt(dear[1][0, 0]) == pytest.approx(prior.spread, rel=1e-3)
    assert dear[1][1, 1] < known.prior_cov_[1, 1]
    assert np.linalg.eigvalsh(dear[1]).min() > 0


def test_beyond_the_prices_seen_it_stays_level_and_free_models_say_nothing() -> None:
    prior, known = fitted(), space(a=0.0)
    far, top = (
        prior.vector(Price.per_million(usd, usd), known.prior_mean_, known.prior_cov_, FIRST)
        for usd in (1e6, 512)
    )
    assert far is not None
    assert top is not None
    assert far[0].tolist() == top[0].tolist()
    free = Price.per_million(0, 0)
    assert prior.vector(free, known.prior_mean_, known.prior_cov_, FIRST) is None


def test_a_price_prior_survives_its_manifest() -> None:
    assert PricePrior.from_dict(fitted().to_dict()) == fitted()


def test_too_few_prices_are_refused() -> None:
    with pytest.raises(DataError, match="different prices"):
        PricePrior.fit([Price.per_million(1, 1)] * 20, np.arange(20.0))


def test_an_unknown_arm_moves_from_its_model_as_effort_moved_others() -> None:
    known = space(a__low=0.0, a__high=1.0, b__low=0.0, b__high=2.0, c=1.0)
    step, _, tokens, models = effort_step(known)
    assert (step[0], tokens, models) == (0.75, 0.75, 2)
    arm = arm_prior(known, "c@high")
    assert arm is not None
    assert arm.mean.tolist() == [1.75, 0.875]
    assert arm.tokens == 1.75
    assert (arm.spread > known.spread_[4]).all()
    assert arm.basis == "prior: c, moved to effort high as by 2 models with arms"
    low = arm_prior(known, "c@low")
    assert low is not None
    assert low.mean[0] == 0.25
    assert arm_prior(known, "d@low") is None


def test_without_arms_in_the_data_the_model_stands_for_its_arm_with_the_priors_spread() -> None:
    known = space(c=1.0)
    arm = arm_prior(known, "c@high")
    assert arm is not None
    assert arm.mean.tolist() == [1.0, 0.5]
    assert arm.spread[0] == pytest.approx(np.sqrt(0.01 + 1.0))
    assert "unmoved" in arm.basis


def test_ability_is_along_the_mean_factors() -> None:
    prior, known, both = fitted(), space(a=0.0), np.array([1.0, 2.0])
    found = prior.vector(Price.per_million(16, 16), known.prior_mean_, known.prior_cov_, both)
    assert found is not None
    assert found[0] @ both == pytest.approx(prior.intercept + prior.slope * np.log(16), rel=1e-4)
    assert both @ found[1] @ both == pytest.approx(prior.spread**2, rel=1e-3)
