"""Time to re-rank stored decisions at new prices, beside deciding anew: ratios, not absolute times.

    python benchmarks/replay.py [--rows 1000000] [--live 2000] [--router blend]

A million rows are made of the predictions of a few thousand real prompts, repeated with noise. `replay`
reads the folder, sets a price and decides at one threshold; each further threshold is timed apart.
`live` is the same router deciding anew in batches, per row. CPU time of one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from decision import prompts

from turnout import Candidate, Engine, Pool, Price, Query, open_router
from turnout.evaluation.replay import Replay
from turnout.evaluation.replay_folder import load, predict, save
from turnout.evaluation.replay_predictions import StoredPredictions
from turnout.names import RouteSpec

POOLS = {
    "two models": ("gpt-4o", "gpt-4o-mini"),
    "three models": ("gpt-4o", "gpt-4.1-mini", "gpt-4o-mini"),
}
PRICES = {"gpt-4o": (2.5, 10.0), "gpt-4.1-mini": (0.4, 1.6), "gpt-4o-mini": (0.15, 0.6)}
BATCH = 512


def enlarged(stored: StoredPredictions, rows: int, seed: int = 0) -> StoredPredictions:
    """The same predictions, repeated with a little noise."""
    rng = np.random.default_rng(seed)
    at = rng.integers(stored.n, size=rows)
    noise = rng.normal(0.0, 0.02, (rows, len(stored.names))).astype(np.float32)
    ids = rng.integers(256, size=(rows, 16), dtype=np.uint8)
    return replace(
        stored,
        quality=np.clip(stored.quality[at] + noise, 0.0, 1.0),
        input_tokens=stored.input_tokens[at],
        output_tokens=stored.output_tokens[at],
        out=stored.out[at],
        spread=None,
        prompt_ids=ids,
        groups=np.arange(rows),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--live", type=int, default=2_000)
    parser.add_argument("--router", default="blend")
    options = parser.parse_args()
    router = open_router(options.router)
    queries = [Query.of(text) for text in prompts(150, options.live)]
    print(
        f"Deciding {options.rows:,} stored predictions of {options.router} again, CPU s of one thread\n"
    )
    columns = (
        "pool",
        "read",
        "new prices",
        "threshold",
        "bytes a row",
        "live us a row",
        "times less",
    )
    print(("{:14}" + "{:>14}" * 6).format(*columns))
    for label, names in POOLS.items():
        candidates = tuple(
            Candidate(name=name, price=Price.per_million(*PRICES[name])) for name in names
        )
        engine = Engine(Pool(candidates=candidates, default=names[0]), {options.router: router})
        spec = RouteSpec(options.router, 0.55)
        engine.decide_many(queries[:BATCH], spec)  # what is read once is not timed
        start = time.process_time()
        for i in range(0, len(queries), BATCH):
            engine.decide_many(queries[i : i + BATCH], spec)
        live_us = (time.process_time() - start) / len(queries) * 1e6
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "kept")
            save(enlarged(predict(router, queries, candidates), options.rows), folder)
            size = sum(file.stat().st_size for file in folder.iterdir())
            start = time.process_time()
            stored = load(folder)
            loaded = time.process_time()
            replay = Replay(stored, prices={names[0]: Price.per_million(1.0, 4.0)})
            replay.decide(0.55)
            first = time.process_time()
            for threshold in np.linspace(0.1, 0.9, 5):
                replay.decide(float(threshold))
            further = (time.process_time() - first) / 5
        whole_us = (first - start) / options.rows * 1e6
        times = f"{loaded - start:14.3f}{first - loaded:14.3f}{further:14.3f}"
        print(
            f"{label:14}{times}{size / options.rows:14.1f}{live_us:14.1f}{live_us / whole_us:14.0f}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory {peak:.0f} MB; new prices: one setting, threshold: each further one")


if __name__ == "__main__":
    main()
