"""Calls as columns of numbers, without their texts, and the files that hold them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from turnout.data.logs import Findings

Array = NDArray[Any]

UNKNOWN = -1
"""A token count that the log does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """n calls. Hashes are 64 bits of BLAKE2b; no text can be had back from them."""

    file: Array
    """(n,) uint32: place of the file in the list of files."""
    unit: Array
    """(n,) uint32: place of the unit of work within the file."""
    line: Array
    """(n,) uint32: line within the unit, from 1."""
    part: Array
    """(n,) uint16: which call of its record."""
    id: Array
    """(n,) uint64 hash of the log's own id; 0 without one."""
    request: Array
    """(n,) uint64 hash of all messages."""
    near: Array
    """(n,) uint64 hash of system and latest text, once case, marks, spacing and courtesies are gone."""
    group: Array
    """(n,) uint64 hash of the conversation: its id, or its system and first user message."""
    time: Array
    """(n,) float64 seconds since 1970, NaN where unknown."""
    latency_ms: Array
    """(n,) float32, NaN where unknown."""
    input_tokens: Array
    """(n,) int32, `UNKNOWN` where not recorded."""
    estimated_tokens: Array
    """(n,) int32 input tokens as the gateway would estimate them."""
    cached_tokens: Array
    """(n,) int32, `UNKNOWN` where not recorded."""
    output_tokens: Array
    """(n,) int32, `UNKNOWN` where not recorded."""
    cost_usd: Array
    """(n,) float64 recorded cost, NaN where unknown."""
    model: Array
    """(n,) uint16 place in the names of models."""
    score: Array
    """(n,) float32 in [0, 1], NaN where none was logged."""
    propensity: Array
    """(n,) float32, NaN where none was logged."""
    turns: Array
    """(n,) uint16 user messages so far."""
    fits: Array
    """(n,) uint64: bit j is set where candidate j can serve the request."""
    quality: Array
    """(n, m) float32 predicted quality."""
    expected_tokens: Array
    """(n, m) float32 output tokens that the router expects, NaN where it cannot tell."""

    def __len__(self) -> int:
        return len(self.line)

    def rows(self, index: Array) -> Columns:
        """Some of the calls."""
        return Columns(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def placed(self, file: Array, unit: Array) -> Columns:
        """The same calls with their places."""
        return replace(self, file=file, unit=unit)

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """All parts, in order; at least one."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """What was made of one stretch of a file."""

    columns: Columns
    vectors: Array
    """(n, d) float16 encoder rows."""
    models: tuple[str, ...]
    """Names of the models; `columns.model` points at them."""
    lines: int
    """Lines (or rows) that were read, blank ones among them."""
    findings: Findings = field(default_factory=Findings)
    """Lines are counted within the shard."""
    unread: int = 0
    """First line of no known format; 0 where there is none."""
    any_read: bool = False
    """Whether anything of a known format was read."""
    formats: Mapping[str, int] = field(default_factory=dict)
    """Format → calls."""

    def write(self, path: Path) -> None:
        """Write it whole or not at all: a process that dies leaves no half of it."""
        said = {
            "models": list(self.models),
            "lines": self.lines,
            "counts": self.findings.counts,
            "first": {k: line for k, (_, line) in self.findings.first.items()},
            "unread": self.unread,
            "any_read": self.any_read,
            "formats": dict(self.formats),
        }
        arrays = {f.name: getattr(self.columns, f.name) for f in fields(Columns)}
        packed = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
        packed["vectors"] = np.ascontiguousarray(self.vectors)
        half = path.with_name(f"{path.name}.{os.getpid()}.part")
        half.write_bytes(save(packed, metadata={"said": json.dumps(said)}))
        half.replace(path)


def read_shard(path: Path, where: str) -> Shard | None:
    """A shard that was written, without its vectors; None where there is none, or a broken one.

    Args:
        path: its file.
        where: name of the log that its lines are in.
    """
    try:
        with safe_open(path, framework="np") as file:
            said = json.loads(file.metadata()["said"])
            columns = Columns(**{f.name: file.get_tensor(f.name) for f in fields(Columns)})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    first = {k: (where, line) for k, line in said["first"].items()}
    return Shard(
        columns=columns,
        vectors=np.empty((0, 0), dtype=np.float16),
        models=tuple(said["models"]),
        lines=said["lines"],
        findings=Findings(said["counts"], first),
        unread=said["unread"],
        any_read=said["any_read"],
        formats=said["formats"],
    )


def read_vectors(path: Path) -> NDArray[np.float32]:
    """(n, d) vectors of a shard."""
    with safe_open(path, framework="np") as file:
        return np.asarray(file.get_tensor("vectors"), dtype=np.float32)


def merged_names(parts: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], list[Array]]:
    """One list of names for all parts, and per part where its own are in it."""
    places: dict[str, int] = {}
    maps = [
        np.asarray([places.setdefault(name, len(places)) for name in names], dtype=np.uint16)
        for names in parts
    ]
    return tuple(places), maps
