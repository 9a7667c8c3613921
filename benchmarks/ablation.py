"""What each member of a mixture is worth on LLMRouter-9: leave one out, by grouped cross-validation.

    python benchmarks/ablation.py --data folder [--prompts 1500]

The folder holds `outcomes/llmrouter_uiuc.parquet`. Role train alone, the nine models with full cover.
Every prediction is out of fold (five folds of whole groups of near-duplicates), and so are the
weights. Differences to the whole mixture are paired; intervals are 95%, by a bootstrap over groups.
`universal` is no member here: it was fitted on these outcomes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from quality import complete, read

from turnout.data.groups import group_folds, group_holdout
from turnout.data.table import OutcomeTable
from turnout.evaluation.intervals import Resampler, percentile_interval
from turnout.routers.platt import Platt
from turnout.training.fit import FOLDS, _groups
from turnout.training.members import Wanted, fit_member
from turnout.training.simplex import fit_weights

MEMBERS = ("linear", "knn", "mf", "clusters", "sw_ranking", "rules")
REPLICATES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="Leave each member of a mixture out.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prompts", type=int, help="Use about so many prompts, by whole groups.")
    parser.add_argument("--members", default=",".join(MEMBERS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    table = complete(read(args.data / "outcomes" / "llmrouter_uiuc.parquet", "train"))
    groups = _groups(table)
    if args.prompts:
        kept = group_holdout(groups, args.prompts, seed=args.seed)
        table, groups = table.rows(kept), groups[kept]
    # Strongest first, as `turnout train mixture` puts them: `rules` reads the order as strength.
    table = table.columns(
        [table.models[j] for j in np.argsort(-table.score.mean(axis=0), kind="stable")]
    )
    names = args.members.split(",")
    each = predictions(table, names, args.seed)
    report(table, groups, names, each, args.seed)


def predictions(table: OutcomeTable, names: Sequence[str], seed: int) -> np.ndarray:
    """(k, n, m) of each member, out of fold."""
    fold = group_folds(_groups(table), FOLDS, seed=seed)
    return np.stack(
        [
            fit_member(
                Wanted(name, {}),
                table,
                fold,
                encoder="static-256",
                seed=seed,
                source="LLMRouter-9 train",
                progress=lambda text: print(f"  {text}", flush=True),
                checkpoint=None,
            ).predicted
            for name in names
        ]
    )


def report(
    table: OutcomeTable, groups: np.ndarray, names: Sequence[str], each: np.ndarray, seed: int
) -> None:
    """Print the table."""
    score, n = table.score.astype(np.float64), len(table.prompts)
    fold = group_folds(_groups(table), FOLDS, seed=seed)
    resampler = Resampler(groups, REPLICATES, seed)

    def mixed(keep: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        weights, average = fit_weights(each[list(keep)], table.score, fold)
        return weights, Platt.fit(average, table.score).apply(average)

    every = list(range(len(names)))
    weights, whole = mixed(every)
    even = each.mean(axis=0)
    ways = {"even weights": Platt.fit(even, table.score).apply(even)}
    usual = [names.index(name) for name in ("knn", "mf", "clusters") if name in names]
    if len(usual) == 3:
        even = each[usual].mean(axis=0)
        ways["knn + mf + clusters, even"] = Platt.fit(even, table.score).apply(even)
    ways |= {f"without {names[i]}": mixed([j for j in every if j != i])[1] for i in every}
    ways |= {f"{name} alone": each[i] for i, name in enumerate(names)}

    def worth(quality: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                ((quality - score) ** 2).mean(axis=1),
                score[np.arange(n), quality.argmax(axis=1)],
            ],
            axis=1,
        )

    best = score[:, int(score.mean(axis=0).argmax())]
    base = worth(whole)
    print(f"\n{n} prompts, {len(np.unique(groups))} groups, {len(table.models)} models; ", end="")
    print(f"best single model {best.mean():.4f} (chosen on these prompts)")
    told = ", ".join(f"{name} {w:.3f}" for name, w in zip(names, weights, strict=True))
    print(f"weights: {told}\n")
    print("| way | Brier | less the whole | routed accuracy | less the whole |")
    print("|---|---|---|---|---|")
    print(f"| whole, fitted weights | {base[:, 0].mean():.4f} | | {base[:, 1].mean():.4f} | |")
    for name, quality in ways.items():
        found = worth(quality)
        gap = found - base
        draws = resampler.means(gap)
        cells = []
        for j in range(2):
            span = percentile_interval(float(gap[:, j].mean()), draws[:, j])
            shown = f"{span.value:+.4f} [{span.low:+.4f} {span.high:+.4f}]"
            cells += [f"{found[:, j].mean():.4f}", shown]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
