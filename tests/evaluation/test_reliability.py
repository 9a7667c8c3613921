from __future__ import annotations

import numpy as np
import pytest

from turnout.evaluation.intervals import Replicates, Resampler
from turnout.evaluation.reliability import brier, brier_skill, ece, mass_bins, reliability


def forecasts(n: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random(n) ** 2
    return p, (rng.random(n) < 0.8 * p + 0.1).astype(float)


def test_brier_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    p, y = forecasts()
    assert brier(p, y) == pytest.approx(metrics.brier_score_loss(y, p), abs=1e-12)
    # d2_brier_score is skill against the base rate.
    if hasattr(metrics, "d2_brier_score"):
        assert brier_skill(p, y) == pytest.approx(metrics.d2_brier_score(y, p), abs=1e-12)


def test_reliability_bins_agree_with_scikit_learns_calibration_curve() -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    p, y = forecasts()
    rate, mean = calibration.calibration_curve(y, p, n_bins=15, strategy="quantile")
    found = reliability("r", "m", p, y, Replicates(Resampler(np.arange(len(p)), 20)))
    assert [b.happened for b in found.bins] == pytest.approx(rate.tolist(), abs=1e-9)
    assert [b.predicted for b in found.bins] == pytest.approx(mean.tolist(), abs=1e-9)
    assert found.ece == pytest.approx(float(np.abs(rate - mean).mean()), abs=1e-9)


def test_numbers_of_a_report_are_those_of_the_plain_functions() -> None:
    p, y = forecasts(400, 1)
    found = reliability("r", "m", p, y, Replicates(Resampler(np.arange(400) // 2, 100)))
    assert found.brier.value == pytest.approx(brier(p, y))
    assert found.skill.value == pytest.approx(brier_skill(p, y))
    assert found.brier.low < found.brier.value < found.brier.high
    assert sum(b.prompts for b in found.bins) == 400
    assert all(b.low <= b.happened <= b.high for b in found.bins)


def test_ties_are_never_parted_and_bins_have_no_gaps() -> None:
    p = np.asarray([0.2] * 50 + [0.7] * 30 + [0.9])
    at = mass_bins(p)
    assert at.tolist() == [0] * 50 + [1] * 30 + [2]
    assert ece(p, p) == pytest.approx(0.0)


def test_a_model_that_always_scores_the_same_has_no_skill_to_speak_of() -> None:
    found = reliability(
        "r", "m", np.full(40, 0.5), np.ones(40), Replicates(Resampler(np.arange(40), 20))
    )
    assert np.isnan(found.skill.value)
    assert found.to_dict()["brier_skill"] == {"value": None, "low": None, "high": None}
