"""`bert` beside `blend`: time of one prediction at 200 words, and Brier score on held-out groups.

    OMP_NUM_THREADS=1 python benchmarks/bert.py OUTCOMES.parquet --base FOLDER [--prompts 1200]

Needs the extras `bert` and `parquet`. Both are fitted on the same prompts of the part `train`; a fifth of the
groups is held out of both. Times are CPU times of one thread, interleaved, as ratios to `blend`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from decision import prompts

from turnout.artifacts.opening import open_router
from turnout.data.groups import group_folds, near_duplicate_groups
from turnout.data.table import OutcomeTable, build_table
from turnout.evaluation.intervals import Resampler, percentile_interval
from turnout.training.bert import train_bert
from turnout.training.fit import fit_router
from turnout.types import Candidate, Outcome, Query


def read(file: Path, most: int, models: int) -> OutcomeTable:
    """Random prompts of the part `train`, and the models with most outcomes."""
    rows = pq.read_table(file).to_pylist()
    rows = [r for r in rows if r["role"] == "train"]
    names, counts = np.unique([r["model"] for r in rows], return_counts=True)
    kept = set(names[np.argsort(-counts, kind="stable")[:models]])
    order = np.unique([r["prompt"] for r in rows])
    chosen = set(np.random.default_rng(0).permutation(order)[:most])
    return build_table(
        Outcome(prompt=r["prompt"], model=r["model"], score=r["score"], group=str(r["group"]))
        for r in rows
        if r["prompt"] in chosen and r["model"] in kept
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="bert beside blend.")
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("--base", required=True)
    parser.add_argument("--prompts", type=int, default=1200)
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--n", type=int, default=300)
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = read(args.outcomes, args.prompts, args.models)
    groups = near_duplicate_groups(table.prompts, known=[str(g) for g in table.groups])
    held = group_folds(groups, 5, seed=0) == 0
    seen, late = table.rows(~held), table.rows(held)
    started = time.perf_counter()
    bert = train_bert(
        seen,
        base=args.base,
        epochs=args.epochs,
        layers=args.layers,
        tokens=args.tokens,
        progress=lambda text: print("  ", text, flush=True),
    )
    seconds = time.perf_counter() - started
    pool = [Candidate(name=name) for name in table.models]
    with tempfile.TemporaryDirectory() as scratch:
        routers = {}
        for name, fitted in {"bert": bert, "blend": fit_router("blend", seen)}.items():
            fitted.write(Path(scratch, name))
            routers[name] = open_router(name, artifact=Path(scratch, name))
    known = np.isfinite(late.score)
    queries = [Query.of(p) for p in late.prompts]
    error = {
        name: np.where(known, (router.predict(queries, pool).quality - late.score) ** 2, 0.0)
        for name, router in routers.items()
    }
    error["means"] = np.where(known, (np.nanmean(seen.score, axis=0) - late.score) ** 2, 0.0)
    draws = Resampler(groups[held], 1000, 0)
    found: dict[str, object] = {"held_out_prompts": int(held.sum()), "bert_fit_s": round(seconds)}
    for other in ("blend", "means"):
        gap = (error["bert"] - error[other]).sum(axis=1)
        sums = np.stack([gap, known.sum(axis=1)], axis=1).astype(np.float64)
        mean = draws.means(sums)
        low_high = percentile_interval(gap.sum() / known.sum(), mean[:, 0] / mean[:, 1])
        found[f"brier_minus_{other}"] = [
            round(float(v), 4) for v in (gap.sum() / known.sum(), low_high.low, low_high.high)
        ]
    found["brier"] = {k: round(float(v.sum() / known.sum()), 4) for k, v in error.items()}
    found["model_megabytes"] = round(len(bert.files["model.onnx"]) / 1e6, 1)
    times: dict[str, list[float]] = {name: [] for name in routers}
    for text in prompts(200, args.n):
        for name, router in routers.items():
            start = time.thread_time_ns()
            router.predict([Query.of(text)], pool)
            times[name].append((time.thread_time_ns() - start) / 1e6)
    for name, took in times.items():
        found[f"{name}_ms"] = {
            f"p{q}": round(float(np.quantile(took, q / 100)), 2) for q in (50, 99)
        }
    found["ratio_p50"] = round(float(np.median(times["bert"]) / np.median(times["blend"])), 1)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
