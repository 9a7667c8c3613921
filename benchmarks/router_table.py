"""Every router that can be trained, on the same encoder, data and splits: rows of numbers and a table.

Fitted on role=train, reported on role=dev. No router has code of its own here: what
`turnout.training.trainers` lists is fitted, and what cannot be is listed with its reason.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from turnout import Candidate, Query, open_router
from turnout.data.groups import near_duplicate_groups
from turnout.data.table import OutcomeTable
from turnout.errors import ArtifactError, DataError, InputError, MissingExtraError
from turnout.evaluation.hulls import aiq
from turnout.evaluation.intervals import Estimate, Resampler, SortedPair, percentile_interval
from turnout.evaluation.perturbing import polite, typos
from turnout.policies.hull import OperatingPoint, operating_points
from turnout.training import trainers

REPLICATES, TIMED = 300, 60
Noise = dict[str, Callable[[str], str]]


NOISE: Noise = {
    "polite": polite,
    "typos": typos,
    "case": str.lower,
}


@dataclass
class Field:
    """One set of outcomes: what is fitted on, what is reported on, and the shared draws."""

    train: OutcomeTable
    dev: OutcomeTable
    score: np.ndarray = field(init=False)
    cost: np.ndarray | None = field(init=False)
    predicted: dict[str, np.ndarray] = field(default_factory=dict)
    """What each fitted router predicts of the dev part."""
    chosen: dict[str, np.ndarray] = field(default_factory=dict)
    """What each would decide there for the best quality."""
    calls: dict[str, Callable[[Sequence[str]], Any]] = field(default_factory=dict)
    """What predicts, by row: timed together at the end."""

    def __post_init__(self) -> None:
        self.score = self.dev.score.astype(np.float64)
        known = (
            np.isfinite(self.dev.cost_usd).all() and np.isfinite(self.train.cost_usd).any(0).all()
        )
        self.cost = self.dev.cost_usd.astype(np.float64) if known else None
        groups = near_duplicate_groups(self.dev.prompts, known=[str(g) for g in self.dev.groups])
        self.weights = np.concatenate(list(Resampler(groups, REPLICATES, 0).weights()))
        mean = np.nanmean(self.train.score, axis=0)
        self.strong = int(np.argmax(mean))
        self.price = np.nanmean(self.train.cost_usd, axis=0).astype(np.float64) if known else None
        self.weak = int(np.argmin(self.price if self.price is not None else mean))

    def mean(self, values: np.ndarray) -> Estimate:
        """Mean of (n,) values."""
        draws = self.weights @ values / self.weights.sum(axis=1)
        return percentile_interval(float(values.mean()), draws)

    def apgr(self, wanted: np.ndarray) -> dict[str, Estimate]:
        """APGR of the strongest and the cheapest model, by calls and by dollars."""
        if self.strong == self.weak:
            return {}
        gain = self.score[:, self.strong] - self.score[:, self.weak]
        extra = None if self.cost is None else self.cost[:, self.strong] - self.cost[:, self.weak]
        pair = SortedPair(wanted, gain, extra)
        once, many = pair.measure(np.ones((1, len(gain)))), pair.measure(self.weights)
        found = {"apgr_calls": percentile_interval(float(once.apgr[0]), many.apgr)}
        if extra is not None:
            found["apgr_dollars"] = percentile_interval(float(once.apgr_usd[0]), many.apgr_usd)
        return found

    def areas(self, choices: Sequence[np.ndarray]) -> np.ndarray:
        """(1 + replicates,) AIQ of the hull of some choices; the first is of the dev part itself."""
        assert self.cost is not None
        span = self.cost.mean(axis=0)
        every = np.arange(len(self.score))
        weights = np.concatenate([np.ones((1, len(every))), self.weights])
        weights /= weights.sum(axis=1, keepdims=True)
        cost = np.stack([weights @ self.cost[every, c] for c in choices], axis=1)
        good = np.stack([weights @ self.score[every, c] for c in choices], axis=1)
        ends = {"cheapest": float(span.min()), "dearest": float(span.max())}
        return np.asarray([aiq(x, y, **ends) for x, y in zip(cost, good, strict=True)])

    def singles(self) -> list[np.ndarray]:
        """Each model alone: the zero router's points."""
        return [np.full(len(self.score), j) for j in range(self.score.shape[1])]


def pick_row(name: str, at: Field, pick: np.ndarray) -> dict[str, Any]:
    """A way to choose one model a prompt."""
    got = at.score[np.arange(len(pick)), pick]
    return {
        "name": name,
        "score": at.mean(got),
        "less_best": at.mean(got - at.score[:, at.strong]),
    }


