"""What an evaluation was made from, so that another can be compared with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from turnout import __version__
from turnout.evaluation.benchmarks.base import Benchmark


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Data, artifacts, command and version."""

    data: str
    """SHA-256 of the prompts, models, scores and costs."""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    """Fingerprint of each router's artifact, where it has one."""
    command: str = ""
    """As it was given."""
    made_at: str = ""
    """Day and time in UTC."""
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def fingerprint(benchmark: Benchmark) -> str:
    """SHA-256 over models, prompts, scores and costs of a benchmark, in their order."""
    digest = hashlib.sha256("\0".join(c.name for c in benchmark.candidates).encode())
    for query in benchmark.queries:
        digest.update(b"\0" + query.text.encode("utf-8", "surrogatepass"))
    for values in (benchmark.quality, benchmark.cost_usd):
        digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    return digest.hexdigest()
