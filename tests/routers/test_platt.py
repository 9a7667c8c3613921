from __future__ import annotations

import numpy as np
import pytest

from turnout.routers.arrays import logit, sigmoid
from turnout.routers.platt import Platt


def drawn(slope: float, bias: float, n: int = 3_000) -> tuple[np.ndarray, np.ndarray]:
    """Predictions whose truth is another sigmoid, and what was scored."""
    rng = np.random.default_rng(0)
    predicted = rng.uniform(0.05, 0.95, (n, 1))
    truth = sigmoid(slope * logit(predicted) + bias)
    return predicted, (rng.random((n, 1)) < truth).astype(float)


@pytest.mark.parametrize(("slope", "bias"), [(1.0, 0.0), (0.5, 0.8), (2.0, -1.0)])
def test_it_finds_the_map_to_what_is_observed(slope: float, bias: float) -> None:
    found = Platt.fit(*drawn(slope, bias))
    assert float(found.slope_[0]) == pytest.approx(slope, abs=0.2)
    assert float(found.bias_[0]) == pytest.approx(bias, abs=0.2)


def test_few_labels_change_little() -> None:
    found = Platt.fit(np.asarray([[0.5], [0.6]]), np.asarray([[1.0], [1.0]]))
    quality = np.linspace(0.1, 0.9, 9, dtype=np.float32)[:, None]
    assert np.abs(found.apply(quality) - quality).max() < 0.15


def test_a_column_without_labels_stays_as_it_is() -> None:
    found = Platt.fit(np.full((5, 1), 0.3), np.full((5, 1), np.nan))
    np.testing.assert_allclose(found.apply(np.asarray([[0.3]], np.float32)), 0.3, atol=1e-4)


def test_predictions_that_mislead_give_way_to_the_mean() -> None:
    rng = np.random.default_rng(1)
    predicted = rng.uniform(0.7, 0.95, (500, 1))
    score = (rng.random((500, 1)) < 1.2 - predicted).astype(float)
    calibrated = Platt.fit(predicted, score).apply(predicted.astype(np.float32))
    np.testing.assert_allclose(calibrated, score.mean(), atol=0.05)


def test_a_map_never_turns_the_order_and_stays_in_range() -> None:
    quality = np.linspace(0.0, 1.0, 50, dtype=np.float32)[:, None]
    for slope, bias in ((1.0, 0.0), (-1.0, 2.0), (3.0, -2.0)):
        calibrated = Platt.fit(*drawn(slope, bias, 300)).apply(quality)
        assert (np.diff(calibrated[:, 0]) >= 0).all()
        assert ((calibrated >= 0) & (calibrated <= 1)).all()


def test_a_map_returns_through_its_arrays() -> None:
    made = Platt.fit(*drawn(0.5, 0.8, 200))
    back = Platt.from_arrays(made.arrays())
    assert (back.slope_ == made.slope_).all()
    assert (back.bias_ == made.bias_).all()
