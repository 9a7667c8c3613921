from __future__ import annotations

import numpy as np
import pytest

from turnout.calibration.promises import Facts, Promise
from turnout.calibration.sequence import PromiseTest, last_kept, least_groups
from turnout.errors import InputError


def facts(groups: list[int] | None = None) -> Facts:
    """Four requests, two steps: the strong model alone, and the cheap one for the last two."""
    strong = np.asarray([1.0, 0.0, 1.0, 0.0])
    cheap = np.asarray([0.0, 0.0, 0.0, 1.0])
    to_strong = np.asarray([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    return Facts(
        strong=strong,
        chosen=np.where(to_strong == 1, strong[:, None], cheap[:, None]),
        cost_usd=np.where(to_strong == 1, 0.01, 0.001),
        to_strong=to_strong,
        groups=np.asarray(groups or [0, 1, 2, 3]),
    )


@pytest.mark.parametrize(
    ("promise", "measured", "slack"),
    [
        (Promise(kind="floor", value=0.9), (1.0, 1.0), (-0.1, 0.0, 0.9, -1.0)),
        (Promise(kind="max_loss", value=0.1), (0.0, 0.0), (-0.1, -0.1, 0.9, -1.1)),
        (Promise(kind="budget_usd", value=0.004), (0.01, 0.0055), (0.006, 0.006, -0.003, -0.003)),
        (Promise(kind="strong_share", value=0.3), (1.0, 0.5), (0.7, 0.7, -0.3, -0.3)),
        (Promise(kind="max_loss", value=0.1, risk="routed"), (None, 0.0), (0, 0, 0.9, -1.1)),
    ],
)
def test_what_each_promise_measures(promise, measured, slack) -> None:  # type: ignore[no-untyped-def]
    found = facts()
    for point, value in enumerate(measured):
        if value is None:  # nothing is routed there, so nothing is measured
            assert np.isnan(promise.measured(found, point))
        else:
            assert promise.measured(found, point) == pytest.approx(value)
    assert promise.slack(found)[:, 1] == pytest.approx(np.asarray(slack, dtype=float))
    low, high = promise.span(most_usd=0.02)
    assert low <= promise.slack(found).min()
    assert promise.slack(found).max() <= high


def test_a_better_cheap_answer_makes_up_for_a_worse_one() -> None:
    assert Promise(kind="max_loss", value=0.1).measured(facts(), 1) == 0.0


def test_a_group_counts_once() -> None:
    found = facts([0, 1, 2, 2])
    assert (found.n, found.g) == (4, 3)
    assert found.group_means(found.strong).tolist() == [1.0, 0.0, 0.5]
    assert Promise(kind="strong_share", value=0.9).slack(found).shape == (3, 2)
    assert found.mean(found.to_strong[:, 1]) == pytest.approx(2 / 3)
    assert found.firsts().tolist() == [0, 1, 2]
    shuffled = facts([2, 0, 1, 0])
    assert shuffled.group_means(shuffled.strong).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("floor", 1.1, "floor: 1.1 .* up to 1, such as 0.95"),
        ("floor", 0.0, "floor"),
        ("max_loss", 1.0, "max_loss: 1.0 .* such as 0.02"),
        ("max_loss", float("nan"), "max_loss: nan"),
        ("budget_usd", 0.0, "budget_usd: 0.0 .* above 0"),
        ("strong_share", 1.5, "strong_share: 1.5 .* such as 0.3"),
        ("speed", 0.5, "floor, max_loss, budget_usd, strong_share"),
    ],
)
def test_promises_that_mean_nothing_are_refused(kind: str, value: float, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Promise(kind=kind, value=value)  # type: ignore[arg-type]


def test_the_routed_share_is_a_matter_of_quality() -> None:
    with pytest.raises(InputError, match="only a promise of quality"):
        Promise(kind="budget_usd", value=0.1, risk="routed")
    with pytest.raises(InputError, match="all or routed"):
        Promise(kind="floor", value=0.9, risk="some")  # type: ignore[arg-type]


def test_the_walk_ends_at_the_first_failure() -> None:
    kept = np.asarray([True, True, False, True])
    assert last_kept(kept) == 1
    assert last_kept(kept, start=3) == 3
    assert last_kept(kept, start=2) is None
    assert last_kept(np.ones(3, dtype=bool)) == 2
    assert last_kept(~kept[:2]) is None
    assert least_groups(0.05, 0.05) == 59  # the textbook's "59 without a failure"


def made(n: int, loss: float, cheap: float, seed: int = 0) -> Facts:
    """n requests; a step sends `cheap` of them to a model that fails `loss` of the time there."""
    rng = np.random.default_rng(seed)
    routed = rng.random(n) < cheap
    fails = routed & (rng.random(n) < loss)
    return Facts(
        strong=np.ones(n),
        chosen=(~fails).astype(float)[:, None],
        cost_usd=np.where(routed, 0.001, 0.01)[:, None],
        to_strong=(~routed).astype(float)[:, None],
        groups=np.arange(n),
    )


def trial(**changes: object) -> PromiseTest:
    given = {"promise": Promise(kind="max_loss", value=0.05), "delta": 0.05, "most_usd": 0.02}
    return PromiseTest(**{**given, "seed": 0, **changes})  # type: ignore[arg-type]


def test_the_bound_lies_between_what_was_measured_and_the_promise_and_tightens() -> None:
    few, many = made(700, 0.04, 0.5), made(2800, 0.04, 0.5)
    test = trial()
    assert test.kept(few).all()
    at_few, at_many = test.bound(few, 0), test.bound(many, 0)
    assert test.promise.measured(many, 0) < at_many < at_few <= 0.05
    strong = trial(promise=Promise(kind="strong_share", value=0.6))
    assert strong.promise.measured(few, 0) < strong.bound(few, 0) <= 0.6
    budget = trial(promise=Promise(kind="budget_usd", value=0.008))
    assert budget.promise.measured(few, 0) < budget.bound(few, 0) <= 0.008
    floor = trial(promise=Promise(kind="floor", value=0.95))
    assert floor.promise.measured(few, 0) > floor.bound(few, 0) >= 0.95


def test_the_labels_that_would_do_do() -> None:
    pilot = made(100, 0.0, 0.5)
    pilot.chosen[:3, 0] = 0.0  # exactly the loss that the traffic below has, so that only n counts
    test = trial()
    assert not test.kept(pilot).any()
    needed = test.labels_needed(pilot, 0)
    assert needed is not None
    assert needed.chance >= 0.8
    hits = [test.kept(made(needed.groups, 0.06, 0.5, seed)).all() for seed in range(40)]
    assert sum(hits) >= 0.8 * 40 - 3 * (40 * 0.8 * 0.2) ** 0.5
    fewer = [test.kept(made(needed.groups // 4, 0.06, 0.5, seed)).all() for seed in range(40)]
    assert sum(fewer) < sum(hits)


def test_no_number_of_labels_helps_where_the_promise_is_broken() -> None:
    assert trial().labels_needed(made(200, 0.5, 0.5), 0) is None
