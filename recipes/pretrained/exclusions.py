"""Keep what is reported on out of what is fitted: near-duplicates of RouteLLM's prompts."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from turnout.types import Floats

RUN = 8
SHARE = 0.5
"""Part of a prompt's runs of eight words that may not stand in one evaluation prompt."""
COSINE = 0.95

_CUE = re.compile(r"\nAnswer:\s*$")
_WORD = re.compile(r"\w+")


def evaluation_prompts(folder: Path) -> list[str]:
    """RouteLLM's evaluation prompts; they are read for this alone."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    found: list[str] = []
    for file in sorted((folder / "mmlu" / "responses").glob("*.csv")):
        found += [_CUE.sub("", prompt) for prompt in _prompts(file)]
    found += _prompts(folder / "gsm8k" / "gsm8k_responses.csv")
    for line in (folder / "mt_bench" / "question.jsonl").read_text("utf-8").splitlines():
        found += json.loads(line)["turns"]
    return found


def near_duplicates(
    prompts: Sequence[str], vectors: Floats, others: Sequence[str], other_vectors: Floats
) -> NDArray[np.bool_]:
    """(n,) whether a prompt is too close to one of `others`.

    It is where half of its runs of eight words stand in one of them, or its vector has a cosine
    above 0.95 to one. The second test is blunt, and drops some that only share a topic.
    """
    return shares_runs(prompts, others) | _near(vectors, other_vectors)


def shares_runs(prompts: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) whether half of a prompt's runs of eight words stand in one of `others`."""
    index: dict[str, list[int]] = {}
    for j, text in enumerate(others):
        for run in _runs(text):
            index.setdefault(run, []).append(j)
    found = np.zeros(len(prompts), dtype=np.bool_)
    for i, text in enumerate(prompts):
        runs = _runs(text)
        hits = Counter(j for run in runs for j in index.get(run, ()))
        found[i] = bool(hits) and max(hits.values()) >= SHARE * len(runs)
    return found


def _near(vectors: Floats, others: Floats) -> NDArray[np.bool_]:
    found = np.zeros(len(vectors), dtype=np.bool_)
    for start in range(0, len(vectors), 2048):
        block = slice(start, start + 2048)
        found[block] = (vectors[block] @ others.T).max(axis=1) > COSINE
    return found


def _runs(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {" ".join(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))} - {""}


def _prompts(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as lines:
        return [row["prompt"] for row in csv.DictReader(lines)]
