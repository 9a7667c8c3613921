"""Routes by example beside semantic-router, with the same encoder, data and machine.

    python benchmarks/semantic.py --data DIR        (needs: pip install semantic-router)

DIR holds `banking77_train.csv`, `banking77_test.csv` (BANKING77) and `clinc150_full.json` (CLINC150).
Every training utterance is an example of its route; accuracy is on the test part, with a paired
bootstrap interval of the difference. Overhead is the time of a call without its encoding: all sides
are given vectors made beforehand, and take turns prompt by prompt; CPU time is of the whole process,
all threads. Out of scope (CLINC150): the in-scope accuracy left where the cut
refuses a given share of the out-of-scope test prompts; the cut is set on those prompts, for both alike.

    python benchmarks/semantic.py --data DIR --folds 3

compares the ways of matching and the head's penalties within the training parts alone, whole groups of
near-duplicates held out, without semantic-router.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np

from turnout.data.groups import group_folds, near_duplicate_groups
from turnout.encoders.opening import open_encoder
from turnout.routers import matching
from turnout.routers.index.local import NumpyIndex
from turnout.routers.routes import Action, Route, RouteFile
from turnout.routers.semantic import SemanticRouter, make_semantic

Rows = list[tuple[str, str]]


def banking(home: Path) -> tuple[Rows, Rows, list[str]]:
    def read(name: str) -> Rows:
        with (home / name).open(encoding="utf-8", newline="") as file:
            return [(row["text"], row["category"]) for row in csv.DictReader(file)]

    return read("banking77_train.csv"), read("banking77_test.csv"), []


def clinc(home: Path) -> tuple[Rows, Rows, list[str]]:
    found = json.loads((home / "clinc150_full.json").read_text(encoding="utf-8"))
    rows = {part: [(text, label) for text, label in found[part]] for part in ("train", "test")}
    return rows["train"], rows["test"], [text for text, _ in found["oos_test"]]


def grouped(rows: Rows, per_route: int | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for i in np.random.default_rng(0).permutation(len(rows)):
        text, name = rows[i]
        if text not in found.setdefault(name, []) and len(found[name]) < (per_route or len(rows)):
            found[name].append(text)
    seen: set[str] = set()
    for name, texts in found.items():  # a text that stands under two routes stays with the first
        found[name] = [t for t in texts if t not in seen]
        seen.update(texts)
    return found


class Cached:
    """An encoder that looks vectors up, so that what is timed is what comes after it."""

    def __init__(self, texts: list[str]) -> None:
        inner = open_encoder()
        self.name, self.dimension, self.fingerprint = inner.name, inner.dimension, ""
        self.rows = dict(zip(texts, inner.encode(texts), strict=True))

    def encode(self, texts):
        return np.stack([self.rows[t] for t in texts])


def peer(encoder: Cached, routes: dict[str, list[str]], aggregation: str):
    """semantic-router over its local index, asked for the scores of all routes."""
    from semantic_router import IndexedRouter
    from semantic_router import Route as PeerRoute
    from semantic_router.encoders import DenseEncoder

    class Ours(DenseEncoder):
        def __call__(self, docs):
            return [encoder.rows[d].tolist() for d in docs]

        async def acall(self, docs):
            return self(docs)

    return IndexedRouter(
        encoder=Ours(name="static-256"),
        routes=[PeerRoute(name=n, utterances=u) for n, u in routes.items()],
        aggregation=aggregation,
    )


def timed(calls: dict, texts: list[str]) -> dict[str, tuple[list, np.ndarray, np.ndarray]]:
    """Answers, and milliseconds of wall clock and of CPU, of each side in turn on each prompt."""
    answers = {who: [] for who in calls}
    times = {who: np.empty((2, len(texts))) for who in calls}
    for call in calls.values():
        for text in texts[:20]:
            call(text)
    for i, text in enumerate(texts):
        for who, call in calls.items():
            start, cpu = time.perf_counter(), time.process_time()
            answers[who].append(call(text))
            spent = time.perf_counter() - start, time.process_time() - cpu
            times[who][:, i] = 1e3 * np.asarray(spent)
    return {who: (answers[who], *times[who]) for who in calls}


def left_at(score: np.ndarray, right: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    found = {}
    for recall in (0.6, 0.64, 0.8):
        cut = np.quantile(outside, recall)
        found[f"{recall:.2f}"] = round(float((right & (score > cut)).mean()), 4)
    return found


def compare(name: str, load, home: Path, per_route: int | None, aggregations: list[str]) -> dict:
    train, test, outside = load(home)
    routes = grouped(train, per_route)
    texts = [t for t, _ in test]
    encoder = Cached([*{*(t for u in routes.values() for t in u), *texts, *outside}])
    file = RouteFile(
        routes=tuple(
            Route(name=n, utterances=tuple(u), action=Action(win_rate=0.5))
            for n, u in routes.items()
        ),
        none=Action(win_rate=0.5),
    )
    start = time.perf_counter()
    ours: SemanticRouter = make_semantic(file, encoder, NumpyIndex(encoder.dimension))
    fit_s = time.perf_counter() - start
    names = list(routes)
    truth = [n for _, n in test]

    def ask(text: str):
        found = ours.match(encoder.encode([text]))
        return names[int(found.route[0])], float(found.score[0])

    everything = [*texts, *outside]
    calls = {"turnout": ask}
    for aggregation in aggregations:
        made = peer(encoder, routes, aggregation)

        def ask_peer(text: str, made=made):
            found = made(text)
            return found.name, float(found.confidence or 0.0)

        calls[f"semantic-router {aggregation}"] = ask_peer
    results = timed(calls, everything)
    own = None
    n = len(texts)
    rng = np.random.default_rng(1)
    out: dict = {"utterances": len(ours.owner), "fit_s": round(fit_s, 2)}
    for who, (answers, times, cpu) in results.items():
        right = np.asarray([a == t for (a, _), t in zip(answers[:n], truth, strict=True)])
        score = np.asarray([s for _, s in answers])
        row = {
            "accuracy": round(float(right.mean()), 4),
            "p50_ms": round(float(np.median(times)), 3),
            "p99_ms": round(float(np.quantile(times, 0.99)), 3),
            "cpu_ms": round(float(cpu.mean()), 3),
        }
        if own is None:
            own = right
            ours_ms, ours_cpu = float(np.median(times)), float(cpu.mean())
        else:
            gain = own.astype(float) - right
            draws = [gain[rng.integers(n, size=n)].mean() for _ in range(1000)]
            low, high = np.quantile(draws, [0.025, 0.975])
            row["turnout_gains"] = [round(float(x), 4) for x in (gain.mean(), low, high)]
            row["times_turnout"] = round(float(np.median(times)) / ours_ms, 1)
            row["cpu_times_turnout"] = round(float(cpu.mean()) / ours_cpu, 1)
        if outside:
            row["in_scope_accuracy_at_refused"] = left_at(score[:n], right, score[n:])
        out[who] = row
        print(name, "all" if per_route is None else per_route, who, row, flush=True)
    return out


def choose(name: str, load, home: Path, folds: int) -> dict:
    """Accuracy of ways and penalties out of fold, with half the width of its 95% interval."""
    routes = grouped(load(home)[0], None)
    texts = [t for u in routes.values() for t in u]
    owner = np.repeat(np.arange(len(routes)), [len(u) for u in routes.values()])
    x = open_encoder().encode(texts)
    fold = group_folds(near_duplicate_groups(texts), folds, seed=0)
    ways = {f"logistic, penalty {p:g}": (fitted_with, p) for p in (1e-5, 1e-4, 1e-3)}
    ways |= {way: (matching.MATCHERS[way], None) for way in ("centroid", "mean", "max")}
    out = {}
    for way, (make, penalty) in ways.items():
        right = np.zeros(len(texts))
        for f in range(folds):
            held = fold == f
            given = () if penalty is None else (penalty,)
            scorer = make(x[~held], owner[~held], len(routes), *given)
            right[held] = scorer(x[held]).argmax(axis=1) == owner[held]
        half = 1.96 * right.std() / len(right) ** 0.5
        out[way] = [round(float(right.mean()), 4), round(float(half), 4)]
        print(name, way, out[way], flush=True)
    return out


def fitted_with(x, owner, routes: int, penalty: float):
    kept, matching.PENALTY = matching.PENALTY, penalty
    try:
        return matching.logistic(x, owner, routes)
    finally:
        matching.PENALTY = kept


def main() -> None:
    parser = argparse.ArgumentParser(description="Routes by example beside semantic-router.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--per-route", type=int, help="Examples of each route; default: all.")
    parser.add_argument("--aggregation", nargs="+", default=["mean", "max"])
    parser.add_argument("--folds", type=int, help="Choose within the training parts, in folds.")
    args = parser.parse_args()
    found = {
        name: choose(name, load, args.data, args.folds)
        if args.folds
        else compare(name, load, args.data, args.per_route, args.aggregation)
        for name, load in (("BANKING77", banking), ("CLINC150", clinc))
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
