from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.calibration.curve import calibrate_share, cut_for_share, cuts
from turnout.errors import InputError
from turnout.names import parse_route
from turnout.policies.threshold import ThresholdPolicy
from turnout.types import Candidate, PairRule, Prediction

PAIR = (Candidate(name="strong"), Candidate(name="weak"))


def strong_calls(win_rate: np.ndarray, threshold: float) -> np.ndarray:
    """Decisions of the policy that serves."""
    quality = np.stack([win_rate, np.zeros_like(win_rate)], axis=1)
    prediction = Prediction(candidates=("strong", "weak"), quality=quality, pair=PairRule("strong"))
    chosen = ThresholdPolicy(threshold).choose(prediction, PAIR, np.ones((len(quality), 2)))
    return np.asarray(chosen.index == 0)


@st.composite
def win_rates(draw: st.DrawFn) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(30, 200))
    kind = draw(st.sampled_from(["uniform", "tied", "tiny", "narrow"]))
    rates = {
        "uniform": rng.random(n),
        "tied": rng.integers(0, 7, n) / 6,
        "tiny": rng.random(n) * 1e-8,
        "narrow": 0.21 + 1e-6 * rng.random(n),
    }[kind].astype(np.float32)
    rates[0], rates[1] = rates.min() * 0.5, rates.max()
    return rates


@given(win_rates(), st.floats(0, 1))
def test_the_route_gives_the_decisions_that_were_promised(rates: np.ndarray, share: float) -> None:
    try:
        found = calibrate_share(rates, share, router="mf")
    except InputError as error:
        assert "same win rate" in str(error) or "already" in str(error)  # noqa: PT017
        return
    threshold = parse_route(found.route, routers=["mf"]).threshold
    assert threshold == found.threshold
    calls = strong_calls(rates, threshold)
    assert int(calls.sum()) == found.strong
    assert found.share <= share + 1e-9


@given(win_rates())
def test_every_cut_does_what_it_says_and_they_only_grow(rates: np.ndarray) -> None:
    possible = cuts(rates)
    assert [c.strong for c in possible] == sorted({c.strong for c in possible})
    for cut in possible[:: max(1, len(possible) // 10)]:
        assert int(strong_calls(rates, cut.threshold).sum()) == cut.strong


def test_the_share_is_the_closest_one_that_is_not_above() -> None:
    rates = (np.arange(100) / 100).astype(np.float32)
    assert calibrate_share(rates, 0.305, router="mf").strong == 30
    assert calibrate_share(rates, 0.3, router="mf").strong == 30
    assert calibrate_share(rates, 0.0, router="mf").route == "router-mf-1"
    assert calibrate_share(rates, 1.0, router="mf").route == "router-mf-0"


def test_the_shortest_decimal_between_two_scores_is_used() -> None:
    rates = np.repeat(np.asarray([0.1, 0.2, 0.8], dtype=np.float32), 20)
    assert calibrate_share(rates, 0.4, router="mf").route == "router-mf-0.5"
    rates = np.repeat(np.asarray([0.11593, 0.11594], dtype=np.float32), 20)
    assert calibrate_share(rates, 0.5, router="mf").threshold == pytest.approx(0.115935, abs=6e-6)


def test_ties_that_stand_in_the_way_are_named() -> None:
    rates = np.concatenate([np.full(60, 0.5), np.linspace(0, 0.4, 40)]).astype(np.float32)
    cut, notes = cut_for_share(rates, 0.3)
    assert cut.strong == 0
    assert notes == (
        "60 prompts have the same win rate and move together: "
        "0.0% or 60.0% strong calls can be had, nothing between",
    )


def test_what_cannot_be_calibrated_says_why() -> None:
    good = np.linspace(0, 1, 50).astype(np.float32)
    with pytest.raises(InputError, match="at least 30"):
        calibrate_share(good[:29], 0.3, router="mf")
    with pytest.raises(InputError, match="same win rate"):
        calibrate_share(np.full(50, 0.4, dtype=np.float32), 0.3, router="mf")
    with pytest.raises(InputError, match="from 0 to 1"):
        calibrate_share(good, 1.5, router="mf")
    with pytest.raises(InputError, match="from 0 to 1"):
        calibrate_share(np.append(good, np.float32("nan")), 0.5, router="mf")
    with pytest.raises(InputError, match="already"):
        calibrate_share(np.repeat([0.5, 1.0], 20).astype(np.float32), 0.1, router="mf")


def test_the_json_form_says_everything() -> None:
    rates = np.linspace(0, 1, 200).astype(np.float32)
    found = calibrate_share(rates, 0.25, router="mf", batch=500).to_dict()
    assert found["strong_share"] == 0.25
    assert found["long_run_strong_share"]["low"] < 0.25 < found["long_run_strong_share"]["high"]
    assert found["next_batch"]["requests"] == 500
    assert found["next_batch"]["strong_low"] < 125 < found["next_batch"]["strong_high"]