def baselines(at: Field) -> list[dict[str, Any]]:
    """What a router must beat, and what none can."""
    n, m = at.score.shape
    rows = [
        pick_row("random", at, np.random.default_rng(0).integers(0, m, n)),
        pick_row("cheapest model", at, np.full(n, at.weak)),
        pick_row("best single model (on train)", at, np.full(n, at.strong)),
    ]
    lengths = [np.log1p([len(p) for p in part.prompts]) for part in (at.train, at.dev)]
    line = np.empty((n, m))
    for j in range(m):
        seen = np.isfinite(at.train.score[:, j])
        slope = np.polyfit(lengths[0][seen], at.train.score[seen, j], 1)
        line[:, j] = np.polyval(slope, lengths[1])
    rows.append(pick_row("prompt length", at, np.argmax(line, axis=1)) | at.apgr(lengths[1]))
    kinds = np.asarray(at.train.categories)
    best = {
        k: int(np.argmax(np.nanmean(at.train.score[kinds == k], axis=0))) for k in np.unique(kinds)
    }
    table = np.asarray([best.get(k, at.strong) for k in at.dev.categories])
    rows.append(pick_row("best model per dataset", at, table))
    rows.append(pick_row("oracle", at, np.argmax(at.score, axis=1)))
    if at.cost is not None:
        zero = at.areas(at.singles())
        rows.append({"name": "zero router", "aiq": percentile_interval(float(zero[0]), zero[1:])})
    return rows


def router_row(
    name: str,
    at: Field,
    *,
    options: Mapping[str, Any] | None = None,
    label: str = "",
    noise: Noise = NOISE,
) -> dict[str, Any]:
    """One router, fitted on the train part; or the reason why it was not.

    `options` are those of its training, `label` is the row's name where it is not the router's, and
    flips are counted under each kind of `noise`.
    """
    label = label or name
    started = time.process_time()
    try:
        fitted = trainers.train(name, at.train, source="train part", options=options)
    except (MissingExtraError, DataError, InputError, ArtifactError) as error:
        return {"name": label, "not_fitted": str(error)}
    row: dict[str, Any] = {"name": label, "fit_s": round(time.process_time() - started, 1)}
    with tempfile.TemporaryDirectory() as scratch:
        fitted.write(Path(scratch) / "made")
        files = (Path(scratch) / "made").iterdir()
        row["size_mb"] = round(sum(f.stat().st_size for f in files) / 1e6, 2)
    candidates = [Candidate(name=model) for model in at.train.models]
    return row | measured(label, fitted.open(), candidates, at, noise)


def artifact_row(name: str, folder: Path, place: str, at: Field) -> dict[str, Any]:
    """A router that an artifact holds, fitted on train rows of this set beside others.

    Args:
        name: the router, as the table calls it.
        folder: the artifact.
        place: name of the set: a model is asked for as this set ran it where the artifact knows.
        at: what is reported on.
    """
    router = open_router(name, artifact=folder)
    models = at.train.models
    candidates = [Candidate(name=model, known_as=f"{model}@{place}") for model in models]
    size = sum(f.stat().st_size for f in folder.iterdir())
    row: dict[str, Any] = {"name": name, "size_mb": round(size / 1e6, 2)}
    return row | measured(name, router, candidates, at)


def measured(
    name: str, router: Any, candidates: Sequence[Candidate], at: Field, noise: Noise = NOISE
) -> dict[str, Any]:
    """What is reported of a router that is open."""

    def predict(prompts: Sequence[str]) -> np.ndarray:
        return np.asarray(router.predict([Query.of(p) for p in prompts], candidates).quality)

    quality = at.predicted[name] = predict(at.dev.prompts)
    points = operating_points_of(router, candidates, at.price)
    pick = at.chosen[name] = best_quality(points, quality, at)
    row = pick_row(name, at, pick)
    row["brier"] = at.mean(((quality - at.score) ** 2).mean(axis=1))
    row |= at.apgr(quality[:, at.strong].astype(np.float64) - quality[:, at.weak])
    row |= hull(at, points, quality)
    for kind, change in noise.items():
        moved = best_quality(points, predict([change(p) for p in at.dev.prompts]), at) != pick
        row[f"flips_{kind}"] = at.mean(moved.astype(np.float64))
    at.calls[name] = predict
    return row


def paired(at: Field, name: str, other: str) -> str:
    """A line: what one router's score and Brier score are less another's, on the same prompts."""
    each = np.arange(len(at.score))
    score, brier = (
        at.mean(values[0] - values[1])
        for values in (
            [at.score[each, at.chosen[n]] for n in (name, other)],
            [((at.predicted[n] - at.score) ** 2).mean(axis=1) for n in (name, other)],
        )
    )
    cells = (f"{e.value:+.4f} [{e.low:+.4f} {e.high:+.4f}]" for e in (score, brier))
    return "- {} less {}: mean score {}, Brier {} (less is better)".format(name, other, *cells)


