"""Learning while serving, replayed on LLMRouter-9: does it pay, exploration counted?

    python benchmarks/online.py --data folder [--seeds 3] [--prompts 1500] [--drift]

The folder holds `outcomes/llmrouter_uiuc.parquet`; role train alone, nine models. A fifth (by whole
groups) is fitted on with all scores; the rest streams by in random order, and a router sees the
score of the model that it called and no other. Every seed draws another fifth and another order.
With `--drift`, from the middle of the stream on, the model that was best offline answers as the worst
does, and the worst as the best. Rewards are those of all requests, explored ones too. Intervals are 95%, by a bootstrap over groups.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from quality import complete, read

from turnout import Candidate, Query
from turnout.artifacts.opening import open_parts
from turnout.data.groups import group_holdout
from turnout.data.table import OutcomeTable
from turnout.evaluation.intervals import Resampler, percentile_interval
from turnout.policies.explore import Explore
from turnout.routers.base import Samples
from turnout.routers.learning import LearningRouter
from turnout.training.fit import Fitted, _groups, fit_router
from turnout.types import Outcome

OFFLINE, BLOCK, REPLICATES = 0.2, 20, 1000
SHARES = (0.0, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description="Replay of learning while serving.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--prompts", type=int, help="Use about so many prompts, by whole groups.")
    parser.add_argument("--drift", action="store_true", help="Swap best and worst in mid-stream.")
    args = parser.parse_args()
    table = complete(read(args.data / "outcomes" / "llmrouter_uiuc.parquet", "train"))
    groups = _groups(table)
    if args.prompts:
        kept = group_holdout(groups, args.prompts, seed=0)
        table, groups = table.rows(kept), groups[kept]
    rewards: dict[str, list[np.ndarray]] = {}
    for seed in range(args.seeds):
        for name, got in one_seed(table, groups, seed, drift=args.drift).items():
            rewards.setdefault(name, []).append(got)
            print(f"  seed {seed}: {name} {np.nanmean(got):.4f}", flush=True)
    report(groups, {name: np.stack(got) for name, got in rewards.items()})


def one_seed(
    table: OutcomeTable, groups: np.ndarray, seed: int, *, drift: bool = False
) -> dict[str, np.ndarray]:
    """(n,) rewards by way; NaN for the prompts that were fitted on."""
    offline = group_holdout(groups, round(OFFLINE * len(groups)), seed=seed)
    made = {name: fit_router(name, table.rows(offline), seed=seed) for name in ("knn", "blend")}
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~offline))
    score = table.score.astype(np.float64)
    single = int(score[offline].mean(axis=0).argmax())
    if drift:
        worst, late = int(score[offline].mean(axis=0).argmin()), order[len(order) // 2 :]
        score[late[:, None], [single, worst]] = score[late[:, None], [worst, single]]
    pool = [Candidate(name=name) for name in table.models]
    queries = [Query.of(table.prompts[i]) for i in order]

    def kept(picked: np.ndarray) -> np.ndarray:
        got = np.full(len(groups), np.nan)
        got[order] = score[order, picked]
        return got

    found = {"best single (offline)": kept(np.full(len(order), single))}
    for name, fitted in made.items():
        found[f"{name}, static"] = kept(fitted.open().predict(queries, pool).quality.argmax(axis=1))
    for base, fitted in made.items():
        for name in ("knn_live", "bandit"):
            for share in SHARES:
                router = opened(name, fitted)
                picked = stream(router, queries, pool, score[order], share, seed)
                found[f"{name} over {base}, exploring {share:.0%}"] = kept(picked)
    return found


def opened(name: str, fitted: Fitted) -> LearningRouter:
    """A router that learns, over what was fitted offline."""
    router = open_parts(name, fitted.manifest, fitted.arrays)
    assert isinstance(router, LearningRouter)
    return router


def stream(
    router: LearningRouter,
    queries: list[Query],
    pool: list[Candidate],
    score: np.ndarray,
    share: float,
    seed: int,
) -> np.ndarray:
    """(n,) models called; outcomes come back after every block of requests."""
    choose = chooser(router, pool, share, seed)
    picked = np.empty(len(queries), dtype=np.intp)
    for start in range(0, len(queries), BLOCK):
        block = range(start, min(start + BLOCK, len(queries)))
        quality = router.predict([queries[i] for i in block], pool).quality
        for i, row in zip(block, quality, strict=True):
            picked[i] = choose(queries[i], row)
        router.partial_fit(
            [
                Outcome(
                    prompt=queries[i].text,
                    model=pool[picked[i]].name,
                    score=float(score[i, picked[i]]),
                )
                for i in block
            ]
        )
    return picked


def chooser(
    router: LearningRouter, pool: list[Candidate], share: float, seed: int
) -> Callable[[Query, np.ndarray], int]:
    """The best predicted model; on a share of requests as the policy `explore` says."""
    if share == 0.0:
        return lambda _, quality: int(quality.argmax())
    sampled = isinstance(router, Samples)
    explore = Explore(share=share, how="samples" if sampled else "uniform", seed=seed)
    unknown = np.full(len(pool), np.nan)

    def choose(query: Query, quality: np.ndarray) -> int:
        draws = None
        if isinstance(router, Samples):
            draws = router.samples(query, pool, quality, explore.child_rng(), 64)
        return explore.choose(int(quality.argmax()), unknown, draws)[0]

    return choose


def report(groups: np.ndarray, rewards: dict[str, np.ndarray]) -> None:
    """Print mean rewards and paired differences of (seeds, n) rewards."""
    resampler = Resampler(groups, REPLICATES, 0)

    def spanned(values: np.ndarray) -> str:
        seen = np.isfinite(values)
        # A prompt counts as often as it was streamed: a ratio of two means.
        sums = np.stack([np.where(seen, values, 0.0).sum(axis=0), seen.sum(axis=0)], axis=1)
        draws = resampler.means(sums.astype(np.float64))
        span = percentile_interval(float(values[seen].mean()), draws[:, 0] / draws[:, 1])
        return f"{span.value:+.4f} [{span.low:+.4f} {span.high:+.4f}]"

    seeds, n = next(iter(rewards.values())).shape
    streamed = int(np.isfinite(rewards["blend, static"][0]).sum())
    print(f"\n{n} prompts, of which {streamed} stream by; {seeds} seeds\n")
    print("| way | mean reward | less blend, static | less knn, static | by seed |")
    print("|---|---|---|---|---|")
    for name, got in rewards.items():
        gaps = [spanned(got - rewards[f"{base}, static"]) for base in ("blend", "knn")]
        each = " ".join(f"{value:.4f}" for value in np.nanmean(got, axis=1))
        print(f"| {name} | {np.nanmean(got):.4f} | {gaps[0]} | {gaps[1]} | {each} |")


if __name__ == "__main__":
    main()
