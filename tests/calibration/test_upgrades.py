from __future__ import annotations

import numpy as np
import pytest

from turnout.calibration.upgrades import LEAST_OTHERS, OthersShare, UpgradeAlarm


def until_alarm(hits: np.ndarray, reference: float, alpha: float = 1e-5) -> int | None:
    """Requests until the alarm; None where it is never raised."""
    alarm = UpgradeAlarm(alpha)
    for i, hit in enumerate(hits, start=1):
        if alarm.see(bool(hit), reference):
            return i
    return None


def test_false_alarms_stay_within_their_bound_over_a_keys_whole_life() -> None:
    """At the very edge: every key's share is the reference itself. 5% may alarm, ever."""
    rng = np.random.default_rng(0)
    keys, alpha = 1500, 0.05
    false = sum(until_alarm(rng.random(600) < 0.25, 0.25, alpha) is not None for _ in range(keys))
    assert false <= keys * alpha + 3 * np.sqrt(keys * alpha * (1 - alpha))
    assert false >= 5  # it is not simply deaf
    above = sum(until_alarm(rng.random(600) < 0.35, 0.25, alpha) is not None for _ in range(100))
    assert above >= 90


def test_the_bound_holds_for_a_key_of_several_routes() -> None:
    rng = np.random.default_rng(1)
    keys, alpha, false = 600, 0.05, 0
    for _ in range(keys):
        alarm = UpgradeAlarm(alpha)
        references = rng.choice([0.05, 0.3, 0.8], 400)
        draws = rng.random(400) < references
        false += any(alarm.see(bool(d), float(r)) for d, r in zip(draws, references, strict=True))
    assert false <= keys * alpha + 3 * np.sqrt(keys * alpha * (1 - alpha))


def test_an_attack_is_found_soon_early_and_late() -> None:
    rng = np.random.default_rng(2)
    assert until_alarm(np.ones(100, dtype=bool), 0.25) == 11
    late = np.concatenate([rng.random(1000) < 0.22, np.ones(100, dtype=bool)])
    found = until_alarm(late, 0.25)
    assert found is not None
    assert 1000 < found <= 1025
    some = [until_alarm(rng.random(400) < 0.6, 0.25) for _ in range(50)]
    assert np.median([400 if s is None else s for s in some]) < 60


def test_references_without_room_are_no_trouble() -> None:
    alarm = UpgradeAlarm(0.01)
    assert not any(alarm.see(i % 2 == 0, 1.0) for i in range(500))
    never = np.ones(9, dtype=bool)
    assert until_alarm(never, 0.0, 0.01) == until_alarm(never, 0.01, 0.01) == 2
    assert (alarm.requests, alarm.strong) == (500, 250)


def test_the_share_of_others_leaves_the_caller_out_and_forgets() -> None:
    others = OthersShare(1000)
    for _ in range(LEAST_OTHERS - 1):
        others.see("a", False)
        others.see("b", True)
    assert others.high("b") is None
    others.see("a", False)
    high = others.high("b")
    assert high is not None
    assert high < 0.1  # "b" does not hide behind itself
    for _ in range(2000):
        others.see("a", True)
    assert (others.high("b") or 0) > 0.99


@pytest.mark.parametrize("share", [0.02, 0.25, 0.9])
def test_keys_that_are_alike_raise_nothing_against_each_other(share: float) -> None:
    """The reference is an estimate here, raised by four standard errors."""
    rng = np.random.default_rng(3)
    others, alarms = OthersShare(), {f"k{i}": UpgradeAlarm(0.01) for i in range(30)}
    raised = set()
    for hits in rng.random((600, 30)) < share:
        for (key, alarm), hit in zip(alarms.items(), hits, strict=True):
            reference = others.high(key)
            others.see(key, bool(hit))
            if reference is not None and alarm.see(bool(hit), reference):
                raised.add(key)
    assert len(raised) <= 1
