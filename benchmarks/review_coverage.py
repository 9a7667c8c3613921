"""How often the intervals of a review cover the truth, over 200 made-up logs.

    python benchmarks/review_coverage.py --runs 200

Every run writes a log of 400 conversations, reviews it through the whole way from file to report, draws
150 prompts, has them graded, and folds the labels in. Prompts say how hard they are, so that the truth is
known: what the same law gives over 20,000 conversations for the share and the saving (the setting is
chosen anew), and the true qualities of the calls of the log for what labels estimate. Predictions are
wrong on purpose: they are too sure, and the labels must not hang on them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from review_made import NOW, STRONG, WEAK, hardness, made_calls, write_log
from turnout.calibration.bounds import clopper_pearson
from turnout.encoders.hashing import HashingEncoder
from turnout.review import Asked, Review, review
from turnout.review.mapping import Mapper
from turnout.types import Candidate, PairRule, Prediction, Query

FLOOR, LABELS = 0.95, 150


@dataclass(frozen=True)
class Wrong:
    """Predicts half of the true gap, and too high."""

    name: str = "wrong"
    fingerprint: str | None = "made-up"

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        hard = np.asarray([hardness(q.text) for q in queries], dtype=np.float32).reshape(-1, 1)
        quality = 0.98 - np.float32([0.1, 0.45]) * hard
        names = tuple(c.name for c in candidates)
        return Prediction(
            candidates=names, quality=quality.reshape(-1, 2), pair=PairRule("difference")
        )


def one(folder: Path, conversations: int, seed: int, asked: Asked) -> tuple[Review, Path]:
    log = write_log(folder / f"{seed}.jsonl", made_calls(conversations, seed))
    mapper = Mapper(Wrong(), (STRONG, WEAK), HashingEncoder(16))
    return review([log], mapper, asked, now=NOW), log


def grade(path: Path, rng: np.random.Generator) -> None:
    """A grader that says good or bad by the true chance of a good answer."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        hard = hardness(row["prompt"])
        good = rng.random(2) < (1 - 0.2 * hard, 1 - 0.9 * hard)
        row["models"] = {"gpt-4o": float(good[0]), "gpt-4o-mini": float(good[1])}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def kept(log: Path, route: str) -> float:
    """The true part of the strong model's quality that a route keeps on a log's calls."""
    texts = [json.loads(line)["messages"][1]["content"] for line in log.read_text().splitlines()]
    hard = np.asarray([hardness(text) for text in texts])
    weak = np.float32(0.35) * hard.astype(np.float32) < float(route.rpartition("-")[2])
    return float(np.where(weak, 1 - 0.9 * hard, 1 - 0.2 * hard).mean() / (1 - 0.2 * hard).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--conversations", type=int, default=400)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="Seed of the first run.")
    parser.add_argument("--no-labels", action="store_true", help="Share and saving alone.")
    given = parser.parse_args()
    hits = {"share served cheaper": 0, "saving": 0}
    if not given.no_labels:
        hits["quality kept, by labels"] = 0
    off: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth, _ = one(folder, 20_000, 10**6, Asked(floor=FLOOR, replicates=20, clusters=1))
        for run in range(given.first, given.first + given.runs):
            file = folder / "to-label.jsonl"
            asked = Asked(
                floor=FLOOR,
                replicates=given.replicates,
                clusters=1,
                cache=folder / "cache",
                label=None if given.no_labels else LABELS,
                label_file=file,
                seed=run,
            )
            found, log = one(folder, given.conversations, run, asked)
            row, true = found.at_floor, truth.at_floor
            share, saving = true.cheap_share.value, true.saving.value
            hits["share served cheaper"] += row.cheap_share.low <= share <= row.cheap_share.high
            hits["saving"] += row.saving.low <= saving <= row.saving.high
            off.append(row.saving.value - saving)
            if not given.no_labels:
                grade(file, np.random.default_rng(run))
                again = replace(asked, label=None, labels=file)
                labelled = one(folder, given.conversations, run, again)[0].labelled
                assert labelled is not None
                told = kept(log, labelled.route)
                hits["quality kept, by labels"] += labelled.kept.low <= told <= labelled.kept.high
            log.unlink()
    print(f"truth: share {share:.3f}, saving {saving:.3f}; {given.runs} runs")
    print(f"saving less its truth: mean {np.mean(off):+.4f}, deviation {np.std(off):.4f}")
    for what, count in hits.items():
        low, high = clopper_pearson(count, given.runs)
        print(f"{what:26} covered in {count / given.runs:.1%} of runs [{low:.1%} {high:.1%}]")


if __name__ == "__main__":
    main()
