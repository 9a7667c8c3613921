"""How well 100 labelled prompts tell a new model's accuracy, by method and by source.

    python benchmarks/onboarding.py --data DIR [--count 100] [--draws 20] [--models 0]

DIR holds `outcomes/*.parquet`, one row a (prompt, model). Of every source, each model with 500
outcomes or more is held out in turn (with `family`: with every model of its name's stem, since
near-twins flatter). Anchors and item parameters come from the others alone; its accuracy is that
over all of its outcomes, the anchors among them. Printed: the mean absolute error over models, a 95%
interval from a bootstrap of models within sources, and the same error over the prompts that are no
anchors (`rest`), which is what counts where a model's traffic is much more than the set.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from turnout.calibration.anchors import balanced_anchors, d_optimal, stratified
from turnout.calibration.items import Items

Array = NDArray[np.float64]
MIN_OUTCOMES = 500
_STEMS = (
    ("llama", r"llama|athene|hermes|nemotron|chatqa|tulu"),
    ("mistral", r"mistral|mixtral|mathstral|codestral|\bwizardlm"),
    ("gpt", r"gpt|^o\d"),
    *((s, s) for s in ("claude", "gemini", "gemma", "deepseek", "command", "starcoder", "grok")),
    ("deepseek", r"dscoder|^oc-ds|r1-1776"),
    ("qwen", r"qwen|qwq"),
    *((s, rf"\b{s}") for s in ("yi", "phi", "reka", "xlam", "functionary", "firefunction")),
)


@dataclass(frozen=True)
class Source:
    name: str
    models: list[str]
    score: Array


def sources(folder: Path) -> Iterator[Source]:
    for file in sorted(folder.glob("*.parquet")):
        data = pq.read_table(file, columns=["prompt_id", "model", "score"])
        ids, rows = np.unique(data["prompt_id"].to_numpy(), return_inverse=True)
        models, columns = np.unique(data["model"].to_numpy(), return_inverse=True)
        score = np.full((len(ids), len(models)), np.nan)
        score[rows, columns] = data["score"].to_numpy()
        yield Source(file.stem, [str(m) for m in models], score)


def family(model: str) -> str:
    """The stem of a model's name, such as `llama`; the name itself where none is known."""
    name = model.lower().rpartition("/")[2]
    return next((stem for stem, sign in _STEMS if re.search(sign, name)), name)


def held_out(source: Source, column: int, hold: str) -> tuple[Array, Array] | None:
    """The model's outcomes and those of the others on the same prompts; None with too few."""
    y = source.score[:, column]
    mine = family(source.models[column])
    others: list[int] = [
        j
        for j, name in enumerate(source.models)
        if (j != column if hold == "model" else family(name) != mine)
    ]
    rows = ~np.isnan(y)
    score = source.score[rows][:, others]
    score = score[:, (~np.isnan(score)).mean(axis=0) > 0.3]
    kept = ~np.isnan(score).all(axis=1)
    return (y[rows][kept], score[kept]) if score.shape[1] >= 4 else None


def estimates(
    y: Array, at: NDArray[np.intp], mean: Array, fits: dict[str, object]
) -> dict[str, float]:
    """The accuracy by each method, from the scores at the anchors alone."""
    seen = y[at]
    x = mean[at] - mean[at].mean()
    slope = (x @ (seen - seen.mean())) / (x @ x + 1e-9)
    found = {
        "mean": seen.mean(),
        "difference": seen.mean() + mean.mean() - mean[at].mean(),
        "regression": seen.mean() + slope * (mean.mean() - mean[at].mean()),
    }
    for k in (1, 2, 4):
        items = fits[f"irt{k}"]
        assert isinstance(items, Items)
        predicted = items.predict(items.ability(at, seen))
        filled = predicted.copy()
        filled[at] = seen
        corrected = predicted.mean() + (seen - predicted[at]).mean()
        found[f"p-irt {k}d"] = filled.mean()
        found[f"corrected irt {k}d"] = corrected
        found[f"gp-irt {k}d"] = items.estimate(at, seen).accuracy
    predicted = kernel_ridge(fits["patterns"], mean, at, seen)
    filled = predicted.copy()
    filled[at] = seen
    found["kernel ridge"] = filled.mean()
    found["corrected kernel ridge"] = predicted.mean() + (seen - predicted[at]).mean()
    return found


def kernel_ridge(patterns: object, mean: Array, at: NDArray[np.intp], seen: Array) -> Array:
    """A new model as a mixture of the others: the posterior mean of a Gaussian over their patterns."""
    assert isinstance(patterns, np.ndarray)
    z = patterns[at]
    noise = 0.5 * np.maximum((patterns**2).sum(axis=1).mean(), 0.02)
    weight = np.linalg.solve(z.T @ z + noise * np.eye(z.shape[1]), z.T @ (seen - mean[at]))
    predicted: Array = np.clip(mean + patterns @ weight, 0.0, 1.0)
    return predicted


def greedy_variance(patterns: Array, count: int) -> NDArray[np.intp]:
    """Anchors that shrink the variance of the population mean most, one after the other."""
    cov, target = np.eye(patterns.shape[1]), patterns.mean(axis=0)
    noise = 0.5 * (patterns**2).sum(axis=1) + 0.02
    left, chosen = np.ones(len(patterns), bool), []
    for _ in range(count):
        moved = patterns @ cov
        variance = (moved * patterns).sum(axis=1) + noise
        best = int(np.argmax(np.where(left, (moved @ target) ** 2 / variance, -1.0)))
        chosen.append(best)
        left[best] = False
        cov = cov - np.outer(moved[best], moved[best]) / variance[best]
    return np.array(chosen)


