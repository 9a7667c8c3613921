"""Which prompts the shipped artifacts were fitted on, as a filter of hashes: no text is kept.

Of every prompt it holds 32 bits of a hash of its words, for what is the same word for word, and up to
four 32-bit hashes of its runs of eight words (`data.groups`), for what is nearly the same. The four are
those that come first in an order by hash, so that two texts with most runs in common mostly keep the
same ones (bottom-k sketches: Broder 1997). Runs of many prompts are boilerplate and are left out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import LEAST_COMMON, normalised_words, telling_runs
from turnout.errors import ArtifactError

SHIPPED = Path(__file__).parent / "shipped" / "seen.safetensors"
RUNS = 4
"""Hashes of a prompt's runs that are kept."""
LEAST_SHARED = 2
"""Of these, how many a near-duplicate has; of a prompt with one, that one."""

Bits = NDArray[np.uint8]
Hashes = NDArray[np.uint32]

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Seen:
    """How n prompts stand to those that artifacts were fitted on."""

    artifacts: tuple[tuple[str, ...], ...]
    """Names that share their prompts; the j-th have bit j."""
    exact: Bits
    """(n,) bits of the artifacts whose fit had this very prompt, case and marks apart."""
    near: Bits
    """(n,) bits of those whose fit had a near-duplicate of it and not the prompt itself."""

    def by_artifact(self, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """(n,) exactly and (n,) nearly seen by one artifact; None where the filter has not its name."""
        for j, names in enumerate(self.artifacts):
            if name in names:
                bit = np.uint8(1 << j)
                return (self.exact & bit) != 0, (self.near & bit) != 0
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPrompts:
    """The filter. False positives: see `docs/guides/audit.md` for what was measured."""

    whole: Hashes
    """(n,) of each prompt."""
    runs: Hashes
    """(n, 4) of its runs, 0 where it has fewer."""
    fitted: Bits
    """(n,) which artifacts were fitted on it."""
    artifacts: tuple[tuple[str, ...], ...]
    facts: Mapping[str, Any]
    """How it was made, JSON-ready."""

    @classmethod
    def of(
        cls,
        prompts: Sequence[str],
        fitted: Bits,
        artifacts: Sequence[Sequence[str]],
        facts: Mapping[str, Any] | None = None,
    ) -> SeenPrompts:
        """The filter of n prompts.

        Args:
            prompts: n texts.
            fitted: (n,) bit j says that `artifacts[j]` were fitted on it.
            artifacts: at most eight lists of names.
            facts: kept beside it.
        """
        found = [_runs(text) for text in prompts]
        common = Counter(run for runs in found for run in runs.tolist())
        kept = np.zeros((len(prompts), RUNS), dtype=np.uint32)
        for i, runs in enumerate(found):
            own = np.asarray([r for r in runs.tolist() if common[r] <= LEAST_COMMON], np.uint64)
            first = own[np.argsort(own & np.uint64(0xFFFFFFFF), kind="stable")][:RUNS]
            kept[i, : len(first)] = _short(first)
        return cls(
            whole=np.asarray([_whole(text) for text in prompts], dtype=np.uint32),
            runs=kept,
            fitted=np.asarray(fitted, dtype=np.uint8),
            artifacts=tuple(tuple(names) for names in artifacts),
            facts=dict(facts or {}),
        )

    def look_up(self, prompts: Sequence[str]) -> Seen:
        """How m prompts stand to those of the filter."""
        whole: dict[int, int] = {}
        for code, bits in zip(self.whole.tolist(), self.fitted.tolist(), strict=True):
            whole[code] = whole.get(code, 0) | bits
        order = np.argsort(self.runs, axis=None, kind="stable")
        order = order[self.runs.ravel()[order] != 0]
        flat, row = self.runs.ravel()[order], order // self.runs.shape[1]
        needed = np.minimum((self.runs != 0).sum(axis=1), LEAST_SHARED)
        exact = np.asarray([whole.get(_whole(text), 0) for text in prompts], dtype=np.uint8)
        near = np.zeros(len(prompts), dtype=np.uint8)
        for i, text in enumerate(prompts):
            rows = _holders(flat, row, np.unique(_short(_runs(text))))
            hit, count = np.unique(rows, return_counts=True)
            close = hit[count >= needed[hit]]
            near[i] = np.bitwise_or.reduce(self.fitted[close], initial=0)
        return Seen(self.artifacts, exact, near & ~exact)

    def save(self, file: Path) -> None:
        """Write the filter."""
        from safetensors.numpy import save_file

        file.parent.mkdir(parents=True, exist_ok=True)
        about = {"artifacts": json.dumps(self.artifacts), "facts": json.dumps(dict(self.facts))}
        arrays: dict[str, NDArray[Any]] = {
            "whole": self.whole,
            "runs": self.runs,
            "fitted": self.fitted,
        }
        save_file(arrays, file, metadata=about)

    @classmethod
    def load(cls, file: Path = SHIPPED) -> SeenPrompts:
        """Read a filter; default: the one that ships.

        Raises:
            ArtifactError: it is missing, or none.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, framework="numpy") as opened:
                about = opened.metadata() or {}
                arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            return cls(
                artifacts=tuple(tuple(names) for names in json.loads(about["artifacts"])),
                facts=json.loads(about["facts"]),
                **arrays,
            )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{file.name}: not a filter of prompts; install it again"
            ) from error


def _holders(flat: Hashes, row: NDArray[np.intp], asked: Hashes) -> NDArray[np.intp]:
    """Rows that hold one of the hashes asked for, once for each."""
    starts, stops = (np.searchsorted(flat, asked, side) for side in ("left", "right"))
    there = stops > starts
    spans = [row[a:b] for a, b in zip(starts[there].tolist(), stops[there].tolist(), strict=True)]
    return np.concatenate(spans) if spans else np.empty(0, dtype=np.intp)


def _runs(text: str) -> NDArray[np.uint64]:
    words = normalised_words(text)
    return telling_runs(words, np.asarray([_code(word) for word in words], dtype=np.uint64))


def _short(runs: NDArray[np.uint64]) -> Hashes:
    """The upper half; 0 stands for none."""
    return np.asarray(np.maximum(runs >> np.uint64(32), 1), dtype=np.uint32)


def _whole(text: str) -> int:
    """Of all words, numbers as they are; of a text without words, of the text."""
    words = " ".join(_WORD.findall(text.lower())) or text
    return _digest(words) >> 32


@cache
def _code(word: str) -> int:
    return _digest(word)


def _digest(text: str) -> int:
    raw = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=b"turnout-seen")
    return int.from_bytes(raw.digest(), "little")
