"""Few labels of your own: `turnout train universal` beside `turnout train blend`, by source.

    python benchmarks/own_outcomes.py --data folder [--draws 3]

The folder is that of `benchmarks/quality.py`. For each source the space is fitted on the train rows of
all other sources, so that it has not seen one prompt of this one. Labels are drawn from the source by
whole groups; both routers are fitted on the same labels and reported on all groups that were not
drawn. Intervals are 95%, by a bootstrap over groups, of errors averaged over the draws of labels.
"""

# ruff: noqa: E402 - threads and the path must be set before the imports

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from build_pretrained import prepare
from pretrained.keyed import Keyed, entry_scores
from pretrained.outcomes import Cells
from pretrained.universal import fit_factors, fit_rows, fit_space

from turnout.encoders.opening import open_encoder
from turnout.routers.inputs import RawRows
from turnout.routers.space import ModelSpace
from turnout.training.fit import fit_parts
from turnout.training.stacked import stack

SIZES = (50, 100, 300, 1500)
LEAST_COVER = 0.2
"""Of the drawn labels: models that were run on fewer are left out."""
LEAST_REST = 50
REPLICATES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--only", help="sources, with commas between")
    args = parser.parse_args()
    cells = prepare(args.data)[0]
    raw, score = RawRows.of(open_encoder(), cells.prompts, mend=False), entry_scores(cells)
    print(
        "| source | labels | models | Brier: means | blend | universal | universal - blend | "
        "chosen model's score: blend | universal - blend | share of the head |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    names = np.unique(cells.outcome_set).tolist()
    for name in args.only.split(",") if args.only else names:
        mine = cells.outcome_set == name
        factors, space = without(cells, raw, np.where(mine[:, None], np.nan, score), ~mine)
        rows = np.flatnonzero(mine)
        for size in SIZES:
            found = [
                one_draw(cells, raw, score, rows, factors, space, size, seed)
                for seed in range(args.draws)
            ]
            if all(part is not None for part in found):
                show(name, size, cells.group[rows], [part for part in found if part is not None])


def without(
    cells: Cells, raw: RawRows, score: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, ModelSpace]:
    """(n, K) factors of all prompts, and the prior, by a fit on the other sources' train rows."""
    use = cells.train & others
    made = fit_rows(raw, use, alter=False)
    factors = fit_factors(made.rows, score, use).of_rows(made.rows)
    return factors, fit_space(factors, score, use, Keyed(names=(), basis=(), entries=()))


def one_draw(
    cells: Cells,
    raw: RawRows,
    score: np.ndarray,
    rows: np.ndarray,
    factors: np.ndarray,
    space: ModelSpace,
    size: int,
    seed: int,
) -> dict[str, np.ndarray] | None:
    """(r,) sums by prompt of the source, 0 for those that were drawn; None where too few are left."""
    _, group = np.unique(cells.group[rows], return_inverse=True)
    order = np.random.default_rng(seed).permutation(group.max() + 1)
    ends = np.cumsum(np.bincount(group)[order])
    drawn = np.isin(group, order[: int(np.searchsorted(ends, size)) + 1])
    if (~drawn).sum() < LEAST_REST:
        return None
    entries = np.flatnonzero(cells.entry_set == cells.outcome_set[rows[0]])
    cover = np.isfinite(score[np.ix_(rows[drawn], entries)]).mean(axis=0)
    y = score[np.ix_(rows, entries[cover >= LEAST_COVER])]
    label = np.unique(group[drawn], return_inverse=True)[1].astype(np.intp)
    parts = fit_parts("blend", raw.take(rows[drawn]), y[drawn], label)
    both = stack(parts, factors[rows[drawn]], y[drawn], label, space)
    rest = rows[~drawn]
    head = parts.platt.apply(parts.head.predict(parts.inputs.of_raw(raw.take(rest))))
    told = {
        "means": np.broadcast_to(np.nanmean(y[drawn], axis=0), head.shape),
        "blend": head,
        "universal": both.quality(head, factors[rest]),
    }
    seen = np.isfinite(y[~drawn])
    found = {name: np.zeros(len(rows)) for name in (*told, "cells")}
    found["cells"][~drawn] = seen.sum(axis=1)
    for name, quality in told.items():
        off = np.where(seen, quality - np.nan_to_num(y[~drawn]), 0.0)
        found[name][~drawn] = (off**2).sum(axis=1)
        at = np.where(seen, quality, -1.0).argmax(axis=1)
        found[f"{name} routed"] = np.zeros(len(rows))
        found[f"{name} routed"][~drawn] = np.nan_to_num(y[~drawn])[np.arange(len(rest)), at]
    found["held"] = (~drawn).astype(float)
    found["share"], found["models"] = np.asarray(both.share), np.asarray(y.shape[1])
    return found


def show(name: str, size: int, groups: np.ndarray, draws: list[dict[str, np.ndarray]]) -> None:
    """One row: errors summed over draws, resampled by groups."""
    sums = {key: np.sum([d[key] for d in draws], axis=0) for key in draws[0]}
    _, code = np.unique(groups, return_inverse=True)
    keys = ("means", "blend", "universal", "cells", "blend routed", "universal routed", "held")
    table = np.stack([np.bincount(code, sums[key]) for key in keys], axis=1)
    rng = np.random.default_rng(0)
    weight = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), REPLICATES)

    def figures(s: np.ndarray) -> np.ndarray:
        brier, routed = s[:, :3] / s[:, 3:4], s[:, 4:6] / s[:, 6:7]
        return np.column_stack([brier, brier[:, 2] - brier[:, 1], routed[:, 0], np.diff(routed)])

    value = figures(table.sum(axis=0, keepdims=True))[0]
    low, high = np.percentile(figures(weight @ table), [2.5, 97.5], axis=0)
    models, share = (np.mean([d[key] for d in draws]) for key in ("models", "share"))
    print(
        f"| {name} | {size} | {models:.0f} | {value[0]:.4f} | {value[1]:.4f} | {value[2]:.4f} | "
        f"{value[3]:+.4f} [{low[3]:+.4f} {high[3]:+.4f}] | {value[4]:.3f} | "
        f"{value[5]:+.3f} [{low[5]:+.3f} {high[5]:+.3f}] | {share:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
