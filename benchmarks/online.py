"""Learning while serving, replayed on real outcomes: does it pay, exploration counted?

    python benchmarks/online.py --data folder [--set LLMRouter-9] [--seeds 4] [--drift]

The folder holds `outcomes/*.parquet`; the prompts of role train that all models answered. A fifth (by
whole groups of near-duplicates) is fitted on with all scores: that is the offline prior. The rest streams by
in random order, and a router sees the score of the model that it called and no other. Every seed draws
another fifth and another order. With `--drift`, from the middle of the stream on, the model that was best
offline answers as the worst does, and the worst as the best. Rewards are those of all requests, explored
ones too; regret is what the best model of each prompt had scored more (the oracle's, which no router can
reach: one sample of a score is partly luck). Nothing is chosen here: all settings are the defaults.
Intervals are 95%, by a bootstrap that draws groups and seeds anew, each on its own (Owen 2007).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from quality import complete, read

from turnout import Candidate, Query, open_router
from turnout.data.groups import group_holdout, near_duplicate_groups
from turnout.data.table import OutcomeTable
from turnout.evaluation.intervals import Resampler, percentile_interval
from turnout.policies.explore import DRAWS, Explore, How
from turnout.routers.base import Samples
from turnout.routers.learning import LearningRouter
from turnout.training.fit import fit_router
from turnout.types import Outcome

SETS = {"LLMRouter-9": "llmrouter_uiuc", "RouterBench": "routerbench", "MMLU-Pro": "mmlu_pro"}
BASE = "blend"
OFFLINE, BLOCK, REPLICATES, SHARE = 0.2, 20, 1000, 0.05
Array = NDArray[np.float64]
Choice = Callable[[Query, np.ndarray], int]


@dataclass(frozen=True)
class Way:
    """A router that learns, and how it comes by outcomes of models that it does not prefer."""

    router: str
    how: Literal["greedy", "always"] | How
    """The best predicted model; a draw of the router's samples at every request; or what the policy
    `explore` does on a share of requests."""
    options: dict[str, Any] = field(default_factory=dict)


WAYS = {
    "knn_live": Way("knn_live", "greedy"),
    "knn_live, explore 5% uniform": Way("knn_live", "uniform"),
    "bandit": Way("bandit", "greedy"),
    "bandit, explore 5% uniform": Way("bandit", "uniform"),
    "bandit, explore 5% Thompson": Way("bandit", "samples"),
    "bandit, explore 5% LinUCB": Way("bandit", "samples", {"mode": "linucb"}),
    "bandit, Thompson at every request": Way("bandit", "always"),
    "bandit, LinUCB at every request": Way("bandit", "always", {"mode": "linucb"}),
}
ORACLE, RANDOM, SINGLE, STATIC = "oracle", "random", "best single (offline)", f"{BASE}, static"


def main() -> None:
    parser = argparse.ArgumentParser(description="Replay of learning while serving.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, default="LLMRouter-9")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--prompts", type=int, help="Use about so many prompts, by whole groups.")
    parser.add_argument("--drift", action="store_true", help="Swap best and worst in mid-stream.")
    args = parser.parse_args()
    table = complete(read(args.data / "outcomes" / f"{SETS[args.set]}.parquet", "train"))
    groups = near_duplicate_groups(table.prompts, known=[str(g) for g in table.groups])
    if args.prompts:
        kept = group_holdout(groups, args.prompts, seed=0)
        table, groups = table.rows(kept), groups[kept]
    rewards: dict[str, list[Array]] = {}
    for seed in range(args.seeds):
        for name, got in one_seed(table, groups, seed, drift=args.drift):
            rewards.setdefault(name, []).append(got)
            print(f"  seed {seed}: {name} {np.nanmean(got):.4f}", flush=True)
    print(f"\n{args.set}{', drift' if args.drift else ''}: {len(table.models)} models, ", end="")
    report(groups, {name: np.stack(got) for name, got in rewards.items()})


def one_seed(
    table: OutcomeTable, groups: NDArray[np.intp], seed: int, *, drift: bool
) -> Iterator[tuple[str, Array]]:
    """(n,) rewards by way; NaN for the prompts that were fitted on."""
    offline = group_holdout(groups, round(OFFLINE * len(groups)), seed=seed)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~offline))
    means = table.score[offline].mean(axis=0)
    single, worst = int(means.argmax()), int(means.argmin())
    score = table.score[order].astype(np.float64)
    if drift:
        late = np.arange(len(order) // 2, len(order))[:, None]
        score[late, [single, worst]] = score[late, [worst, single]]
    pool = [Candidate(name=name) for name in table.models]
    queries = [Query.of(table.prompts[i]) for i in order]

    def placed(got: Array) -> Array:
        found = np.full(len(groups), np.nan)
        found[order] = got
        return found

    def of(picked: NDArray[np.intp]) -> Array:
        return placed(score[np.arange(len(order)), picked])

    with tempfile.TemporaryDirectory() as folder:
        fit_router(BASE, table.rows(offline), seed=seed).write(Path(folder) / BASE)
        base = open_router(BASE, artifact=Path(folder) / BASE)
        yield ORACLE, placed(score.max(axis=1))
        yield RANDOM, placed(score.mean(axis=1))
        yield SINGLE, placed(score[:, single])
        yield STATIC, of(base.predict(queries, pool).quality.argmax(axis=1))
        for name, way in WAYS.items():
            router = open_router(way.router, artifact=Path(folder) / BASE, options=way.options)
            assert isinstance(router, LearningRouter)
            yield (
                name,
                of(stream(router, chooser(router, way.how, pool, seed), queries, pool, score)),
            )


def stream(
    router: LearningRouter,
    choose: Choice,
    queries: list[Query],
    pool: list[Candidate],
    score: Array,
) -> NDArray[np.intp]:
    """(n,) models called; outcomes come back after every block of requests."""
    picked = np.empty(len(queries), dtype=np.intp)
    for start in range(0, len(queries), BLOCK):
        block = range(start, min(start + BLOCK, len(queries)))
        quality = router.predict([queries[i] for i in block], pool).quality
        for i, row in zip(block, quality, strict=True):
            picked[i] = choose(queries[i], row)
        outcomes = [
            Outcome(
                prompt=queries[i].text, model=pool[picked[i]].name, score=float(score[i, picked[i]])
            )
            for i in block
        ]
        router.partial_fit(outcomes)
    return picked


def chooser(router: LearningRouter, how: str, pool: list[Candidate], seed: int) -> Choice:
    """The model to call for a query and its (m,) predicted quality."""
    if how == "greedy":
        return lambda _, quality: int(quality.argmax())
    rng, unknown = np.random.default_rng(seed), np.full(len(pool), np.nan)
    if how == "always":
        assert isinstance(router, Samples)
        return lambda query, quality: int(router.samples(query, pool, quality, rng, 1).argmax())
    explore = Explore(share=SHARE, how="samples" if how == "samples" else "uniform", seed=seed)

    def choose(query: Query, quality: np.ndarray) -> int:
        draws = None
        if how == "samples" and isinstance(router, Samples):
            draws = router.samples(query, pool, quality, explore.child_rng(), DRAWS)
        return explore.choose(int(quality.argmax()), unknown, draws)[0]

    return choose


def report(groups: NDArray[np.intp], rewards: dict[str, Array]) -> None:
    """Print mean rewards, regret and paired differences of (seeds, n) rewards."""
    streamed = np.isfinite(rewards[STATIC]).sum(axis=1)
    seeds, n = rewards[STATIC].shape
    print(
        f"{n} prompts in {len(np.unique(groups))} groups, of which {streamed.min()} to "
        f"{streamed.max()} stream by; {seeds} seeds\n"
    )
    print("| way | reward | regret | less `blend`, static | less best single | by seed |")
    print("|---|---|---|---|---|---|")
    for name, got in rewards.items():
        cells = [spanned(groups, got, "")]
        for other, sign in ((ORACLE, ""), (STATIC, "+"), (SINGLE, "+")):
            gap = rewards[ORACLE] - got if other == ORACLE else got - rewards[other]
            cells.append("" if name == other else spanned(groups, gap, sign))
        each = " ".join(f"{value:.4f}" for value in np.nanmean(got, axis=1))
        print(f"| {name} | {' | '.join(cells)} | {each} |")


def spanned(groups: NDArray[np.intp], values: Array, sign: str) -> str:
    """The mean of (seeds, n) values with its interval over groups and seeds."""
    seen = np.isfinite(values)
    # A prompt counts as often as it was streamed: a ratio of two sums over groups and seeds.
    sums = np.concatenate([np.where(seen, values, 0.0), seen.astype(np.float64)])
    by_seed = Resampler(groups, REPLICATES, 0).means(sums.T).reshape(REPLICATES, 2, len(values))
    drawn = np.random.default_rng(1).integers(len(values), size=(REPLICATES, 1, len(values)))
    total = np.take_along_axis(by_seed, np.broadcast_to(drawn, by_seed.shape), axis=2).sum(axis=2)
    span = percentile_interval(float(values[seen].mean()), total[:, 0] / total[:, 1])
    return f"{span.value:{sign}.3f} [{span.low:{sign}.3f} {span.high:{sign}.3f}]"


if __name__ == "__main__":
    main()
