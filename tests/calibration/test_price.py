from __future__ import annotations

import numpy as np
import pytest

from turnout.calibration import calibrate_price, calibrate_saving
from turnout.errors import InputError

RATES = np.linspace(0.01, 0.99, 100).astype(np.float32)
WEAK = np.full(100, 0.001)
STRONG = np.full(100, 0.011)


def test_the_budget_buys_as_many_strong_calls_as_it_can() -> None:
    found = calibrate_price(RATES, STRONG, WEAK, 0.0045, router="mf")
    assert found.strong is not None
    assert found.strong.strong == 35
    assert found.mean_usd == pytest.approx(0.0045)
    assert found.interval_usd[0] < 0.0045 < found.interval_usd[1]
    assert found.to_dict()["strong_share"] == 0.35


def test_cost_is_of_the_prompts_that_are_routed() -> None:
    # The prompts that ask for the strong model are the dear ones.
    dear = np.where(RATES > 0.5, 0.02, 0.002)
    found = calibrate_price(RATES, dear, WEAK, 0.0048, router="mf")
    assert found.strong is not None
    assert found.strong.strong == 20
    assert found.mean_usd == pytest.approx((20 * 0.02 + 80 * 0.001) / 100)


def test_a_budget_below_everything_or_above_everything_is_said() -> None:
    with pytest.raises(InputError, match=r"cheapest way costs 0\.001000 USD"):
        calibrate_price(RATES, STRONG, WEAK, 0.0005, router="mf")
    found = calibrate_price(RATES, STRONG, WEAK, 1.0, router="mf")
    assert found.route == "router-mf-0"
    assert "not used up" in found.notes[0]
    with pytest.raises(InputError, match="above 0"):
        calibrate_price(RATES, STRONG, WEAK, 0.0, router="mf")
    with pytest.raises(InputError, match="price"):
        calibrate_price(RATES, STRONG * np.nan, WEAK, 1.0, router="mf")


def test_more_models_take_the_least_saving_that_fits() -> None:
    def cost_at(threshold: float) -> np.ndarray:
        return np.full(50, 0.01 if threshold < 0.25 else 0.004 if threshold < 0.7 else 0.001)

    found = calibrate_saving(cost_at, 0.005, router="knn")
    assert (found.route, found.mean_usd, found.strong) == ("router-knn-0.25", 0.004, None)
    assert found.notes == ()
    assert "costs 0.004000" in calibrate_saving(cost_at, 0.003, router="knn").notes[0]
    assert "not used up" in calibrate_saving(cost_at, 1.0, router="knn").notes[0]
    with pytest.raises(InputError, match=r"costs 0\.001000"):
        calibrate_saving(cost_at, 0.0001, router="knn")
    with pytest.raises(InputError, match="at least 30"):
        calibrate_saving(lambda _: np.ones(3), 2.0, router="knn")
