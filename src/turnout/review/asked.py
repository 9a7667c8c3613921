"""What a review is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turnout.data.logs.files import CHUNK_BYTES

REPLICATES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a review is asked for."""

    floor: float = 0.95
    """Least quality, as a part of the strongest candidate's."""
    clusters: int | None = None
    examples: bool = False
    """Whether some prompts may stand in the report."""
    label: int | None = None
    """How many prompts to draw into `label_file`."""
    label_file: Path | None = None
    labels: Path | None = None
    """Graded prompts."""
    cache: Path | None = None
    """Folder that keeps results; None keeps them while the review runs."""
    engine: str = "local"
    engine_address: str | None = None
    workers: int = 1
    replicates: int = REPLICATES
    seed: int = 0
    chunk_bytes: int = CHUNK_BYTES
    command: str = ""
