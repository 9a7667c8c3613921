"""Intervals over starts of the gateway's benchmark."""

from __future__ import annotations

import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RUN = Path(__file__).parents[2] / "benchmarks" / "gateway" / "run.py"


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    return runpy.run_path(str(RUN))


@pytest.mark.parametrize("n", [6, 8, 9, 15, 40])
def test_an_interval_holds_the_median_at_95_percent_and_is_the_narrowest(
    run: dict[str, Any], n: int
) -> None:
    over_starts: Callable[[list[float]], tuple[float, float, float]] = run["over_starts"]
    numbers = [float(i) for i in range(n, 0, -1)]
    middle, low, high = over_starts(numbers)
    assert middle == (n + 1) / 2
    assert low + high == n + 1

    def missed(rank: int) -> float:
        """How often the interval from this rank to its mirror image does not hold the median."""
        return 2 * sum(math.comb(n, i) for i in range(rank)) / 2**n

    assert missed(int(low)) <= 0.05 < missed(int(low) + 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--starts", "3"], "--starts: 3: give 1, or 6 and more"),
        (["--work", "nothing"], "--work: 'nothing': give a part of one of pass-through"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    run: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    said: str,
) -> None:
    monkeypatch.setattr("sys.argv", ["run.py", "--peers", "nowhere", *given])
    with pytest.raises(SystemExit) as stop:
        run["main"]()
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