def operating_points_of(
    router: Any, candidates: Sequence[Candidate], price: np.ndarray | None
) -> tuple[OperatingPoint, ...]:
    """A router's operating points, chosen out of fold on train; without prices that of best quality.

    None of a router that remembers no outcomes.
    """
    if not hasattr(router, "reference"):
        return ()
    known = router.reference(candidates)
    each = np.zeros(len(candidates)) if price is None else price
    names = [c.name for c in candidates]
    shown = np.broadcast_to(each, known.predicted.shape)
    return operating_points(known.predicted, known.score, shown, names)


def best_quality(points: Sequence[OperatingPoint], quality: np.ndarray, at: Field) -> np.ndarray:
    """(n,) what is decided at threshold 0, for the best quality, from (n, m) predictions."""
    return picked(points[0], quality, at) if points else np.argmax(quality, axis=1)


def picked(point: OperatingPoint, quality: np.ndarray, at: Field) -> np.ndarray:
    """(n,) what one operating point chooses."""
    price = np.zeros(quality.shape[1]) if at.price is None else at.price
    return point.pick(quality, np.broadcast_to(price, quality.shape), at.train.models)


def hull(at: Field, points: Sequence[OperatingPoint], quality: np.ndarray) -> dict[str, Estimate]:
    """AIQ at operating points chosen out of fold on train, and its lift over the zero router."""
    if at.price is None or not points:
        return {}
    choices, singles = [picked(p, quality, at) for p in points], at.singles()
    areas, zero = at.areas(choices), at.areas(singles)
    lift = areas - zero
    return {
        "aiq": percentile_interval(float(areas[0]), areas[1:]),
        "lift": percentile_interval(float(lift[0]), lift[1:]),
    }


def timed(at: Field, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the median CPU milliseconds of one prediction, calls interleaved."""
    spent: dict[str, list[float]] = {name: [] for name in at.calls}
    for prompt in at.dev.prompts[:TIMED]:
        for name, predict in at.calls.items():
            started = time.process_time()
            predict([prompt])
            spent[name].append(time.process_time() - started)
    p50 = {name: round(float(np.median(each)) * 1e3, 3) for name, each in spent.items()}
    return [row | ({"p50_ms": p50[row["name"]]} if row["name"] in p50 else {}) for row in rows]


COLUMNS = {
    "score": "mean score",
    "less_best": "less best single",
    "apgr_calls": "APGR calls",
    "apgr_dollars": "APGR dollars",
    "aiq": "AIQ",
    "lift": "less zero router",
    "brier": "Brier",
    "flips_polite": "flips, polite",
    "flips_typos": "flips, typos",
    "flips_case": "flips, case",
    "times": "decision, times blend",
    "size_mb": "MB",
    "fit_s": "fit CPU s",
}


def markdown(title: str, at: Field, rows: Sequence[dict[str, Any]]) -> str:
    """A section of docs/benchmarks.md."""
    base = next((r["p50_ms"] for r in rows if r["name"] == "blend" and "p50_ms" in r), None)
    shown = [
        row | ({"times": f"{row['p50_ms'] / base:.2f}"} if base and "p50_ms" in row else {})
        for row in rows
        if "not_fitted" not in row
    ]
    used = [c for c in COLUMNS if any(c in row for row in shown)]
    lines = [
        f"### {title}",
        "",
        f"Fitted on {len(at.train.prompts):,} train prompts, reported on {len(at.dev.prompts):,} dev prompts, "
        f"{len(at.dev.models)} models. APGR between {at.dev.models[at.weak]} and {at.dev.models[at.strong]}.",
        "",
        "| way to choose | " + " | ".join(COLUMNS[c] for c in used) + " |",
        "|---" * (len(used) + 1) + "|",
    ]
    for row in shown:
        cells = [_cell(row.get(c), signed=c in ("less_best", "lift")) for c in used]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    lines += [
        "",
        *(f"- {r['name']}: not fitted: {r['not_fitted']}" for r in rows if "not_fitted" in r),
    ]
    return "\n".join(lines) + "\n"


def _cell(value: object, *, signed: bool) -> str:
    if value is None:
        return ""
    if not isinstance(value, Estimate):
        return f"{value}"
    sign = "+" if signed else ""
    if np.isnan(value.low):
        return f"{value.value:{sign}.3f}"
    return f"{value.value:{sign}.3f} [{value.low:{sign}.3f} {value.high:{sign}.3f}]"


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON-ready values: an estimate is [value, low, high]."""
    return {
        key: [round(v, 5) for v in (value.value, value.low, value.high)]
        if isinstance(value, Estimate)
        else value
        for key, value in row.items()
    }
