"""How soon the strong-share alarm finds a key whose prompts are made to look hard, and how often it errs.

    python benchmarks/strong_share.py [--keys 500] [--requests 2000] [--seed 0]

Simulated keys: each request goes to the strong model by a draw of its own. What is to be expected is 25%,
either as a calibration says, or as the share of twenty other keys of 25% whose requests come in between.
Delays are counted in the key's own requests from the start of the attack; their medians have 95% intervals
by order statistics, shares of keys have those of Clopper and Pearson.
"""

from __future__ import annotations

import argparse
import math
import tracemalloc

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.bounds import clopper_pearson
from turnout.calibration.upgrades import OthersShare, UpgradeAlarm
from turnout.settings import AlarmSettings

EXPECTED = 0.25
ALPHA = AlarmSettings().false_alarm
SHARES = (1.0, 0.89, 0.6, 0.4)
OTHERS = 20
NEVER = 10**9


def delay(hits: NDArray[np.bool_], before: int, *, alpha: float = ALPHA) -> int:
    """Requests from the start of the attack to the alarm, against a calibrated share.

    Args:
        hits: (n,) which requests went to the strong model.
        before: how many of them came before the attack.
        alpha: bound on false alarms.
    """
    alarm = UpgradeAlarm(alpha)
    for i, hit in enumerate(hits, start=1):
        if alarm.see(bool(hit), EXPECTED):
            return i - before
    return NEVER


def delay_among_others(hits: NDArray[np.bool_], others: OthersShare, alpha: float = ALPHA) -> int:
    """The same against the share of others, as they were when the attack began."""
    alarm, reference = UpgradeAlarm(alpha), others.high("attacker") or 1.0
    for i, hit in enumerate(hits, start=1):
        if alarm.see(bool(hit), reference):
            return i
    return NEVER


def traffic(rng: np.random.Generator, requests: int) -> OthersShare:
    """What ordinary keys did of late."""
    others = OthersShare()
    for i, hit in enumerate(rng.random(requests) < EXPECTED):
        others.see(f"key {i % OTHERS}", bool(hit))
    return others


def false_alarms_among(rng: np.random.Generator, keys: int, requests: int, alpha: float) -> int:
    """Keys that alarm though all are alike, in groups of twenty that are each other's reference."""
    raised = 0
    for _ in range(keys // OTHERS):
        others, alarms = OthersShare(), [UpgradeAlarm(alpha) for _ in range(OTHERS)]
        over: set[int] = set()
        for hits in rng.random((requests, OTHERS)) < EXPECTED:
            for i, hit in enumerate(hits):
                reference = others.high(str(i))
                others.see(str(i), bool(hit))
                if reference is not None and alarms[i].see(bool(hit), reference):
                    over.add(i)
        raised += len(over)
    return raised


def median_of(delays: list[int]) -> str:
    """The median with its 95% interval by order statistics."""
    ordered, n = sorted(delays), len(delays)
    width = 1.96 * math.sqrt(n) / 2
    low, high = ordered[int(n / 2 - width)], ordered[min(n - 1, math.ceil(n / 2 + width))]
    return f"{_shown(ordered[n // 2])} ({_shown(low)} to {_shown(high)})"


def _shown(requests: int) -> str:
    return "never" if requests == NEVER else f"{requests:,}"


def detection(rng: np.random.Generator, keys: int, requests: int) -> list[str]:
    """Rows of the first table."""
    rows = []
    for share in SHARES:
        cases = {
            "calibrated": [delay(rng.random(requests) < share, 0) for _ in range(keys)],
            "after 1,000 ordinary requests": [
                delay(np.append(rng.random(1000) < EXPECTED, rng.random(requests) < share), 1000)
                for _ in range(keys)
            ],
            "as the others' share": [
                delay_among_others(rng.random(requests) < share, traffic(rng, 5000))
                for _ in range(keys // 5)
            ],
        }
        for name, found in cases.items():
            late = _shown(sorted(found)[int(0.95 * len(found))])
            hit = sum(d != NEVER for d in found) / len(found)
            rows.append(f"| {share:.0%} | {name} | {median_of(found)} | {late} | {hit:.1%} |")
    return rows


def errors(rng: np.random.Generator, keys: int, requests: int) -> list[str]:
    """Rows of the second table."""
    rows = []
    for alpha in (ALPHA, 0.01):
        alone = sum(
            delay(rng.random(requests) < EXPECTED, 0, alpha=alpha) != NEVER for _ in range(keys)
        )
        among = false_alarms_among(rng, keys // 2, requests, alpha)
        for name, raised, n in (
            ("calibrated", alone, keys),
            ("as the others' share", among, keys // 2 // OTHERS * OTHERS),
        ):
            low, high = clopper_pearson(raised, n, level=0.95)
            rows.append(f"| {alpha:g} | {name} | {raised} of {n} | {low:.2%} to {high:.2%} |")
    return rows


def bytes_of_a_key(count: int = 2000) -> float:
    """Of memory, by adding many."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = {f"key_{i:016x}": UpgradeAlarm(ALPHA) for i in range(count)}
    for alarm in kept.values():
        alarm.see(True, EXPECTED)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / len(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description="The strong-share alarm on simulated keys.")
    parser.add_argument("--keys", type=int, default=500)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print(f"{args.keys} keys, {args.requests} requests each, {EXPECTED:.0%} to be expected\n")
    print("| share of strong calls | against | median requests to the alarm | 95% within | found |")
    print("| --- | --- | --- | --- | --- |")
    print("\n".join(detection(rng, args.keys, args.requests)))
    print("\n| bound | against | keys with a false alarm | 95% interval |")
    print("| --- | --- | --- | --- |")
    print("\n".join(errors(rng, args.keys, args.requests)))
    print(f"\na key takes {bytes_of_a_key():.0f} bytes")


if __name__ == "__main__":
    main()
