"""Made-up logs for the tests of review: conversations of known prompts, models, tokens and scores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turnout.encoders.hashing import HashingEncoder
from turnout.review.mapping import Mapper
from turnout.types import Candidate, PairRule, Prediction, Price, Query

NOW = 1_790_000_000.0
STRONG = Candidate(name="gpt-4o", price=Price.per_million(2.5, 10))
WEAK = Candidate(name="gpt-4o-mini", price=Price.per_million(0.15, 0.6))
KINDS = {
    "billing": "invoice refund charge account",
    "travel": "flight hotel ticket passport",
    "code": "python function error loop",
}


@dataclass(frozen=True)
class Oracle:
    """Predicts what a prompt says of itself: `hard 0.37` is hard at 0.37. No artifact."""

    name: str = "oracle"
    fingerprint: str | None = "made-up"

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        hard = np.asarray([hardness(q.text) for q in queries], dtype=np.float32).reshape(-1, 1)
        slope = np.linspace(0.2, 0.9, len(candidates), dtype=np.float32)
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=(1.0 - slope * hard).reshape(len(queries), len(candidates)),
            pair=PairRule("difference"),
        )


def hardness(text: str) -> float:
    return float(text.rpartition("hard ")[2])


def mapper(candidates: Sequence[Candidate] = (STRONG, WEAK)) -> Mapper:
    return Mapper(Oracle(), tuple(candidates), HashingEncoder(64))


def made_calls(
    conversations: int, seed: int = 0, *, tokens: bool = True, scores: bool = False
) -> Iterator[dict[str, Any]]:
    """Conversations of one to four calls; the harder the prompt, the longer its answer."""
    rng = np.random.default_rng(seed)
    number = 0
    for session in range(conversations):
        kind = list(KINDS)[int(rng.integers(len(KINDS)))]
        base = rng.random()
        start = 1_780_000_000 + session * 1000
        for turn in range(int(rng.integers(1, 5))):
            hard = float(np.clip(base + rng.normal(0, 0.15), 0, 1))
            words = " ".join(rng.permutation(KINDS[kind].split()))
            row: dict[str, Any] = {
                "id": f"c{seed}-{number}",
                "session_id": f"s{session}",
                "timestamp": start + 60 * turn,
                "model": "gpt-4o",
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": f"{words} {session} {turn} hard {hard:.4f}"},
                ],
            }
            if tokens:
                row |= {
                    "input_tokens": 400 + 300 * turn,
                    "cached_tokens": 300 * turn,
                    "output_tokens": int(100 + 900 * hard * rng.random()),
                }
            if scores:
                answered = rng.random() < 0.7
                weak = not answered
                quality = 1.0 - (0.9 if weak else 0.2) * hard
                row |= {
                    "model": "gpt-4o-mini" if weak else "gpt-4o",
                    "propensity": 0.3 if weak else 0.7,
                    "score": float(rng.random() < quality),
                }
            number += 1
            yield row


def write_log(path: Path, rows: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