def clusters(x: Array, count: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], Array]:
    """The row nearest to each k-means centre, and the share of its cluster (tinyBenchmarks)."""
    centres = x[rng.choice(len(x), count, replace=False)]
    for _ in range(12):
        label = _distance(x, centres).argmin(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, label, x)
        size = np.bincount(label, minlength=count)
        centres[size > 0] = sums[size > 0] / size[size > 0, None]
    distance = _distance(x, centres)
    label = distance.argmin(axis=1)
    used = np.unique(label)
    at = [np.flatnonzero(label == j)[distance[label == j, j].argmin()] for j in used]
    return np.array(at), np.array([(label == j).mean() for j in used])


def _distance(x: Array, centres: Array) -> Array:
    squared: Array = (x**2).sum(axis=1)[:, None] - 2 * x @ centres.T
    squared += (centres**2).sum(axis=1)[None]
    return squared


Row = tuple[str, float, dict[str, float]]
"""Source, prompts over those that are no anchors, and the error of each (anchors, method)."""


def errors(task: tuple[Source, int, str, int, int]) -> Row | None:
    """Mean absolute error of each (anchors, method) for one held-out model."""
    source, column, hold, count, draws = task
    parts = held_out(source, column, hold)
    if parts is None:
        return None
    y, score = parts
    rng = np.random.default_rng([0, column])
    mean = np.nanmean(score, axis=1)
    patterns = np.where(np.isnan(score), 0.0, score - mean[:, None])
    patterns /= np.sqrt(patterns.shape[1] - 1)
    fits: dict[str, object] = {f"irt{k}": Items.fit(score, dimensions=k) for k in (1, 2, 4)}
    fits["patterns"] = patterns
    items = fits["irt2"]
    assert isinstance(items, Items)
    found: dict[str, list[float]] = defaultdict(list)

    def add(anchors: str, at: NDArray[np.intp]) -> None:
        for method, value in estimates(y, at, mean, fits).items():
            found[f"{anchors} / {method}"].append(abs(value - y.mean()))

    for _ in range(draws):
        add("random", rng.choice(len(y), count, replace=False))
        add("stratified", stratified(mean, count, rng))
        at = balanced_anchors(mean, items, count, rng)
        add("balanced", at)
        told = items.estimate(at, y[at])
        found["(90% interval of balanced / gp-irt 2d misses)"].append(
            float(not told.low <= y.mean() <= told.high)
        )
    space = np.c_[items.ease, items.slopes]
    for anchors, x in (("clusters of items", space), ("clusters of patterns", patterns)):
        for _ in range(min(draws, 3)):
            at, weight = clusters(x, count, rng)
            add(anchors, at)
            found[f"{anchors} / weighted"].append(abs(weight @ y[at] - y.mean()))
    add("greedy variance", greedy_variance(patterns, count))
    add("D-optimal", d_optimal(space, np.eye(3), count))
    p = np.stack([items.predict(ability) for ability in items.abilities], axis=1)
    information = (p * (1 - p)).mean(axis=1) * (items.slopes**2).sum(axis=1)
    add("most information", np.argsort(-information)[:count])
    # Accuracy over all = k/n seen + (n - k)/n the rest, for the estimate and the truth alike: so the
    # error over the rest is n/(n - k) times the error over all.
    return source.name, len(y) / (len(y) - count), {k: float(np.mean(v)) for k, v in found.items()}


def interval(by_source: list[Array], rng: np.random.Generator) -> tuple[float, float]:
    """95% bootstrap interval of the mean over models, drawn again within each source."""
    draws = [
        np.concatenate([rng.choice(part, len(part)) for part in by_source]).mean()
        for _ in range(2000)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def report(hold: str, rows: list[Row]) -> None:
    names = sorted({source for source, _, _ in rows})
    rng = np.random.default_rng(0)
    print(f"\nhold out a {hold}: {len(rows)} models of {len(names)} sources")
    print(
        f"{'anchors / method':<46} {'MAE':>6} {'95% interval':>17} {'rest':>7}  "
        + " ".join(n[:10].rjust(10) for n in names)
    )
    table = []
    for key in rows[0][2]:
        by_source = [np.array([e[key] for s, _, e in rows if s == name]) for name in names]
        rest = float(np.mean([e[key] * (1.0 if key[0] == "(" else scale) for _, scale, e in rows]))
        table.append((float(np.concatenate(by_source).mean()), key, by_source, rest))
    for mae, key, by_source, rest in sorted(table, key=lambda row: row[0]):
        low, high = interval(by_source, rng)
        cells = " ".join(f"{part.mean():10.4f}" for part in by_source)
        print(f"{key:<46} {mae:6.4f} [{low:.4f}, {high:.4f}] {rest:7.4f}  {cells}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--models", type=int, default=0, help="at most so many a source; 0: all")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    known = list(sources(given.data / "outcomes"))
    for hold in ("model", "family"):
        tasks = []
        for source in known:
            enough = np.flatnonzero((~np.isnan(source.score)).sum(axis=0) >= MIN_OUTCOMES)
            some = np.random.default_rng(0).permutation(enough)[: given.models or None]
            tasks += [(source, int(j), hold, given.count, given.draws) for j in some]
        with ProcessPoolExecutor(given.jobs) as pool:
            report(hold, [found for found in pool.map(errors, tasks) if found is not None])


if __name__ == "__main__":
    main()
