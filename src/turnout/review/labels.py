"""Labels of drawn prompts → estimates of what routing keeps of the quality, with intervals.

The quality of a way to choose is estimated by prediction-powered inference (Angelopoulos, Duchi & Zrnic
2023, arXiv:2311.01453): the mean of the predictions over all calls, corrected by the mean error on the
labelled prompts, where each weighs its calls over its chance of being drawn (Horvitz & Thompson 1952,
normalised as by Hájek). Bad predictions widen the interval; they do not bias it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.data.lines import at, json_lines
from turnout.errors import DataError
from turnout.evaluation.intervals import Estimate
from turnout.evaluation.tables import align, json_estimate
from turnout.review.columns import Columns
from turnout.review.curve import FLOOR_HEADINGS, Bootstrap, FloorRow, Sum
from turnout.review.drawing import units
from turnout.review.knobs import Knob
from turnout.review.words import interval, percent

LEAST_LABELS = 30
"""With fewer labels no interval is given: a bootstrap of so few says too little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Graded prompts."""

    id: tuple[str, ...]
    score: NDArray[np.float64]
    """(k, m) in [0, 1]."""
    inclusion: NDArray[np.float64]
    """(k,)"""
    problems: Mapping[str, int]
    """What was left out, in words, and how often."""


def read_labels(path: Path, models: Sequence[str]) -> Labels:
    """Read a file that `--label` wrote and someone graded.

    Rows without a score of every candidate, or with one outside [0, 1], are left out and counted.

    Raises:
        DataError: a row without id or inclusion, or no row that can be used.
    """
    found: dict[str, tuple[list[float], float]] = {}
    problems: dict[str, int] = {}

    def count(what: str) -> None:
        problems[what] = problems.get(what, 0) + 1

    for line, row in json_lines(path):
        name, inclusion = row.get("id"), row.get("inclusion")
        chance = isinstance(inclusion, int | float) and 0 < inclusion <= 1
        if not isinstance(name, str) or not chance:
            field = "id" if not isinstance(name, str) else "inclusion"
            remedy = "keep id and inclusion of the rows as `turnout review --label` wrote them"
            raise DataError(at(path, line, field), row.get(field), remedy)
        scores = _scores(row.get("models"), models)
        if scores is None:
            count("prompts without a score of every candidate")
        elif not all(0.0 <= s <= 1.0 for s in scores):
            count("prompts with a score outside [0, 1]")
        elif name in found:
            same = found[name][0] == scores
            count(
                "prompts given twice"
                if same
                else "prompts given twice with other scores: first taken"
            )
        else:
            found[name] = (scores, float(inclusion or 0.0))
    if not found:
        why = "; ".join(f"{n:,} {what}" for what, n in problems.items()) or "the file is empty"
        raise DataError("labels", str(path), f"no label can be used ({why})")
    return Labels(
        id=tuple(found),
        score=np.asarray([s for s, _ in found.values()], dtype=float),
        inclusion=np.asarray([p for _, p in found.values()], dtype=float),
        problems=problems,
    )


def _scores(cells: Any, models: Sequence[str]) -> list[float] | None:
    if not isinstance(cells, Mapping):
        return None
    scores = [c.get("score") if isinstance(c, Mapping) else c for c in map(cells.get, models)]
    known = [float(s) for s in scores if isinstance(s, bool | int | float)]
    return known if len(known) == len(models) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What labels say."""

    labels: int
    """Labelled prompts that are in these logs."""
    quality: Mapping[str, Estimate]
    """Candidate → mean quality over all calls, had it answered them."""
    predicted: Mapping[str, float]
    """The same as predicted, before labels."""
    at_floor: FloorRow
    floors: tuple[FloorRow, ...]
    kept: Estimate
    """Part of the strongest candidate's quality that the predicted setting keeps."""
    route: str
    """That setting."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "labels": self.labels,
            "quality": {k: json_estimate(v) for k, v in self.quality.items()},
            "predicted": dict(self.predicted),
            "kept_at_predicted_setting": json_estimate(self.kept),
            "route": self.route,
            "floors": [row.to_dict() for row in self.floors],
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """What a terminal shows."""
        rows = [["", "quality by labels", "as predicted"]]
        rows += [
            [name, interval(e), f"{self.predicted[name]:.3f}"] for name, e in self.quality.items()
        ]
        floors = [list(FLOOR_HEADINGS), *(row.cells() for row in self.floors)]
        kept = (
            f"{self.route}, the setting by predictions, keeps {percent(self.kept)} of the quality"
        )
        lines = [f"By {self.labels:,} labels", *align(rows), kept, *align(floors)]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def fold_in(
    labels: Labels,
    columns: Columns,
    knob: Knob,
    block: NDArray[np.intp],
    bootstrap: Bootstrap,
    predicted: FloorRow,
    floors: Sequence[float],
) -> Labelled:
    """Estimates from labels.

    Args:
        labels: graded prompts.
        columns: n calls.
        knob: of the router on them.
        block: (n,) block of each call.
        bootstrap: over the blocks.
        predicted: what the predictions alone say at the floor that was asked for.
        floors: parts of the strongest candidate's quality.

    Raises:
        DataError: none of the labelled prompts is in these logs.
    """
    found, rows, weight = _matched(labels, columns)
    score = labels.score[found]
    quality = np.maximum(knob.quality[rows], 0.0)
    picked = np.arange(len(rows))
    chosen = [choice[rows] for choice in knob.choices()]
    m = score.shape[1]
    truth = np.stack([score[picked, c] for c in chosen] + [score[:, j] for j in range(m)], axis=1)
    guess = np.stack(
        [quality[picked, c] for c in chosen] + [quality[:, j] for j in range(m)], axis=1
    )
    s = bootstrap.sums
    # What was predicted for all calls, in the same order: each setting, then each candidate alone.
    everywhere = np.concatenate([s.quality, s.quality_alone], axis=1)
    power = _power(truth, guess, weight)
    residual = truth - power * guess
    blocks = len(s.calls)
    by_block = np.zeros((blocks, residual.shape[1] + 1))
    np.add.at(by_block, block[rows], np.c_[weight, weight[:, None] * residual])

    def means(calls: Sum, all_: Sum, labelled: Sum) -> Sum:
        with np.errstate(divide="ignore", invalid="ignore"):
            return power * all_ / calls + labelled[..., 1:] / labelled[..., :1]

    value = means(s.calls.sum(), everywhere.sum(axis=0), by_block.sum(axis=0))
    draws = means(
        bootstrap.draws(s.calls[:, None]), bootstrap.draws(everywhere), bootstrap.draws(by_block)
    )
    p = len(knob.settings)
    enough = len(found) >= LEAST_LABELS
    ratio, ratios = value[:p] / value[0], draws[:, :p] / draws[:, :1]
    rows_of = bootstrap.floors(knob, (predicted.floor, *floors), (ratio, lambda: ratios))
    if not enough:
        rows_of = tuple(_without_intervals(row) for row in rows_of)

    def estimate(at: float, drawn: Sum) -> Estimate:
        return bootstrap.estimate(at, drawn) if enough else Estimate(at)

    names = [c.name for c in knob.candidates]
    return Labelled(
        labels=len(found),
        quality={n: estimate(float(value[p + j]), draws[:, p + j]) for j, n in enumerate(names)},
        predicted={
            n: float(s.quality_alone[:, j].sum() / s.calls.sum()) for j, n in enumerate(names)
        },
        at_floor=rows_of[0],
        floors=rows_of[1:],
        kept=estimate(float(ratio[predicted.setting]), ratios[:, predicted.setting]),
        route=predicted.route,
        notes=_notes(labels, len(found)),
    )


def _without_intervals(row: FloorRow) -> FloorRow:
    return FloorRow(
        floor=row.floor,
        setting=row.setting,
        route=row.route,
        cheap_share=Estimate(row.cheap_share.value),
        saving=Estimate(row.saving.value),
        kept=row.kept,
    )


def _matched(
    labels: Labels, columns: Columns
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Labels that are of these logs, a row that holds each, and the weight of each."""
    first, calls, _ = units(columns)
    place = {f"{int(key):016x}": i for i, key in enumerate(columns.near[first])}
    found = np.asarray([k for k, name in enumerate(labels.id) if name in place], dtype=np.intp)
    if not len(found):
        raise DataError("labels", len(labels.id), "none of the labelled prompts is in these logs")
    unit = np.asarray([place[labels.id[k]] for k in found], dtype=np.intp)
    return found, first[unit], calls[unit] / labels.inclusion[found]


def _power(truth: Sum, guess: Sum, weight: Sum) -> Sum:
    """(k,) how far predictions are trusted, from 0 to 1: PPI++ (arXiv:2311.01453), by least squares."""
    share = (weight / weight.sum())[:, None]
    off = guess - (share * guess).sum(axis=0)
    covariance = (share * off * truth).sum(axis=0)
    variance = (share * off**2).sum(axis=0)
    return np.clip(
        np.where(variance > 1e-12, covariance / np.maximum(variance, 1e-12), 0.0), 0.0, 1.0
    )


def _notes(labels: Labels, used: int) -> tuple[str, ...]:
    notes = [f"{count:,} {what}" for what, count in labels.problems.items()]
    if used < len(labels.id):
        notes.append(f"{len(labels.id) - used:,} labelled prompts are not in these logs")
    if used < LEAST_LABELS:
        notes.append(f"fewer than {LEAST_LABELS} labels: no intervals are given; grade more")
    return tuple(notes)
